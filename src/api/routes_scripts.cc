// Scripts and services: upload, list, read, delete, references.
#include <algorithm>

#include "api/bindings.h"
#include "api/core.h"
#include "api/deploy.h"
#include "api/describe.h"
#include "api/router.h"

namespace hf::api {
namespace {

using catalog::BindingKind;
using catalog::Module;
using catalog::ModuleKind;
using catalog::ScriptRow;

// A binding of another Worker's running version to this one.
struct Reference {
  std::string script;
  std::string binding;
  std::optional<NamespaceId> ns;  // none: a service binding
};

std::vector<Reference> referencesTo(const catalog::Snapshot& snapshot, const std::string& name) {
  std::vector<Reference> out;
  for (const auto& [other, script] : snapshot.scripts) {
    if (other == name) continue;
    for (const catalog::Script::Part& part : script.parts) {
      for (const catalog::Binding& binding : part.version->bindings) {
        if (binding.script != name) continue;
        if (binding.kind == BindingKind::kDurableObject) out.push_back({other, binding.name, binding.ns});
        if (binding.kind == BindingKind::kService) out.push_back({other, binding.name, std::nullopt});
      }
    }
  }
  return out;
}

Task<Answer> putScript(Core& core, const ApiRequest& request) {
  UploadRequest upload;
  upload.scriptName = request.param("n");
  HF_API_CO_TRY(upload.upload, decodeUpload(request.body, request.header("content-type"), "metadata"));
  upload.mode = UploadMode::kDeploy;
  upload.inherit = request.queryValue("bindings_inherit") == "strict" ? Inherit::kStrict : Inherit::kLenient;
  upload.source = request.source();
  upload.triggeredBy = "upload";
  HF_API_CO_TRY(Uploaded done, co_await runUpload(core, std::move(upload)));
  HF_API_CO_TRY(const ScriptView view, viewScript(core.catalog, done.script));
  Json result = describeScript(view);
  // wrangler puts the hyphens back and shows it as the version's id.
  std::string id = done.version.id;
  std::erase(id, '-');
  result["deployment_id"] = id;
  result["startup_time_ms"] = done.version.metadata["startup_time_ms"];
  result["pipeline_hash"] = nullptr;
  result["mutable_pipeline_id"] = nullptr;
  if (!done.reconciliation.is_null()) result["exports_reconciliation"] = std::move(done.reconciliation);
  Reply reply = ok(std::move(result));
  reply.messages = std::move(done.messages);
  co_return reply;
}

Task<Answer> listScripts(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const std::vector<ScriptRow> rows, orInternal(core.catalog.scripts()));
  Json result = Json::array();
  for (const ScriptRow& row : rows) {
    HF_API_CO_TRY(const ScriptView view, viewScript(core.catalog, row));
    result.push_back(describeScript(view));
  }
  const std::size_t count = result.size();
  co_return list(std::move(result),
                 Json{{"page", 1}, {"per_page", count}, {"count", count}, {"total_count", count}, {"total_pages", 1}});
}

std::string_view contentTypeOf(ModuleKind kind) {
  switch (kind) {
    case ModuleKind::kEsm:
      return "application/javascript+module";
    case ModuleKind::kText:
      return "text/plain";
    case ModuleKind::kData:
      return "application/octet-stream";
    case ModuleKind::kWasm:
      return "application/wasm";
    case ModuleKind::kJson:
      return "application/json";
    case ModuleKind::kSourceMap:
      return "application/source-map";
  }
  return "application/octet-stream";
}

std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\r' || c == '\n') continue;
    out += c;
  }
  return out;
}

Task<Answer> getContent(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  HF_API_CO_TRY(const auto latest, latestVersion(core, script));
  if (!latest) co_return refuse(404, 10222, "This Worker has no version.");
  HF_API_CO_TRY(const std::vector<Module> modules, orInternal(core.catalog.modules(latest->id)));
  const std::string boundary = "holdfast-" + catalog::makeTag(core.random);
  Bytes body;
  const auto add = [&body](std::string_view text) { body.insert(body.end(), text.begin(), text.end()); };
  for (const Module& module : modules) {
    const std::string name = quoted(module.name);
    add("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"" + name +
        "\"\r\nContent-Type: " + std::string(contentTypeOf(module.kind)) + "\r\n\r\n");
    body.insert(body.end(), module.content.begin(), module.content.end());
    add("\r\n");
  }
  add("--" + boundary + "--\r\n");
  Reply reply;
  reply.raw = Reply::Raw{.headers = {{"content-type", "multipart/form-data; boundary=" + boundary},
                                     {"cf-entrypoint", textOf(latest->metadata, "main_module")},
                                     {"etag", "\"" + textOf(latest->metadata, "etag") + "\""}},
                         .body = std::move(body)};
  co_return reply;
}

// `missing`: what a Worker that does not exist is called on this path.
Task<Answer> removeScript(Core& core, const ApiRequest& request, std::unexpected<ApiError> missing) {
  const std::string& name = request.param("n");
  HF_API_CO_TRY(const std::optional<ScriptRow> row, orInternal(core.catalog.script(name)));
  if (!row) co_return missing;
  if (request.queryValue("force") != "true") {
    const std::vector<Reference> references = referencesTo(*core.catalog.snapshot(), name);
    if (!references.empty()) {
      co_return refuse(400, 10064,
                       "Cannot delete this Worker: '" + references.front().script + "' refers to it by the binding '" +
                           references.front().binding + "'. Remove the binding, or delete with force=true.");
    }
  }
  catalog::Change change;
  change.deletedScripts = {row->tag};
  HF_API_CO_TRY(catalog::SnapshotPtr snapshot, orInternal(core.catalog.commit(change)));
  core.log.info("deleted", {{"script", name}});
  Reply reply = ok(nullptr);
  std::optional<std::string> trouble = co_await activate(core, std::move(snapshot));
  if (trouble) reply.messages.push_back(*std::move(trouble));
  co_return reply;
}

std::unexpected<ApiError> noService() { return refuse(404, 10090, "workers.api.error.service_not_found"); }

Task<Answer> deleteScript(Core& core, const ApiRequest& request) {
  return removeScript(core, request, refuse(404, 10007, "This Worker does not exist on your account."));
}

Task<Answer> deleteService(Core& core, const ApiRequest& request) { return removeScript(core, request, noService()); }

Task<Answer> getService(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const std::optional<ScriptRow> row, orInternal(core.catalog.script(request.param("n"))));
  if (!row) co_return noService();
  HF_API_CO_TRY(const ScriptView view, viewScript(core.catalog, *row));
  const std::string created = catalog::rfc3339(row->createdMs);
  const std::string modified = catalog::rfc3339(row->modifiedMs);
  Json environment{{"environment", "production"}, {"created_on", created}, {"modified_on", modified}};
  Json withScript = environment;
  withScript["script"] = describeScript(view);
  co_return ok(Json{{"id", row->name},
                    {"default_environment", std::move(withScript)},
                    {"created_on", created},
                    {"modified_on", modified},
                    {"usage_model", "standard"},
                    {"environments", Json::array({std::move(environment)})}});
}

Task<Answer> getReferences(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow row, findScript(core, request.param("n")));
  const catalog::SnapshotPtr snapshot = core.catalog.snapshot();
  Json incoming = Json::array();
  Json objects = Json::array();
  for (const Reference& reference : referencesTo(*snapshot, row.name)) {
    Json entry{{"service", reference.script}, {"environment", "production"}, {"name", reference.binding}};
    if (!reference.ns) {
      incoming.push_back(std::move(entry));
      continue;
    }
    entry["durable_object_namespace_id"] = reference.ns->hex();
    const auto ns = snapshot->namespaces.find(*reference.ns);
    entry["durable_object_namespace_name"] = ns == snapshot->namespaces.end() ? "" : ns->second.name;
    objects.push_back(std::move(entry));
  }
  Json services{{"incoming", std::move(incoming)}, {"outgoing", Json::array()}, {"pages_function", false}};
  co_return ok(Json{{"services", std::move(services)},
                    {"durable_objects", std::move(objects)},
                    {"dispatch_outbounds", Json::array()}});
}

// The beta resource, which wrangler asks for the Worker's URL.
Task<Answer> getWorker(Core& core, const ApiRequest& request) {
  const std::string& asked = request.param("n");
  HF_API_CO_TRY(const std::vector<ScriptRow> rows, orInternal(core.catalog.scripts()));
  const auto row = std::ranges::find_if(
      rows, [&asked](const ScriptRow& candidate) { return candidate.name == asked || candidate.tag == asked; });
  if (row == rows.end()) co_return refuse(404, 10007, "This Worker does not exist on your account.");
  HF_API_CO_TRY(const ScriptView view, viewScript(core.catalog, *row));
  const catalog::SnapshotPtr snapshot = core.catalog.snapshot();
  Json workers = Json::array();
  Json objects = Json::array();
  for (const Reference& reference : referencesTo(*snapshot, row->name)) {
    const std::string tag = snapshot->scripts.at(reference.script).tag;
    if (!reference.ns) {
      workers.push_back(Json{{"id", tag}, {"name", reference.script}});
      continue;
    }
    const auto ns = snapshot->namespaces.find(*reference.ns);
    objects.push_back(Json{{"namespace_id", reference.ns->hex()},
                           {"namespace_name", ns == snapshot->namespaces.end() ? "" : ns->second.name},
                           {"worker_id", tag},
                           {"worker_name", reference.script}});
  }
  const Json settings = describeScriptSettings(*row);
  const Json deployed =
      view.deployments.empty() ? Json(nullptr) : Json(catalog::rfc3339(view.deployments.front().createdMs));
  co_return ok(Json{{"id", row->tag},
                    {"name", row->name},
                    {"created_on", catalog::rfc3339(row->createdMs)},
                    {"updated_on", catalog::rfc3339(row->modifiedMs)},
                    {"deployed_on", deployed},
                    {"logpush", settings["logpush"]},
                    {"tags", settings["tags"]},
                    {"tail_consumers", Json::array()},
                    {"observability", describeObservability(*row)},
                    {"subdomain",
                     {{"enabled", row->subdomainEnabled},
                      {"previews_enabled", row->previewsEnabled},
                      {"url", workerUrl(core.options, row->name)},
                      {"preview_url_suffix", "-" + row->name + "." + core.options.domain}}},
                    {"references",
                     {{"workers", std::move(workers)},
                      {"durable_objects", std::move(objects)},
                      {"queues", Json::array()},
                      {"domains", Json::array()},
                      {"dispatch_namespace_outbounds", Json::array()}}}});
}

}  // namespace

std::vector<Route> scriptRoutes() {
  return {
      {"GET", "/accounts/{a}/workers/scripts", &listScripts},
      {"PUT", "/accounts/{a}/workers/scripts/{n}", &putScript},
      {"GET", "/accounts/{a}/workers/scripts/{n}", &getContent},
      {"GET", "/accounts/{a}/workers/scripts/{n}/content", &getContent},
      {"GET", "/accounts/{a}/workers/scripts/{n}/content/v2", &getContent},
      {"DELETE", "/accounts/{a}/workers/scripts/{n}", &deleteScript},
      {"GET", "/accounts/{a}/workers/scripts/{n}/references", &getReferences},
      {"GET", "/accounts/{a}/workers/services/{n}", &getService},
      {"DELETE", "/accounts/{a}/workers/services/{n}", &deleteService},
      {"GET", "/accounts/{a}/workers/workers/{n}", &getWorker},
  };
}

}  // namespace hf::api
