// Makes the commits of all objects durable, many with one sync. Bytes: docs/formats/ledger.md.
// Thread:  append, tail, durable, stats: any. A listener's callback runs on its own executor. waitDurable and retire
//          block on the disk: never on a shard.
// Owns:    its segment files and one writer thread. Borrows the Disk, which must outlive it.
// Units:   Position counts bytes of records since the ledger was made. It never goes back while the process runs.
// Errors:  kNoSpace: this record was refused because no space could be reserved for it; a later one may pass.
//          kOverloaded: queueBytesMax wait for the disk already; a later one may pass.
//          kLedgerPoisoned: a write or sync failed; nothing will be acknowledged any more.
//          What was accepted always has space: it is reserved on disk before append says yes.
// Crash:   a prefix of the accepted records survives, without a gap, never less than was durable.
// Close:   the destructor writes and syncs what was accepted, then stops its threads.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/disk.h"
#include "base/executor.h"
#include "base/object_id.h"
#include "base/random.h"
#include "base/result.h"
#include "base/sabotage.h"

namespace hf::ledger {

struct Position {
  std::uint64_t value = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

inline constexpr std::size_t kPageBytes = 4096;

// Random, the same in everything that belongs to one ledger.
using LedgerId = std::array<std::uint8_t, 16>;

// One page of a commit. `bytes` is kPageBytes long. `previous` is the image before, kPageBytes long, or empty: then
// the ledger holds the page whole and recovery needs nothing else to rebuild it.
// Give `previous` only if recovery surely replays the record that holds it: that is, the previous image was appended
// after the latest checkpoint that copies (or has begun to copy) this page into the object's file. A checkpoint
// overwrites pages in place; after a crash the file's page may be old, new or torn, and a delta against it would be
// applied to bytes that nobody ever wrote. The first image after a checkpoint has begun is therefore a whole one.
struct PageImage {
  std::uint32_t number = 0;  // from 1, as SQLite counts
  BytesView bytes;
  BytesView previous;
};

// What changed about an object's alarm in this commit. std::nullopt: unchanged.
struct AlarmChange {
  std::optional<WallMs> at;  // nullopt: no alarm any more
  std::string objectName;    // the name it was reached by, empty if none (spec 6, 1.3)

  friend bool operator==(const AlarmChange&, const AlarmChange&) = default;
};

// One transaction of one object. Borrowed bytes live until append returns.
struct CommitRecord {
  ObjectKey object;
  std::uint64_t transaction = 0;  // the object's own count since it was opened or recovered, without gaps
  std::uint32_t pageCount = 0;    // database size after it
  bool reset = false;             // deleteAll: the database starts anew with these pages only
  bool endsRestore = false;       // the object's RestoreRequest has been carried out by this commit
  std::vector<PageImage> pages;
  std::optional<AlarmChange> alarm;
};

// What a checkpoint is about to overwrite in an object's file: the file's pages as they were at `from`. With the
// commits after `from` it leads back to any point between (docs/formats/history.md). Kept for history only.
struct UndoRecord {
  ObjectKey object;
  Position from;                 // the file was complete as of this position
  std::uint32_t filePages = 0;   // its size then
  std::vector<PageImage> pages;  // whole
};

// The object is to be taken back to a bookmark when it is opened next; nullopt: not any more.
struct RestoreRequest {
  ObjectKey object;
  std::optional<Position> to;
  bool isUndo = false;  // to what was there before the restoration that followed `to`

  friend bool operator==(const RestoreRequest&, const RestoreRequest&) = default;
};

// Every object of the namespace is gone, with everything it held, as of this record.
struct NamespaceDeletion {
  NamespaceId ns;
};

class DurabilityListener {
 public:
  virtual ~DurabilityListener() = default;
  // Everything up to `durable` (exclusive end) is on disk. At most once per sync, in order; a listener that is
  // behind gets the newest position only.
  virtual void onDurable(Position durable) = 0;
  // Nothing after the last onDurable will ever be. Called once.
  virtual void onPoisoned(const Error& why) = 0;
};

// A page as recovery finds it. Valid until the replayer returns.
struct RecoveredPage {
  std::uint32_t number = 0;
  bool isWhole = false;  // false: a change to the image before it, which an earlier replayed record holds
  std::uint8_t encoding = 0;
  std::uint32_t check = 0;
  BytesView encoded;

  // `page`: kPageBytes; in: the image before (ignored if isWhole); out: this image. kCorrupt if the outcome is not
  // what was appended; `page` then holds rubbish.
  [[nodiscard]] Result<void> applyTo(std::span<std::uint8_t> page) const;
};

struct RecoveredCommit {
  Position end;  // what append returned
  ObjectKey object;
  std::uint64_t transaction = 0;
  std::uint32_t pageCount = 0;
  bool reset = false;
  bool endsRestore = false;
  std::vector<RecoveredPage> pages;
  std::optional<AlarmChange> alarm;
};

struct RecoveredUndo {
  Position end;
  ObjectKey object;
  Position from;
  std::uint32_t filePages = 0;
  std::vector<RecoveredPage> pages;  // whole
};

// Receives what survived, in the order in which it was appended; the commits of a group one by one. An error ends
// recovery with that error.
class Replayer {
 public:
  virtual ~Replayer() = default;
  virtual Result<void> onCommit(const RecoveredCommit& commit) = 0;
  virtual Result<void> onNamespaceDeleted(const NamespaceDeletion& deletion, Position end) = 0;
  // Of no consequence to who keeps no history.
  virtual Result<void> onUndo(const RecoveredUndo&) { return {}; }
  virtual Result<void> onRestoreRequest(const RestoreRequest&) { return {}; }
};

// Receives records as they lie in the ledger.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // `time`: of the batch that made it durable; never goes back. `record` is valid until it returns. The records of a
  // group come one by one, with the same `end`.
  virtual Result<void> onRecord(BytesView record, Position end, WallMs time) = 0;
};

// Who does the work that is not the caller's: threads of the ledger's own, or whoever calls step(), so that a simulator
// can run it all on one thread.
enum class Drive : std::uint8_t { kThreads, kSteps };

struct LedgerOptions {
  std::string directory;                             // made if missing; holds nothing else
  std::uint64_t segmentBytes = 64ULL * 1024 * 1024;  // a multiple of 4096, at least 64 KiB
  // Prepared segments kept ready, and the most that are kept for reuse after retirement.
  std::size_t spareSegments = 1;
  // Encoded records that may wait for the disk. One record may exceed it when it arrives below it.
  std::size_t queueBytesMax = 64ULL * 1024 * 1024;
  Random* random = &systemRandom();
  const Clock* clock = &systemClock();
  Drive drive = Drive::kThreads;
  Sabotage sabotage = Sabotage::kNone;
};

// What openLedger found.
struct RecoveryReport {
  std::uint64_t records = 0;  // handed to the replayer
  std::uint64_t bytes = 0;    // of them
  // Bytes after the last whole record, never acknowledged, dropped; and where they lay. Empty: a clean end.
  std::uint64_t droppedBytes = 0;
  std::string droppedAt;
};

struct LedgerStats {
  std::uint64_t records = 0;  // appended since open
  std::uint64_t syncs = 0;    // each made a batch durable
  std::uint64_t queuedBytes = 0;
  std::uint64_t diskBytes = 0;  // all segment files, spares included
  std::uint64_t segments = 0;   // that hold records not yet retired
  std::uint64_t spareSegments = 0;
};

// A copy of a ledger in the making, while it goes on. As long as it lives, everything after retired() stays on disk.
// Thread:  any, one at a time; copyTo blocks on the disk. Goes before the ledger.
class LedgerBackup {
 public:
  virtual ~LedgerBackup() = default;
  // Where a recovery from the copy begins. Whatever state object files were in at any moment since this was made, the
  // records from here to the copy's end make them right again.
  [[nodiscard]] virtual Position retired() const = 0;
  // What the copy consists of: files of this length, of which the first `usedBytes` are read from `source`, and the
  // rest is zeros. Ends with what is durable now (or with the batch under way, whole or torn). Durable records stay
  // where they are while this lives, so the files may be read at any pace.
  struct Part {
    std::string name;        // in the ledger's directory
    std::string sourcePath;  // empty: `bytes` is the content
    Bytes bytes;
    std::uint64_t fileBytes = 0;
    std::uint64_t usedBytes = 0;
  };
  struct Parts {
    std::vector<Part> files;
    Position end;
  };
  virtual Result<Parts> parts() = 0;
};

class Ledger {
 public:
  virtual ~Ledger() = default;

  // Accepted, not yet durable. Returns the position that durable() must reach (the record's end).
  virtual Result<Position> append(const CommitRecord& record) = 0;
  // Commits of several objects, each at most once: all of them survive or none does, and all end at what it returns.
  virtual Result<Position> append(std::span<const CommitRecord> group) = 0;
  virtual Result<Position> append(const NamespaceDeletion& deletion) = 0;
  virtual Result<Position> append(const UndoRecord& undo) = 0;
  virtual Result<Position> append(const RestoreRequest& request) = 0;

  [[nodiscard]] virtual LedgerId id() const = 0;
  // The end of the last accepted record, and of the last durable one. Both are ends of records.
  [[nodiscard]] virtual Position tail() const = 0;
  [[nodiscard]] virtual Position durable() const = 0;
  // Blocks until durable() >= position. kLedgerPoisoned if that will never be. Not on a shard.
  virtual Result<void> waitDurable(Position position) = 0;

  // `listener` is called on `executor`; both outlive the ledger or are removed first. A ledger already poisoned says
  // so to a new listener too.
  virtual void addListener(Executor& executor, DurabilityListener& listener) = 0;
  // On the listener's executor, or after that has stopped: no call reaches it any more.
  virtual void removeListener(DurabilityListener& listener) = 0;

  // Everything that ends at or below `upTo` (durable, and a position that append or durable() gave) is in synced
  // object files: recovery will not replay it and its segments may be reused. Durable when it returns. One thread at
  // a time, not a shard. An error (kNoSpace, kIo) changes nothing that matters: the next call may pass.
  virtual Result<void> retire(Position upTo) = 0;
  [[nodiscard]] virtual Position retired() const = 0;
  // Hands over the records that end after `from`, up to and including the one that ends at `to`: ends of records, the
  // first not retired (or held), the second durable. Blocks on the disk. kCorrupt if they cannot be read any more.
  virtual Result<void> read(Position from, Position to, RecordSink& sink) = 0;
  // While it lives, the segments with what is not retired now are not reused: they can be read and copied.
  class Hold {
   public:
    virtual ~Hold() = default;
    [[nodiscard]] virtual Position from() const = 0;
  };
  virtual std::unique_ptr<Hold> hold() = 0;
  // Bytes of records that a recovery would replay: what decides when to checkpoint.
  [[nodiscard]] std::uint64_t bytesSinceRetired() const { return tail().value - retired().value; }

  // Holds retirement back, as far as files go, until the backup is destroyed. kUnsupported: this ledger has no files.
  virtual Result<std::unique_ptr<LedgerBackup>> beginBackup() {
    return fail(Errc::kUnsupported, "this ledger cannot be copied");
  }

  // kNoSpace, with the last refusal, while records are refused for want of space and there is still none. Asks the
  // disk: not on a shard.
  [[nodiscard]] virtual Result<void> hasSpace() { return {}; }

  // Drive::kSteps: one piece of the work of the ledger's threads. False: there is none. waitDurable does what it needs.
  virtual bool step() { return false; }

  [[nodiscard]] virtual LedgerStats stats() const = 0;
  [[nodiscard]] virtual const RecoveryReport& recovery() const = 0;
};

// Replays what is on disk and not retired, then stands ready to append. The replayed records are durable when it
// returns. Makes an empty ledger in an empty directory. kCorrupt, with file and offset, if a record that is followed
// by others is damaged; nothing on disk has been changed then.
Result<std::unique_ptr<Ledger>> openLedger(Disk& disk, LedgerOptions options, Replayer& replayer);

}  // namespace hf::ledger
