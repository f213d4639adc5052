#include "ledger/local_ledger.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/check.h"
#include "ledger/record.h"

namespace hf::ledger {
namespace {

constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();
// Encoded records are built here before they are queued; a large one's memory is not kept.
thread_local Bytes scratch;

}  // namespace

LocalLedger::LocalLedger(Disk& disk, LedgerOptions options, Recovered recovered)
    : disk_(disk),
      options_(std::move(options)),
      id_(recovered.id),
      report_(std::move(recovered.report)),
      pool_(disk,
            {.directory = options_.directory,
             .segmentBytes = options_.segmentBytes,
             .spareSegments = options_.spareSegments},
            recovered.nextNumber),
      tail_(recovered.tail),
      durable_(recovered.tail),
      retired_(recovered.retired),
      lastSequence_(recovered.lastSequence),
      taken_(recovered.tail) {
  for (LiveSegment& segment : recovered.live) live_.push_back(std::move(segment));
}

LocalLedger::~LocalLedger() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
}

Result<void> LocalLedger::start(std::vector<std::unique_ptr<SegmentFile>> spares) {
  for (auto& spare : spares) {
    // A crash may have come between making the file and reserving its space.
    if (spare->bytes > options_.segmentBytes) continue;
    if (!spare->file->allocate(options_.segmentBytes)) continue;
    HF_TRY_VOID(spare->file->sync());
    spare->bytes = options_.segmentBytes;
  }
  // Those that could not be reserved are of another size than the pool's, and removed.
  HF_TRY_VOID(pool_.giveBack(std::move(spares)));
  pool_.start();
  writer_ = std::jthread([this] { writeLoop(); });
  return {};
}

Result<Position> LocalLedger::append(const CommitRecord& record) {
  encodeRecord(record, scratch);
  return push(scratch);
}

Result<Position> LocalLedger::append(const NamespaceDeletion& deletion) {
  encodeRecord(deletion, scratch);
  return push(scratch);
}

Result<Position> LocalLedger::push(Bytes& record) {
  if (record.size() > kRecordBytesMax) {
    return fail(Errc::kLimit, "a transaction of " + std::to_string(record.size()) + " bytes is larger than the " +
                                  std::to_string(kRecordBytesMax) + " that the ledger takes");
  }
  std::unique_lock lock(mutex_);
  while (true) {
    if (poisoned_) return std::unexpected(*poisoned_);
    HF_CHECK(!stopping_, "nobody appends to a ledger that is being destroyed");
    if (queue_.bytes() + queue_.takenBytes() >= options_.queueBytesMax) {
      return fail(Errc::kOverloaded, "the disk does not keep up: " + std::to_string(options_.queueBytesMax) +
                                         " bytes of commits wait for it");
    }
    const std::uint64_t need = diskBytesBound(queue_.bytes() + record.size(), options_.segmentBytes);
    if (need <= activeLeft_ || need <= activeLeft_ + pool_.capacity()) break;
    // Rare: the pool's thread keeps a segment ready. It reserves, but syncs nothing.
    lock.unlock();
    const Result<void> grown = pool_.grow();
    lock.lock();
    if (!grown) {
      refused_ = grown.error();
      return std::unexpected(*refused_);
    }
  }
  const std::uint64_t end = tail_ + record.size();
  queue_.push(record);
  tail_ = end;
  records_++;
  const bool wake = std::exchange(writerWaits_, false);
  lock.unlock();
  if (wake) arrived_.notify_one();
  return Position{end};
}

void LocalLedger::writeLoop() {
  while (true) {
    Write plan;
    {
      std::unique_lock lock(mutex_);
      while (queue_.isEmpty() && !stopping_) {
        writerWaits_ = true;
        arrived_.wait(lock);
      }
      writerWaits_ = false;
      if (queue_.isEmpty()) return;
      plan = planWrite();
    }
    if (const Result<void> written = write(plan); !written) return poison(written.error());
    publish(plan);
  }
}

LocalLedger::Write LocalLedger::planWrite() {
  Write plan;
  if (activeLeft_ == 0) {
    activateSegment();
    plan.header = active_;
  }
  HF_CHECK(activeLeft_ >= kBlockBytes && activeLeft_ % kBlockBytes == 0, "batches fill whole blocks");
  const std::uint64_t room = std::min(activeLeft_, kBatchDiskBytesMax) - sizeof(BatchHeader);
  plan.batch = queue_.take(room);
  plan.segment = live_.back().file.get();
  plan.salt = active_.salt;
  plan.position = taken_;
  plan.offset = activeOffset_;
  const std::uint64_t diskBytes = alignUp(sizeof(BatchHeader) + plan.batch.bytes);
  activeOffset_ += diskBytes;
  activeLeft_ -= diskBytes;
  taken_ += plan.batch.bytes;
  return plan;
}

void LocalLedger::activateSegment() {
  if (isActive_) live_.back().end = taken_;
  std::unique_ptr<SegmentFile> file = pool_.take();
  HF_CHECK(file != nullptr, "append reserves space for all that it accepts");
  active_ = SegmentHeader();
  active_.ledger = id_;
  active_.sequence = ++lastSequence_;
  active_.salt = options_.random->next64();
  active_.start = taken_;
  active_.segmentBytes = file->bytes;
  seal(active_);
  activeOffset_ = kSegmentDataStart;
  activeLeft_ = file->bytes - kSegmentDataStart;
  live_.push_back({.file = std::move(file), .start = taken_, .end = kOpenEnd});
  isActive_ = true;
}

Result<void> LocalLedger::write(const Write& plan) {
  static const std::array<std::uint8_t, kBlockBytes> zeros{};
  const RecordQueue::Batch& batch = plan.batch;
  BatchHeader header;
  header.payloadBytes = static_cast<std::uint32_t>(batch.bytes);
  header.position = plan.position;
  header.firstRecord = static_cast<std::uint32_t>(batch.firstRecord);
  header.recordStarts = batch.recordStarts;
  header.payloadCheck = checksum(batch.parts, plan.salt);
  seal(header, plan.salt);

  std::vector<BytesView> parts;
  parts.reserve(batch.parts.size() + 6);
  std::uint64_t offset = plan.offset;
  if (plan.header) {
    HF_CHECK(offset == kSegmentDataStart, "the header is written with the first batch");
    offset = 0;
    for (int copy = 0; copy < 2; copy++) {
      parts.push_back(objectBytes(*plan.header));
      parts.push_back(BytesView(zeros).first(kBlockBytes - sizeof(SegmentHeader)));
    }
  }
  parts.push_back(objectBytes(header));
  parts.insert(parts.end(), batch.parts.begin(), batch.parts.end());
  const std::uint64_t bytes = sizeof header + batch.bytes;
  if (alignUp(bytes) > bytes) parts.push_back(BytesView(zeros).first(alignUp(bytes) - bytes));
  HF_TRY_VOID(plan.segment->file->writeAt(offset, parts));
  HF_TRY_VOID(plan.segment->file->sync());
  if (!plan.segment->isLinked) {
    HF_TRY_VOID(disk_.syncDirectory(options_.directory));
    plan.segment->isLinked = true;
  }
  return {};
}

void LocalLedger::publish(const Write& plan) {
  syncs_++;
  // Nothing ends in the middle of a large record.
  const std::uint64_t end = plan.batch.lastEnd ? plan.position + *plan.batch.lastEnd : durable_.load();
  {
    const std::scoped_lock lock(mutex_);
    queue_.release();
    if (end == durable_) return;
    HF_CHECK(end > durable_ && end <= tail_, "what is durable grows, up to what was accepted");
    durable_ = end;
  }
  durableChanged_.notify_all();
  notifier_.durable(Position{end});
}

void LocalLedger::poison(const Error& why) {
  const Error error{Errc::kLedgerPoisoned, "the ledger cannot make anything durable any more: " + why.message};
  {
    const std::scoped_lock lock(mutex_);
    poisoned_ = error;
    queue_.drop();
  }
  durableChanged_.notify_all();
  notifier_.poisoned(error);
}

Result<void> LocalLedger::waitDurable(Position position) {
  std::unique_lock lock(mutex_);
  HF_CHECK(position.value <= tail_, "what was not accepted will never be durable");
  durableChanged_.wait(lock, [&] { return durable_ >= position.value || poisoned_; });
  if (durable_ >= position.value) return {};
  return std::unexpected(*poisoned_);
}

Result<void> LocalLedger::retire(Position upTo) {
  HF_CHECK(upTo.value <= durable_, "only what is durable can be in synced files");
  if (upTo.value <= retired_) return {};
  HF_TRY_VOID(writeMark(disk_, options_.directory, id_, upTo.value));
  std::vector<std::unique_ptr<SegmentFile>> files;
  {
    const std::scoped_lock lock(mutex_);
    retired_ = upTo.value;
    // What a backup holds goes with the first retirement after it.
    const std::uint64_t freed = held_.empty() ? upTo.value : std::min(upTo.value, *held_.begin());
    while (!live_.empty() && live_.front().end <= freed) {
      files.push_back(std::move(live_.front().file));
      live_.pop_front();
    }
  }
  return pool_.giveBack(std::move(files));
}

Result<void> LocalLedger::hasSpace() {
  {
    const std::scoped_lock lock(mutex_);
    if (!refused_) return {};
  }
  HF_TRY(const std::uint64_t freeBytes, disk_.freeBytes(options_.directory));
  const std::scoped_lock lock(mutex_);
  if (freeBytes >= options_.segmentBytes || pool_.spares() > 0) refused_.reset();
  if (refused_) return std::unexpected(*refused_);
  return {};
}

LedgerStats LocalLedger::stats() const {
  LedgerStats stats;
  stats.records = records_;
  stats.syncs = syncs_;
  stats.spareSegments = pool_.spares();
  stats.diskBytes = stats.spareSegments * options_.segmentBytes;
  const std::scoped_lock lock(mutex_);
  stats.queuedBytes = queue_.bytes() + queue_.takenBytes();
  stats.segments = live_.size();
  for (const LiveSegment& segment : live_) stats.diskBytes += segment.file->bytes;
  return stats;
}

Result<std::unique_ptr<Ledger>> openLedger(Disk& disk, LedgerOptions options, Replayer& replayer) {
  HF_CHECK(options.random != nullptr, "a ledger salts its segments");
  if (options.segmentBytes < kSegmentBytesMin || options.segmentBytes % kBlockBytes != 0 ||
      options.spareSegments == 0) {
    return fail(Errc::kInvalidArgument,
                "a ledger's segments are of a multiple of 4096 bytes, at least 65536, and one "
                "is kept spare");
  }
  HF_TRY(Recovered recovered, recover(disk, options, replayer));
  auto spares = std::move(recovered.spares);
  auto ledger = std::make_unique<LocalLedger>(disk, std::move(options), std::move(recovered));
  HF_TRY_VOID(ledger->start(std::move(spares)));
  return ledger;
}

}  // namespace hf::ledger
