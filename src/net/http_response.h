// Response heads as bytes, written by hand into one buffer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/http_server.h"

namespace hf::net {

std::string_view reasonPhrase(int status);

// The Date header's value, made once a second. One per loop.
class DateCache final {
 public:
  [[nodiscard]] std::string_view now();

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

// What the net room decides about a response.
struct ResponseFraming {
  bool chunked = false;
  bool close = false;      // says `connection: close`
  bool keepAlive = false;  // says `connection: keep-alive`, for HTTP/1.0
  std::optional<std::uint64_t> contentLength;
};

// False when the head cannot be sent as it is: a status outside 200..599, a header that would break the framing.
bool isSendable(const ResponseHead& head);
// The value of the handler's own content-length, if it is a number.
std::optional<std::uint64_t> ownContentLength(const HeaderList& headers);
bool asksForClose(const HeaderList& headers);

void appendText(Bytes& out, std::string_view text);
// Appends status line, headers and empty line. Hop-by-hop headers of `head` are left out.
void appendResponseHead(Bytes& out, const ResponseHead& head, const ResponseFraming& framing, std::string_view date);
// 101, with the key's answer. `extensions`: what was agreed on, perhaps nothing.
void appendUpgradeHead(Bytes& out, const ResponseHead& head, std::string_view webSocketKey,
                       std::string_view extensions);

}  // namespace hf::net
