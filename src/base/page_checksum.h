// The checksum of a database page as SQLite's own checksum extension (ext/misc/cksumvfs.c) has it: the last 8 bytes of
// a page are a sum over the rest. A database made with 8 reserved bytes per page has room for it, and stays readable by
// every SQLite; one with that extension checks it too. Bytes: docs/formats/objects.md.
// Thread: any.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace hf {

inline constexpr std::size_t kPageChecksumBytes = 8;
// Where the database's first page says how many bytes of each page are reserved.
inline constexpr std::size_t kReservedBytesOffset = 20;

// `page`: a multiple of 8 bytes, at least 16.
void stampPageChecksum(std::span<std::uint8_t> page);
// A page of zeros, which nobody has written yet, has a checksum of zeros.
[[nodiscard]] bool pageChecksumFits(BytesView page);

}  // namespace hf
