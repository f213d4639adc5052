// What lies on disk around the records: segments, batches, the mark. Bytes: docs/formats/ledger.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "ledger/checksum.h"
#include "ledger/ledger.h"

namespace hf::ledger {

// Segment headers have a block each; segments are whole blocks.
inline constexpr std::uint64_t kBlockBytes = 4096;
// Batches start at multiples of this, the least that a disk writes whole: a sector that holds what is durable is never
// written over with other bytes. A small commit so costs one sector, also where segments become history.
inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr std::uint32_t kFormatVersion = 2;

inline constexpr std::uint64_t alignUp(std::uint64_t bytes) { return (bytes + kSectorBytes - 1) & ~(kSectorBytes - 1); }

// Twice at the start of every segment file, in block 0 and in block 1, so that one damaged block cannot make a full
// segment look like one that was never used.
struct SegmentHeader {
  static constexpr std::uint64_t kMagic = 0x746e656d67655348;  // "HSegment"
  std::uint64_t magic = kMagic;
  std::uint32_t version = kFormatVersion;
  std::uint32_t reserved = 0;
  LedgerId ledger{};
  std::uint64_t sequence = 0;      // of its use, from 1; a file that is used again gets a new one
  std::uint64_t salt = 0;          // random; seeds the checksums of this use's batches
  std::uint64_t start = 0;         // position of the first byte of its first batch
  std::uint64_t segmentBytes = 0;  // of the file
  std::uint64_t check = 0;         // of the fields above
};
static_assert(std::is_trivially_copyable_v<SegmentHeader>);
static_assert(sizeof(SegmentHeader) == 72 && offsetof(SegmentHeader, check) == 64);
inline constexpr std::uint64_t kSegmentDataStart = 2 * kBlockBytes;

// Starts a sector; the payload follows at once, zeros fill the last sector.
struct BatchHeader {
  static constexpr std::uint32_t kMagic = 0x63744248;  // "HBtc"
  std::uint32_t magic = kMagic;
  std::uint32_t payloadBytes = 0;
  std::uint64_t position = 0;      // of the payload's first byte
  std::uint32_t firstRecord = 0;   // offset in the payload at which a record starts; payloadBytes if none does
  std::uint32_t recordStarts = 0;  // how many records start in the payload
  std::int64_t time = 0;           // when it was written: milliseconds since the epoch, never less than that before it
  std::uint64_t payloadCheck = 0;  // seeded with the segment's salt
  std::uint64_t check = 0;         // of the fields above, seeded with the segment's salt
};
static_assert(std::is_trivially_copyable_v<BatchHeader>);
static_assert(sizeof(BatchHeader) == 48 && offsetof(BatchHeader, check) == 40);

// The file "mark", replaced whole.
struct Mark {
  static constexpr std::uint64_t kMagic = 0x6b72614d48;  // "HMark"
  std::uint64_t magic = kMagic;
  std::uint32_t version = kFormatVersion;
  std::uint32_t reserved = 0;
  LedgerId ledger{};
  std::uint64_t retired = 0;  // records that end at or below it are not replayed
  std::uint64_t durable = 0;  // what was durable when this was written: a ledger that ends before it has lost something
  std::uint64_t sequence = 0;  // of the newest segment then, which must be there
  std::uint64_t check = 0;     // of the fields above
};
static_assert(std::is_trivially_copyable_v<Mark>);
static_assert(sizeof(Mark) == 64 && offsetof(Mark, check) == 56);

template <class T>
BytesView objectBytes(const T& object) {
  return {reinterpret_cast<const std::uint8_t*>(&object), sizeof object};
}

// Sets `check`, which is the last field of each of the three.
template <class T>
void seal(T& object, std::uint64_t salt = 0) {
  object.check = checksum(objectBytes(object).first(offsetof(T, check)), salt);
}

// The object at the start of `bytes`, or nullopt if it is damaged, was never there or is of another version.
template <class T>
std::optional<T> unseal(BytesView bytes, std::uint64_t salt = 0) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T object;
  std::memcpy(&object, bytes.data(), sizeof object);
  if (object.magic != T::kMagic) return std::nullopt;
  if (object.check != checksum(objectBytes(object).first(offsetof(T, check)), salt)) return std::nullopt;
  return object;
}

inline constexpr std::uint64_t kBatchDiskBytesMax = 8ULL * 1024 * 1024;
inline constexpr std::uint64_t kBatchPayloadBytesMax = kBatchDiskBytesMax - sizeof(BatchHeader);
inline constexpr std::uint64_t kSegmentBytesMin = 64ULL * 1024;

// An upper bound of the bytes on disk, segment headers left out, that `queued` bytes of records will take, however they
// are split into batches and over segments of `segmentBytes`.
inline constexpr std::uint64_t diskBytesBound(std::uint64_t queued, std::uint64_t segmentBytes) {
  if (queued == 0) return 0;
  const std::uint64_t crossings = 2 + (queued / (segmentBytes / 2));
  const std::uint64_t batches = 1 + (queued / kBatchPayloadBytesMax) + crossings;
  return queued + (batches * (sizeof(BatchHeader) + kSectorBytes));
}

inline constexpr std::string_view kMarkName = "mark";
inline constexpr std::string_view kMarkTemporaryName = "mark.new";
inline constexpr std::string_view kSegmentPrefix = "segment-";

}  // namespace hf::ledger
