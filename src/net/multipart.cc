#include "net/multipart.h"

#include <algorithm>

#include "net/http_head.h"

namespace hf::net {
namespace {

constexpr std::size_t kPartsMax = 10'000;
constexpr std::size_t kPartHeadBytesMax = 16 * 1024;
constexpr std::size_t kBoundaryBytesMax = 70;

bool isBlank(char c) { return c == ' ' || c == '\t'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && isBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && isBlank(text.back())) text.remove_suffix(1);
  return text;
}

// Of RFC 2046's alphabet, blank excluded: nobody sends one, and at the end of a line it could not be told from padding.
bool isBoundary(std::string_view text) {
  return !text.empty() && text.size() <= kBoundaryBytesMax && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("'()+_,-./:=?").contains(c);
  });
}

// What browsers and undici escape in a quoted name: %22, %0D, %0A. Others use backslashes.
std::string unquote(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); i++) {
    const std::string_view rest = text.substr(i, 3);
    if (rest == "%22") {
      out.push_back('"');
      i += 2;
    } else if (equalsIgnoringCase(rest, "%0d")) {
      out.push_back('\r');
      i += 2;
    } else if (equalsIgnoringCase(rest, "%0a")) {
      out.push_back('\n');
      i += 2;
    } else if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) {
      out.push_back(text[++i]);
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// The next `; name=value` of `rest`. False at the end, and with `broken` set when it is none.
bool nextParameter(std::string_view& rest, std::string_view& name, std::string& value, bool& broken) {
  rest = trim(rest);
  if (rest.empty()) return false;
  broken = true;
  if (rest.front() != ';') return false;
  rest = trim(rest.substr(1));
  if (rest.empty()) {  // a trailing semicolon
    broken = false;
    return false;
  }
  const std::size_t equals = rest.find('=');
  if (equals == std::string_view::npos) return false;
  name = trim(rest.substr(0, equals));
  if (!isToken(name)) return false;
  rest = trim(rest.substr(equals + 1));
  if (!rest.starts_with('"')) {
    const std::string_view token = rest.substr(0, rest.find_first_of("; \t"));
    if (token.empty()) return false;
    value = token;
    rest.remove_prefix(token.size());
  } else {
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' && end + 1 < rest.size() ? 2 : 1;
    if (end >= rest.size()) return false;
    value = unquote(rest.substr(1, end - 1));
    rest.remove_prefix(end + 1);
  }
  broken = false;
  return true;
}

Result<void> readDisposition(std::string_view value, FormPart& part, bool& named) {
  const std::string_view type = value.substr(0, value.find(';'));
  if (!equalsIgnoringCase(trim(type), "form-data")) {
    return fail(Errc::kInvalidArgument, "multipart: a part's disposition is not form-data");
  }
  std::string_view rest = value.substr(type.size());
  std::string_view name;
  std::string text;
  bool broken = false;
  while (nextParameter(rest, name, text, broken)) {
    if (equalsIgnoringCase(name, "name")) {
      if (named) return fail(Errc::kInvalidArgument, "multipart: a part has two names");
      part.name = std::move(text);
      named = true;
    } else if (equalsIgnoringCase(name, "filename")) {
      part.filename = std::move(text);
    }
  }
  if (broken) return fail(Errc::kInvalidArgument, "multipart: a Content-Disposition is malformed");
  return {};
}

// `head`: lines, each with its CRLF, without the empty one.
Result<void> readPartHead(std::string_view head, FormPart& part) {
  bool named = false;
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !isToken(line.substr(0, colon))) {
      return fail(Errc::kInvalidArgument, "multipart: a part's header is malformed");
    }
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (!isHeaderValue(value))
      return fail(Errc::kInvalidArgument, "multipart: a part's header holds a control character");
    if (equalsIgnoringCase(name, "content-disposition")) {
      HF_TRY_VOID(readDisposition(value, part, named));
    } else if (equalsIgnoringCase(name, "content-type")) {
      part.contentType = value;
    } else if (equalsIgnoringCase(name, "content-transfer-encoding") && !equalsIgnoringCase(value, "binary") &&
               !equalsIgnoringCase(value, "8bit") && !equalsIgnoringCase(value, "7bit")) {
      return fail(Errc::kInvalidArgument, "multipart: the transfer encoding of a part is not supported");
    }
  }
  if (!named) return fail(Errc::kInvalidArgument, "multipart: a part has no name");
  return {};
}

}  // namespace

std::optional<std::string> multipartBoundary(std::string_view contentType) {
  const std::string_view type = contentType.substr(0, contentType.find(';'));
  if (trim(type).size() < 10 || !equalsIgnoringCase(trim(type).substr(0, 10), "multipart/")) return std::nullopt;
  std::string_view rest = contentType.substr(type.size());
  std::string_view name;
  std::string value;
  bool broken = false;
  while (nextParameter(rest, name, value, broken)) {
    if (equalsIgnoringCase(name, "boundary") && isBoundary(value)) return value;
  }
  return std::nullopt;
}

std::optional<std::string> sniffMultipartBoundary(BytesView body) {
  const std::string_view text = asText(body.first(std::min(body.size(), kBoundaryBytesMax + 4)));
  if (!text.starts_with("--")) return std::nullopt;
  const std::size_t end = text.find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view boundary = text.substr(2, end - 2);
  if (isBoundary(boundary)) return std::string(boundary);
  return std::nullopt;
}

Result<std::vector<FormPart>> parseMultipart(BytesView body, std::string_view boundary) {
  if (!isBoundary(boundary)) return fail(Errc::kInvalidArgument, "multipart: the boundary is malformed");
  const std::string_view text = asText(body);
  const std::string dashes = "--" + std::string(boundary);
  const std::string delimiter = "\r\n" + dashes;
  std::vector<FormPart> parts;
  // RFC 2046 allows a preamble; nobody sends one with form data, and what looks like one is a wrong boundary.
  if (!text.starts_with(dashes))
    return fail(Errc::kInvalidArgument, "multipart: the body does not begin with its boundary");
  std::size_t at = dashes.size();
  for (;;) {
    if (text.substr(at).starts_with("--")) return parts;  // what follows is an epilogue
    while (at < text.size() && isBlank(text[at])) at++;
    if (!text.substr(at).starts_with("\r\n"))
      return fail(Errc::kInvalidArgument, "multipart: a boundary's line does not end");
    at += 2;
    if (parts.size() == kPartsMax) return fail(Errc::kLimit, "multipart: there are too many parts");
    // A part without headers begins with the empty line.
    const std::string_view window = text.substr(at, kPartHeadBytesMax);
    const std::size_t headEnd = window.starts_with("\r\n") ? 0 : window.find("\r\n\r\n");
    if (headEnd == std::string_view::npos) {
      if (window.size() == kPartHeadBytesMax) return fail(Errc::kLimit, "multipart: a part's head is too large");
      return fail(Errc::kInvalidArgument, "multipart: a part's head does not end");
    }
    FormPart part;
    const std::size_t headBytes = headEnd == 0 ? 0 : headEnd + 2;
    HF_TRY_VOID(readPartHead(text.substr(at, headBytes), part));
    at += headBytes + 2;
    // The line break of the empty line may be the delimiter's: a part without data.
    const std::size_t end = text.find(delimiter, at - 2);
    if (end == std::string_view::npos) return fail(Errc::kInvalidArgument, "multipart: the last boundary is missing");
    if (end >= at) part.data = body.subspan(at, end - at);
    parts.push_back(std::move(part));
    at = end + delimiter.size();
  }
}

}  // namespace hf::net
