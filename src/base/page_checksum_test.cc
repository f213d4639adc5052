#include "base/page_checksum.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace hf {
namespace {

TEST(PageChecksum, SeesEveryBitThatFlips) {
  SeededRandom random(7);
  Bytes page(4096);
  random.fill(page);
  stampPageChecksum(page);
  ASSERT_TRUE(pageChecksumFits(page));
  for (std::size_t at = 0; at < page.size(); at++) {
    for (unsigned bit = 0; bit < 8; bit++) {
      page[at] ^= static_cast<std::uint8_t>(1U << bit);
      ASSERT_FALSE(pageChecksumFits(page)) << at << " " << bit;
      page[at] ^= static_cast<std::uint8_t>(1U << bit);
    }
  }
}

// The words 1, 2, 3 ... summed by hand as cksumvfs.c does: s1 += word + s2; s2 += word + s1.
TEST(PageChecksum, IsSQLitesOwn) {
  Bytes page(24, 0);
  page[0] = 1;
  page[4] = 2;
  page[8] = 3;
  page[12] = 4;
  stampPageChecksum(page);
  // s1 = 1, s2 = 3; s1 = 1 + 3 + 3 = 7, s2 = 3 + 4 + 7 = 14.
  EXPECT_EQ(page[16], 7);
  EXPECT_EQ(page[20], 14);
}

TEST(PageChecksum, OfAPageThatNobodyWroteFits) { EXPECT_TRUE(pageChecksumFits(Bytes(4096, 0))); }

}  // namespace
}  // namespace hf
