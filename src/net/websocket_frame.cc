#include "net/websocket_frame.h"

#include <cstring>

namespace hf::net {

FrameParse parseFrameHeader(BytesView input, Deflated deflated, FrameHeader& out, std::string_view& why) {
  const auto bad = [&](std::string_view text) {
    why = text;
    return FrameParse::kBad;
  };
  if (input.size() < 2) return FrameParse::kMore;
  if ((input[0] & 0x30) != 0) return bad("Received frame had RSV bits 2 or 3 set");
  const unsigned opcode = input[0] & 0x0f;
  out.isDeflated = (input[0] & 0x40) != 0;
  // Only the first frame of a message says it.
  if (out.isDeflated && (deflated == Deflated::kNever || opcode == 0 || opcode >= 8)) {
    return bad("Received frame had RSV bit 1 set");
  }
  if ((opcode > 2 && opcode < 8) || opcode > 10) return bad("Received frame had an unknown opcode");
  if ((input[1] & 0x80) == 0) return bad("Received frame was not masked");
  out.final = (input[0] & 0x80) != 0;
  out.opcode = static_cast<Opcode>(opcode);
  const unsigned shortLength = input[1] & 0x7f;
  if (opcode >= 8 && (!out.final || shortLength > 125)) return bad("Received control frame was fragmented or too long");
  const std::size_t lengthBytes = shortLength == 127 ? 8 : shortLength == 126 ? 2 : 0;
  out.headerBytes = 2 + lengthBytes + 4;
  if (input.size() < out.headerBytes) return FrameParse::kMore;
  out.payloadBytes = shortLength;
  if (lengthBytes > 0) {
    out.payloadBytes = 0;
    for (std::size_t i = 0; i < lengthBytes; i++) out.payloadBytes = (out.payloadBytes << 8) | input[2 + i];
    if (out.payloadBytes <= (lengthBytes == 2 ? 125U : 0xffffU))
      return bad("Received frame had a length that is not in its shortest form");
    if (out.payloadBytes >> 63 != 0) return bad("Received frame had a negative length");
  }
  std::memcpy(out.mask.data(), input.data() + 2 + lengthBytes, out.mask.size());
  return FrameParse::kOk;
}

void appendFrameHeader(Bytes& out, Opcode opcode, std::size_t payloadBytes, bool isDeflated) {
  out.push_back(static_cast<std::uint8_t>((isDeflated ? 0xc0U : 0x80U) | static_cast<unsigned>(opcode)));
  const auto big = [&](unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<std::uint8_t>(payloadBytes >> (8 * i)));
  };
  if (payloadBytes <= 125) {
    out.push_back(static_cast<std::uint8_t>(payloadBytes));
  } else if (payloadBytes <= 0xffff) {
    out.push_back(126);
    big(2);
  } else {
    out.push_back(127);
    big(8);
  }
}

void unmask(std::span<std::uint8_t> data, const std::array<std::uint8_t, 4>& mask, std::uint64_t offset) {
  std::array<std::uint8_t, 8> turned;
  for (std::size_t i = 0; i < turned.size(); i++) turned[i] = mask[(offset + i) % 4];
  std::uint64_t word = 0;
  std::memcpy(&word, turned.data(), sizeof word);
  std::size_t at = 0;
  for (; at + 8 <= data.size(); at += 8) {
    std::uint64_t value = 0;
    std::memcpy(&value, data.data() + at, sizeof value);
    value ^= word;
    std::memcpy(data.data() + at, &value, sizeof value);
  }
  for (; at < data.size(); at++) data[at] ^= turned[at % 4];
}

bool isCloseCode(int code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

bool Utf8Validator::add(BytesView data) {
  std::size_t at = 0;
  while (at < data.size()) {
    if (missing_ == 0) {
      // Most text is ASCII: eight at a time.
      std::uint64_t word = 0;
      while (at + 8 <= data.size()) {
        std::memcpy(&word, data.data() + at, sizeof word);
        if ((word & 0x8080808080808080ULL) != 0) break;
        at += 8;
      }
      if (at == data.size()) return true;
      const std::uint8_t lead = data[at++];
      if (lead < 0x80) continue;
      lowest_ = 0x80;
      highest_ = 0xbf;
      if (lead >= 0xc2 && lead <= 0xdf) {
        missing_ = 1;
      } else if (lead >= 0xe0 && lead <= 0xef) {
        missing_ = 2;
        if (lead == 0xe0) lowest_ = 0xa0;   // longer than needed
        if (lead == 0xed) highest_ = 0x9f;  // surrogates
      } else if (lead >= 0xf0 && lead <= 0xf4) {
        missing_ = 3;
        if (lead == 0xf0) lowest_ = 0x90;
        if (lead == 0xf4) highest_ = 0x8f;  // above U+10FFFF
      } else {
        return false;
      }
      continue;
    }
    const std::uint8_t next = data[at++];
    if (next < lowest_ || next > highest_) return false;
    lowest_ = 0x80;
    highest_ = 0xbf;
    missing_--;
  }
  return true;
}

}  // namespace hf::net
