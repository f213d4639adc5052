// Copies what is durable in the ledger to the objects' files, and lets the ledger forget it.
//
// A full round, with T the ledger's tail at its beginning:
//   1. From now on every page is appended whole (OverlayContext::wholeOnly), so no change after T builds on an image
//      before it. When the commits that did not see this yet are through, T is read.
//   2. Overlays are taken down: immutable images, shared with the shards, which go on. Then the alarms.
//   3. With history, the images that the files hold now go to the ledger.
//   4. Once all that is durable in the ledger it is written to the files, which are synced, and so are the alarms.
//   5. Images that did not change meanwhile leave the overlays, under each object's lock. History takes over what the
//   ledger holds
//      up to T, and the ledger retires it.
// Any step may fail or the machine may stop: what the ledger has not retired is replayed over whatever the files hold.
// A round for closed objects does the same to theirs only, and retires nothing.
//
// Thread:  its own; run(), runExclusive() are for the control thread. wake, objectClosed: any. With Drive::kSteps there
// is
//          no thread of its own, and everything is called on one.
// Space:   a round for which there is no space makes room: it gives up the reserve, then history, the oldest first.
// Errors:  a round that fails is logged and tried again, later each time; nothing is lost meanwhile.
#pragma once

#include <atomic>
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
#include "base/executor.h"
#include "base/object_id.h"
#include "base/result.h"
#include "storage/checkpoint_round.h"
#include "storage/space_reserve.h"

namespace hf::storage {

struct CheckpointerOptions {
  ledger::Drive drive = ledger::Drive::kThreads;
  // How long a closed object waits for others, and for being opened again.
  std::chrono::milliseconds closedDelay{1000};
  // A malloc_trim stops every thread that allocates, for milliseconds per hundred megabytes: seldom, and for many.
  std::chrono::milliseconds trimDelay{3000};
  std::uint32_t releasesBeforeTrim = 1000;
  // Between two full rounds that only the ledger's length asks for: each costs several syncs, for which commits wait.
  std::chrono::milliseconds ledgerSpacing{1000};
  std::chrono::milliseconds retryDelayMin{1000};
  std::chrono::milliseconds retryDelayMax{30'000};
};

class Checkpointer final {
 public:
  Checkpointer(const Clock& clock, RoundParts parts, SpaceReserve& reserve, CheckpointerOptions options);
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  void start();
  // Drive::kSteps: one step of a round, beginning one if it is due. False: there is nothing to do now.
  bool step();
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
  // What is to be done, and when to look again if it is nothing.
  struct Due {
    bool full = false;
    std::vector<ObjectKey> closed;
    std::optional<SteadyTime> next;
    [[nodiscard]] bool isRound() const { return full || !closed.empty(); }
  };
  Due look(SteadyTime now);  // mutex_ held; takes what is due
  std::unique_ptr<CheckpointRound> begin(const Due& due);
  void ended(const Due& due, const Result<void>& result);
  // Finds space for the next try: the reserve, then the oldest history, then all of it. False: there is nothing to
  // give.
  bool makeRoom();
  void loop();
  // Memory or the disk's space wants it.
  [[nodiscard]] bool isUrgent() const;
  // Recovery would take longer than it should.
  [[nodiscard]] bool isLedgerLong() const;
  void trimIfDue(std::unique_lock<std::mutex>& lock);
  static Result<void> finish(CheckpointRound& round);

  // Fixed once made
  const Clock& clock_;
  RoundParts parts_;
  SpaceReserve& reserve_;
  const CheckpointerOptions options_;

  // Held for a round. Before mutex_.
  std::mutex roundMutex_;
  // Drive::kSteps: the round under way.
  std::unique_ptr<CheckpointRound> stepped_;
  Due steppedFor_;

  std::atomic<bool> woken_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_
  bool stopping_ = false;
  bool requested_ = false;
  std::set<ObjectKey> closed_;
  SteadyTime closedSince_;
  std::chrono::milliseconds retryDelay_{0};
  SteadyTime notBefore_;
  SteadyTime ledgerNotBefore_;
  std::uint32_t releases_ = 0;
  std::optional<SteadyTime> trimAt_;

  std::thread thread_;
};

}  // namespace hf::storage
