// Bytes into the multipart parser: parts lie inside the body, in order, and hold no boundary.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "net/multipart.h"
#include "net/url.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const hf::BytesView body(data, size);
  // The same bytes as other foreign text that the control plane reads.
  const std::string_view text = hf::asText(body);
  const auto named = hf::net::multipartBoundary(text.substr(0, text.find('\n')));
  HF_CHECK(!named || !named->empty(), "a boundary is not empty");
  for (const auto& [name, value] : hf::net::parseQuery(text)) {
    HF_CHECK(hf::net::percentDecode(hf::net::percentEncode(name)) == name, "encoding can be undone");
  }
  const auto boundary = hf::net::sniffMultipartBoundary(body);
  if (!boundary) return 0;
  const auto parts = hf::net::parseMultipart(body, *boundary);
  if (!parts) return 0;
  const std::uint8_t* last = data;
  for (const hf::net::FormPart& part : *parts) {
    if (part.data.empty()) continue;
    HF_CHECK(part.data.data() >= last && part.data.data() + part.data.size() <= data + size, "a part lies in the body");
    last = part.data.data() + part.data.size();
    HF_CHECK(!hf::asText(part.data).contains("\r\n--" + *boundary), "a part holds no boundary");
  }
  return 0;
}
