// What one object has committed and its file does not hold yet, shared by the object's shard and the checkpointer.
//
// Invariants
//  1. An image never changes once it is in the overlay: it is replaced. Both sides may hold it.
//  2. The newest image of a page is the overlay's if there is one, else the file's if `fileCounts`, else zeroes.
//  3. append to the ledger and the change of the overlay happen under the same hold of the lock. So whoever read the
//     ledger's tail before taking the lock sees every commit that ended at or before that tail.
//  4. A page goes to the ledger as a change to its image only if that image went there after the last beginning of a
//     checkpoint (ledger.h, PageImage).
//
// Thread:  any; everything takes the lock. Held for memory and the ledger's append only, never for a disk.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "storage/alarm_index.h"

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
  // Bytes in all overlays.
  std::atomic<std::uint64_t> bytes{0};
  std::uint64_t bytesMax = 0;
  // While a checkpoint begins every page is appended whole, so that no change is retired without what it changes.
  std::atomic<bool> wholeOnly{false};
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
  std::optional<ledger::AlarmChange> alarm;
};

// What a checkpoint copies. `pages` in order of number.
struct OverlaySnapshot {
  std::vector<NumberedPage> pages;
  std::uint32_t pageCount = 0;
  std::uint64_t transaction = 0;
  std::uint64_t generation = 0;
  bool fileCounts = false;
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

 private:
  struct Entry {
    PageRef page;
    // The ledger may be given a change to `page`.
    bool isBase = false;
  };
  void clearPages();

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
  bool fileCounts_ = true;
  bool fileKnown_ = false;  // setFile, or nothing left to learn from it
  bool sizeKnown_ = false;  // from a commit
};

}  // namespace hf::storage
