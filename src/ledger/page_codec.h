// How a page lies in a record: as the change from its previous image where there is one, compressed where it is whole.
// Bytes: docs/formats/ledger.md, "Page".
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "ledger/ledger.h"

namespace hf::ledger {

enum class PageEncoding : std::uint8_t {
  kRaw = 0,          // the page
  kZero = 1,         // nothing: every byte is zero
  kLz4 = 2,          // an LZ4 block
  kRanges = 3,       // the bytes that differ from the previous image
  kLz4Previous = 4,  // an LZ4 block with the previous image as its dictionary
};
inline constexpr std::uint8_t kPageEncodingLast = 4;

inline bool isWhole(PageEncoding encoding) { return encoding < PageEncoding::kRanges; }

// Appends the page to a record in the making. Any thread.
void encodePage(const PageImage& page, Bytes& out);

}  // namespace hf::ledger
