// The control plane: what wrangler and the cloudflare SDK speak to. Serves /client/v4/... and GET /healthz.
// Thread:  everything on the loop's thread (the control thread), construction included.
// Borrows: loop, catalog, runtime, log, clock, random: all outlive the server.
// Errors:  start: kIo when the address cannot be listened on. Whatever a request does wrong is answered in Cloudflare's
//          envelope.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "api/maintenance.h"
#include "api/runtime.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "catalog/catalog.h"

namespace hf::net {
class EventLoop;
}

namespace hf::api {

struct ApiOptions {
  std::string accountId;
  std::string token;             // what clients send as Bearer
  std::string domain;            // "localhost": Workers are at http://SCRIPT.DOMAIN:publicPort
  std::uint16_t publicPort = 0;  // of the data plane's front door
  std::string version;           // of Holdfast, for /healthz
  // What GET /healthz asks besides; empty: nothing. On the loop's thread.
  std::function<Result<void>()> health;
  // What /holdfast/... asks; nullptr: that is not served. Outlives the server.
  Maintenance* maintenance = nullptr;
};

class ApiServer {
 public:
  virtual ~ApiServer() = default;
  // Listens and serves. Returns the bound port (`port` 0 takes a free one). First resumes the deletion of namespaces
  // that an earlier run left queued.
  virtual Result<std::uint16_t> start(const std::string& host, std::uint16_t port) = 0;
  // Stops accepting, finishes what runs; `done` then runs on the loop's thread.
  virtual void drain(Completion<Result<void>> done) = 0;
  // What GET /healthz says; false answers 503.
  virtual void setHealth(bool healthy, std::string reason) = 0;
};

std::unique_ptr<ApiServer> makeApiServer(net::EventLoop& loop, catalog::Catalog& catalog, Runtime& runtime,
                                         const Log& log, const Clock& clock, Random& random, ApiOptions options);

}  // namespace hf::api
