#include "api/upload.h"

#include <algorithm>
#include <cctype>

#include "net/multipart.h"

namespace hf::api {
namespace {

using catalog::Module;
using catalog::ModuleKind;

std::string mediaType(std::string_view contentType) {
  std::string type(contentType.substr(0, contentType.find(';')));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return type;
}

std::string typeByExtension(std::string_view name) {
  if (name.ends_with(".js") || name.ends_with(".mjs")) return "application/javascript+module";
  if (name.ends_with(".wasm")) return "application/wasm";
  if (name.ends_with(".json")) return "application/json";
  if (name.ends_with(".txt") || name.ends_with(".html") || name.ends_with(".sql")) return "text/plain";
  if (name.ends_with(".map")) return "application/source-map";
  return "application/octet-stream";
}

Checked<ModuleKind> kindOf(const std::string& type, const std::string& name) {
  if (type == "application/javascript+module" || type == "text/javascript+module") return ModuleKind::kEsm;
  if (type == "application/wasm") return ModuleKind::kWasm;
  if (type == "application/octet-stream") return ModuleKind::kData;
  if (type == "text/plain" || type == "text/html" || type == "text/sql") return ModuleKind::kText;
  if (type == "application/json") return ModuleKind::kJson;
  if (type == "application/source-map") return ModuleKind::kSourceMap;
  if (type == "application/javascript" || type == "text/javascript" || type == "application/javascript+commonjs") {
    return refuse(400, 10021,
                  "The part '" + name + "' is in service-worker format or a CommonJS module (" + type +
                      "), which Holdfast does not run: write an ES module (export default { fetch }) and upload it as "
                      "application/javascript+module.");
  }
  if (type.starts_with("text/x-python")) {
    return refuse(400, 10021, "The part '" + name + "' is Python, which Holdfast does not run.");
  }
  return refuse(400, 10021, "The part '" + name + "' has the type '" + type + "', which is not the type of a module.");
}

Checked<Upload> fromJson(BytesView body, std::string_view field) {
  std::optional<Json> json = parseJson(asText(body));
  const Json* metadata = json ? memberOf(*json, std::string(field).c_str()) : nullptr;
  if (metadata == nullptr || !metadata->is_object()) {
    return refuse(400, 10001,
                  "Content-Type must be multipart/form-data with a part named '" + std::string(field) + "'.");
  }
  return Upload{.metadata = *metadata, .modules = {}};
}

}  // namespace

std::string moduleName(std::string_view name) {
  while (name.starts_with("./")) name.remove_prefix(2);
  return std::string(name);
}

Checked<Upload> decodeUpload(BytesView body, std::string_view contentType, std::string_view field) {
  std::optional<std::string> boundary = net::multipartBoundary(contentType);
  if (!boundary && body.size() >= 2 && body[0] == '-' && body[1] == '-') boundary = net::sniffMultipartBoundary(body);
  if (!boundary) return fromJson(body, field);
  const Result<std::vector<net::FormPart>> parts = net::parseMultipart(body, *boundary);
  if (!parts) return refuse(400, 10001, "The multipart body cannot be read: " + parts.error().message);

  Upload upload;
  bool hasMetadata = false;
  std::vector<std::pair<std::string, std::string>> brackets;
  const std::string prefix = std::string(field) + "[";
  for (const net::FormPart& part : *parts) {
    if (part.name == field) {
      std::optional<Json> json = parseJson(asText(part.data));
      if (!json || !json->is_object()) {
        return refuse(400, 10001, "The part '" + part.name + "' is not a JSON object.");
      }
      upload.metadata = *std::move(json);
      hasMetadata = true;
      continue;
    }
    if (part.name.starts_with(prefix)) {
      brackets.emplace_back(part.name.substr(field.size()), asText(part.data));
      continue;
    }
    // Fields that are no file and name no type belong to clients' own extensions.
    if (!part.filename && part.contentType.empty()) continue;
    const std::string name = moduleName(part.filename.value_or(part.name));
    const std::string type = part.contentType.empty() ? typeByExtension(name) : mediaType(part.contentType);
    HF_API_TRY(const ModuleKind kind, kindOf(type, name));
    if (std::ranges::count(upload.modules, name, &Module::name) != 0) {
      return refuse(400, 10021, "The module '" + name + "' was uploaded twice.");
    }
    upload.modules.push_back({.name = name, .kind = kind, .content = Bytes(part.data.begin(), part.data.end())});
  }
  if (!hasMetadata && !brackets.empty()) {
    HF_API_TRY(upload.metadata, decodeBracketFields(brackets));
    hasMetadata = true;
  }
  if (!hasMetadata) {
    return refuse(400, 10001, "The multipart body has no part named '" + std::string(field) + "'.");
  }
  return upload;
}

}  // namespace hf::api
