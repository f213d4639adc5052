#include "ledger/record_queue.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

#include "base/random.h"
#include "ledger/format.h"

namespace hf::ledger {
namespace {

// Whatever is pushed comes out as one stream, cut anywhere, and each piece knows the records in it.
RC_GTEST_PROP(RecordQueue, KeepsTheStreamAndItsBoundaries, (std::uint64_t seed)) {
  SeededRandom random(seed);
  RecordQueue queue;
  Bytes in;
  Bytes out;
  std::set<std::uint64_t> starts;
  std::uint64_t left = 60;
  while (left > 0 || !queue.isEmpty()) {
    if (left > 0 && random.below(3) != 0) {
      Bytes record(1 + random.below(random.below(10) == 0 ? 60'000 : 500));
      random.fill(record);
      starts.insert(in.size());
      in.insert(in.end(), record.begin(), record.end());
      queue.push(record);
      left--;
      continue;
    }
    if (queue.isEmpty()) continue;
    const std::uint64_t most = 1 + random.below(random.below(2) == 0 ? 100'000 : 300);
    const std::uint64_t before = queue.bytes();
    RecordQueue::Batch batch = queue.take(most);
    // Shards go on pushing while the batch is written.
    if (left > 0) {
      Bytes record(1 + random.below(500));
      random.fill(record);
      starts.insert(in.size());
      in.insert(in.end(), record.begin(), record.end());
      queue.push(record);
      left--;
    }
    RC_ASSERT(batch.bytes == std::min(most, before));
    const std::uint64_t from = out.size();
    for (const BytesView part : batch.parts) out.insert(out.end(), part.begin(), part.end());
    queue.release();
    const std::uint64_t to = out.size();
    RC_ASSERT(to - from == batch.bytes);
    const auto first = starts.lower_bound(from);
    const auto behind = starts.lower_bound(to);
    RC_ASSERT(batch.recordStarts == std::distance(first, behind));
    RC_ASSERT(batch.firstRecord == (first == behind ? batch.bytes : *first - from));
    // A record ends where the next one starts, or where the stream ends.
    std::set<std::uint64_t> ends = starts;
    ends.erase(0);
    ends.insert(in.size());
    const auto end = ends.upper_bound(to);
    const bool hasEnd = end != ends.begin() && *std::prev(end) > from;
    RC_ASSERT(batch.lastEnd.has_value() == hasEnd);
    if (hasEnd) RC_ASSERT(*batch.lastEnd == *std::prev(end) - from);
  }
  RC_ASSERT(out == in);
}

// The promise of append: what it accepts fits, however the writer cuts it.
RC_GTEST_PROP(DiskBytesBound, HoldsHoweverBatchesAreCut, (std::uint64_t seed)) {
  SeededRandom random(seed);
  const std::uint64_t segment = kSegmentBytesMin * (1 + random.below(4));
  std::uint64_t active = random.below((segment - kSegmentDataStart) / kSectorBytes) * kSectorBytes;
  std::uint64_t spare = 0;
  std::uint64_t queued = 0;
  for (int step = 0; step < 400; step++) {
    if (random.below(2) == 0) {
      const std::uint64_t record = 1 + random.below(random.below(20) == 0 ? 20'000'000 : 5000);
      while (diskBytesBound(queued + record, segment) > active + spare) spare += segment - kSegmentDataStart;
      queued += record;
    } else if (queued > 0) {
      if (active == 0) {
        RC_ASSERT(spare > 0U);
        active = segment - kSegmentDataStart;
        spare -= active;
      }
      const std::uint64_t batch = std::min(queued, std::min(active, kBatchDiskBytesMax) - sizeof(BatchHeader));
      queued -= batch;
      active -= alignUp(batch + sizeof(BatchHeader));
    }
  }
}

}  // namespace
}  // namespace hf::ledger
