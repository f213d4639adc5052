// What stands before Beast's parser: a request's head is looked at as raw bytes, and whatever two parsers could read in
// two ways is refused (request smuggling), also where Beast would be lenient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http_server.h"

namespace hf::net {

// Characters of a method or a header's name.
bool isToken(std::string_view text);
// No control characters except tabs.
bool isHeaderValue(std::string_view text);
bool equalsIgnoringCase(std::string_view a, std::string_view b);
// Is `token` (lowercase) one of the comma-separated elements of `list`?
bool listContains(std::string_view list, std::string_view token);

// An answer that ends the connection.
struct HttpRefusal {
  int status = 400;
  std::string_view text;  // a literal
};

// What the head says about the connection and the body.
struct HeadFacts {
  int minor = 1;
  bool wantsClose = false;
  bool wantsKeepAlive = false;
  bool chunked = false;
  bool expectsContinue = false;
  bool connectionUpgrade = false;  // "upgrade" among the tokens of Connection
  bool upgradeWebSocket = false;   // "websocket" among the tokens of Upgrade
  bool webSocketVersion13 = false;
  std::optional<std::uint64_t> contentLength;
  std::string webSocketKey;         // empty unless it is 16 bytes in base64
  std::string webSocketExtensions;  // all that are offered, as one list
};

// `head` ends with the empty line, CRLF CRLF.
std::optional<HttpRefusal> checkHead(std::string_view head, const HttpServerOptions& options, HeadFacts& facts);

// Finds the end of a head that arrives in pieces, and refuses early what cannot become one.
class HeadScanner final {
 public:
  // `input`: all that has come so far since reset(). Where the head ends, behind the empty line; 0 when it has not yet.
  std::size_t find(std::string_view input, const HttpServerOptions& options, std::optional<HttpRefusal>& refusal);
  void reset() { *this = {}; }

 private:
  std::size_t line_ = 0;     // where the current line begins
  std::size_t scanned_ = 0;  // no line feed before here that was not seen
  bool firstLine_ = true;
};

}  // namespace hf::net
