// Segment files that hold nothing yet (or nothing any more) and whose space is reserved: what the writer takes when a
// segment is full. A thread keeps `spareSegments` of them ready, filled with zeros: a sync after writing into bytes
// that were written before changes no metadata, which makes it up to twice as fast.
// Thread:  any. giveBack blocks on the disk.
// Owns:    its files until they are taken. Borrows the Disk.
// Errors:  kNoSpace, kIo: as the disk says; nothing is half made then.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/disk.h"
#include "base/result.h"
#include "ledger/format.h"

namespace hf::ledger {

struct SegmentFile {
  std::string path;
  std::uint64_t number = 0;  // in its name; says nothing about the order
  std::uint64_t bytes = 0;
  std::unique_ptr<File> file;
  bool isLinked = true;  // the directory's entry is durable
};

struct SegmentPoolOptions {
  std::string directory;
  std::uint64_t segmentBytes = 0;
  std::size_t spareSegments = 0;
};

class SegmentPool final {
 public:
  // `nextNumber`: no file has this number or a higher one.
  SegmentPool(Disk& disk, SegmentPoolOptions options, std::uint64_t nextNumber);
  ~SegmentPool();
  SegmentPool(const SegmentPool&) = delete;
  SegmentPool& operator=(const SegmentPool&) = delete;

  // Starts the thread. Without it step() does what the thread would.
  void start();
  // Makes one spare ready if one is wanted. False: none is.
  bool step();
  // How many bytes may be written to the files in the pool, headers left out.
  [[nodiscard]] std::uint64_t capacity() const;
  // The file that waits longest; nullptr if there is none. Does not touch the disk.
  std::unique_ptr<SegmentFile> take();
  // Makes one more file now, without filling or syncing it: when the thread did not keep up or has failed. Reserving
  // space changes memory only, so a shard may do it; the file is not linked until the writer has seen to that.
  Result<void> grow();
  // Files whose records are retired: kept for reuse as far as they are wanted, otherwise removed. An error
  // leaves the rest of them where they are, for the next start to find.
  Result<void> giveBack(std::vector<std::unique_ptr<SegmentFile>> files);
  [[nodiscard]] std::size_t spares() const;

 private:
  enum class Ready : bool { kReserved, kFilledAndSynced };
  Result<std::unique_ptr<SegmentFile>> make(Ready ready);
  Result<void> fillAndSync(SegmentFile& segment);
  void keepReady();
  [[nodiscard]] bool isWanted() const { return wants_ && spares_.size() < options_.spareSegments; }  // mutex_ held

  // Fixed once made
  Disk& disk_;
  const SegmentPoolOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  // Guarded by mutex_
  std::vector<std::unique_ptr<SegmentFile>> spares_;
  std::uint64_t nextNumber_;
  bool wants_ = true;  // false: the thread failed; nothing has happened since that makes another try worthwhile
  bool stopping_ = false;

  std::jthread thread_;  // last: joined before the rest goes
};

// DIRECTORY/segment-000001
std::string segmentPath(const std::string& directory, std::uint64_t number);

}  // namespace hf::ledger
