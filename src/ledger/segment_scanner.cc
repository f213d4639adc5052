#include "ledger/segment_scanner.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"
#include "ledger/record.h"

namespace hf::ledger {
namespace {

constexpr std::uint64_t kWindowBytes = 1024UL * 1024;

std::optional<BatchHeader> unchecked(BytesView sector) {
  BatchHeader header;
  std::memcpy(&header, sector.data(), sizeof header);
  if (header.magic != BatchHeader::kMagic) return std::nullopt;
  return header;
}

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

std::string SegmentScanner::place() const {
  return segment_ == nullptr ? "no segment" : segment_->path + " at offset " + std::to_string(offset_);
}

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
  while (offset_ < segment.bytes && wholeEnd_ < to_) {
    HF_TRY(const BytesView sector, window.at(offset_, kSectorBytes));
    std::optional<BatchHeader> batch = unseal<BatchHeader>(sector, header.salt);
    if (!batch && sabotage_ == Sabotage::kBatchHeaderUnchecked) batch = unchecked(sector);
    if (!batch) break;
    const std::uint64_t bytes = sizeof(BatchHeader) + batch->payloadBytes;
    if (batch->position != position_ || batch->payloadBytes == 0 || batch->firstRecord > batch->payloadBytes ||
        alignUp(bytes) > segment.bytes - offset_) {
      return fail(Errc::kCorrupt, "ledger: a batch that does not belong in " + place() + ": position " +
                                      std::to_string(batch->position) + " instead of " + std::to_string(position_));
    }
    HF_TRY(const BytesView whole, window.at(offset_, bytes));
    const BytesView payload = whole.subspan(sizeof(BatchHeader));
    if (checksum(payload, header.salt) != batch->payloadCheck && sabotage_ != Sabotage::kPayloadUnchecked) {
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
  if (offset_ < segment_->bytes) {
    HF_TRY(const std::optional<std::uint64_t> damaged, damagedByte(window));
    if (damaged) {
      return fail(Errc::kCorrupt, "ledger: damaged record in " + place() + " (position " + std::to_string(position_) +
                                      "): the byte at offset " + std::to_string(*damaged) +
                                      " is another than the one that was written");
    }
  }
  for (std::uint64_t at = offset_ + kSectorBytes; at < segment_->bytes; at += kSectorBytes) {
    HF_TRY(const BytesView sector, window.at(at, kSectorBytes));
    const std::optional<BatchHeader> batch = unseal<BatchHeader>(sector, header_.salt);
    if (!batch) continue;
    return fail(Errc::kCorrupt, "ledger: damaged record in " + place() + " (position " + std::to_string(position_) +
                                    "): another follows at offset " + std::to_string(at) +
                                    ", so it had been acknowledged");
  }
  report_.droppedBytes = tornBytes_ + carry_.size();
  if (report_.droppedBytes > 0) report_.droppedAt = place();
  return {};
}

// A torn batch lacks sectors. One whose checksum fits when a single byte is another was whole once; unless that byte is
// all that its sector holds, which then may as well never have been written.
Result<std::optional<std::uint64_t>> SegmentScanner::damagedByte(Window& window) const {
  static constexpr std::size_t kEveryValueBytesMax = 2UL * 1024;  // of a payload; a larger one: single bits only
  static constexpr std::size_t kEveryBitBytesMax = 64UL * 1024;
  HF_TRY(const BytesView sector, window.at(offset_, kSectorBytes));
  Bytes bytes(sector.begin(), sector.end());
  const auto isAlone = [&](std::size_t at) {
    const std::size_t begin = at / kSectorBytes * kSectorBytes;
    const std::size_t end = std::min<std::size_t>(begin + kSectorBytes, bytes.size());
    for (std::size_t i = begin; i < end; i++) {
      if (i != at && bytes[i] != 0) return false;
    }
    return true;
  };
  // The first byte in [begin, end) that has a value with which `fits`.
  const auto find = [&](std::size_t begin, std::size_t end, bool everyValue,
                        const auto& fits) -> std::optional<std::size_t> {
    for (std::size_t at = begin; at < end; at++) {
      const std::uint8_t was = bytes[at];
      for (unsigned change = 1; change < 256; change = everyValue ? change + 1 : change * 2) {
        bytes[at] = static_cast<std::uint8_t>(was ^ change);
        if (fits()) return at;
      }
      bytes[at] = was;
    }
    return std::nullopt;
  };
  std::optional<BatchHeader> batch;
  const auto headerFits = [&] {
    batch = unseal<BatchHeader>(bytes, header_.salt);
    return batch && batch->position == position_;
  };
  std::optional<std::size_t> at;
  if (!headerFits()) {
    at = find(0, sizeof(BatchHeader), true, headerFits);
  } else {
    const std::size_t whole = sizeof(BatchHeader) + batch->payloadBytes;
    if (batch->payloadBytes > kEveryBitBytesMax || offset_ + whole > segment_->bytes) return std::nullopt;
    HF_TRY(const BytesView all, window.at(offset_, whole));
    bytes.assign(all.begin(), all.end());
    at = find(sizeof(BatchHeader), whole, batch->payloadBytes <= kEveryValueBytesMax, [&] {
      return checksum(BytesView(bytes).subspan(sizeof(BatchHeader)), header_.salt) == batch->payloadCheck;
    });
  }
  if (!at || isAlone(*at)) return std::nullopt;
  return offset_ + *at;
}

Result<void> SegmentScanner::replayBatch(const BatchHeader& batch, BytesView payload) {
  const std::uint64_t start = position_;
  time_ = batch.time;
  position_ += payload.size();
  if (inStep_) return replayPayload(payload, start);
  // The first live segment may begin inside a record whose beginning is retired, and which is therefore itself.
  if (batch.firstRecord == payload.size()) return {};
  inStep_ = true;
  const std::uint64_t first = start + batch.firstRecord;
  if (first > from_) {
    return fail(Errc::kCorrupt, "ledger: in " + place() + " the first record starts at position " +
                                    std::to_string(first) + ", after the mark at " + std::to_string(from_));
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
  if (end > to_) return {};  // carried along by the batch of one that was asked for
  const std::uint64_t start = std::exchange(wholeEnd_, end);
  HF_CHECK(start + record.size() == end, "records follow each other without a gap");
  if (end <= from_) return {};
  if (start < from_) {
    return fail(Errc::kCorrupt, "ledger: the mark at " + std::to_string(from_) + " lies inside a record in " + place());
  }
  report_.records++;
  report_.bytes += record.size();
  if (observer_ != nullptr) observer_->onRecord(Position{start}, record);
  Result<void> taken = isGroup(record) ? replayGroup(record, end) : sink_.onRecord(record, Position{end}, time_);
  if (!taken) return fail(taken.error().code, "ledger: in the batch in " + place() + ": " + taken.error().message);
  return {};
}

Result<void> SegmentScanner::replayGroup(BytesView group, std::uint64_t end) {
  HF_TRY(const std::vector<BytesView> members, membersOf(group, Position{end}));
  for (const BytesView member : members) HF_TRY_VOID(sink_.onRecord(member, Position{end}, time_));
  return {};
}

}  // namespace hf::ledger
