#include "storage/bookmark.h"

#include <array>
#include <cstdio>

#include "ledger/checksum.h"
#include "ledger/wire.h"

namespace hf::storage {
namespace {

constexpr std::size_t kTextBytes = 8 + 1 + 8 + 1 + 8 + 1 + 32;
constexpr std::uint64_t kUndo = 1;

std::uint64_t seal(const Bookmark& bookmark, const ObjectKey& object, const ledger::LedgerId& ledger,
                   std::uint64_t seed) {
  Bytes bytes;
  ledger::putBytes(bytes, ledger);
  ledger::putBytes(bytes, object.ns.bytes);
  ledger::putBytes(bytes, object.id.bytes);
  ledger::putVarint(bytes, bookmark.position.value);
  bytes.push_back(bookmark.isUndo ? 1 : 0);
  return ledger::checksum(bytes, seed);
}

}  // namespace

std::string formatBookmark(const Bookmark& bookmark, const ObjectKey& object, const ledger::LedgerId& ledger) {
  std::array<char, kTextBytes + 1> text{};
  std::snprintf(text.data(), text.size(), "%08llx-%08llx-%08llx-%016llx%016llx",
                static_cast<unsigned long long>(bookmark.position.value >> 32),
                static_cast<unsigned long long>(bookmark.position.value & 0xffffffff),
                static_cast<unsigned long long>(bookmark.isUndo ? kUndo : 0),
                static_cast<unsigned long long>(seal(bookmark, object, ledger, 1)),
                static_cast<unsigned long long>(seal(bookmark, object, ledger, 2)));
  return text.data();
}

Result<Bookmark> parseBookmark(std::string_view text, const ObjectKey& object, const ledger::LedgerId& ledger) {
  unsigned long long high = 0;
  unsigned long long low = 0;
  unsigned long long kind = 0;
  const std::string copy(text);
  if (text.size() == kTextBytes && std::sscanf(copy.c_str(), "%8llx-%8llx-%8llx-", &high, &low, &kind) == 3) {
    const Bookmark bookmark{.position = {(std::uint64_t{high} << 32) | low}, .isUndo = kind == kUndo};
    // Also refuses what only looks like one.
    if (formatBookmark(bookmark, object, ledger) == text) return bookmark;
  }
  return fail(Errc::kInvalidArgument, "The bookmark is not one of this Durable Object: '" + copy.substr(0, 100) + "'");
}

}  // namespace hf::storage
