#include "ledger/page_codec.h"

#include <lz4.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/check.h"
#include "ledger/checksum.h"
#include "ledger/wire.h"

namespace hf::ledger {
namespace {

// Two changed ranges with fewer equal bytes between them than this are stored as one: each costs two to four bytes.
constexpr std::size_t kGapBytes = 4;
// A change as small as this is not worth the time of LZ4.
constexpr std::size_t kSmallRangesBytes = 192;

using PageBuffer = std::array<std::uint8_t, kPageBytes>;

std::uint32_t pageCheck(BytesView page) { return static_cast<std::uint32_t>(checksum(page, 0)); }

// The first index from `from` at which both pages differ (or agree, for `differ` false).
std::size_t firstDifference(BytesView a, BytesView b, std::size_t from) {
  while (from + 8 <= kPageBytes && std::memcmp(a.data() + from, b.data() + from, 8) == 0) from += 8;
  while (from < kPageBytes && a[from] == b[from]) from++;
  return from;
}

// One past the last byte of the changed range that starts at `start`.
std::size_t endOfRange(BytesView a, BytesView b, std::size_t start) {
  std::size_t end = start + 1;
  for (std::size_t i = end; i < kPageBytes && i < end + kGapBytes; i++) {
    if (a[i] != b[i]) end = i + 1;
  }
  return end;
}

// Appends the changed ranges. Gives up, with false and `out` as it was, when they take more than `most`.
bool putRanges(BytesView page, BytesView previous, std::size_t most, Bytes& out) {
  const std::size_t start = out.size();
  std::size_t done = 0;
  for (std::size_t at = firstDifference(page, previous, 0); at < kPageBytes;
       at = firstDifference(page, previous, done)) {
    const std::size_t end = endOfRange(page, previous, at);
    putVarint(out, at - done);
    putVarint(out, end - at);
    putBytes(out, page.subspan(at, end - at));
    done = end;
    if (out.size() - start > most) {
      out.resize(start);
      return false;
    }
  }
  return true;
}

// The size of the LZ4 block put into `block`, or 0 if it would not be smaller than the page.
std::size_t compress(BytesView page, BytesView previous, PageBuffer& block) {
  thread_local LZ4_stream_t stream;
  LZ4_initStream(&stream, sizeof stream);
  if (!previous.empty()) {
    LZ4_loadDict(&stream, reinterpret_cast<const char*>(previous.data()), static_cast<int>(previous.size()));
  }
  const int size = LZ4_compress_fast_continue(&stream, reinterpret_cast<const char*>(page.data()),
                                              reinterpret_cast<char*>(block.data()), static_cast<int>(page.size()),
                                              static_cast<int>(block.size() - 1), 1);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

bool isZero(BytesView page) { return page[0] == 0 && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0; }

void putEntry(PageEncoding encoding, std::uint32_t check, BytesView payload, Bytes& out) {
  out.push_back(static_cast<std::uint8_t>(encoding));
  putFixed32(out, check);
  putVarint(out, payload.size());
  putBytes(out, payload);
}

void encodeWhole(BytesView page, Bytes& out) {
  const std::uint32_t check = pageCheck(page);
  if (isZero(page)) return putEntry(PageEncoding::kZero, check, {}, out);
  PageBuffer block;
  const std::size_t size = compress(page, {}, block);
  if (size == 0) return putEntry(PageEncoding::kRaw, check, page, out);
  putEntry(PageEncoding::kLz4, check, BytesView(block).first(size), out);
}

void encodeChange(BytesView page, BytesView previous, Bytes& out) {
  thread_local Bytes ranges;
  ranges.clear();
  const std::uint32_t check = pageCheck(page);
  const bool hasRanges = putRanges(page, previous, kPageBytes / 2, ranges);
  if (hasRanges && ranges.size() <= kSmallRangesBytes) return putEntry(PageEncoding::kRanges, check, ranges, out);
  // Rows that moved within the page are many changed bytes, yet all of them are in the previous image.
  PageBuffer block;
  const std::size_t size = compress(page, previous, block);
  if (hasRanges && (size == 0 || ranges.size() <= size)) return putEntry(PageEncoding::kRanges, check, ranges, out);
  if (size == 0) return encodeWhole(page, out);
  putEntry(PageEncoding::kLz4Previous, check, BytesView(block).first(size), out);
}

bool applyRanges(BytesView encoded, std::span<std::uint8_t> page) {
  WireReader reader(encoded);
  std::size_t at = 0;
  while (reader.left() > 0) {
    at += reader.varintUpTo(kPageBytes - at);
    const std::uint64_t count = reader.varintUpTo(kPageBytes - at);
    const BytesView bytes = reader.bytes(count);
    if (!reader.ok()) return false;
    std::ranges::copy(bytes, page.begin() + static_cast<std::ptrdiff_t>(at));
    at += count;
  }
  return reader.ok();
}

bool applyLz4(BytesView encoded, BytesView previous, std::span<std::uint8_t> page) {
  PageBuffer image;
  const int size = LZ4_decompress_safe_usingDict(
      reinterpret_cast<const char*>(encoded.data()), reinterpret_cast<char*>(image.data()),
      static_cast<int>(encoded.size()), static_cast<int>(image.size()), reinterpret_cast<const char*>(previous.data()),
      static_cast<int>(previous.size()));
  if (size != static_cast<int>(kPageBytes)) return false;
  std::ranges::copy(image, page.begin());
  return true;
}

bool apply(PageEncoding encoding, BytesView encoded, std::span<std::uint8_t> page) {
  switch (encoding) {
    case PageEncoding::kRaw:
      if (encoded.size() != kPageBytes) return false;
      std::ranges::copy(encoded, page.begin());
      return true;
    case PageEncoding::kZero:
      std::ranges::fill(page, std::uint8_t{0});
      return encoded.empty();
    case PageEncoding::kLz4:
      return applyLz4(encoded, {}, page);
    case PageEncoding::kRanges:
      return applyRanges(encoded, page);
    case PageEncoding::kLz4Previous:
      return applyLz4(encoded, page, page);
  }
  return false;
}

}  // namespace

void encodePage(const PageImage& page, Bytes& out) {
  HF_CHECK(page.number > 0, "SQLite counts pages from 1");
  HF_CHECK(page.bytes.size() == kPageBytes, "every database has pages of kPageBytes");
  HF_CHECK(page.previous.empty() || page.previous.size() == kPageBytes, "a previous image is a page too");
  putVarint(out, page.number);
  if (page.previous.empty()) {
    encodeWhole(page.bytes, out);
  } else {
    encodeChange(page.bytes, page.previous, out);
  }
}

Result<void> RecoveredPage::applyTo(std::span<std::uint8_t> page) const {
  HF_CHECK(page.size() == kPageBytes, "every database has pages of kPageBytes");
  if (encoding > kPageEncodingLast || !apply(static_cast<PageEncoding>(encoding), encoded, page)) {
    return fail(Errc::kCorrupt, "page " + std::to_string(number) + " of a commit record cannot be decoded");
  }
  if (pageCheck(page) != check) {
    return fail(Errc::kCorrupt, "page " + std::to_string(number) +
                                    " of a commit record does not follow from the image it was recorded against");
  }
  return {};
}

}  // namespace hf::ledger
