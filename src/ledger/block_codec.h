// LZ4 blocks, for what is written once in large pieces.
// Thread: any.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.h"

namespace hf::ledger {

// Empty if it would not be smaller. At most 1 GiB.
Bytes compressBlock(BytesView bytes);
// nullopt if `block` is not what compressBlock made of so many bytes.
std::optional<Bytes> decompressBlock(BytesView block, std::size_t bytes);

}  // namespace hf::ledger
