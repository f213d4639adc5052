// What the ledger has retired, kept for a while so that an object can be taken back to any of its commits (spec
// durable-objects 5.7): files in DIR/history, each with the records of a range of the ledger, sorted by object. The
// files follow each other without a gap and end where the ledger begins, or behind.
//
// Thread:  archive, prune: the thread that checkpoints. The rest: any.
// Owns:    the files. Borrows the disk and the clock.
// Errors:  kNoSpace, kIo: nothing has changed that matters. kCorrupt, with file and offset: a file is damaged.
// Crash:   a file is whole or not there. One that reaches beyond what the ledger has retired does no harm.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/log.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::storage {

struct HistoryOptions {
  std::string directory;  // DIR/history; made when the first file is
  std::chrono::milliseconds retention{0};
  std::uint64_t fileBytesMax = 16ULL * 1024 * 1024;  // of records, before they are compressed
};

struct HistoryStats {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // on disk
  ledger::Position start;   // the oldest position that can be gone back to; the ledger's own begins behind the end
  ledger::Position end;
  std::optional<WallMs> oldest;  // nullopt: there is no file
};

class History final {
 public:
  // `retired`: of the ledger. Files that end before it are of no use any more, and removed.
  static Result<std::unique_ptr<History>> open(Disk& disk, const Clock& clock, const Log& log, HistoryOptions options,
                                               const ledger::Ledger& ledger);
  // Removes what an earlier run with history has left.
  static Result<void> removeAll(Disk& disk, const std::string& directory);

  // Reads a whole file. kCorrupt, with the offset, at the first damage.
  static Result<void> check(Disk& disk, const std::string& path);

  // Keeps what ends at or below `upTo`, which is about to be retired.
  Result<void> archive(ledger::Ledger& ledger, ledger::Position upTo);
  // Removes files older than the retention.
  Result<void> prune();
  // Removes the oldest file, for its space. False: there is none.
  Result<bool> dropOldest();
  // Nothing before `position` can be gone back to: what led there was not saved.
  Result<void> startAnew(ledger::Position position);

  // Hands over the object's records that end in (from, to], in order. What `from` asks for beyond start() is missing.
  Result<void> read(const ObjectKey& object, ledger::Position from, ledger::Position to, ledger::RecordSink& sink);
  // Every object of which there are records, perhaps more than once.
  Result<void> collectObjects(const std::function<void(const ObjectKey&)>& take);
  // Where the range begins whose last record is not older than `time`; nullopt: everything is older.
  [[nodiscard]] std::optional<ledger::Position> startOfRangeAt(WallMs time) const;
  [[nodiscard]] HistoryStats stats() const;

 private:
  struct FileInfo {
    std::string path;
    std::uint64_t bytes = 0;
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    WallMs startTime = 0;
    WallMs endTime = 0;
  };
  class Collector;

  History(Disk& disk, const Clock& clock, const Log& log, HistoryOptions options, const ledger::LedgerId& id)
      : disk_(disk), clock_(clock), log_(log), options_(std::move(options)), id_(id) {}
  Result<void> find(ledger::Position retired);
  Result<void> removeFile(const std::string& path);
  Result<void> write(Collector& collector);
  Result<void> readFile(const FileInfo& info, const ObjectKey& object, ledger::Position from, ledger::Position to,
                        ledger::RecordSink& sink);

  // Fixed once made
  Disk& disk_;
  const Clock& clock_;
  const Log& log_;
  const HistoryOptions options_;
  const ledger::LedgerId id_;

  mutable std::mutex mutex_;
  // Guarded by mutex_
  std::vector<FileInfo> files_;  // oldest first
  std::uint64_t start_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace hf::storage
