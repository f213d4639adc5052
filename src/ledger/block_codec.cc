#include "ledger/block_codec.h"

#include <lz4.h>

#include "base/check.h"

namespace hf::ledger {

Bytes compressBlock(BytesView bytes) {
  HF_CHECK(bytes.size() <= LZ4_MAX_INPUT_SIZE, "blocks are smaller than what LZ4 takes");
  if (bytes.size() < 2) return {};
  Bytes block(bytes.size() - 1);
  const int size =
      LZ4_compress_default(reinterpret_cast<const char*>(bytes.data()), reinterpret_cast<char*>(block.data()),
                           static_cast<int>(bytes.size()), static_cast<int>(block.size()));
  block.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return block;
}

std::optional<Bytes> decompressBlock(BytesView block, std::size_t bytes) {
  if (block.size() > LZ4_MAX_INPUT_SIZE || bytes > LZ4_MAX_INPUT_SIZE) return std::nullopt;
  Bytes out(bytes);
  const int size = LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(out.data()),
                                       static_cast<int>(block.size()), static_cast<int>(out.size()));
  if (size < 0 || static_cast<std::size_t>(size) != bytes) return std::nullopt;
  return out;
}

}  // namespace hf::ledger
