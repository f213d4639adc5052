// An uploaded Worker as it comes over the wire: metadata and modules, in the two encodings that clients use.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/reply.h"
#include "catalog/snapshot.h"

namespace hf::api {

struct Upload {
  Json metadata = Json::object();
  std::vector<catalog::Module> modules;
};

// `field`: the part or bracket prefix that holds the metadata: "metadata", or "settings".
// The content type is only a hint: the SDK sends multipart as application/javascript (spec control-plane 11).
Checked<Upload> decodeUpload(BytesView body, std::string_view contentType, std::string_view field);

// Bracket fields ("metadata[bindings][][type]", "plain_text") back to JSON: spec control-plane 11.2. `fields` hold the
// path after the prefix. Numbers and booleans are restored where Cloudflare's schema has them.
Checked<Json> decodeBracketFields(const std::vector<std::pair<std::string, std::string>>& fields);

// A leading "./" names nothing.
std::string moduleName(std::string_view name);

}  // namespace hf::api
