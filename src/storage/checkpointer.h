// Copies what is durable in the ledger to the objects' files, and lets the ledger forget it.
//
// A full round, with T the ledger's tail at its beginning:
//   1. From now on every page is appended whole (OverlayContext::wholeOnly), so no change after T builds on an image
//      before it. When the commits that did not see this yet are through, T is read.
//   2. Overlays are taken down: immutable images, shared with the shards, which go on. Then the alarms.
//   3. Once all that is durable in the ledger it is written to the files, which are synced, and so are the alarms.
//   4. Images that did not change meanwhile leave the overlays, under each object's lock. The ledger retires T.
// Any step may fail or the machine may stop: what the ledger has not retired is replayed over whatever the files hold.
// A round for closed objects does the same to theirs only, and retires nothing.
//
// Thread:  its own; run(), runExclusive() are for the control thread. wake, objectClosed: any.
// Errors:  a round that fails is logged and tried again, later each time; nothing is lost meanwhile.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/object_id.h"
#include "base/result.h"
#include "storage/object_files.h"
#include "storage/overlay.h"

namespace hf::storage {

// The store's table of objects.
class OverlaySource {
 public:
  virtual ~OverlaySource() = default;
  virtual std::vector<std::shared_ptr<Overlay>> allOverlays() = 0;
  virtual std::vector<std::shared_ptr<Overlay>> overlaysOf(std::span<const ObjectKey> objects) = 0;
  // They may be forgotten if their files are complete and nobody has them open.
  virtual void onCheckpointed(std::span<const std::shared_ptr<Overlay>> overlays) = 0;
  // Before a round: what has to be done to files before the ledger forgets why.
  virtual Result<void> removeDeleted() = 0;
};

struct CheckpointerOptions {
  std::string directory;  // where the alarms are kept
  // How long a closed object waits for others, and for being opened again.
  std::chrono::milliseconds closedDelay{1000};
  // A malloc_trim stops every thread that allocates, for milliseconds per hundred megabytes: seldom, and for many.
  std::chrono::milliseconds trimDelay{3000};
  std::uint32_t releasesBeforeTrim = 1000;
  std::chrono::milliseconds retryDelayMin{1000};
  std::chrono::milliseconds retryDelayMax{30'000};
};

class Checkpointer final {
 public:
  Checkpointer(Disk& disk, const Clock& clock, const Log& log, OverlayContext& context, ObjectFiles& files,
               OverlaySource& source, CheckpointerOptions options);
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  void start();
  // No round runs when it returns, and none will but by run().
  void stop();

  // Looks whether enough has gathered for a full round. Cheap when it was woken already.
  void wake();
  // A full round, however little there is.
  void request();
  void objectClosed(const ObjectKey& object);
  // An object has given memory back. After many of them have, what is free goes back to the system, from this thread.
  void memoryReleased();

  // A full round, now, by the caller.
  Result<void> run();
  // Nothing is copied meanwhile.
  Result<void> runExclusive(const std::function<Result<void>()>& task);

 private:
  using Overlays = std::vector<std::shared_ptr<Overlay>>;
  void loop();
  [[nodiscard]] bool enough() const;
  void trimIfDue(std::unique_lock<std::mutex>& lock);
  Result<void> fullRound();
  Result<void> closedRound(std::span<const ObjectKey> objects);
  Result<void> copy(const Overlays& overlays, const std::vector<OverlaySnapshot>& snapshots);
  static std::vector<OverlaySnapshot> takeDown(Overlays& overlays);

  // Fixed once made
  Disk& disk_;
  const Clock& clock_;
  const Log& log_;
  OverlayContext& context_;
  ObjectFiles& files_;
  OverlaySource& source_;
  const CheckpointerOptions options_;

  // Held for a round. Before mutex_.
  std::mutex roundMutex_;

  std::atomic<bool> woken_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_
  bool stopping_ = false;
  bool requested_ = false;
  std::set<ObjectKey> closed_;
  SteadyTime closedSince_;
  std::uint32_t releases_ = 0;
  std::optional<SteadyTime> trimAt_;

  std::thread thread_;
};

}  // namespace hf::storage
