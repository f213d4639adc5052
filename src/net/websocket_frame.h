// WebSocket frames as bytes (RFC 6455 section 5), and UTF-8 that arrives in pieces.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace hf::net {

enum class Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct FrameHeader {
  bool final = false;
  Opcode opcode = Opcode::kContinuation;
  bool isDeflated = false;
  std::uint64_t payloadBytes = 0;
  std::array<std::uint8_t, 4> mask{};
  std::size_t headerBytes = 0;
};

enum class FrameParse : std::uint8_t { kMore, kBad, kOk };
// May frames say that they are deflated (RFC 7692)?
enum class Deflated : std::uint8_t { kNever, kAllowed };
// Of a frame that a client sent: masked, shortest length. On kBad `why` is a literal.
FrameParse parseFrameHeader(BytesView input, Deflated deflated, FrameHeader& out, std::string_view& why);

// A frame that a server sends: final, not masked.
void appendFrameHeader(Bytes& out, Opcode opcode, std::size_t payloadBytes, bool isDeflated = false);

// `offset`: how many bytes of the payload came before.
void unmask(std::span<std::uint8_t> data, const std::array<std::uint8_t, 4>& mask, std::uint64_t offset);

bool isCloseCode(int code);

class Utf8Validator final {
 public:
  // False as soon as no continuation could make it valid.
  bool add(BytesView data);
  // No character is left unfinished.
  [[nodiscard]] bool isComplete() const { return missing_ == 0; }

 private:
  unsigned missing_ = 0;        // continuation bytes still to come
  std::uint8_t lowest_ = 0x80;  // bounds of the next one
  std::uint8_t highest_ = 0xbf;
};

}  // namespace hf::net
