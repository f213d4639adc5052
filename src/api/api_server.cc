// Invariants
//  1. A request that changes something holds core.lock from before it reads until its answer is made.
//  2. Running requests own the core: the server may go while one of them waits for the runtime.
#include "api/api_server.h"

#include <openssl/crypto.h>

#include "api/core.h"
#include "api/router.h"
#include "base/check.h"
#include "base/limits.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "net/url.h"

namespace hf::api {
namespace {

constexpr std::string_view kPrefix = "/client/v4";

std::vector<Route> allRoutes() {
  std::vector<Route> all;
  for (auto routes : {identityRoutes(), scriptRoutes(), versionRoutes(), settingsRoutes(), secretRoutes(),
                      durableObjectRoutes(), maintenanceRoutes(), unbuiltRoutes()}) {
    all.insert(all.end(), routes.begin(), routes.end());
  }
  return all;
}

std::unexpected<ApiError> malformedAuthorization() {
  ApiError error{.status = 400, .entries = {}};
  error.entries.push_back(
      {.code = 6003,
       .message = "Invalid request headers",
       .errorChain = Json::array({Json{{"code", 6111}, {"message", "Invalid format for Authorization header"}}})});
  return std::unexpected(std::move(error));
}

bool sameToken(std::string_view sent, std::string_view expected) {
  return sent.size() == expected.size() && CRYPTO_memcmp(sent.data(), expected.data(), sent.size()) == 0;
}

std::unexpected<ApiError> notYours() { return refuse(403, 10000, "Authentication error"); }

Checked<void> authenticate(const net::HeaderList& headers, std::string_view path, const ApiOptions& options) {
  const std::string* authorization = net::findHeader(headers, "authorization");
  std::string_view token;
  if (authorization != nullptr) {
    constexpr std::string_view kScheme = "Bearer ";
    if (!authorization->starts_with(kScheme) || authorization->size() == kScheme.size()) {
      return malformedAuthorization();
    }
    token = std::string_view(*authorization).substr(kScheme.size());
  } else if (const std::string* key = net::findHeader(headers, "x-auth-key")) {
    token = *key;  // the older form: the same secret under another name
  } else {
    return refuse(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers");
  }
  if (sameToken(token, options.token)) return {};
  if (path.ends_with("/tokens/verify")) return refuse(401, 1000, "Invalid API Token");
  return notYours();
}

net::ResponseHead jsonHead(int status) {
  return {.status = status, .reason = {}, .headers = {{"content-type", "application/json"}}};
}

void respond(net::Exchange& exchange, const Answer& answer) {
  if (!answer) {
    exchange.respond(jsonHead(answer.error().status), renderError(answer.error()));
  } else if (answer->raw) {
    exchange.respond({.status = answer->status, .reason = {}, .headers = answer->raw->headers}, answer->raw->body);
  } else {
    exchange.respond(jsonHead(answer->status), renderReply(*answer));
  }
}

Task<Checked<Bytes>> readBody(net::Exchange& exchange, std::size_t bytesMax) {
  const auto tooLarge = [bytesMax] {
    return refuse(413, 10027, "The request is larger than " + std::to_string(bytesMax / 1024 / 1024) + " MiB.");
  };
  Bytes body;
  if (!exchange.hasBody()) co_return body;
  if (exchange.contentLength().value_or(0) > bytesMax) co_return tooLarge();
  for (;;) {
    Await<Bytes> reading([&exchange](Completion<Result<Bytes>> done) { exchange.readBody(std::move(done)); });
    const Result<Bytes> piece = co_await reading;
    if (!piece) co_return refuse(400, 10001, "The body could not be read: " + piece.error().message);
    if (piece->empty()) co_return body;
    if (body.size() + piece->size() > bytesMax) co_return tooLarge();
    body.insert(body.end(), piece->begin(), piece->end());
  }
}

// Everything from the head to the answer.
Task<Answer> serve(std::shared_ptr<Core> core, const Router& router, net::Exchange& exchange) {
  ApiRequest request;
  request.method = exchange.method();
  const net::TargetParts target = net::splitTarget(exchange.target());
  if (target.path != kPrefix && !target.path.starts_with(std::string(kPrefix) + "/")) {
    co_return refuse(404, 7003,
                     "Could not route to " + std::string(target.path) +
                         ", perhaps your object identifier is invalid? The API is at " + std::string(kPrefix) + ".");
  }
  request.path = target.path.substr(kPrefix.size());
  request.query = net::parseQuery(target.query);
  request.headers = exchange.takeHeaders();
  if (auto allowed = authenticate(request.headers, request.path, core->options); !allowed) {
    co_return std::unexpected(allowed.error());
  }
  HF_API_CO_TRY(Router::Match match, router.find(request.method, request.path));
  request.params = std::move(match.params);
  const auto account = request.params.find("a");
  if (account != request.params.end() && account->second != core->options.accountId) co_return notYours();
  HF_API_CO_TRY(request.body, co_await readBody(exchange, match.bodyBytesMax));

  if (!match.changes) co_return co_await match.handler(*core, request);
  Await<AsyncLock::Held> acquiring = core->lock.acquire();
  HF_API_CO_TRY(const AsyncLock::Held held, orInternal(co_await acquiring));
  Answer answer = co_await match.handler(*core, request);
  deletePending(core);
  co_return answer;
}

// Until the stream ends, or fails: then the connection is cut, so that the client can tell.
Detached sendStream(std::shared_ptr<net::Exchange> exchange, std::shared_ptr<ByteStream> stream) {
  exchange->startResponse({.status = 200, .reason = {}, .headers = {{"content-type", "application/octet-stream"}}},
                          std::nullopt);
  for (;;) {
    Await<Bytes> reading([&stream](Completion<Result<Bytes>> done) { stream->read(std::move(done)); });
    Result<Bytes> piece = co_await reading;
    if (!piece) {
      exchange->abort();
      co_return;
    }
    if (piece->empty()) {
      exchange->finish();
      co_return;
    }
    Await<void> writing(
        [&exchange, &piece](Completion<Result<void>> done) { exchange->write(*std::move(piece), std::move(done)); });
    const Result<void> written = co_await writing;
    if (!written) co_return;
  }
}

Detached run(std::shared_ptr<Core> core, std::shared_ptr<const Router> router,
             std::shared_ptr<net::Exchange> exchange) {
  const std::string method = exchange->method();
  const std::string target = exchange->target();
  try {
    const Answer answer = co_await serve(core, *router, *exchange);
    if (answer && answer->stream != nullptr) {
      sendStream(exchange, answer->stream);
    } else {
      respond(*exchange, answer);
    }
    const std::string status = std::to_string(answer ? answer->status : answer.error().status);
    core->log.debug("api", {{"method", method}, {"target", target}, {"status", status}});
  } catch (const std::exception& thrown) {
    // nlohmann throws on a type it did not expect, which is a mistake of ours: this request fails, the server goes on.
    core->log.error("api: a handler threw", {{"method", method}, {"target", target}, {"what", thrown.what()}});
    respond(*exchange, refuse(500, 10013, "Internal error"));
  }
}

class Server final : public ApiServer, private net::HttpHandler {
 public:
  Server(net::EventLoop& loop, std::shared_ptr<Core> core) : loop_(loop), core_(std::move(core)) {}
  ~Server() override { core_->lock.close(); }

  Result<std::uint16_t> start(const std::string& host, std::uint16_t port) override {
    HF_CHECK(server_ == nullptr, "started once");
    net::HttpServerOptions options;
    options.host = host;
    options.port = port;
    HF_TRY(server_, net::HttpServer::create(loop_, *this, std::move(options)));
    deletePending(core_);
    return server_->port();
  }

  void drain(Completion<Result<void>> done) override {
    if (server_ == nullptr) return done({});
    server_->drain([done = std::move(done)]() mutable { done({}); });
  }

  void setHealth(bool healthy, std::string reason) override {
    core_->healthy = healthy;
    core_->unhealthyReason = std::move(reason);
  }

 private:
  void onRequest(std::shared_ptr<net::Exchange> exchange) override {
    if (net::splitTarget(exchange->target()).path == "/healthz") return answerHealth(*exchange);
    run(core_, router_, std::move(exchange));
  }

  void answerHealth(net::Exchange& exchange) const {
    Result<void> health = core_->healthy ? Result<void>() : fail(Errc::kIo, core_->unhealthyReason);
    if (health && core_->options.health) health = core_->options.health();
    Json body{{"status", health ? "ok" : "unhealthy"}, {"version", core_->options.version}};
    if (!health) body["reason"] = health.error().message;
    const std::string text = dumpJson(body) + "\n";
    const BytesView bytes = asBytes(text);
    exchange.respond(jsonHead(health ? 200 : 503), Bytes(bytes.begin(), bytes.end()));
  }

  net::EventLoop& loop_;
  const std::shared_ptr<Core> core_;                                                    // with running requests
  const std::shared_ptr<const Router> router_ = std::make_shared<Router>(allRoutes());  // with running requests
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

std::unique_ptr<ApiServer> makeApiServer(net::EventLoop& loop, catalog::Catalog& catalog, Runtime& runtime,
                                         const Log& log, const Clock& clock, Random& random, ApiOptions options) {
  auto core = std::shared_ptr<Core>(new Core{.catalog = catalog,
                                             .runtime = runtime,
                                             .log = log,
                                             .clock = clock,
                                             .random = random,
                                             .options = std::move(options),
                                             .lock = AsyncLock(loop)});
  return std::make_unique<Server>(loop, std::move(core));
}

}  // namespace hf::api
