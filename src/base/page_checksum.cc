#include "base/page_checksum.h"

#include <array>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace hf {
namespace {

static_assert(std::endian::native == std::endian::little, "the sum is over little-endian words");

using Sum = std::array<std::uint32_t, 2>;
static_assert(sizeof(Sum) == kPageChecksumBytes);

Sum sumOf(BytesView page) {
  HF_CHECK(page.size() >= 2 * kPageChecksumBytes && page.size() % 8 == 0, "a page is a number of pairs of words");
  Sum sum{};
  const std::uint8_t* const end = page.data() + page.size() - kPageChecksumBytes;
  for (const std::uint8_t* at = page.data(); at < end; at += sizeof(Sum)) {
    Sum words;
    std::memcpy(words.data(), at, sizeof words);
    sum[0] += words[0] + sum[1];
    sum[1] += words[1] + sum[0];
  }
  return sum;
}

}  // namespace

void stampPageChecksum(std::span<std::uint8_t> page) {
  const Sum sum = sumOf(page);
  std::memcpy(page.data() + page.size() - sizeof sum, sum.data(), sizeof sum);
}

bool pageChecksumFits(BytesView page) {
  const Sum sum = sumOf(page);
  return std::memcmp(page.data() + page.size() - sizeof sum, sum.data(), sizeof sum) == 0;
}

}  // namespace hf
