// Which function answers a method and a path.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/reply.h"
#include "api/task.h"
#include "base/limits.h"
#include "net/url.h"

namespace hf::api {

struct Core;

struct ApiRequest {
  std::string method;
  std::string path;                                        // below /client/v4, as sent
  std::map<std::string, std::string, std::less<>> params;  // "n" -> the script's name
  net::QueryList query;
  net::HeaderList headers;
  Bytes body;

  // Of the path: the route says that it is there.
  [[nodiscard]] const std::string& param(std::string_view name) const;
  // Empty when the query has none.
  [[nodiscard]] std::string queryValue(std::string_view name) const;
  [[nodiscard]] std::string header(std::string_view name) const;
  // "wrangler" or "api", by the User-Agent.
  [[nodiscard]] std::string source() const;
  [[nodiscard]] std::optional<Json> json() const;
};

// The request lives until the task has ended.
using Handler = Task<Answer> (*)(Core& core, const ApiRequest& request);

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/accounts/{a}/workers/scripts/{n}": a segment in braces is a parameter
  Handler handler = nullptr;
  std::size_t bodyBytesMax = limits::kUploadBytesMax;
  // False: it changes nothing in the account, so that deploys need not wait for it, whatever its method.
  bool changes = true;
};

class Router final {
 public:
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

  struct Match {
    Handler handler = nullptr;
    std::size_t bodyBytesMax = 0;
    bool changes = true;
    std::map<std::string, std::string, std::less<>> params;
  };
  // 7003 (404) when no pattern fits, 7001 (405) when one fits with another method. HEAD is answered as GET. A pattern
  // that names a segment wins over one that takes any.
  [[nodiscard]] Checked<Match> find(std::string_view method, std::string_view path) const;

 private:
  const std::vector<Route> routes_;
};

// Every endpoint, by area.
std::vector<Route> identityRoutes();
std::vector<Route> scriptRoutes();
std::vector<Route> versionRoutes();
std::vector<Route> settingsRoutes();
std::vector<Route> secretRoutes();
std::vector<Route> durableObjectRoutes();
std::vector<Route> maintenanceRoutes();  // of Holdfast's own: backup, export, import
std::vector<Route> unbuiltRoutes();      // a clear error that names the feature

}  // namespace hf::api
