// Walks the batches of live segments in order and hands their records to the replayer.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
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
  // Records that end at or below `retired` are passed over.
  SegmentScanner(std::uint64_t retired, Replayer& replayer, ScanObserver* observer = nullptr)
      : retired_(retired), wholeEnd_(retired), replayer_(replayer), observer_(observer) {}

  // Segments come in the order of their sequence.
  Result<void> scan(SegmentFile& segment, const SegmentHeader& header);
  // After the last one. kCorrupt if a batch follows after the end of what could be read.
  Result<void> finish();

  // The end of the last whole record.
  [[nodiscard]] std::uint64_t tail() const { return wholeEnd_; }
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
  Result<void> replayBatch(const BatchHeader& batch, BytesView payload);
  Result<void> replayPayload(BytesView payload, std::uint64_t position);
  Result<void> replayRecord(BytesView record, std::uint64_t end);
  [[nodiscard]] std::string place() const;

  const std::uint64_t retired_;
  bool isFirst_ = true;
  bool inStep_ = false;         // a start of a record has been seen, so that carry_ is one
  std::uint64_t position_ = 0;  // of the next byte of the stream
  std::uint64_t wholeEnd_;      // of the last whole record
  Bytes carry_;                 // the beginning of the record that starts at wholeEnd_
  SegmentFile* segment_ = nullptr;
  SegmentHeader header_;
  std::uint64_t offset_ = 0;     // in segment_, of the first block that is no whole batch
  std::uint64_t tornBytes_ = 0;  // that the batch there claims to have
  std::uint64_t lastBatchOffset_ = kSegmentDataStart;
  std::uint64_t lastBatchBytes_ = 0;
  RecoveryReport report_;
  Replayer& replayer_;
  ScanObserver* const observer_;
};

}  // namespace hf::ledger
