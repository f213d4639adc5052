#include "ledger/checksum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "base/random.h"

namespace hf::ledger {
namespace {

RC_GTEST_PROP(Checksum, IsTheSameHoweverTheBytesLie, (std::uint64_t seed)) {
  SeededRandom random(seed);
  Bytes bytes(random.below(5000));
  random.fill(bytes);
  for (int use = 0; use < 3; use++) {
    const std::uint64_t salt = random.next64() >> (use * 30);
    std::vector<BytesView> parts;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t count = std::min<std::size_t>(1 + random.below(1500), bytes.size() - at);
      parts.push_back(BytesView(bytes).subspan(at, count));
      at += count;
    }
    RC_ASSERT(checksum(parts, salt) == checksum(bytes, salt));
    if (!bytes.empty()) RC_ASSERT(checksum(bytes, salt) != checksum(bytes, salt ^ 1));
  }
}

}  // namespace
}  // namespace hf::ledger
