// Encoded records between the shards and the writer: a stream of bytes that remembers where records start.
// Thread: guarded by its owner, except the bytes of a Batch, which stay put until release() or drop().
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace hf::ledger {

class RecordQueue final {
 public:
  // A piece of the stream.
  struct Batch {
    std::vector<BytesView> parts;
    std::uint64_t bytes = 0;
    std::uint64_t firstRecord = 0;  // offset at which a record starts; `bytes` if none does
    std::uint32_t recordStarts = 0;
    std::optional<std::uint64_t> lastEnd;  // offset at which the last record that ends in it ends
  };

  // Adds one whole record. A large one is taken over (`record` is then empty), a small one copied.
  void push(Bytes& record);
  // The next bytes of the stream, at most `bytesMax`, all of them if they fit. After release().
  Batch take(std::uint64_t bytesMax);
  // Frees what the last take() took: it is written.
  void release();
  // Frees everything.
  void drop();

  // Not taken yet.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  // Taken and not released.
  [[nodiscard]] std::uint64_t takenBytes() const { return takenBytes_; }
  [[nodiscard]] bool isEmpty() const { return bytes_ == 0; }

 private:
  struct Chunk {
    Bytes bytes;
    std::vector<std::uint32_t> ends;  // of its records, ascending
    std::size_t taken = 0;            // bytes of it that earlier batches hold
    std::size_t nextEnd = 0;          // index of the first end behind `taken`
    bool isSealed = false;            // a batch points into it
  };
  static void takeFrom(Chunk& chunk, std::uint64_t count, Batch& batch);

  std::deque<Chunk> chunks_;
  std::vector<Chunk> inFlight_;  // wholly taken by the last take()
  std::uint64_t bytes_ = 0;
  std::uint64_t takenBytes_ = 0;
};

}  // namespace hf::ledger
