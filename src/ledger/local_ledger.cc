#include "ledger/local_ledger.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/check.h"
#include "ledger/record.h"
#include "ledger/segment_scanner.h"

namespace hf::ledger {
namespace {

constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kScratchBytesKept = 1024UL * 1024;
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
      durableSequence_(recovered.lastSequence),
      taken_(recovered.tail),
      lastTime_(recovered.time) {
  for (LiveSegment& segment : recovered.live) live_.push_back(std::move(segment));
}

LocalLedger::~LocalLedger() {
  if (options_.drive == Drive::kSteps) {
    while ((halfWritten_ || !queue_.isEmpty()) && !poisoned_) writeHalf();
  }
  {
    const std::scoped_lock lock(mutex_);
    HF_CHECK(holds_.empty(), "what reads the ledger ends before it");
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
  if (options_.drive == Drive::kSteps) return {};
  pool_.start();
  writer_ = std::jthread([this] { writeLoop(); });
  return {};
}

template <class Record>
Result<Position> LocalLedger::encodeAndPush(const Record& record) {
  encodeRecord(record, scratch);
  Result<Position> end = push(scratch);
  if (scratch.capacity() > kScratchBytesKept) Bytes().swap(scratch);
  return end;
}

Result<Position> LocalLedger::append(const CommitRecord& record) { return encodeAndPush(record); }
Result<Position> LocalLedger::append(std::span<const CommitRecord> group) {
  if (!sabotages(Sabotage::kGroupSplit)) return encodeAndPush(group);
  Result<Position> end = fail(Errc::kInternal, "a group has members");
  for (const CommitRecord& record : group) end = encodeAndPush(record);
  return end;
}
Result<Position> LocalLedger::append(const NamespaceDeletion& deletion) { return encodeAndPush(deletion); }
Result<Position> LocalLedger::append(const UndoRecord& undo) { return encodeAndPush(undo); }
Result<Position> LocalLedger::append(const RestoreRequest& request) { return encodeAndPush(request); }

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
    writeOne(std::move(plan));
    const std::scoped_lock lock(mutex_);
    if (poisoned_) return;
  }
}

void LocalLedger::writeOne(Write plan) {
  if (const Result<void> written = write(plan); !written) return poison(written.error());
  if (const Result<void> synced = syncWritten(plan); !synced) return poison(synced.error());
  publish(plan);
  // From now on the segment must be there. A mark that cannot be written is written by the next retirement.
  if (plan.header) HF_IGNORE(mark(), "nothing depends on it");
}

bool LocalLedger::step() {
  HF_CHECK(options_.drive == Drive::kSteps, "the ledger's threads do their work themselves");
  if (poisoned_) return false;
  // The pool has a thread of its own: which of the two comes first is chance.
  if (options_.random->next64() % 4 == 0 && pool_.step()) return true;
  if (!halfWritten_ && queue_.isEmpty()) return pool_.step();
  writeHalf();
  return true;
}

void LocalLedger::writeHalf() {
  if (!halfWritten_) {
    Write plan = planWrite();
    if (const Result<void> written = write(plan); !written) return poison(written.error());
    if (sabotages(Sabotage::kDurableBeforeSync)) publish(plan);
    halfWritten_ = std::move(plan);
    return;
  }
  const Write plan = *std::exchange(halfWritten_, std::nullopt);
  if (const Result<void> synced = syncWritten(plan); !synced) return poison(synced.error());
  if (!sabotages(Sabotage::kDurableBeforeSync)) publish(plan);
  if (plan.header) HF_IGNORE(mark(), "nothing depends on it");
}

LocalLedger::Write LocalLedger::planWrite() {
  Write plan;
  if (activeLeft_ == 0) {
    activateSegment();
    plan.header = active_;
  }
  HF_CHECK(activeLeft_ >= kSectorBytes && activeLeft_ % kSectorBytes == 0, "batches fill whole sectors");
  const std::uint64_t room = std::min(activeLeft_, kBatchDiskBytesMax) - sizeof(BatchHeader);
  plan.batch = queue_.take(room);
  plan.segment = live_.back().file.get();
  plan.salt = active_.salt;
  plan.position = taken_;
  lastTime_ = std::max(lastTime_, options_.clock->wallMs());
  plan.time = lastTime_;
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
  active_.salt = sabotages(Sabotage::kSaltRepeated) ? 1 : options_.random->next64();
  active_.start = taken_;
  active_.segmentBytes = file->bytes;
  seal(active_);
  activeOffset_ = kSegmentDataStart;
  activeLeft_ = file->bytes - kSegmentDataStart;
  live_.push_back({.file = std::move(file), .header = active_, .end = kOpenEnd});
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
  header.time = plan.time;
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
  return plan.segment->file->writeAt(offset, parts);
}

Result<void> LocalLedger::syncWritten(const Write& plan) {
  if (!sabotages(Sabotage::kLedgerSyncSkipped)) {
    Result<void> synced = plan.segment->file->sync();
    if (!synced && sabotages(Sabotage::kSyncRepeated)) synced = plan.segment->file->sync();
    HF_TRY_VOID(synced);
  }
  if (!plan.segment->isLinked) {
    if (!sabotages(Sabotage::kLedgerDirectoryNotSynced)) HF_TRY_VOID(disk_.syncDirectory(options_.directory));
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
    if (plan.header) durableSequence_ = plan.header->sequence;
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
  HF_CHECK(position.value <= tail_, "what was not accepted will never be durable");
  if (options_.drive == Drive::kSteps) {
    while (durable_ < position.value && !poisoned_) writeHalf();
  }
  std::unique_lock lock(mutex_);
  durableChanged_.wait(lock, [&] { return durable_ >= position.value || poisoned_; });
  if (durable_ >= position.value) return {};
  return std::unexpected(*poisoned_);
}

std::uint64_t LocalLedger::newestSequence(std::uint64_t retired) const {
  // The last one may have no batch on disk yet, and those that end here are given back.
  for (auto it = live_.rbegin(); it != live_.rend() && it->end > retired; ++it) {
    if (it->header.sequence <= durableSequence_) return it->header.sequence;
  }
  return 0;
}

Result<void> LocalLedger::mark() {
  const std::scoped_lock one(markMutex_);
  Mark mark;
  mark.ledger = id_;
  {
    const std::scoped_lock lock(mutex_);
    mark.retired = retired_;
    mark.durable = durable_;
    mark.sequence = newestSequence(retired_);
  }
  return writeMark(disk_, options_.directory, mark, options_.sabotage);
}

Result<void> LocalLedger::retire(Position upTo) {
  HF_CHECK(upTo.value <= durable_, "only what is durable can be in synced files");
  if (upTo.value <= retired_) return {};
  std::vector<std::unique_ptr<SegmentFile>> files;
  {
    const std::scoped_lock one(markMutex_);
    Mark mark;
    mark.ledger = id_;
    mark.retired = upTo.value;
    {
      const std::scoped_lock lock(mutex_);
      mark.durable = durable_;
      mark.sequence = newestSequence(upTo.value);
    }
    if (sabotages(Sabotage::kRetiredTooFar)) mark.retired = mark.durable;
    if (!sabotages(Sabotage::kReusedBeforeMark)) {
      HF_TRY_VOID(writeMark(disk_, options_.directory, mark, options_.sabotage));
    }
    const std::scoped_lock lock(mutex_);
    retired_ = upTo.value;
    const std::uint64_t kept = holds_.empty() ? upTo.value : std::min(upTo.value, *holds_.begin());
    while (!live_.empty() && live_.front().end <= kept) {
      files.push_back(std::move(live_.front().file));
      live_.pop_front();
    }
  }
  return pool_.giveBack(std::move(files));
}

class LocalLedger::RetentionHold final : public Hold {
 public:
  RetentionHold(LocalLedger& ledger, std::uint64_t from) : ledger_(ledger), from_(from) {}
  ~RetentionHold() override {
    const std::scoped_lock lock(ledger_.mutex_);
    ledger_.holds_.erase(ledger_.holds_.find(from_));
  }
  RetentionHold(const RetentionHold&) = delete;
  RetentionHold& operator=(const RetentionHold&) = delete;
  [[nodiscard]] Position from() const override { return Position{from_}; }

 private:
  LocalLedger& ledger_;
  const std::uint64_t from_;
};

std::unique_ptr<Ledger::Hold> LocalLedger::hold() {
  const std::scoped_lock one(markMutex_);
  const std::scoped_lock lock(mutex_);
  holds_.insert(retired_);
  return std::make_unique<RetentionHold>(*this, retired_);
}

Result<void> LocalLedger::read(Position from, Position to, RecordSink& sink) {
  HF_CHECK(to.value <= durable_, "only what is durable lies on disk for certain");
  if (to <= from) return {};
  const std::unique_ptr<Hold> held = hold();
  struct Piece {
    SegmentFile* file;
    SegmentHeader header;
  };
  std::vector<Piece> pieces;
  {
    const std::scoped_lock lock(mutex_);
    for (const LiveSegment& segment : live_) {
      // What a recovery dropped may begin behind what was written after it.
      if (segment.header.start >= to.value) continue;
      if (segment.end > from.value) pieces.push_back({segment.file.get(), segment.header});
    }
  }
  if (pieces.empty() || pieces.front().header.start > from.value) {
    return fail(Errc::kNotFound,
                "ledger: what follows position " + std::to_string(from.value) + " is not there any more");
  }
  SegmentScanner scanner(from.value, sink, to.value);
  for (const Piece& piece : pieces) HF_TRY_VOID(scanner.scan(*piece.file, piece.header));
  if (scanner.tail() != to.value) {
    return fail(Errc::kCorrupt, "ledger: damaged record in " + scanner.place() + ": it ends the records at position " +
                                    std::to_string(scanner.tail()) + ", " + std::to_string(to.value) + " was durable");
  }
  return {};
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
