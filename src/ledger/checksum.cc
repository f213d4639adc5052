#include "ledger/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace hf::ledger {

std::uint64_t checksum(BytesView bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t checksum(std::span<const BytesView> parts, std::uint64_t seed) {
  if (parts.size() == 1) return checksum(parts[0], seed);
  XXH3_state_t state;
  XXH3_INITSTATE(&state);  // reset looks at the seed of the use before
  XXH3_64bits_reset_withSeed(&state, seed);
  for (const BytesView part : parts) XXH3_64bits_update(&state, part.data(), part.size());
  return XXH3_64bits_digest(&state);
}

}  // namespace hf::ledger
