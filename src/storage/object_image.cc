#include "storage/object_image.h"

#include <algorithm>

#include "base/check.h"
#include "base/page_checksum.h"

namespace hf::storage {
namespace {

constexpr std::uint32_t kPagesAtOnce = 64;

}  // namespace

Result<void> ObjectImage::readPage(std::uint32_t number, std::span<std::uint8_t, kPageBytes> out) const {
  HF_CHECK(number >= 1 && number <= snapshot_.pageCount, "a page lies inside its database");
  const auto it = std::ranges::lower_bound(snapshot_.pages, number, {}, &NumberedPage::first);
  if (it != snapshot_.pages.end() && it->first == number) {
    std::ranges::copy(*it->second, out.begin());
    return {};
  }
  if (snapshot_.fileCounts && number <= snapshot_.fileLimit) return files_.readPage(object_, number, out);
  std::ranges::fill(out, std::uint8_t{0});
  return {};
}

Result<void> ObjectImage::copyTo(File& out, const Progress& progress) const {
  Bytes run(std::size_t{kPagesAtOnce} * kPageBytes);
  for (std::uint32_t first = 1; first <= pageCount(); first += kPagesAtOnce) {
    const std::uint32_t count = std::min(kPagesAtOnce, pageCount() - first + 1);
    for (std::uint32_t i = 0; i < count; i++) {
      const auto page = std::span(run).subspan(std::size_t{i} * kPageBytes).first<kPageBytes>();
      HF_TRY_VOID(readPage(first + i, page));
      stampPageChecksum(page);
    }
    const BytesView part = BytesView(run).first(std::size_t{count} * kPageBytes);
    const std::uint64_t offset = std::uint64_t{first - 1} * kPageBytes;
    HF_TRY_VOID(out.writeAt(offset, std::span(&part, 1)));
    if (progress) HF_TRY_VOID(progress(offset + part.size()));
  }
  return {};
}

}  // namespace hf::storage
