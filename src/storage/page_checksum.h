// The checksum that an object's file keeps in each page: SQLite's checksum VFS ("cksumvfs") has defined it, so that its
// own tools check our files too. A database says in its header (byte 20) that 8 bytes of each page are reserved for it;
// one that reserves none has no checksums.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>

#include "ledger/ledger.h"

namespace hf::storage {

// Of each page of a database that we make.
inline constexpr int kReservedBytes = 0;

inline constexpr std::size_t kPageChecksumBytes = 8;
using PageChecksum = std::array<std::uint8_t, kPageChecksumBytes>;

inline PageChecksum pageChecksum(std::span<const std::uint8_t, ledger::kPageBytes> page) {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  for (std::size_t at = 0; at < page.size() - kPageChecksumBytes; at += 8) {
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    std::memcpy(&a, page.data() + at, 4);
    std::memcpy(&b, page.data() + at + 4, 4);
    first += a + second;
    second += b + first;
  }
  PageChecksum sum{};
  std::memcpy(sum.data(), &first, 4);
  std::memcpy(sum.data() + 4, &second, 4);
  return sum;
}

// Whether page 1 says that every page carries one.
inline bool hasPageChecksums(std::span<const std::uint8_t, ledger::kPageBytes> firstPage) {
  return firstPage[20] == kPageChecksumBytes;
}

inline bool pageIsWhole(std::span<const std::uint8_t, ledger::kPageBytes> page) {
  return std::memcmp(pageChecksum(page).data(), page.data() + page.size() - kPageChecksumBytes, kPageChecksumBytes) ==
         0;
}

inline void sealPage(std::span<std::uint8_t, ledger::kPageBytes> page) {
  const PageChecksum sum = pageChecksum(page);
  std::memcpy(page.data() + page.size() - kPageChecksumBytes, sum.data(), kPageChecksumBytes);
}

}  // namespace hf::storage
