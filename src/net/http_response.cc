#include "net/http_response.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "base/check.h"
#include "base/clock.h"
#include "net/http_head.h"

namespace hf::net {
namespace {

// Ours to set, or meaningless in a response of ours.
bool isFraming(std::string_view name) {
  switch (name.size()) {
    case 7:
      return equalsIgnoringCase(name, "upgrade");
    case 10:
      return equalsIgnoringCase(name, "connection") || equalsIgnoringCase(name, "keep-alive");
    case 14:
      return equalsIgnoringCase(name, "content-length");
    case 16:
      return equalsIgnoringCase(name, "proxy-connection");
    case 17:
      return equalsIgnoringCase(name, "transfer-encoding");
    default:
      return false;
  }
}

void appendNumber(Bytes& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  appendText(out, {digits.data(), end.ptr});
}

void appendHeader(Bytes& out, const Header& header) {
  appendText(out, header.name);
  appendText(out, ": ");
  appendText(out, header.value);
  appendText(out, "\r\n");
}

}  // namespace

std::string_view reasonPhrase(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 418:
      return "I'm a teapot";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Entity";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

std::string_view DateCache::now() {
  const std::int64_t second = systemClock().wallMs() / 1000;
  if (second != second_) {
    second_ = second;
    const std::time_t time = second;
    std::tm parts{};
    HF_CHECK(::gmtime_r(&time, &parts) != nullptr, "the year fits");
    // By hand: strftime would speak the process's language.
    constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto two = [](int n) {
      return std::string{static_cast<char>('0' + n / 10), static_cast<char>('0' + n % 10)};
    };
    text_ = std::string(kDays[static_cast<std::size_t>(parts.tm_wday)]) + ", " + two(parts.tm_mday) + " " +
            std::string(kMonths[static_cast<std::size_t>(parts.tm_mon)]) + " " + std::to_string(parts.tm_year + 1900) +
            " " + two(parts.tm_hour) + ":" + two(parts.tm_min) + ":" + two(parts.tm_sec) + " GMT";
  }
  return text_;
}

bool isSendable(const ResponseHead& head) {
  return head.status >= 200 && head.status <= 599 && isHeaderValue(head.reason) &&
         std::ranges::all_of(head.headers, [](const Header& h) { return isToken(h.name) && isHeaderValue(h.value); });
}

std::optional<std::uint64_t> ownContentLength(const HeaderList& headers) {
  const std::string* text = findHeader(headers, "content-length");
  if (text == nullptr) return std::nullopt;
  std::uint64_t length = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), length);
  if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size()) return std::nullopt;
  return length;
}

bool asksForClose(const HeaderList& headers) {
  const std::string* connection = findHeader(headers, "connection");
  return connection != nullptr && listContains(*connection, "close");
}

void appendText(Bytes& out, std::string_view text) { out.insert(out.end(), text.begin(), text.end()); }

void appendResponseHead(Bytes& out, const ResponseHead& head, const ResponseFraming& framing, std::string_view date) {
  if (head.status == 200 && head.reason.empty()) {
    appendText(out, "HTTP/1.1 200 OK\r\n");
  } else {
    appendText(out, "HTTP/1.1 ");
    appendNumber(out, static_cast<std::uint64_t>(head.status));
    appendText(out, " ");
    appendText(out, head.reason.empty() ? reasonPhrase(head.status) : std::string_view(head.reason));
    appendText(out, "\r\n");
  }
  bool hasDate = false;
  for (const Header& header : head.headers) {
    if (isFraming(header.name)) continue;
    hasDate |= header.name.size() == 4 && equalsIgnoringCase(header.name, "date");
    appendHeader(out, header);
  }
  if (!hasDate) {
    appendText(out, "date: ");
    appendText(out, date);
    appendText(out, "\r\n");
  }
  if (framing.contentLength) {
    appendText(out, "content-length: ");
    appendNumber(out, *framing.contentLength);
    appendText(out, "\r\n");
  }
  if (framing.chunked) appendText(out, "transfer-encoding: chunked\r\n");
  if (framing.close) {
    appendText(out, "connection: close\r\n");
  } else if (framing.keepAlive) {
    appendText(out, "connection: keep-alive\r\n");
  }
  appendText(out, "\r\n");
}

void appendUpgradeHead(Bytes& out, const ResponseHead& head, std::string_view webSocketKey,
                       std::string_view extensions) {
  const std::string salted = std::string(webSocketKey) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<std::uint8_t, 20> hash{};
  unsigned int hashBytes = 0;
  HF_CHECK(EVP_Digest(salted.data(), salted.size(), hash.data(), &hashBytes, EVP_sha1(), nullptr) == 1 &&
               hashBytes == hash.size(),
           "SHA-1 is there and has 20 bytes");
  std::array<std::uint8_t, 29> text{};  // 28 digits and a NUL
  EVP_EncodeBlock(text.data(), hash.data(), static_cast<int>(hash.size()));
  appendText(out,
             "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ");
  appendText(out, asText(BytesView(text).first(28)));
  appendText(out, "\r\n");
  if (!extensions.empty()) {
    appendText(out, "sec-websocket-extensions: ");
    appendText(out, extensions);
    appendText(out, "\r\n");
  }
  for (const Header& header : head.headers) {
    if (isFraming(header.name) || equalsIgnoringCase(header.name, "sec-websocket-accept")) continue;
    // Extensions are this room's: one that user code echoes back would lie.
    if (equalsIgnoringCase(header.name, "sec-websocket-extensions")) continue;
    appendHeader(out, header);
  }
  appendText(out, "\r\n");
}

}  // namespace hf::net
