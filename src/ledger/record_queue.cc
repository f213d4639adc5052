#include "ledger/record_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hf::ledger {
namespace {

// Small records share a chunk, so that a batch of thousands is written with few vectors.
constexpr std::size_t kChunkBytes = 64UL * 1024;
constexpr std::size_t kCopyBytesMax = 8UL * 1024;

}  // namespace

void RecordQueue::push(Bytes& record) {
  HF_CHECK(!record.empty(), "a record has at least its length");
  bytes_ += record.size();
  if (record.size() > kCopyBytesMax) {
    Chunk& chunk = chunks_.emplace_back();
    chunk.bytes = std::exchange(record, {});
    chunk.ends.push_back(static_cast<std::uint32_t>(chunk.bytes.size()));
    chunk.isSealed = true;
    return;
  }
  if (chunks_.empty() || chunks_.back().isSealed || chunks_.back().bytes.size() + record.size() > kChunkBytes) {
    chunks_.emplace_back().bytes.reserve(kChunkBytes);
  }
  Chunk& chunk = chunks_.back();
  chunk.bytes.insert(chunk.bytes.end(), record.begin(), record.end());
  chunk.ends.push_back(static_cast<std::uint32_t>(chunk.bytes.size()));
}

void RecordQueue::takeFrom(Chunk& chunk, std::uint64_t count, Batch& batch) {
  const std::size_t from = chunk.taken;
  const std::size_t to = from + count;
  const std::uint64_t shift = batch.bytes - from;  // from an offset in the chunk to one in the batch, modulo 2^64
  std::size_t start = chunk.nextEnd == 0 ? 0 : chunk.ends[chunk.nextEnd - 1];
  while (start < to) {
    if (start >= from) {
      if (batch.recordStarts++ == 0) batch.firstRecord = start + shift;
    }
    if (chunk.ends[chunk.nextEnd] > to) break;
    start = chunk.ends[chunk.nextEnd++];
    batch.lastEnd = start + shift;
  }
  batch.parts.push_back(BytesView(chunk.bytes).subspan(from, count));
  batch.bytes += count;
  chunk.taken = to;
  chunk.isSealed = true;
}

RecordQueue::Batch RecordQueue::take(std::uint64_t bytesMax) {
  HF_CHECK(bytesMax > 0, "an empty batch says nothing");
  HF_CHECK(takenBytes_ == 0, "one batch is in flight at a time");
  Batch batch;
  while (!chunks_.empty() && batch.bytes < bytesMax) {
    Chunk& chunk = chunks_.front();
    const std::uint64_t left = chunk.bytes.size() - chunk.taken;
    takeFrom(chunk, std::min<std::uint64_t>(left, bytesMax - batch.bytes), batch);
    if (chunk.taken < chunk.bytes.size()) break;
    // Moving a vector moves no bytes: the batch's views stay valid.
    inFlight_.push_back(std::move(chunk));
    chunks_.pop_front();
  }
  if (batch.recordStarts == 0) batch.firstRecord = batch.bytes;
  bytes_ -= batch.bytes;
  takenBytes_ = batch.bytes;
  return batch;
}

void RecordQueue::release() {
  inFlight_.clear();
  takenBytes_ = 0;
}

void RecordQueue::drop() {
  chunks_.clear();
  inFlight_.clear();
  bytes_ = 0;
  takenBytes_ = 0;
}

}  // namespace hf::ledger
