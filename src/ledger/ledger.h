// Makes the commits of all objects durable, many with one sync. Bytes: docs/formats/ledger.md.
// Thread:  append from any shard; a listener's callback runs on its own executor.
// Owns:    its segment files. Borrows the Disk, which must outlive it.
// Units:   Position counts bytes of records since the ledger was made. It never goes back.
// Errors:  kNoSpace: this record was refused, a later one may pass.
//          kLedgerPoisoned: a write or sync failed; nothing will be acknowledged any more.
// Crash:   a prefix of the accepted records survives, without a gap, never less than was durable.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/executor.h"
#include "base/object_id.h"
#include "base/result.h"

namespace hf::ledger {

struct Position {
  std::uint64_t value = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

inline constexpr std::size_t kPageBytes = 4096;

// One page of a commit. Both images are kPageBytes long; `previous` may be empty (unknown or new page).
struct PageImage {
  std::uint32_t number = 0;  // from 1, as SQLite counts
  BytesView bytes;
  BytesView previous;
};

// What changed about an object's alarm in this commit. std::nullopt: unchanged.
struct AlarmChange {
  std::optional<WallMs> at;  // nullopt: no alarm any more
  std::string objectName;    // the name it was reached by, empty if none (spec 6, 1.3)
};

// One transaction of one object. Borrowed bytes live until append returns.
struct CommitRecord {
  ObjectKey object;
  std::uint64_t transaction = 0;  // the object's own count, from 1, without gaps
  std::uint32_t pageCount = 0;    // database size after it
  bool reset = false;             // deleteAll: the database starts anew with these pages only
  std::vector<PageImage> pages;
  std::optional<AlarmChange> alarm;
};

class DurabilityListener {
 public:
  virtual ~DurabilityListener() = default;
  // Everything up to `durable` (exclusive end) is on disk. Called once per batch, in order.
  virtual void onDurable(Position durable) = 0;
  // Nothing after the last onDurable will ever be. Called once.
  virtual void onPoisoned(const Error& why) = 0;
};

class Ledger {
 public:
  virtual ~Ledger() = default;
  // Accepted, not yet durable. Returns the position that durable() must reach (the record's end).
  virtual Result<Position> append(const CommitRecord& record) = 0;
  [[nodiscard]] virtual Position durable() const = 0;
  // `listener` is called on `executor` after each sync; both outlive the ledger or are removed first.
  virtual void addListener(Executor& executor, DurabilityListener& listener) = 0;
  virtual void removeListener(DurabilityListener& listener) = 0;
};

}  // namespace hf::ledger
