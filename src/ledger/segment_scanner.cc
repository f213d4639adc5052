#include "ledger/segment_scanner.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "base/check.h"
#include "ledger/record.h"

namespace hf::ledger {
namespace {

constexpr std::uint64_t kWindowBytes = 1024UL * 1024;

}  // namespace

Result<BytesView> SegmentScanner::Window::at(std::uint64_t offset, std::uint64_t count) {
  if (offset < start_ || offset + count > start_ + bytes_.size()) {
    const std::uint64_t left = segment_.bytes > offset ? segment_.bytes - offset : 0;
    bytes_.resize(std::min(std::max(count, kWindowBytes), left));
    start_ = offset;
    HF_TRY(const std::size_t got, segment_.file->readAt(offset, bytes_));
    bytes_.resize(got);
    if (got < count) {
      return fail(Errc::kCorrupt, "ledger: " + segment_.path + " ends at offset " + std::to_string(offset + got) +
                                      ", before the end that its header gives");
    }
  }
  return BytesView(bytes_).subspan(offset - start_, count);
}

std::string SegmentScanner::place() const { return segment_->path + " at offset " + std::to_string(offset_); }

Result<void> SegmentScanner::enter(const SegmentFile& segment, const SegmentHeader& header) {
  if (isFirst_) {
    isFirst_ = false;
    position_ = header.start;
    return {};
  }
  if (header.start == position_) return {};
  if (header.start == wholeEnd_ && wholeEnd_ < position_) {
    // A recovery came between: it dropped the unfinished record and went on behind the one before.
    position_ = wholeEnd_;
    carry_.clear();
    return {};
  }
  return fail(Errc::kCorrupt, "ledger: damaged record in " + place() + " (position " + std::to_string(position_) +
                                  "): " + segment.path + " goes on at position " + std::to_string(header.start) +
                                  ", so what is missing between had been acknowledged");
}

Result<void> SegmentScanner::scan(SegmentFile& segment, const SegmentHeader& header) {
  HF_TRY_VOID(enter(segment, header));
  segment_ = &segment;
  header_ = header;
  tornBytes_ = 0;
  lastBatchOffset_ = kSegmentDataStart;
  lastBatchBytes_ = 0;
  if (observer_ != nullptr) observer_->onSegment(segment, header);
  Window window(segment);
  offset_ = kSegmentDataStart;
  while (offset_ < segment.bytes) {
    HF_TRY(const BytesView block, window.at(offset_, kBlockBytes));
    const std::optional<BatchHeader> batch = unseal<BatchHeader>(block, header.salt);
    if (!batch) break;
    const std::uint64_t bytes = sizeof(BatchHeader) + batch->payloadBytes;
    if (batch->position != position_ || batch->payloadBytes == 0 || batch->firstRecord > batch->payloadBytes ||
        alignUp(bytes) > segment.bytes - offset_) {
      return fail(Errc::kCorrupt, "ledger: a batch that does not belong in " + place() + ": position " +
                                      std::to_string(batch->position) + " instead of " + std::to_string(position_));
    }
    HF_TRY(const BytesView whole, window.at(offset_, bytes));
    const BytesView payload = whole.subspan(sizeof(BatchHeader));
    if (checksum(payload, header.salt) != batch->payloadCheck) {
      tornBytes_ = batch->payloadBytes;
      break;
    }
    if (observer_ != nullptr) observer_->onBatch(*batch, offset_, alignUp(bytes));
    HF_TRY_VOID(replayBatch(*batch, payload));
    lastBatchOffset_ = offset_;
    lastBatchBytes_ = alignUp(bytes);
    offset_ += lastBatchBytes_;
  }
  return {};
}

Result<void> SegmentScanner::finish() {
  if (segment_ == nullptr) return {};
  Window window(*segment_);
  for (std::uint64_t at = offset_ + kBlockBytes; at < segment_->bytes; at += kBlockBytes) {
    HF_TRY(const BytesView block, window.at(at, kBlockBytes));
    const std::optional<BatchHeader> batch = unseal<BatchHeader>(block, header_.salt);
    if (!batch) continue;
    return fail(Errc::kCorrupt, "ledger: damaged record in " + place() + " (position " + std::to_string(position_) +
                                    "): another follows at offset " + std::to_string(at) +
                                    ", so it had been acknowledged");
  }
  report_.droppedBytes = tornBytes_ + carry_.size();
  if (report_.droppedBytes > 0) report_.droppedAt = place();
  return {};
}

Result<void> SegmentScanner::replayBatch(const BatchHeader& batch, BytesView payload) {
  const std::uint64_t start = position_;
  position_ += payload.size();
  if (inStep_) return replayPayload(payload, start);
  // The first live segment may begin inside a record whose beginning is retired, and which is therefore itself.
  if (batch.firstRecord == payload.size()) return {};
  inStep_ = true;
  const std::uint64_t first = start + batch.firstRecord;
  if (first > retired_) {
    return fail(Errc::kCorrupt, "ledger: in " + place() + " the first record starts at position " +
                                    std::to_string(first) + ", after the mark at " + std::to_string(retired_));
  }
  wholeEnd_ = first;
  return replayPayload(payload.subspan(batch.firstRecord), first);
}

Result<void> SegmentScanner::replayPayload(BytesView payload, std::uint64_t position) {
  while (!payload.empty()) {
    if (carry_.empty()) {
      // Whole records are read where they lie.
      HF_TRY(const std::optional<std::uint64_t> length, recordLength(payload));
      if (length && *length <= payload.size()) {
        position += *length;
        HF_TRY_VOID(replayRecord(payload.first(*length), position));
        payload = payload.subspan(*length);
        continue;
      }
      carry_.assign(payload.begin(), payload.end());
      return {};
    }
    // First what tells its length, then as much as that says.
    HF_TRY(const std::optional<std::uint64_t> known, recordLength(carry_));
    const std::uint64_t wanted = known.value_or(kRecordLengthBytes) - carry_.size();
    const std::uint64_t count = std::min<std::uint64_t>(wanted, payload.size());
    carry_.insert(carry_.end(), payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(count));
    payload = payload.subspan(count);
    position += count;
    if (!known || carry_.size() < *known) continue;
    HF_TRY_VOID(replayRecord(carry_, position));
    carry_.clear();
  }
  return {};
}

Result<void> SegmentScanner::replayRecord(BytesView record, std::uint64_t end) {
  const std::uint64_t start = std::exchange(wholeEnd_, end);
  HF_CHECK(start + record.size() == end, "records follow each other without a gap");
  if (end <= retired_) return {};
  if (start < retired_) {
    return fail(Errc::kCorrupt,
                "ledger: the mark at " + std::to_string(retired_) + " lies inside a record in " + place());
  }
  auto decoded = decodeRecord(record, Position{end});
  if (!decoded) {
    return fail(decoded.error().code, "ledger: in the batch in " + place() + ": " + decoded.error().message);
  }
  report_.records++;
  report_.bytes += record.size();
  if (observer_ != nullptr) observer_->onRecord(Position{start}, record);
  if (const auto* commit = std::get_if<RecoveredCommit>(&*decoded)) return replayer_.onCommit(*commit);
  return replayer_.onNamespaceDeleted(std::get<NamespaceDeletion>(*decoded), Position{end});
}

}  // namespace hf::ledger
