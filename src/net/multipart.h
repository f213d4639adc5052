// multipart/form-data (RFC 7578) out of a body that is in memory as a whole. Strict: what is not well-formed is an
// error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace hf::net {

struct FormPart {
  std::string name;
  std::optional<std::string> filename;
  std::string contentType;  // as sent; empty when the part names none
  BytesView data;           // a view of the body
};

// The boundary parameter of a Content-Type header whose type is multipart/*; nothing if there is none.
std::optional<std::string> multipartBoundary(std::string_view contentType);

// The boundary of a body that looks like multipart, whatever its Content-Type says: the first line after "--".
std::optional<std::string> sniffMultipartBoundary(BytesView body);

// Parts in their order. kInvalidArgument with what was wrong; kLimit: more than 10,000 parts, or a part's head above 16
// KiB.
Result<std::vector<FormPart>> parseMultipart(BytesView body, std::string_view boundary);

}  // namespace hf::net
