// Numbers and bytes as records spell them: little-endian, LEB128 for what is mostly small.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/bytes.h"

namespace hf::ledger {

static_assert(std::endian::native == std::endian::little, "numbers are stored as memory holds them");

inline void putBytes(Bytes& out, BytesView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

inline void putVarint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

inline void putFixed32(Bytes& out, std::uint32_t value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

// Signed numbers with the sign in the lowest bit, so that those near zero stay short.
inline std::uint64_t zigzag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
inline std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

// Reads from bytes that may be anything. After the first read beyond the end, or of a malformed number, ok() is false
// and everything read is zero or empty.
class WireReader final {
 public:
  explicit WireReader(BytesView bytes) : rest_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }
  [[nodiscard]] BytesView rest() const { return rest_; }

  BytesView bytes(std::uint64_t count) {
    if (count > rest_.size()) {
      failed();
      return {};
    }
    const BytesView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  std::uint8_t byte() {
    const BytesView one = bytes(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }

  std::uint32_t fixed32() {
    std::uint32_t value = 0;
    const BytesView taken = bytes(sizeof value);
    if (!taken.empty()) std::memcpy(&value, taken.data(), sizeof value);
    return value;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      if (!ok_) return 0;
      if (shift == 63 && next > 1) break;
      value |= static_cast<std::uint64_t>(next & 0x7f) << shift;
      if (next < 0x80) return value;
    }
    failed();
    return 0;
  }

  // A varint that must not exceed `most`.
  std::uint64_t varintUpTo(std::uint64_t most) {
    const std::uint64_t value = varint();
    if (value > most) {
      failed();
      return 0;
    }
    return value;
  }

 private:
  void failed() {
    ok_ = false;
    rest_ = {};
  }

  BytesView rest_;
  bool ok_ = true;
};

}  // namespace hf::ledger
