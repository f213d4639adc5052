// Walks the batches of segments in order and hands over their records.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/sabotage.h"
#include "ledger/format.h"
#include "ledger/ledger.h"
#include "ledger/segment_pool.h"

namespace hf::ledger {

// Told of what a scan passes: for tools that show a ledger.
class ScanObserver {
 public:
  virtual ~ScanObserver() = default;
  virtual void onSegment(const SegmentFile& segment, const SegmentHeader& header) = 0;
  // Before its records. `diskBytes`: how much of the file it takes.
  virtual void onBatch(const BatchHeader& batch, std::uint64_t offset, std::uint64_t diskBytes) = 0;
  // Before the replayer gets it; `bytes` are those of the whole record.
  virtual void onRecord(Position start, BytesView bytes) = 0;
};

class SegmentScanner final {
 public:
  // Records that end at or below `from` are passed over; `from` is the end of a record. Nothing is read behind `to`.
  SegmentScanner(std::uint64_t from, RecordSink& sink, std::uint64_t to = std::numeric_limits<std::uint64_t>::max(),
                 ScanObserver* observer = nullptr)
      : from_(from), to_(to), wholeEnd_(from), sink_(sink), observer_(observer) {}

  void sabotage(Sabotage which) { sabotage_ = which; }

  // Segments come in the order of their sequence.
  Result<void> scan(SegmentFile& segment, const SegmentHeader& header);
  // After the last one of a ledger. kCorrupt if what follows after the end of what could be read shows that it was
  // damaged and not torn: another batch, or a batch that is whole but for one byte.
  Result<void> finish();

  // The end of the last whole record.
  [[nodiscard]] std::uint64_t tail() const { return wholeEnd_; }
  // The time of the last whole batch.
  [[nodiscard]] WallMs time() const { return time_; }
  // Where the last whole batch ends.
  [[nodiscard]] std::string place() const;
  [[nodiscard]] const RecoveryReport& report() const { return report_; }
  // Where in the last segment its last whole batch lies; kSegmentDataStart and 0 if there is none.
  [[nodiscard]] std::uint64_t lastBatchOffset() const { return lastBatchOffset_; }
  [[nodiscard]] std::uint64_t lastBatchBytes() const { return lastBatchBytes_; }
  // Where it is, or was when it failed: nullptr before the first segment.
  [[nodiscard]] const SegmentFile* segment() const { return segment_; }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 private:
  // The file through a window, so that small batches cost no call each.
  class Window final {
   public:
    explicit Window(SegmentFile& segment) : segment_(segment) {}
    // Exactly `count` bytes at `offset`; kCorrupt if the file ends before.
    Result<BytesView> at(std::uint64_t offset, std::uint64_t count);

   private:
    SegmentFile& segment_;
    Bytes bytes_;
    std::uint64_t start_ = 0;
  };

  Result<void> enter(const SegmentFile& segment, const SegmentHeader& header);
  // Where in the segment the byte lies whose change made a whole batch at offset_ unreadable; nullopt: it is torn.
  Result<std::optional<std::uint64_t>> damagedByte(Window& window) const;
  Result<void> replayBatch(const BatchHeader& batch, BytesView payload);
  Result<void> replayPayload(BytesView payload, std::uint64_t position);
  Result<void> replayRecord(BytesView record, std::uint64_t end);
  Result<void> replayGroup(BytesView group, std::uint64_t end);

  const std::uint64_t from_;
  const std::uint64_t to_;
  bool isFirst_ = true;
  bool inStep_ = false;         // a start of a record has been seen, so that carry_ is one
  std::uint64_t position_ = 0;  // of the next byte of the stream
  std::uint64_t wholeEnd_;      // of the last whole record
  Bytes carry_;                 // the beginning of the record that starts at wholeEnd_
  SegmentFile* segment_ = nullptr;
  SegmentHeader header_;
  WallMs time_ = 0;              // of the batch that is replayed
  std::uint64_t offset_ = 0;     // in segment_, of the first sector that is no whole batch
  std::uint64_t tornBytes_ = 0;  // that the batch there claims to have
  std::uint64_t lastBatchOffset_ = kSegmentDataStart;
  std::uint64_t lastBatchBytes_ = 0;
  RecoveryReport report_;
  RecordSink& sink_;
  ScanObserver* const observer_;
  Sabotage sabotage_ = Sabotage::kNone;
};

}  // namespace hf::ledger
