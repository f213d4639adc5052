// The checksum of everything that the ledger has on disk: XXH3, 64 bits, with a seed that differs per segment.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace hf::ledger {

[[nodiscard]] std::uint64_t checksum(BytesView bytes, std::uint64_t seed);
// The same over bytes that lie in several places.
[[nodiscard]] std::uint64_t checksum(std::span<const BytesView> parts, std::uint64_t seed);

}  // namespace hf::ledger
