// Who is asking: tokens, the user, the account. One of each.
#include "api/core.h"
#include "api/describe.h"
#include "api/page.h"
#include "api/router.h"

namespace hf::api {
namespace {

Task<Answer> verifyToken(Core& core, const ApiRequest& request) {
  Json result{{"id", describeUser(core.options)["id"]}, {"status", "active"}, {"expires_on", nullptr}};
  co_return ok(std::move(result));
}

Task<Answer> getUser(Core& core, const ApiRequest& request) { co_return ok(describeUser(core.options)); }

Task<Answer> listAccounts(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const PageRequest page, parsePage(request, 20, 100));
  Json all = Json::array();
  all.push_back(describeAccount(core.options));
  co_return pageOf(all, page);
}

Task<Answer> getAccount(Core& core, const ApiRequest& request) { co_return ok(describeAccount(core.options)); }

Task<Answer> listMemberships(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const PageRequest page, parsePage(request, 20, 100));
  const Json account = describeAccount(core.options);
  Json membership{{"id", describeUser(core.options)["id"]},
                  {"account", {{"id", account["id"]}, {"name", account["name"]}}},
                  {"status", "accepted"},
                  {"roles", Json::array({"Super Administrator - All Privileges"})}};
  Json all = Json::array();
  all.push_back(std::move(membership));
  co_return pageOf(all, page);
}

Task<Answer> getSubdomain(Core& core, const ApiRequest& request) {
  co_return ok(Json{{"subdomain", core.options.domain}});
}

}  // namespace

std::vector<Route> identityRoutes() {
  return {
      {"GET", "/user", &getUser},
      {"GET", "/user/tokens/verify", &verifyToken},
      {"GET", "/accounts", &listAccounts},
      {"GET", "/accounts/{a}", &getAccount},
      {"GET", "/accounts/{a}/tokens/verify", &verifyToken},
      {"GET", "/memberships", &listMemberships},
      {"GET", "/accounts/{a}/workers/subdomain", &getSubdomain},
  };
}

}  // namespace hf::api
