// What one object has committed and its file does not hold yet, shared by the object's shard and the checkpointer.
//
// Invariants
//  1. An image never changes once it is in the overlay: it is replaced. Both sides may hold it.
//  2. The newest image of a page is the overlay's if there is one, else the file's if `fileCounts`, else zeroes.
//  3. append to the ledger and the change of the overlay happen under the same hold of the lock. So whoever read the
//     ledger's tail before taking the lock sees every commit that ended at or before that tail.
//  4. A page goes to the ledger as a change to its image only if that image went there after the last beginning of a
//     checkpoint (ledger.h, PageImage).
//  5. With history, no page of the file is overwritten before the image that it holds is in the ledger (UndoRecord).
//
// Thread:  any; everything takes the lock. Held for memory and the ledger's append only, never for a disk.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/object_id.h"
#include "base/result.h"
#include "base/sabotage.h"
#include "ledger/ledger.h"
#include "storage/alarm_index.h"
#include "storage/restore_index.h"

namespace hf::storage {

inline constexpr std::uint32_t kPageBytes = ledger::kPageBytes;
using Page = std::array<std::uint8_t, kPageBytes>;
// Two owners: the overlay and a checkpoint that copies it.
using PageRef = std::shared_ptr<const Page>;
using NumberedPage = std::pair<std::uint32_t, PageRef>;

// What all overlays of a store share.
struct OverlayContext {
  ledger::Ledger* ledger = nullptr;
  AlarmIndex alarms;
  RestoreIndex restores;
  // Bytes in all overlays.
  std::atomic<std::uint64_t> bytes{0};
  std::uint64_t bytesMax = 0;
  // Whether the files can take what all overlays hold and so many bytes more. Asks the system how much is free. Empty:
  // always. Any thread.
  std::function<bool(std::uint64_t more)> hasRoom;
  // The last answer was no: commits are refused, and each asks again.
  std::atomic<bool> isFull{false};
  // While a checkpoint begins every page is appended whole, so that no change is retired without what it changes.
  std::atomic<bool> wholeOnly{false};
  Sabotage sabotage = Sabotage::kNone;
  // Woken when enough has gathered; set by the checkpointer.
  std::uint64_t bytesWanted = 0;
  std::uint64_t ledgerBytesWanted = 0;
  std::move_only_function<void()> wake;
};

// What a commit consists of, as the VFS gathered it.
struct PendingCommit {
  std::vector<NumberedPage> pages;
  std::uint32_t pageCount = 0;
  bool reset = false;
  bool endsRestore = false;  // the database may have become smaller
  std::optional<ledger::AlarmChange> alarm;
};

class Overlay;

struct GroupMember {
  Overlay* overlay = nullptr;
  PendingCommit pending;
};

// What a checkpoint copies. `pages` in order of number.
struct OverlaySnapshot {
  std::vector<NumberedPage> pages;
  std::uint32_t pageCount = 0;
  std::uint64_t transaction = 0;
  std::uint64_t generation = 0;
  ledger::Position version;                                             // the end of the last commit in it
  bool fileCounts = false;                                              // what is not in `pages` is as the file has it
  std::uint32_t fileLimit = std::numeric_limits<std::uint32_t>::max();  // ... but no page behind this one
};

// What a checkpoint has to save for history before it overwrites a file.
struct UndoPlan {
  ledger::Position from;
  std::uint32_t filePages = 0;
  std::vector<std::uint32_t> pages;
  bool isFirst = false;  // since the file was complete: to be appended also without pages
};

class Overlay final {
 public:
  Overlay(const ObjectKey& object, OverlayContext& context) : object_(object), context_(context) {}
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;
  ~Overlay();

  [[nodiscard]] const ObjectKey& object() const { return object_; }

  // Appends to the ledger and installs. An error changes nothing.
  Result<ledger::Position> commit(PendingCommit pending);
  // The commits of several objects as one group of the ledger: a crash leaves all of them or none. At least one, each
  // of another object; the order does not matter. An error changes nothing.
  static Result<ledger::Position> commitTogether(std::span<GroupMember> members);

  // The overlay's image of a page, or nullptr. `fileCounts`: whether the file is to be asked then.
  struct Found {
    PageRef page;
    bool fileCounts = false;
  };
  [[nodiscard]] Found find(std::uint32_t number) const;
  [[nodiscard]] std::uint32_t pageCount() const;
  // The end of the last commit in this process or in what recovery replayed.
  [[nodiscard]] std::optional<ledger::Position> lastCommit() const;

  // What was found on disk when the object was first opened; nullopt: no file. Ignored if a checkpoint has written the
  // file since it was looked for.
  void setFile(std::optional<std::uint32_t> filePages);
  [[nodiscard]] bool isFileKnown() const;
  // From a commit: the file is not asked for it.
  [[nodiscard]] bool isSizeKnown() const;

  // A database that is its file, as far as `fileLimit`, with these pages in front. For readers of what was; once.
  void install(const std::map<std::uint32_t, PageRef>& pages, std::uint32_t pageCount, std::uint32_t fileLimit);

  // Recovery, before anything else runs.
  Result<void> replay(const ledger::RecoveredCommit& commit);
  void forget();

  // Checkpoint: a commit that did not see OverlayContext::wholeOnly is with the ledger when it returns.
  void awaitCommit() const;
  // nullopt: the file is complete.
  [[nodiscard]] std::optional<OverlaySnapshot> snapshot();
  // `snapshot` is in the file, synced: what has not changed since leaves the overlay.
  void finish(const OverlaySnapshot& snapshot);
  [[nodiscard]] bool isDirty() const;

  // History. What `snapshot` overwrites or drops and the ledger does not hold yet. `filePages`: of the file now, which
  // counts if nothing has been saved since it was complete.
  [[nodiscard]] UndoPlan planUndo(const OverlaySnapshot& snapshot, std::uint32_t filePages) const;
  // The ledger holds it.
  void undoSaved(const UndoPlan& plan);
  void replay(const ledger::RecoveredUndo& undo);
  // The commits after this position are not in the file; nullopt: it is complete.
  [[nodiscard]] std::optional<ledger::Position> fileVersion() const;
  // Everything, for a reader that keeps checkpoints away.
  [[nodiscard]] OverlaySnapshot peek() const;

 private:
  [[nodiscard]] bool sabotages(Sabotage which) const { return context_.sabotage == which; }
  struct Entry {
    PageRef page;
    // The ledger may be given a change to `page`.
    bool isBase = false;
  };
  // Which images of the file the ledger holds since the file was complete.
  struct Saved {
    std::uint32_t filePages = 0;
    std::unordered_set<std::uint32_t> pages;
  };
  Result<void> accepts(std::uint64_t more);
  Result<void> checkRoom(std::uint64_t more);
  [[nodiscard]] bool takesWholeOnly() const;
  // Borrows from `pending`.
  [[nodiscard]] ledger::CommitRecord recordOf(const PendingCommit& pending, bool wholeOnly) const;  // mutex_ held
  // The ledger has it. Bytes in all overlays then.
  std::uint64_t installed(PendingCommit pending, bool wholeOnly, ledger::Position end);  // mutex_ held
  void wakeCheckpointer(std::uint64_t bytesNow, ledger::Position end);
  void clearPages();
  [[nodiscard]] bool isClean() const { return transaction_ == fileTransaction_ && pages_.empty(); }  // mutex_ held
  void shrunkTo(std::uint32_t pageCount);                                                            // mutex_ held
  void beginDirty(ledger::Position firstCommit);                                                     // mutex_ held
  [[nodiscard]] OverlaySnapshot copy() const;                                                        // mutex_ held

  const ObjectKey object_;
  OverlayContext& context_;

  mutable std::mutex mutex_;
  // Guarded by mutex_
  std::unordered_map<std::uint32_t, Entry> pages_;
  std::uint32_t pageCount_ = 0;
  std::uint64_t transaction_ = 0;
  std::uint64_t generation_ = 0;       // counts resets
  std::uint64_t fileTransaction_ = 0;  // the transaction that the file is complete for
  std::optional<ledger::Position> lastCommit_;
  // The file is complete as of it; of no meaning when it is complete.
  ledger::Position dirtySince_;
  std::unique_ptr<Saved> saved_;
  std::uint32_t fileLimit_ = std::numeric_limits<std::uint32_t>::max();
  bool fileCounts_ = true;
  bool fileKnown_ = false;  // setFile, or nothing left to learn from it
  bool sizeKnown_ = false;  // from a commit
};

}  // namespace hf::storage
