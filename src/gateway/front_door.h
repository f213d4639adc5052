// The data plane's front door on one shard: host name → script, request → event, what may be trusted about the client.
// Thread:  its shard's.
// Borrows: the Target, which outlives it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "net/http_server.h"

namespace hf::gateway {

// A request for a script.
struct ScriptRequest {
  std::string script;
  std::string method;
  std::string url;                   // absolute
  std::vector<std::string> headers;  // name, value, ...
  std::shared_ptr<net::Exchange> exchange;
};

// What runs scripts on this shard.
class Target {
 public:
  virtual ~Target() = default;
  [[nodiscard]] virtual bool hasScript(std::string_view name) const = 0;
  virtual void fetch(ScriptRequest request) = 0;
};

struct FrontDoorOptions {
  std::string domain;         // Workers answer at SCRIPT.domain
  std::string defaultScript;  // answers for the domain itself and for bare addresses; empty: nobody
};

// Where a host name leads.
struct Route {
  enum class Kind : std::uint8_t { kScript, kWelcome, kUnknown };
  Kind kind = Kind::kUnknown;
  std::string script;
};
// `host`: as the client sent it, with or without a port.
Route routeOf(std::string_view host, const FrontDoorOptions& options);

class FrontDoor final : public net::HttpHandler {
 public:
  FrontDoor(Target& target, FrontDoorOptions options, unsigned shard);

  void onRequest(std::shared_ptr<net::Exchange> exchange) override;

 private:
  std::string newRay();

  Target& target_;
  const FrontDoorOptions options_;
  std::uint64_t ray_;
};

}  // namespace hf::gateway
