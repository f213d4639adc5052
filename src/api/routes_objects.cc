// Durable Object namespaces and their objects.
#include <algorithm>

#include "api/core.h"
#include "api/describe.h"
#include "api/page.h"
#include "api/router.h"

namespace hf::api {
namespace {

using catalog::NamespaceRow;

constexpr std::size_t kObjectsDefault = 1000;
constexpr std::size_t kObjectsMax = 10'000;

Json describe(const catalog::Namespace& ns) {
  return Json{{"id", ns.id.hex()},
              {"name", ns.name},
              {"script", ns.script},
              {"class", ns.className},
              {"use_sqlite", ns.useSqlite}};
}

Task<Answer> listNamespaces(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const PageRequest page, parsePage(request, 20, 1000));
  HF_API_CO_TRY(const std::vector<NamespaceRow> rows, orInternal(core.catalog.namespaces()));
  const catalog::SnapshotPtr snapshot = core.catalog.snapshot();
  Json all = Json::array();
  for (const NamespaceRow& row : rows) all.push_back(describe(snapshot->namespaces.at(row.id)));
  co_return pageOf(all, page);
}

Checked<catalog::Namespace> findNamespace(Core& core, const std::string& hex) {
  const Result<NamespaceId> id = NamespaceId::parse(hex);
  const catalog::SnapshotPtr snapshot = core.catalog.snapshot();
  const auto found = id ? snapshot->namespaces.find(*id) : snapshot->namespaces.end();
  if (found == snapshot->namespaces.end()) {
    return refuse(404, 10066, "This Durable Object namespace does not exist on your account.");
  }
  return found->second;
}

Task<Answer> getNamespace(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const catalog::Namespace ns, findNamespace(core, request.param("ns")));
  co_return ok(describe(ns));
}

Task<Answer> listObjects(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const catalog::Namespace ns, findNamespace(core, request.param("ns")));
  std::size_t limit = kObjectsDefault;
  if (const std::string text = request.queryValue("limit"); !text.empty()) {
    const std::optional<std::size_t> number = parseCount(text, kObjectsMax);
    if (!number || *number == 0) {
      co_return refuse(400, 10077, "The query parameter 'limit' must be a number from 1 to 10000.");
    }
    limit = *number;
  }
  std::optional<ObjectId> after;
  if (const std::string cursor = request.queryValue("cursor"); !cursor.empty()) {
    ObjectId id;
    if (!fromHex(cursor, id.bytes)) co_return refuse(400, 10077, "The query parameter 'cursor' is not one of ours.");
    after = id;
  }
  using Objects = std::vector<Runtime::StoredObject>;
  // One more than asked for tells whether there is another page.
  Await<Objects> listing([&core, &ns, after, limit](Completion<Result<Objects>> done) {
    core.runtime.listObjects(ns.id, after, limit + 1, std::move(done));
  });
  HF_API_CO_TRY(Objects objects, orInternal(co_await listing));
  const bool more = objects.size() > limit;
  if (more) objects.resize(limit);
  const NamespaceIds ids(ns.id.hex());
  Json result = Json::array();
  for (const Runtime::StoredObject& object : objects) {
    if (ids.isFacet(object.id)) continue;  // stored beside its object, and none itself
    result.push_back(Json{{"id", object.id.hex()}, {"hasStoredData", object.hasStoredData}});
  }
  Json info{{"count", result.size()}, {"per_page", limit}, {"total_count", result.size()}};
  if (more) {
    const std::string cursor = objects.back().id.hex();
    info["cursor"] = cursor;
    info["cursors"] = Json{{"after", cursor}};
  }
  co_return list(std::move(result), std::move(info));
}

}  // namespace

std::vector<Route> durableObjectRoutes() {
  return {
      {"GET", "/accounts/{a}/workers/durable_objects/namespaces", &listNamespaces},
      {"GET", "/accounts/{a}/workers/durable_objects/namespaces/{ns}", &getNamespace},
      {"GET", "/accounts/{a}/workers/durable_objects/namespaces/{ns}/objects", &listObjects},
  };
}

}  // namespace hf::api
