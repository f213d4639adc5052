// What an endpoint answers: a value in Cloudflare's envelope, or an error with HTTP status and code. Both matter:
// wrangler looks at "success" and the code, the SDK at the status.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "catalog/planner.h"
#include "catalog/records.h"
#include "net/http_server.h"

namespace hf::api {

using catalog::Json;

class ByteStream;

struct ApiError {
  struct Entry {
    int code = 0;
    std::string message;
    Json meta = nullptr;
    Json errorChain = nullptr;
    std::string documentationUrl;
  };
  int status = 400;
  std::vector<Entry> entries;
};

struct Reply {
  int status = 200;
  Json result = nullptr;
  Json resultInfo = nullptr;
  std::vector<std::string> messages;
  // Instead of the envelope: bytes with these headers.
  struct Raw {
    net::HeaderList headers;
    Bytes body;
  };
  std::optional<Raw> raw;
  // Instead of either: bytes as they come, as application/octet-stream. Two owners: this and who sends it.
  std::shared_ptr<ByteStream> stream;
};

using Answer = std::expected<Reply, ApiError>;
template <class T>
using Checked = std::expected<T, ApiError>;

std::unexpected<ApiError> refuse(int status, int code, std::string message);
std::unexpected<ApiError> refuse(const catalog::PlanError& error);
// What our own side failed at: 500 10013, 507 when the disk is full; never a status that means "your request is wrong".
std::unexpected<ApiError> internal(const Error& error);

Reply ok(Json result);
Reply list(Json result, Json resultInfo);

Bytes renderReply(const Reply& reply);
Bytes renderError(const ApiError& error);

// UTF-8 that is not valid is replaced: what a client sent may come back in an answer.
std::string dumpJson(const Json& json);
// Nothing when it does not parse or nests deeper than anything that we understand. Duplicate keys: the last one counts.
std::optional<Json> parseJson(std::string_view text);

// The members of an object, where they are of the type asked for.
const Json* memberOf(const Json& object, const char* key);
std::string textOf(const Json& object, const char* key);
std::optional<bool> boolOf(const Json& object, const char* key);
std::optional<double> numberOf(const Json& object, const char* key);

// HF_API_TRY(auto x, f()): passes an ApiError up. HF_API_CO_TRY is the same in a coroutine.
#define HF_API_TRY(declaration, ...)                                           \
  auto HF_CONCAT(hfChecked, __LINE__) = (__VA_ARGS__);                         \
  if (!HF_CONCAT(hfChecked, __LINE__)) [[unlikely]] {                          \
    return std::unexpected(std::move(HF_CONCAT(hfChecked, __LINE__)).error()); \
  }                                                                            \
  declaration = *std::move(HF_CONCAT(hfChecked, __LINE__))
#define HF_API_CO_TRY(declaration, ...)                                           \
  auto HF_CONCAT(hfChecked, __LINE__) = (__VA_ARGS__);                            \
  if (!HF_CONCAT(hfChecked, __LINE__)) [[unlikely]] {                             \
    co_return std::unexpected(std::move(HF_CONCAT(hfChecked, __LINE__)).error()); \
  }                                                                               \
  declaration = *std::move(HF_CONCAT(hfChecked, __LINE__))

// The same for a Result<T> of ours: its error becomes a 5xx.
template <class T>
Checked<T> orInternal(Result<T> result) {
  if (!result) return internal(result.error());
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return *std::move(result);
  }
}

}  // namespace hf::api
