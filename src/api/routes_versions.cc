// Versions and deployments.
#include <algorithm>
#include <cmath>
#include <set>

#include "api/bindings.h"
#include "api/core.h"
#include "api/deploy.h"
#include "api/describe.h"
#include "api/page.h"
#include "api/router.h"

namespace hf::api {
namespace {

using catalog::DeploymentRow;
using catalog::ScriptRow;
using catalog::VersionRow;

constexpr std::size_t kDeployableMax = 100;

Task<Answer> postVersion(Core& core, const ApiRequest& request) {
  UploadRequest upload;
  upload.scriptName = request.param("n");
  HF_API_CO_TRY(upload.upload, decodeUpload(request.body, request.header("content-type"), "metadata"));
  upload.mode = UploadMode::kVersion;
  upload.inherit = request.queryValue("bindings_inherit") == "strict" ? Inherit::kStrict : Inherit::kLenient;
  upload.source = request.source();
  upload.triggeredBy = "upload";
  HF_API_CO_TRY(const Uploaded done, co_await runUpload(core, std::move(upload)));
  co_return ok(describeVersion(done.version, core.options));
}

Json itemsOf(const std::vector<VersionRow>& rows, const ApiOptions& options) {
  Json items = Json::array();
  for (const VersionRow& row : rows) items.push_back(describeVersion(row, options));
  return items;
}

Task<Answer> listVersions(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  if (request.queryValue("deployable") == "true") {
    HF_API_CO_TRY(const auto namespaces, orInternal(core.catalog.namespaces()));
    HF_API_CO_TRY(std::vector<VersionRow> rows,
                  orInternal(core.catalog.versions(script.tag, {.offset = 0, .limit = kDeployableMax})));
    std::erase_if(rows, [&](const VersionRow& row) { return !fitsClasses(row, script, namespaces); });
    const PageRequest page{.page = 1, .perPage = kDeployableMax};
    co_return list(Json{{"items", itemsOf(rows, core.options)}}, pageInfo(page, rows.size(), rows.size()));
  }
  HF_API_CO_TRY(const PageRequest page, parsePage(request, 10, 100));
  HF_API_CO_TRY(const std::size_t total, orInternal(core.catalog.versionCount(script.tag)));
  HF_API_CO_TRY(const std::vector<VersionRow> rows,
                orInternal(core.catalog.versions(script.tag, {.offset = page.offset(), .limit = page.perPage})));
  co_return list(Json{{"items", itemsOf(rows, core.options)}}, pageInfo(page, rows.size(), total));
}

Task<Answer> getVersion(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  HF_API_CO_TRY(const std::optional<VersionRow> row, orInternal(core.catalog.version(script.tag, request.param("v"))));
  if (!row) co_return refuse(404, 10071, "This Worker has no version '" + request.param("v") + "'.");
  co_return ok(describeVersion(*row, core.options));
}

Task<Answer> listDeployments(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  HF_API_CO_TRY(const std::vector<DeploymentRow> rows, orInternal(core.catalog.deployments(script.tag)));
  Json deployments = Json::array();
  for (const DeploymentRow& row : rows) deployments.push_back(describeDeployment(row, core.options));
  co_return ok(Json{{"deployments", std::move(deployments)}});
}

Task<Answer> getDeployment(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  HF_API_CO_TRY(const std::vector<DeploymentRow> rows, orInternal(core.catalog.deployments(script.tag)));
  for (const DeploymentRow& row : rows) {
    if (row.id == request.param("d")) co_return ok(describeDeployment(row, core.options));
  }
  co_return refuse(404, 10336, "This Worker has no deployment '" + request.param("d") + "'.");
}

Checked<std::vector<DeploymentRow::Part>> parseParts(const Json& body) {
  const std::string strategy = textOf(body, "strategy");
  if (!strategy.empty() && strategy != "percentage") {
    return refuse(400, 10021, "The strategy of a deployment must be \"percentage\".");
  }
  const Json* versions = memberOf(body, "versions");
  if (versions == nullptr || !versions->is_array() || versions->empty() || versions->size() > 2) {
    return refuse(400, 10021, "A deployment names one or two versions.");
  }
  std::vector<DeploymentRow::Part> parts;
  double sum = 0;
  for (const Json& entry : *versions) {
    const std::string id = textOf(entry, "version_id");
    const std::optional<double> percentage = numberOf(entry, "percentage");
    if (id.empty() || !percentage || *percentage < 0 || *percentage > 100) {
      return refuse(400, 10021, "Every version of a deployment needs a version_id and a percentage from 0 to 100.");
    }
    if (!parts.empty() && parts.front().versionId == id) {
      return refuse(400, 10021, "A deployment names the version '" + id + "' twice.");
    }
    sum += *percentage;
    parts.push_back({.versionId = id, .percentage = *percentage});
  }
  if (std::abs(sum - 100) > 0.001) return refuse(400, 10021, "The percentages of a deployment must sum up to 100.");
  return parts;
}

std::map<std::string, Json> secretsOf(const Json& bindings) {
  std::map<std::string, Json> out;
  for (const Json& binding : bindings) {
    if (isSecret(binding)) out[textOf(binding, "name")] = binding;
  }
  return out;
}

// Going back to an older version brings its secrets back, which the user may not have in mind.
Checked<void> checkSecrets(const VersionRow& target, const VersionRow& current) {
  const auto before = secretsOf(target.bindings);
  const auto now = secretsOf(current.bindings);
  std::set<std::string> changed;
  for (const auto& [name, binding] : now) {
    const auto old = before.find(name);
    if (old == before.end() || old->second != binding) changed.insert(name);
  }
  for (const auto& [name, binding] : before) {
    if (!now.contains(name)) changed.insert(name);
  }
  if (changed.empty()) return {};
  std::string names;
  for (const std::string& name : changed) names += (names.empty() ? "" : ", ") + name;
  return refuse(400, 10220,
                "Some secrets have different values than in the version that is being deployed. The "
                "following secrets have changed: " +
                    names);
}

Task<Answer> postDeployment(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(ScriptRow script, findScript(core, request.param("n")));
  const std::optional<Json> body = request.json();
  if (!body || !body->is_object()) co_return refuse(400, 10001, "The body is not a JSON object.");
  DeploymentRequest deployment;
  HF_API_CO_TRY(deployment.parts, parseParts(*body));
  HF_API_CO_TRY(deployment.annotations, parseAnnotations(*body));
  HF_API_CO_TRY(const UpdateStrategy strategy, parseUpdateStrategy(*body));
  deployment.updateMode = strategy.mode;
  deployment.updateMaxDelay = strategy.maxDelay;
  deployment.source = request.source();
  deployment.triggeredBy = "deployment";
  HF_API_CO_TRY(const std::vector<DeploymentRow> earlier, orInternal(core.catalog.deployments(script.tag)));
  if (!earlier.empty() && deployment.parts.size() == 1) {
    HF_API_CO_TRY(const auto target, orInternal(core.catalog.version(script.tag, deployment.parts[0].versionId)));
    HF_API_CO_TRY(const auto current,
                  orInternal(core.catalog.version(script.tag, earlier.front().parts.front().versionId)));
    if (target && current && target->number < current->number) {
      deployment.triggeredBy = "rollback";
      if (request.queryValue("force") != "true") {
        if (auto same = checkSecrets(*target, *current); !same) co_return std::unexpected(same.error());
      }
    }
  }
  deployment.script = std::move(script);
  HF_API_CO_TRY(Deployed done, co_await runDeployment(core, std::move(deployment)));
  Reply reply = ok(describeDeployment(done.deployment, core.options));
  reply.messages = std::move(done.messages);
  co_return reply;
}

}  // namespace

std::vector<Route> versionRoutes() {
  return {
      {"GET", "/accounts/{a}/workers/scripts/{n}/versions", &listVersions},
      {"POST", "/accounts/{a}/workers/scripts/{n}/versions", &postVersion},
      {"GET", "/accounts/{a}/workers/scripts/{n}/versions/{v}", &getVersion},
      {"GET", "/accounts/{a}/workers/scripts/{n}/deployments", &listDeployments},
      {"POST", "/accounts/{a}/workers/scripts/{n}/deployments", &postDeployment},
      {"GET", "/accounts/{a}/workers/scripts/{n}/deployments/{d}", &getDeployment},
  };
}

}  // namespace hf::api
