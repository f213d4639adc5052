#include "gateway/front_door.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "base/random.h"

namespace hf::gateway {
namespace {

// Set by the front door alone; what a client sends under these names is dropped.
constexpr std::array<std::string_view, 4> kOurHeaders = {"cf-connecting-ip", "cf-ray", "x-forwarded-proto",
                                                         "x-real-ip"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

bool isOurs(std::string_view name) {
  return std::ranges::any_of(kOurHeaders, [&](std::string_view ours) {
    return std::ranges::equal(name, ours, [](unsigned char a, unsigned char b) { return std::tolower(a) == b; });
  });
}

bool isAddress(std::string_view host) {
  if (host.starts_with('[')) return true;
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string_view withoutPort(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.ends_with(']')) return host;
  return host.substr(0, colon);
}

// "http://host:80/path?query" taken apart; nothing: another form of request target.
struct AbsoluteTarget {
  std::string_view host;
  std::string_view rest;  // "/path?query", "?query" or nothing
};
std::optional<AbsoluteTarget> absoluteTarget(std::string_view target) {
  const std::size_t slashes = target.find("://");
  if (slashes == std::string_view::npos) return std::nullopt;
  const std::string scheme = lower(target.substr(0, slashes));
  if (scheme != "http" && scheme != "https") return std::nullopt;
  target.remove_prefix(slashes + 3);
  const std::size_t end = std::min(target.find_first_of("/?#\\"), target.size());
  const std::string_view host = target.substr(0, end);
  // Names and passwords in there are only good for deceiving.
  if (host.empty() || host.contains('@')) return std::nullopt;
  return AbsoluteTarget{.host = host, .rest = target.substr(end)};
}

void answer(net::Exchange& exchange, int status, std::string_view text) {
  net::ResponseHead head;
  head.status = status;
  head.headers = {{"content-type", "text/plain; charset=utf-8"}};
  exchange.respond(std::move(head), Bytes(text.begin(), text.end()));
}

}  // namespace

Route routeOf(std::string_view hostAndPort, const FrontDoorOptions& options) {
  std::string host = lower(withoutPort(hostAndPort));
  if (host.ends_with('.')) host.pop_back();
  const std::string domain = lower(options.domain);
  if (host == domain || isAddress(host)) {
    if (options.defaultScript.empty()) return {.kind = Route::Kind::kWelcome};
    return {.kind = Route::Kind::kScript, .script = options.defaultScript};
  }
  const std::string suffix = "." + domain;
  if (!host.ends_with(suffix)) return {};
  return {.kind = Route::Kind::kScript, .script = host.substr(0, host.size() - suffix.size())};
}

FrontDoor::FrontDoor(Target& target, FrontDoorOptions options, unsigned shard)
    : target_(target), options_(std::move(options)) {
  ray_ = (systemRandom().next64() << 40) | (static_cast<std::uint64_t>(shard) << 32);
}

std::string FrontDoor::newRay() {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  const std::uint64_t value = ray_++;
  std::string ray;
  ray.reserve(20);
  for (int shift = 60; shift >= 0; shift -= 4) ray.push_back(kDigits[(value >> shift) & 15]);
  return ray + "-HLF";
}

void FrontDoor::onRequest(std::shared_ptr<net::Exchange> exchange) {
  std::string_view host;
  for (const auto& [name, value] : exchange->headers()) {
    if (name.size() == 4 && lower(name) == "host") host = value;
  }
  std::string_view target = exchange->target();
  if (const auto absolute = absoluteTarget(target)) {
    // The target's host counts, and the Host header beside it does not (RFC 9112, 3.2.2).
    host = absolute->host;
    target = absolute->rest;
  } else if (!target.starts_with('/')) {
    answer(*exchange, 400, "The request target is neither a path nor an absolute URL.\n");
    return;
  }
  const Route route = routeOf(host, options_);
  if (route.kind == Route::Kind::kWelcome) {
    answer(*exchange, 200, "Holdfast is running. A Worker answers at http://SCRIPT." + options_.domain + "/\n");
    return;
  }
  if (route.kind == Route::Kind::kUnknown || !target_.hasScript(route.script)) {
    const std::string name = route.kind == Route::Kind::kUnknown ? std::string(host) : route.script;
    answer(*exchange, 404,
           "There is no Worker here: the host name \"" + std::string(host) + "\" names no deployed script" +
               (route.kind == Route::Kind::kUnknown ? "" : " (\"" + name + "\")") + ".\n");
    return;
  }
  ScriptRequest request;
  request.script = route.script;
  request.method = exchange->method();
  request.url.reserve(8 + host.size() + target.size());
  request.url = "http://";
  request.url += host;
  request.url += target;
  const auto& headers = exchange->headers();
  request.headers.reserve((headers.size() + kOurHeaders.size()) * 2);
  for (const auto& [name, value] : headers) {
    if (isOurs(name)) continue;
    request.headers.emplace_back(name);
    request.headers.emplace_back(value);
  }
  const std::string& peer = exchange->peerAddress();
  const std::string values[] = {peer, newRay(), "http", peer};
  for (std::size_t i = 0; i < kOurHeaders.size(); i++) {
    request.headers.emplace_back(kOurHeaders[i]);
    request.headers.push_back(values[i]);
  }
  request.exchange = std::move(exchange);
  target_.fetch(std::move(request));
}

}  // namespace hf::gateway
