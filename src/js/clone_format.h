// Primitives in V8's format of structured clone (v8/src/objects/value-serializer.cc): those that the Serializer reads
// and writes without V8's help. Pure, so that the reader of foreign bytes can be fuzzed under the sanitizers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

#include "base/bytes.h"

namespace hf::js {

inline constexpr std::uint8_t kCloneHeader[] = {0xff, 15};

// V8's tags.
enum class CloneTag : std::uint8_t {
  kUndefined = '_',
  kNull = '0',
  kTrue = 'T',
  kFalse = 'F',
  kInt32 = 'I',
  kDouble = 'N',
  kOneByteString = '"',
};

struct CloneUndefined {};
struct CloneNull {};
// Latin-1, borrowed from the bytes.
struct CloneString {
  std::string_view latin1;
};
using ClonePrimitive = std::variant<CloneUndefined, CloneNull, bool, std::int32_t, double, CloneString>;

// nullopt: it is something else, or broken, and V8 has to say which. What follows the value is not looked at, as V8
// does.
std::optional<ClonePrimitive> readClonePrimitive(BytesView bytes);

// At most five bytes; returns the end.
std::uint8_t* writeCloneVarint(std::uint8_t* out, std::uint32_t value);
inline std::uint32_t zigZag(std::int32_t number) {
  return (static_cast<std::uint32_t>(number) << 1) ^ static_cast<std::uint32_t>(number >> 31);
}

}  // namespace hf::js
