// The reader of stored values that goes first; V8's own comes behind it (serializer_test.cc gives that one broken
// bytes, inside the Node host, which has no sanitizers). Bytes that are read are written again and must say the same.
#include <cstring>
#include <iterator>
#include <memory>
#include <variant>

#include "base/check.h"
#include "js/clone_format.h"

namespace hf::js {
namespace {

std::string write(const ClonePrimitive& value) {
  std::string out(std::begin(kCloneHeader), std::end(kCloneHeader));
  const auto tag = [&](CloneTag tag) { out += static_cast<char>(tag); };
  const auto varint = [&](std::uint32_t number) {
    std::uint8_t bytes[5];
    out.append(bytes, writeCloneVarint(bytes, number));
  };
  if (std::holds_alternative<CloneUndefined>(value)) {
    tag(CloneTag::kUndefined);
  } else if (std::holds_alternative<CloneNull>(value)) {
    tag(CloneTag::kNull);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    tag(*flag ? CloneTag::kTrue : CloneTag::kFalse);
  } else if (const auto* integer = std::get_if<std::int32_t>(&value)) {
    tag(CloneTag::kInt32);
    varint(zigZag(*integer));
  } else if (const auto* real = std::get_if<double>(&value)) {
    tag(CloneTag::kDouble);
    out.append(reinterpret_cast<const char*>(real), sizeof *real);
  } else {
    const std::string_view text = std::get<CloneString>(value).latin1;
    tag(CloneTag::kOneByteString);
    varint(static_cast<std::uint32_t>(text.size()));
    out += text;
  }
  return out;
}

bool same(const ClonePrimitive& a, const ClonePrimitive& b) { return write(a) == write(b); }

}  // namespace
}  // namespace hf::js

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hf::js;
  // Of exactly this size, so that one byte further is seen.
  const std::unique_ptr<std::uint8_t[]> copy(new std::uint8_t[size]);
  std::memcpy(copy.get(), data, size);
  const hf::BytesView bytes(copy.get(), size);
  const auto value = readClonePrimitive(bytes);
  if (!value) return 0;
  if (const auto* text = std::get_if<CloneString>(&*value)) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(text->latin1.data());
    HF_CHECK(begin >= bytes.data() && begin + text->latin1.size() <= bytes.data() + size, "a text lies in the bytes");
  }
  const std::string again = write(*value);
  const auto twice = readClonePrimitive(hf::asBytes(again));
  HF_CHECK(twice && same(*value, *twice), "what was read is written and read again");
  return 0;
}
