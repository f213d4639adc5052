// Scripts, versions, deployments and namespaces as answers show them (spec control-plane 3).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/api_server.h"
#include "api/reply.h"
#include "catalog/catalog.h"

namespace hf::api {

struct ScriptView {
  catalog::ScriptRow row;
  std::optional<catalog::VersionRow> latest;
  std::vector<catalog::DeploymentRow> deployments;  // newest first
};
Checked<ScriptView> viewScript(catalog::Catalog& catalog, catalog::ScriptRow row);

Json describeScript(const ScriptView& view);
Json describeVersion(const catalog::VersionRow& row, const ApiOptions& options);
Json describeDeployment(const catalog::DeploymentRow& row, const ApiOptions& options);
Json describeScriptSettings(const catalog::ScriptRow& row);
Json describeObservability(const catalog::ScriptRow& row);
Json describeNamespace(const catalog::NamespaceRow& row, const std::string& scriptName);
Json describeUser(const ApiOptions& options);
Json describeAccount(const ApiOptions& options);

// "http://SCRIPT.DOMAIN:PORT"
std::string workerUrl(const ApiOptions& options, const std::string& scriptName);

}  // namespace hf::api
