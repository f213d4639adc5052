// A file of history: the records of a range of the ledger, sorted by object. Bytes: docs/formats/history.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ledger/format.h"

namespace hf::storage {

struct HistoryHeader {
  static constexpr std::uint64_t kMagic = 0x79726f7473694848;  // "HHistory"
  std::uint64_t magic = kMagic;
  std::uint32_t version = 1;
  std::uint32_t reserved = 0;
  ledger::LedgerId ledger{};
  std::uint64_t start = 0;       // records that end in (start, end]
  std::uint64_t end = 0;         // both are ends of records
  std::int64_t startTime = 0;    // of the first record, milliseconds since the epoch
  std::int64_t endTime = 0;      // of the last one
  std::uint64_t objects = 0;     // entries of the index, which follows the header
  std::uint64_t indexCheck = 0;  // of the index
  std::uint64_t check = 0;       // of the fields above
};
static_assert(std::is_trivially_copyable_v<HistoryHeader>);
static_assert(sizeof(HistoryHeader) == 88 && offsetof(HistoryHeader, check) == 80);

// Sorted by namespace, then id.
struct HistoryEntry {
  std::uint8_t ns[16] = {};
  std::uint8_t id[32] = {};
  std::uint64_t offset = 0;       // in the file, of the object's block
  std::uint32_t storedBytes = 0;  // of the block: an LZ4 block, or as it is if that is not smaller
  std::uint32_t bytes = 0;        // of its content
  std::uint64_t check = 0;        // of the stored bytes
};
static_assert(std::is_trivially_copyable_v<HistoryEntry>);
static_assert(sizeof(HistoryEntry) == 72);

}  // namespace hf::storage
