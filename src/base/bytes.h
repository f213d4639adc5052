// Bytes: owned and borrowed byte sequences, one spelling for the whole house.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hf {

using Bytes = std::vector<std::uint8_t>;
using BytesView = std::span<const std::uint8_t>;

inline BytesView asBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view asText(BytesView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Lowercase, two digits a byte.
std::string toHex(BytesView bytes);
// Accepts either case. False when the length is odd, differs from `out`, or a digit is not hexadecimal.
[[nodiscard]] bool fromHex(std::string_view hex, std::span<std::uint8_t> out);

}  // namespace hf
