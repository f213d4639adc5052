#include "ledger/segment_pool.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "base/check.h"

namespace hf::ledger {

std::string segmentPath(const std::string& directory, std::uint64_t number) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "%06llu", static_cast<unsigned long long>(number));
  return directory + "/" + std::string(kSegmentPrefix) + digits.data();
}

SegmentPool::SegmentPool(Disk& disk, SegmentPoolOptions options, std::uint64_t nextNumber)
    : disk_(disk), options_(std::move(options)), nextNumber_(nextNumber) {
  HF_CHECK(options_.segmentBytes >= kSegmentBytesMin && options_.segmentBytes % kBlockBytes == 0,
           "openLedger refuses other sizes");
}

SegmentPool::~SegmentPool() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
}

void SegmentPool::start() {
  HF_CHECK(!thread_.joinable(), "a pool has one thread");
  thread_ = std::jthread([this] { keepReady(); });
}

std::uint64_t SegmentPool::capacity() const {
  const std::scoped_lock lock(mutex_);
  return spares_.size() * (options_.segmentBytes - kSegmentDataStart);
}

std::size_t SegmentPool::spares() const {
  const std::scoped_lock lock(mutex_);
  return spares_.size();
}

std::unique_ptr<SegmentFile> SegmentPool::take() {
  std::unique_ptr<SegmentFile> taken;
  {
    const std::scoped_lock lock(mutex_);
    if (spares_.empty()) return nullptr;
    taken = std::move(spares_.front());
    spares_.erase(spares_.begin());
    wants_ = true;
  }
  wake_.notify_all();
  return taken;
}

Result<void> SegmentPool::grow() {
  HF_TRY(auto segment, make(Ready::kReserved));
  const std::scoped_lock lock(mutex_);
  spares_.push_back(std::move(segment));
  return {};
}

Result<void> SegmentPool::giveBack(std::vector<std::unique_ptr<SegmentFile>> files) {
  bool hasRemoved = false;
  for (auto& segment : files) {
    {
      const std::scoped_lock lock(mutex_);
      if (segment->bytes == options_.segmentBytes && spares_.size() < options_.spareSegments) {
        spares_.push_back(std::move(segment));
        continue;
      }
    }
    segment->file.reset();
    HF_TRY_VOID(disk_.remove(segment->path));
    hasRemoved = true;
  }
  if (hasRemoved) HF_TRY_VOID(disk_.syncDirectory(options_.directory));
  return {};
}

Result<std::unique_ptr<SegmentFile>> SegmentPool::make(Ready ready) {
  // Asked before, because a reservation that fails half-way takes the last space from others for a moment.
  HF_TRY(const std::uint64_t freeBytes, disk_.freeBytes(options_.directory));
  if (freeBytes < options_.segmentBytes) {
    return fail(Errc::kNoSpace, "the ledger needs " + std::to_string(options_.segmentBytes) + " bytes in " +
                                    options_.directory + ", " + std::to_string(freeBytes) + " are free");
  }
  auto segment = std::make_unique<SegmentFile>();
  {
    const std::scoped_lock lock(mutex_);
    segment->number = nextNumber_++;
  }
  segment->path = segmentPath(options_.directory, segment->number);
  segment->bytes = options_.segmentBytes;
  segment->isLinked = false;
  HF_TRY(segment->file, disk_.open(segment->path, OpenMode::kCreateNew));
  Result<void> made = segment->file->allocate(segment->bytes);
  if (made && ready == Ready::kFilledAndSynced) made = fillAndSync(*segment);
  if (!made) {
    segment->file.reset();
    if (made.error().code != Errc::kCancelled) {
      HF_IGNORE(disk_.remove(segment->path), "the next start finds it and takes it as a spare");
    }
    return std::unexpected(std::move(made).error());
  }
  return segment;
}

Result<void> SegmentPool::fillAndSync(SegmentFile& segment) {
  static const Bytes zeros(256UL * 1024, 0);
  // Synced in steps, so that the writer's syncs do not queue behind one that is long.
  static constexpr std::uint64_t kStepBytes = 4UL * 1024 * 1024;
  for (std::uint64_t at = 0; at < segment.bytes;) {
    const std::uint64_t count = std::min<std::uint64_t>(zeros.size(), segment.bytes - at);
    const std::array<BytesView, 1> parts = {BytesView(zeros).first(count)};
    HF_TRY_VOID(segment.file->writeAt(at, parts));
    at += count;
    if (at % kStepBytes == 0) {
      HF_TRY_VOID(segment.file->sync());
      const std::scoped_lock lock(mutex_);
      if (stopping_) return fail(Errc::kCancelled, "the ledger is being closed");
    }
  }
  HF_TRY_VOID(segment.file->sync());
  HF_TRY_VOID(disk_.syncDirectory(options_.directory));
  segment.isLinked = true;
  return {};
}

bool SegmentPool::step() {
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_ || !isWanted()) return false;
  }
  Result<std::unique_ptr<SegmentFile>> segment = make(Ready::kFilledAndSynced);
  const std::scoped_lock lock(mutex_);
  if (segment) {
    spares_.push_back(std::move(*segment));
  } else {
    // Nobody is harmed yet. If space is short when a record needs it, append tries again and says why not.
    wants_ = false;
  }
  return true;
}

void SegmentPool::keepReady() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || isWanted(); });
      if (stopping_) return;
    }
    HF_IGNORE(step(), "it has been asked for");
  }
}

}  // namespace hf::ledger
