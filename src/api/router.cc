#include "api/router.h"

#include <optional>

#include "base/check.h"

namespace hf::api {
namespace {

std::vector<std::string_view> segmentsOf(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    if (path.front() == '/') path.remove_prefix(1);
    const std::size_t end = path.find('/');
    out.push_back(path.substr(0, end));
    path = end == std::string_view::npos ? std::string_view() : path.substr(end);
  }
  return out;
}

struct Fit {
  int literals = 0;
  std::map<std::string, std::string, std::less<>> params;
};

std::optional<Fit> fit(std::string_view pattern, const std::vector<std::string_view>& segments) {
  const std::vector<std::string_view> wanted = segmentsOf(pattern);
  if (wanted.size() != segments.size()) return std::nullopt;
  Fit out;
  for (std::size_t index = 0; index < wanted.size(); ++index) {
    if (wanted[index].starts_with('{')) {
      std::optional<std::string> value = net::percentDecode(segments[index]);
      if (!value || value->empty()) return std::nullopt;
      out.params.emplace(wanted[index].substr(1, wanted[index].size() - 2), *std::move(value));
    } else if (wanted[index] == segments[index]) {
      ++out.literals;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

}  // namespace

const std::string& ApiRequest::param(std::string_view name) const {
  const auto found = params.find(name);
  HF_CHECK(found != params.end(), "the route's pattern has the parameter");
  return found->second;
}

std::string ApiRequest::queryValue(std::string_view name) const {
  const std::string* value = net::findQuery(query, name);
  return value == nullptr ? std::string() : *value;
}

std::string ApiRequest::header(std::string_view name) const {
  const std::string* value = net::findHeader(headers, name);
  return value == nullptr ? std::string() : *value;
}

std::string ApiRequest::source() const { return header("user-agent").starts_with("wrangler/") ? "wrangler" : "api"; }

std::optional<Json> ApiRequest::json() const { return parseJson(asText(body)); }

Checked<Router::Match> Router::find(std::string_view method, std::string_view path) const {
  const std::string_view asked = method == "HEAD" ? "GET" : method;
  const std::vector<std::string_view> segments = segmentsOf(path);
  std::optional<Match> best;
  int bestLiterals = -1;
  bool pathKnown = false;
  for (const Route& route : routes_) {
    std::optional<Fit> fitting = fit(route.pattern, segments);
    if (!fitting) continue;
    pathKnown = true;
    if (route.method != asked || fitting->literals <= bestLiterals) continue;
    bestLiterals = fitting->literals;
    best = Match{.handler = route.handler,
                 .bodyBytesMax = route.bodyBytesMax,
                 .changes = route.changes && asked != "GET",
                 .params = std::move(fitting->params)};
  }
  if (best) return *std::move(best);
  if (pathKnown) {
    return refuse(405, 7001, "Method " + std::string(method) + " not available for that URI.");
  }
  return refuse(404, 7003, "Could not route to " + std::string(path) + ", perhaps your object identifier is invalid?");
}

}  // namespace hf::api
