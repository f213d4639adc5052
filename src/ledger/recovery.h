// Reads a ledger's directory after a stop of any kind: what is live is replayed, what is torn at the end is dropped,
// what is damaged in the middle is refused. Bytes: docs/formats/ledger.md.
//
// Invariants that it relies on (kept by LocalLedger) and checks:
//  1. A batch is written only after every batch before it is synced. So a damaged batch with a whole one after it was
//     durable once: that is corruption. Without one after it, it was never acknowledged: that is the end.
//  2. The first batch of a segment continues the position at which the segment before ends, or the end of the last
//     whole record before it if a recovery came between.
//  3. The mark is durable before a segment below it is used again.
//  4. The mark says how far the ledger was durable and which segment was the newest when it was written: what ends
//     before has lost something.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/result.h"
#include "ledger/format.h"
#include "ledger/ledger.h"
#include "ledger/segment_pool.h"
#include "ledger/segment_scanner.h"

namespace hf::ledger {

struct LiveSegment {
  std::unique_ptr<SegmentFile> file;
  SegmentHeader header;
  std::uint64_t end = 0;  // it holds positions [header.start, end)
};

struct Recovered {
  LedgerId id{};
  std::uint64_t retired = 0;
  std::uint64_t tail = 0;
  WallMs time = 0;  // of the last batch
  std::uint64_t lastSequence = 0;
  std::uint64_t nextNumber = 1;  // no segment file has it or a higher one
  std::vector<LiveSegment> live;
  std::vector<std::unique_ptr<SegmentFile>> spares;  // not checked for size or reservation
  RecoveryReport report;
};

// Makes the directory and its mark if there are none. What was replayed is durable when it returns.
Result<Recovered> recover(Disk& disk, const LedgerOptions& options, Replayer& replayer);

// What is live in the ledger, and how to read it, without changing anything: for tools, and for looking at a ledger
// whose owner is gone. The directory and its mark must be there (kNotFound).
struct LiveLedger {
  struct Segment {
    std::unique_ptr<SegmentFile> file;
    SegmentHeader header;
  };
  Mark mark;
  std::vector<Segment> live;  // in order
  std::size_t spares = 0;
  std::uint64_t lastSequence = 0;
};
Result<LiveLedger> readLive(Disk& disk, const std::string& directory);

// After a scan: kCorrupt if the mark knows of more than was found (invariant 4).
Result<void> checkAgainstMark(const Mark& mark, std::uint64_t lastSequence, const SegmentScanner& scanner);

// Replaces the mark, durably. Seals it.
Result<void> writeMark(Disk& disk, const std::string& directory, Mark mark, Sabotage sabotage = Sabotage::kNone);

}  // namespace hf::ledger
