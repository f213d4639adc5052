#include "api/reply.h"

namespace hf::api {
namespace {

// Deep enough for any configuration; printing JSON costs stack by depth.
constexpr int kJsonDepthMax = 200;

bool tooDeep(std::string_view text) {
  int depth = 0;
  bool inString = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (inString) {
      if (c == '\\') ++at;
      if (c == '"') inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Bytes bytesOf(const Json& json) {
  const std::string text = dumpJson(json);
  const BytesView view = asBytes(text);
  return {view.begin(), view.end()};
}

}  // namespace

std::unexpected<ApiError> refuse(int status, int code, std::string message) {
  ApiError error{.status = status, .entries = {}};
  error.entries.push_back({.code = code, .message = std::move(message)});
  return std::unexpected(std::move(error));
}

std::unexpected<ApiError> refuse(const catalog::PlanError& plan) {
  ApiError error{.status = plan.status, .entries = {}};
  error.entries.push_back({.code = plan.code, .message = plan.message, .meta = plan.meta});
  return std::unexpected(std::move(error));
}

std::unexpected<ApiError> internal(const Error& error) {
  const int status = error.code == Errc::kNoSpace ? 507 : error.code == Errc::kCancelled ? 503 : 500;
  return refuse(status, 10013, "Internal error: " + error.message);
}

Reply ok(Json result) {
  Reply reply;
  reply.result = std::move(result);
  return reply;
}

Reply list(Json result, Json resultInfo) {
  Reply reply = ok(std::move(result));
  reply.resultInfo = std::move(resultInfo);
  return reply;
}

Bytes renderReply(const Reply& reply) {
  Json messages = Json::array();
  for (const std::string& message : reply.messages) messages.push_back(message);
  Json envelope{
      {"success", true}, {"errors", Json::array()}, {"messages", std::move(messages)}, {"result", reply.result}};
  if (!reply.resultInfo.is_null()) envelope["result_info"] = reply.resultInfo;
  return bytesOf(envelope);
}

Bytes renderError(const ApiError& error) {
  Json entries = Json::array();
  for (const ApiError::Entry& entry : error.entries) {
    Json json{{"code", entry.code}, {"message", entry.message}};
    if (!entry.documentationUrl.empty()) json["documentation_url"] = entry.documentationUrl;
    if (!entry.errorChain.is_null()) json["error_chain"] = entry.errorChain;
    if (!entry.meta.is_null()) json["meta"] = entry.meta;
    entries.push_back(std::move(json));
  }
  return bytesOf(
      Json{{"success", false}, {"errors", std::move(entries)}, {"messages", Json::array()}, {"result", nullptr}});
}

std::string dumpJson(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::optional<Json> parseJson(std::string_view text) {
  if (tooDeep(text)) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

const Json* memberOf(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto member = object.find(key);
  return member == object.end() ? nullptr : &*member;
}

std::string textOf(const Json& object, const char* key) {
  const Json* member = memberOf(object, key);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

std::optional<bool> boolOf(const Json& object, const char* key) {
  const Json* member = memberOf(object, key);
  if (member == nullptr || !member->is_boolean()) return std::nullopt;
  return member->get<bool>();
}

std::optional<double> numberOf(const Json& object, const char* key) {
  const Json* member = memberOf(object, key);
  if (member == nullptr || !member->is_number()) return std::nullopt;
  return member->get<double>();
}

}  // namespace hf::api
