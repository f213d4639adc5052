#include "net/http_head.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace hf::net {
namespace {

constexpr std::array<bool, 256> kTokenCharacters = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; c++) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; c++) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; c++) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<std::uint8_t>(c)] = true;
  return table;
}();

constexpr std::array<bool, 256> kValueCharacters = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x20; c < 256; c++) table[c] = c != 0x7f;
  table['\t'] = true;
  return table;
}();

constexpr std::size_t kMethodBytesMax = 32;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

template <class F>
void forEachElement(std::string_view list, F&& use) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    use(trim(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

// 16 bytes in base64: 22 digits and "==".
bool isWebSocketKey(std::string_view text) {
  if (text.size() != 24 || !text.ends_with("==")) return false;
  return std::ranges::all_of(text.substr(0, 22), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
  });
}

bool isHost(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return std::string_view(" \t,/?#@\\<>\"").contains(c); });
}

std::optional<HttpRefusal> checkRequestLine(std::string_view line, const HttpServerOptions& options, HeadFacts& facts) {
  const std::size_t methodEnd = line.find(' ');
  if (methodEnd == std::string_view::npos) return HttpRefusal{400, "The request line is malformed."};
  const std::string_view method = line.substr(0, methodEnd);
  if (method.size() > kMethodBytesMax) return HttpRefusal{501, "The method is not implemented."};
  if (!isToken(method)) return HttpRefusal{400, "The method is malformed."};
  const std::size_t targetEnd = line.find(' ', methodEnd + 1);
  if (targetEnd == std::string_view::npos) return HttpRefusal{400, "The request line is malformed."};
  const std::string_view target = line.substr(methodEnd + 1, targetEnd - methodEnd - 1);
  if (target.size() > options.targetBytesMax) return HttpRefusal{414, "The request target is too long."};
  if (target.empty() || !isHeaderValue(target) || target.contains('\t')) {
    return HttpRefusal{400, "The request target is malformed."};
  }
  const std::string_view version = line.substr(targetEnd + 1);
  if (version == "HTTP/1.1") {
    facts.minor = 1;
  } else if (version == "HTTP/1.0") {
    facts.minor = 0;
  } else if (version.size() == 8 && version.starts_with("HTTP/") && version[6] == '.') {
    return HttpRefusal{505, "This version of HTTP is not spoken here."};
  } else {
    return HttpRefusal{400, "The request line is malformed."};
  }
  return std::nullopt;
}

// What repeated headers are compared with.
struct Seen {
  std::size_t hosts = 0;
  std::size_t transferEncodings = 0;
};

std::optional<HttpRefusal> checkContentLength(std::string_view value, HeadFacts& facts) {
  // Twice is refused even when both agree: nobody needs it, and lists have fooled parsers before.
  if (facts.contentLength) return HttpRefusal{400, "Content-Length is given twice."};
  std::uint64_t length = 0;
  const auto parsed = std::from_chars(value.data(), value.data() + value.size(), length);
  // from_chars takes no sign for an unsigned type, and no blanks.
  if (value.empty() || parsed.ec != std::errc() || parsed.ptr != value.data() + value.size()) {
    return HttpRefusal{400, "Content-Length is not a number."};
  }
  facts.contentLength = length;
  return std::nullopt;
}

std::optional<HttpRefusal> checkKnownField(std::string_view name, std::string_view value, HeadFacts& facts,
                                           Seen& seen) {
  const auto is = [&](std::string_view known) { return equalsIgnoringCase(name, known); };
  switch (name.size()) {
    case 4:
      if (!is("host")) break;
      if (++seen.hosts > 1) return HttpRefusal{400, "Host is given twice."};
      if (!isHost(value)) return HttpRefusal{400, "Host is malformed."};
      break;
    case 6:
      if (!is("expect")) break;
      if (!equalsIgnoringCase(value, "100-continue")) return HttpRefusal{417, "This expectation cannot be met."};
      facts.expectsContinue = true;
      break;
    case 7:
      if (is("upgrade") && listContains(value, "websocket")) facts.upgradeWebSocket = true;
      break;
    case 10:
      if (!is("connection")) break;
      forEachElement(value, [&](std::string_view element) {
        facts.wantsClose |= equalsIgnoringCase(element, "close");
        facts.wantsKeepAlive |= equalsIgnoringCase(element, "keep-alive");
        facts.connectionUpgrade |= equalsIgnoringCase(element, "upgrade");
      });
      break;
    case 14:
      if (is("content-length")) return checkContentLength(value, facts);
      break;
    case 17:
      if (is("sec-websocket-key")) {
        // A second key makes it no handshake.
        facts.webSocketKey = facts.webSocketKey.empty() && isWebSocketKey(value) ? std::string(value) : "";
        break;
      }
      if (!is("transfer-encoding")) break;
      if (++seen.transferEncodings > 1) return HttpRefusal{400, "Transfer-Encoding is given twice."};
      if (!equalsIgnoringCase(value, "chunked"))
        return HttpRefusal{501, "Only the chunked transfer coding is implemented."};
      facts.chunked = true;
      break;
    case 21:
      if (is("sec-websocket-version")) facts.webSocketVersion13 = value == "13";
      break;
    case 24:
      if (!is("sec-websocket-extensions")) break;
      if (!facts.webSocketExtensions.empty()) facts.webSocketExtensions += ',';
      facts.webSocketExtensions += value;
      break;
    default:
      break;
  }
  return std::nullopt;
}

}  // namespace

bool isToken(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return kTokenCharacters[static_cast<std::uint8_t>(c)]; });
}

bool isHeaderValue(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return kValueCharacters[static_cast<std::uint8_t>(c)]; });
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool listContains(std::string_view list, std::string_view token) {
  bool found = false;
  forEachElement(list, [&](std::string_view element) { found |= equalsIgnoringCase(element, token); });
  return found;
}

const std::string* findHeader(const HeaderList& headers, std::string_view name) {
  const auto it = std::ranges::find_if(headers, [&](const Header& h) { return equalsIgnoringCase(h.name, name); });
  return it == headers.end() ? nullptr : &it->value;
}

std::optional<HttpRefusal> checkHead(std::string_view head, const HttpServerOptions& options, HeadFacts& facts) {
  facts = {};
  Seen seen;
  std::size_t fields = 0;
  std::size_t end = head.find("\r\n");
  if (auto refusal = checkRequestLine(head.substr(0, end), options, facts)) return refusal;
  for (std::size_t begin = end + 2;; begin = end + 2) {
    end = head.find("\r\n", begin);
    if (end == begin) break;
    const std::string_view line = head.substr(begin, end - begin);
    if (++fields > options.headerCountMax) return HttpRefusal{431, "There are too many headers."};
    if (line.front() == ' ' || line.front() == '\t') return HttpRefusal{400, "A header is folded over two lines."};
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return HttpRefusal{400, "A header has no colon."};
    const std::string_view name = line.substr(0, colon);
    if (!isToken(name)) return HttpRefusal{400, "A header's name is malformed."};
    const std::string_view value = trim(line.substr(colon + 1));
    if (!isHeaderValue(value)) return HttpRefusal{400, "A header's value holds a control character."};
    if (auto refusal = checkKnownField(name, value, facts, seen)) return refusal;
  }
  if (facts.minor == 1 && seen.hosts == 0) return HttpRefusal{400, "Host is missing."};
  if (facts.chunked && facts.contentLength) {
    return HttpRefusal{400, "Content-Length and Transfer-Encoding exclude each other."};
  }
  if (facts.chunked && facts.minor == 0) return HttpRefusal{400, "HTTP/1.0 has no Transfer-Encoding."};
  if (facts.minor == 0) facts.expectsContinue = false;
  return std::nullopt;
}

std::size_t HeadScanner::find(std::string_view input, const HttpServerOptions& options,
                              std::optional<HttpRefusal>& refusal) {
  for (;;) {
    const std::size_t feed = input.find('\n', scanned_);
    if (feed == std::string_view::npos) break;
    scanned_ = feed + 1;
    if (feed == line_ || input[feed - 1] != '\r') {
      refusal = HttpRefusal{400, "A line does not end with CR LF."};
      return 0;
    }
    const bool emptyLine = feed == line_ + 1;
    line_ = scanned_;
    if (!emptyLine) {
      firstLine_ = false;
      continue;
    }
    if (firstLine_) {
      refusal = HttpRefusal{400, "The request line is empty."};
      return 0;
    }
    if (scanned_ > options.headerBytesMax) break;
    return scanned_;
  }
  scanned_ = std::max(scanned_, input.size());
  if (firstLine_ && input.size() > options.targetBytesMax + kMethodBytesMax + 16) {
    refusal = HttpRefusal{414, "The request target is too long."};
  } else if (input.size() > options.headerBytesMax) {
    refusal = HttpRefusal{431, "The request's headers are too large."};
  }
  return 0;
}

}  // namespace hf::net
