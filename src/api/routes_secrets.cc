// Secrets: each change makes a version with the same code, deployed at once or, for `versions secret`, only stored.
#include <algorithm>

#include "api/bindings.h"
#include "api/core.h"
#include "api/deploy.h"
#include "api/describe.h"
#include "api/router.h"

namespace hf::api {
namespace {

using catalog::ScriptRow;
using catalog::VersionRow;

struct Current {
  ScriptRow script;
  VersionRow latest;
};

Checked<Current> currentOf(Core& core, const std::string& name) {
  Current out;
  HF_API_TRY(out.script, findScript(core, name));
  HF_API_TRY(std::optional<VersionRow> latest, latestVersion(core, out.script));
  if (!latest) return refuse(404, 10222, "This Worker has no version.");
  out.latest = *std::move(latest);
  return out;
}

Json shown(const Json& binding) { return Json{{"name", textOf(binding, "name")}, {"type", textOf(binding, "type")}}; }

// From a request's secret: {"name", "type", "text"} or a key.
Checked<Json> parseSecret(const Json& json, const std::string& fallbackName) {
  if (!json.is_object()) return refuse(400, 10001, "A secret must be a JSON object.");
  Json out = json;
  if (textOf(out, "name").empty()) out["name"] = fallbackName;
  if (textOf(out, "type").empty()) out["type"] = "secret_text";
  if (!isSecret(out)) {
    return refuse(400, 10021, "The secret '" + textOf(out, "name") + "' must have the type secret_text or secret_key.");
  }
  Json metadata = Json::object();
  metadata["bindings"] = Json::array();
  metadata["bindings"].push_back(out);
  const BindingSource nothing;
  if (auto checked = collectBindings(metadata, nothing); !checked) return std::unexpected(checked.error());
  return out;
}

void setBinding(Json& bindings, const Json& binding) {
  const std::string name = textOf(binding, "name");
  for (Json& entry : bindings) {
    if (textOf(entry, "name") == name) {
      entry = binding;
      return;
    }
  }
  bindings.push_back(binding);
}

// True when there was one.
bool removeSecret(Json& bindings, const std::string& name) {
  for (std::size_t at = 0; at < bindings.size(); ++at) {
    if (textOf(bindings[at], "name") != name || !isSecret(bindings[at])) continue;
    bindings.erase(at);
    return true;
  }
  return false;
}

std::unexpected<ApiError> noSecret() { return refuse(404, 10056, "workers.api.error.binding_not_found"); }

Checked<void> checkDeployed(Core& core, const Current& current) {
  HF_API_TRY(const auto deployments, orInternal(core.catalog.deployments(current.script.tag)));
  const bool deployed = !deployments.empty() && deployments.front().parts.size() == 1 &&
                        deployments.front().parts.front().versionId == current.latest.id;
  if (deployed) return {};
  return refuse(400, 10215,
                "Secret edit failed. You attempted to modify a secret, but the latest version of your Worker isn't "
                "currently deployed. Please ensure that the latest version of your Worker is fully deployed before "
                "modifying secrets, or use \"wrangler versions secret\".");
}

Task<Checked<Deployed>> deployBindings(Core& core, Current current, Json bindings, std::string source) {
  if (auto deployed = checkDeployed(core, current); !deployed) co_return std::unexpected(deployed.error());
  HF_API_CO_TRY(const auto deployments, orInternal(core.catalog.deployments(current.script.tag)));
  Json annotations{{"workers/triggered_by", "secret"}};
  DeploymentRequest deployment;
  HF_API_CO_TRY(deployment.version,
                cloneVersion(core, current.script, current.latest, std::move(bindings), annotations, source));
  deployment.script = std::move(current.script);
  deployment.parts = {{.versionId = deployment.version->row.id, .percentage = 100}};
  deployment.source = std::move(source);
  deployment.triggeredBy = "secret";
  deployment.updateMode = deployments.front().updateMode;
  deployment.updateMaxDelay = deployments.front().updateMaxDelay;
  co_return co_await runDeployment(core, std::move(deployment));
}

Task<Answer> putSecret(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Current current, currentOf(core, request.param("n")));
  const std::optional<Json> body = request.json();
  if (!body || textOf(*body, "name").empty()) co_return refuse(400, 10001, "The body must be a secret with a name.");
  HF_API_CO_TRY(const Json secret, parseSecret(*body, ""));
  Json bindings = current.latest.bindings;
  setBinding(bindings, secret);
  HF_API_CO_TRY(Deployed done,
                co_await deployBindings(core, std::move(current), std::move(bindings), request.source()));
  Reply reply = ok(shown(secret));
  reply.messages = std::move(done.messages);
  co_return reply;
}

Task<Answer> listSecrets(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const Current current, currentOf(core, request.param("n")));
  Json result = Json::array();
  for (const Json& binding : current.latest.bindings) {
    if (isSecret(binding)) result.push_back(shown(binding));
  }
  co_return ok(std::move(result));
}

Task<Answer> getSecret(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const Current current, currentOf(core, request.param("n")));
  for (const Json& binding : current.latest.bindings) {
    if (isSecret(binding) && textOf(binding, "name") == request.param("s")) co_return ok(shown(binding));
  }
  co_return noSecret();
}

Task<Answer> deleteSecret(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Current current, currentOf(core, request.param("n")));
  Json bindings = current.latest.bindings;
  if (!removeSecret(bindings, request.param("s"))) co_return noSecret();
  HF_API_CO_TRY(Deployed done,
                co_await deployBindings(core, std::move(current), std::move(bindings), request.source()));
  Reply reply = ok(nullptr);
  reply.messages = std::move(done.messages);
  co_return reply;
}

// A merge patch of secrets by name: an object sets, null removes. Removing what is not there is no error.
Checked<void> patchSecrets(const Json& patch, Json& bindings) {
  if (!patch.is_object()) return refuse(400, 10001, "Secrets must be a JSON object by name.");
  for (const auto& [name, value] : patch.items()) {
    if (value.is_null()) {
      removeSecret(bindings, name);
      continue;
    }
    HF_API_TRY(Json secret, parseSecret(value, name));
    secret["name"] = name;
    setBinding(bindings, secret);
  }
  return {};
}

Task<Answer> bulkSecrets(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Current current, currentOf(core, request.param("n")));
  const std::optional<Json> body = request.json();
  const Json* patch = body ? memberOf(*body, "secrets") : nullptr;
  if (patch == nullptr) co_return refuse(400, 10001, "The body must be a JSON object with 'secrets'.");
  Json bindings = current.latest.bindings;
  if (auto patched = patchSecrets(*patch, bindings); !patched) co_return std::unexpected(patched.error());
  Json result = Json::object();
  for (const Json& binding : bindings) {
    if (isSecret(binding)) result[textOf(binding, "name")] = shown(binding);
  }
  HF_API_CO_TRY(Deployed done,
                co_await deployBindings(core, std::move(current), std::move(bindings), request.source()));
  Reply reply = ok(std::move(result));
  reply.messages = std::move(done.messages);
  co_return reply;
}

// `wrangler versions secret`: the newest version again with other secrets, not deployed.
Task<Answer> patchLatestVersion(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(Current current, currentOf(core, request.param("n")));
  const std::optional<Json> body = request.json();
  if (!body || !body->is_object()) co_return refuse(400, 10001, "The body is not a JSON object.");
  for (const auto& [key, value] : body->items()) {
    if (key == "env" || key == "annotations") continue;
    co_return refuse(400, 10021, "Only 'env' and 'annotations' of a version can be changed here, not '" + key + "'.");
  }
  Json bindings = current.latest.bindings;
  if (const Json* env = memberOf(*body, "env")) {
    if (auto patched = patchSecrets(*env, bindings); !patched) co_return std::unexpected(patched.error());
  }
  HF_API_CO_TRY(Json annotations, parseAnnotations(*body));
  annotations["workers/triggered_by"] = "secret";
  catalog::Change change;
  HF_API_CO_TRY(change.version, cloneVersion(core, current.script, current.latest, std::move(bindings),
                                             std::move(annotations), request.source()));
  current.script.modifiedMs = change.version->row.createdMs;
  change.script = std::move(current.script);
  HF_API_CO_TRY([[maybe_unused]] const catalog::SnapshotPtr snapshot, orInternal(core.catalog.commit(change)));
  co_return ok(describeVersion(change.version->row, core.options));
}

}  // namespace

std::vector<Route> secretRoutes() {
  return {
      {"GET", "/accounts/{a}/workers/scripts/{n}/secrets", &listSecrets},
      {"PUT", "/accounts/{a}/workers/scripts/{n}/secrets", &putSecret},
      {"GET", "/accounts/{a}/workers/scripts/{n}/secrets/{s}", &getSecret},
      {"DELETE", "/accounts/{a}/workers/scripts/{n}/secrets/{s}", &deleteSecret},
      {"PATCH", "/accounts/{a}/workers/scripts/{n}/secrets-bulk", &bulkSecrets},
      {"PATCH", "/accounts/{a}/workers/workers/{n}/versions/latest", &patchLatestVersion},
  };
}

}  // namespace hf::api
