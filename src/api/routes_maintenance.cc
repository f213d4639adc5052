// Holdfast's own endpoints, below /holdfast: what the commands `object`, `backup` and `history` speak to.
#include "api/core.h"
#include "api/page.h"
#include "api/router.h"
#include "base/limits.h"
#include "catalog/namespaces.h"

namespace hf::api {
namespace {

constexpr std::size_t kObjectsDefault = 1000;
constexpr std::size_t kObjectsMax = 10'000;

// The code of whatever is asked of a namespace that is not there, and of an object that stores nothing.
constexpr int kNoSuchObject = 10066;
constexpr int kBadRequest = 10077;

std::unexpected<ApiError> answerFor(const Error& error) {
  switch (error.code) {
    case Errc::kNotFound:
      return refuse(404, kNoSuchObject, error.message);
    case Errc::kInvalidArgument:
      return refuse(400, kBadRequest, error.message);
    case Errc::kLimit:
      return refuse(413, kBadRequest, error.message);
    case Errc::kAlreadyExists:
      return refuse(409, kBadRequest, error.message);
    case Errc::kOverloaded:
      return refuse(503, kBadRequest, error.message);
    default:
      return internal(error);
  }
}

template <class T>
Checked<T> orAnswer(Result<T> result) {
  if (!result) return answerFor(result.error());
  return *std::move(result);
}

Checked<Maintenance*> maintenanceOf(Core& core) {
  if (core.options.maintenance == nullptr) return refuse(404, 7003, "Maintenance is not served here.");
  return core.options.maintenance;
}

Checked<catalog::Namespace> namespaceOf(Core& core, const ApiRequest& request) {
  const catalog::SnapshotPtr snapshot = core.catalog.snapshot();
  return orAnswer(catalog::findNamespace(snapshot->namespaces, request.param("ns")));
}

Checked<ObjectKey> objectOf(Core& core, const ApiRequest& request) {
  HF_API_TRY(const catalog::Namespace ns, namespaceOf(core, request));
  const auto parsed = NamespaceIds(ns.id.hex()).parse(request.param("o"));
  if (!parsed)
    return refuse(400, kBadRequest, "'" + request.param("o") + "' is not the id of an object of this namespace.");
  return ObjectKey{.ns = ns.id, .id = parsed->id};
}

Task<Answer> getNamespace(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const catalog::Namespace ns, namespaceOf(core, request));
  co_return ok(Json{{"id", ns.id.hex()}, {"name", ns.name}, {"script", ns.script}, {"class", ns.className}});
}

Task<Answer> listObjects(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Maintenance* const maintenance, maintenanceOf(core));
  HF_API_CO_TRY(const catalog::Namespace ns, namespaceOf(core, request));
  std::size_t limit = kObjectsDefault;
  if (const std::string text = request.queryValue("limit"); !text.empty()) {
    const std::optional<std::size_t> number = parseCount(text, kObjectsMax);
    if (!number || *number == 0) co_return refuse(400, kBadRequest, "'limit' must be a number from 1 to 10000.");
    limit = *number;
  }
  std::optional<ObjectId> after;
  if (const std::string text = request.queryValue("after"); !text.empty()) {
    ObjectId id;
    if (!fromHex(text, id.bytes)) co_return refuse(400, kBadRequest, "'after' must be an object's id.");
    after = id;
  }
  using Details = std::vector<Maintenance::ObjectDetail>;
  Await<Details> listing(
      [&](Completion<Result<Details>> done) { maintenance->listObjects(ns.id, after, limit, std::move(done)); });
  HF_API_CO_TRY(const Details details, orAnswer(co_await listing));
  Json result = Json::array();
  for (const Maintenance::ObjectDetail& object : details) {
    Json entry{{"id", object.id.hex()}, {"bytes", object.bytes}};
    if (!object.name.empty()) entry["name"] = object.name;
    result.push_back(std::move(entry));
  }
  co_return ok(std::move(result));
}

Task<Answer> exportObject(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Maintenance* const maintenance, maintenanceOf(core));
  HF_API_CO_TRY(const ObjectKey object, objectOf(core, request));
  Await<Maintenance::StreamPtr> exporting(
      [&](Completion<Result<Maintenance::StreamPtr>> done) { maintenance->exportObject(object, std::move(done)); });
  Reply reply;
  HF_API_CO_TRY(reply.stream, orAnswer(co_await exporting));
  co_return reply;
}

Task<Answer> importObject(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Maintenance* const maintenance, maintenanceOf(core));
  HF_API_CO_TRY(const ObjectKey object, objectOf(core, request));
  if (request.body.empty()) co_return refuse(400, kBadRequest, "The body must be a SQLite database.");
  const std::string name = request.queryValue("name");
  if (!name.empty() && !NamespaceIds(object.ns.hex()).isNamed(object.id, name)) {
    co_return refuse(400, kBadRequest, "The object is not the one that 'name' leads to.");
  }
  Await<Maintenance::ImportReport> importing([&](Completion<Result<Maintenance::ImportReport>> done) {
    maintenance->importObject({.object = object, .name = name, .database = request.body}, std::move(done));
  });
  HF_API_CO_TRY(const Maintenance::ImportReport report, orAnswer(co_await importing));
  Json result{{"id", object.id.hex()}, {"bytes", report.bytes}};
  result["alarm"] = report.alarm ? Json(*report.alarm) : Json();
  co_return ok(std::move(result));
}

Task<Answer> makeBackup(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Maintenance* const maintenance, maintenanceOf(core));
  const bool withToken = request.queryValue("token") == "true";
  Await<Maintenance::StreamPtr> starting([&](Completion<Result<Maintenance::StreamPtr>> done) {
    maintenance->backup({.withToken = withToken}, std::move(done));
  });
  Reply reply;
  HF_API_CO_TRY(reply.stream, orAnswer(co_await starting));
  co_return reply;
}

Task<Answer> getHistory(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Maintenance* const maintenance, maintenanceOf(core));
  Await<Maintenance::HistorySize> asking(
      [&](Completion<Result<Maintenance::HistorySize>> done) { maintenance->historySize(std::move(done)); });
  HF_API_CO_TRY(const Maintenance::HistorySize size, orAnswer(co_await asking));
  co_return ok(Json{{"files", size.files}, {"bytes", size.bytes}});
}

}  // namespace

std::vector<Route> maintenanceRoutes() {
  return {
      {.method = "GET", .pattern = "/accounts/{a}/holdfast/namespaces/{ns}", .handler = &getNamespace},
      {.method = "GET", .pattern = "/accounts/{a}/holdfast/namespaces/{ns}/objects", .handler = &listObjects},
      {.method = "GET",
       .pattern = "/accounts/{a}/holdfast/namespaces/{ns}/objects/{o}/database",
       .handler = &exportObject},
      {.method = "PUT",
       .pattern = "/accounts/{a}/holdfast/namespaces/{ns}/objects/{o}/database",
       .handler = &importObject,

       .bodyBytesMax = limits::kImportBytesMax,
       .changes = true},
      {.method = "POST", .pattern = "/accounts/{a}/holdfast/backup", .handler = &makeBackup, .changes = false},
      {.method = "GET", .pattern = "/accounts/{a}/holdfast/history", .handler = &getHistory},
  };
}

}  // namespace hf::api
