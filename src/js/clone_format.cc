#include "js/clone_format.h"

#include <cstring>
#include <iterator>

namespace hf::js {
namespace {

// As V8 reads one: what does not fit is cut off.
bool readVarint(BytesView& bytes, std::uint32_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 35 && !bytes.empty(); shift += 7) {
    const std::uint8_t byte = bytes.front();
    bytes = bytes.subspan(1);
    value |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

}  // namespace

std::uint8_t* writeCloneVarint(std::uint8_t* out, std::uint32_t value) {
  while (value >= 0x80) {
    *out++ = static_cast<std::uint8_t>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<std::uint8_t>(value);
  return out;
}

std::optional<ClonePrimitive> readClonePrimitive(BytesView bytes) {
  constexpr std::size_t kHeaderBytes = std::size(kCloneHeader);
  if (bytes.size() <= kHeaderBytes || std::memcmp(bytes.data(), kCloneHeader, kHeaderBytes) != 0) return std::nullopt;
  const auto tag = static_cast<CloneTag>(bytes[kHeaderBytes]);
  bytes = bytes.subspan(kHeaderBytes + 1);
  std::uint32_t word = 0;
  switch (tag) {
    case CloneTag::kUndefined:
      return CloneUndefined();
    case CloneTag::kNull:
      return CloneNull();
    case CloneTag::kTrue:
      return true;
    case CloneTag::kFalse:
      return false;
    case CloneTag::kInt32:
      if (!readVarint(bytes, word)) return std::nullopt;
      return static_cast<std::int32_t>((word >> 1) ^ -(word & 1));
    case CloneTag::kDouble: {
      double number = 0;
      if (bytes.size() < sizeof number) return std::nullopt;
      std::memcpy(&number, bytes.data(), sizeof number);
      return number;
    }
    case CloneTag::kOneByteString:
      if (!readVarint(bytes, word) || word > bytes.size()) return std::nullopt;
      return CloneString(asText(bytes.first(word)));
    default:
      return std::nullopt;
  }
}

}  // namespace hf::js
