// permessage-deflate (RFC 7692): what is negotiated, and messages deflated and inflated.
//
// Neither side ever takes its context over to the next message, so a socket keeps nothing between messages: one pair of
// zlib streams serves all sockets of a thread, and thousands of sleeping ones cost nothing. zlib is the host's.
// Thread:  any; each thread has its own streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace hf::net {

struct DeflateAgreement {
  int windowBits = 15;  // of what the server sends
};

// The first offer in the client's Sec-WebSocket-Extensions that can be met; nullopt: none.
std::optional<DeflateAgreement> negotiateDeflate(std::string_view offers);
// The server's answer to it.
std::string deflateAnswer(const DeflateAgreement& agreement);

// Appends the payload of a deflated message. False when it would not be shorter: nothing is appended.
bool deflateMessage(BytesView message, const DeflateAgreement& agreement, Bytes& out);

enum class Inflate : std::uint8_t { kOk, kCorrupt, kTooLarge };
// `out`: the message, at most bytesMax of it; no more memory than that is used, whatever the payload claims.
Inflate inflateMessage(BytesView payload, std::size_t bytesMax, Bytes& out);

}  // namespace hf::net
