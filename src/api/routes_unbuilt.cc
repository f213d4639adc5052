// What clients ask for on the way and this release does not have: empty lists where a client only looks, a clear
// refusal where a user wants something.
#include "api/core.h"
#include "api/page.h"
#include "api/router.h"

namespace hf::api {
namespace {

Task<Answer> emptyPage(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const PageRequest page, parsePage(request, 20, 1000));
  co_return pageOf(Json::array(), page);
}

Task<Answer> emptyList(Core& core, const ApiRequest& request) { co_return ok(Json::array()); }

Task<Answer> noTails(Core& core, const ApiRequest& request) {
  co_return refuse(404, 7003,
                   "Tails (wrangler tail) are not part of this release of Holdfast. The server's own log shows what "
                   "Workers write to the console.");
}

// Resources that wrangler looks for or makes before it uploads a Worker which binds them.
template <const char* kWhat>
Task<Answer> notThere(Core& core, const ApiRequest& request) {
  co_return refuse(404, 7003, std::string(kWhat) + " are not part of this release of Holdfast.");
}
constexpr char kKv[] = "KV namespaces";
constexpr char kR2[] = "R2 buckets";
constexpr char kD1[] = "D1 databases";
constexpr char kQueues[] = "Queues";
constexpr char kDispatch[] = "Dispatch namespaces (Workers for Platforms)";
constexpr char kWorkflows[] = "Workflows";

Task<Answer> noAssets(Core& core, const ApiRequest& request) {
  co_return refuse(400, 10021, "Static assets are not part of this release of Holdfast.");
}

// An empty list asks for nothing and gets it.
Task<Answer> noRoutes(Core& core, const ApiRequest& request) {
  const std::optional<Json> body = request.json();
  if (body && body->is_array() && body->empty()) co_return ok(Json::array());
  co_return refuse(400, 10022,
                   "Routes and custom domains are not part of this release of Holdfast. Workers are reached at "
                   "http://NAME." +
                       core.options.domain + ":" + std::to_string(core.options.publicPort) + ".");
}

}  // namespace

std::vector<Route> unbuiltRoutes() {
  return {
      {"GET", "/accounts/{a}/storage/kv/namespaces", &emptyPage},
      {"POST", "/accounts/{a}/storage/kv/namespaces", &notThere<kKv>},
      {"GET", "/accounts/{a}/r2/buckets", &notThere<kR2>},
      {"POST", "/accounts/{a}/r2/buckets", &notThere<kR2>},
      {"GET", "/accounts/{a}/r2/buckets/{r}", &notThere<kR2>},
      {"GET", "/accounts/{a}/d1/database", &notThere<kD1>},
      {"POST", "/accounts/{a}/d1/database", &notThere<kD1>},
      {"GET", "/accounts/{a}/queues", &notThere<kQueues>},
      {"POST", "/accounts/{a}/queues", &notThere<kQueues>},
      {"GET", "/accounts/{a}/workers/dispatch/namespaces", &notThere<kDispatch>},
      {"GET", "/accounts/{a}/workers/dispatch/namespaces/{d}", &notThere<kDispatch>},
      {"PUT", "/accounts/{a}/workers/dispatch/namespaces/{d}/scripts/{n}", &notThere<kDispatch>},
      {"GET", "/accounts/{a}/workflows", &notThere<kWorkflows>},
      {"GET", "/accounts/{a}/workflows/{w}", &notThere<kWorkflows>},
      {"PUT", "/accounts/{a}/workflows/{w}", &notThere<kWorkflows>},
      {"GET", "/accounts/{a}/workers/tails/by-consumer/{n}", &emptyList},
      {"GET", "/accounts/{a}/workers/domains", &emptyList},
      {"GET", "/zones", &emptyPage},
      {"GET", "/accounts/{a}/workers/scripts/{n}/tails", &noTails},
      {"POST", "/accounts/{a}/workers/scripts/{n}/tails", &noTails},
      {"DELETE", "/accounts/{a}/workers/scripts/{n}/tails/{t}", &noTails},
      {"POST", "/accounts/{a}/workers/scripts/{n}/assets-upload-session", &noAssets},
      {"POST", "/accounts/{a}/workers/assets/upload", &noAssets},
      {"PUT", "/accounts/{a}/workers/scripts/{n}/routes", &noRoutes},
      {"POST", "/accounts/{a}/workers/scripts/{n}/domains/changeset", &noRoutes},
      {"PUT", "/accounts/{a}/workers/scripts/{n}/domains/records", &noRoutes},
  };
}

}  // namespace hf::api
