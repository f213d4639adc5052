// From an upload to a running version (spec control-plane 17): everything is checked, and the code started once, before
// anything is stored; then one commit; then the runtime is told. The caller holds the core's lock.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/bindings.h"
#include "api/core.h"
#include "api/upload.h"

namespace hf::api {

enum class UploadMode {
  kDeploy,   // PUT: the version runs at once; migrations are applied
  kVersion,  // POST versions: stored only; migrations are refused
};

struct UploadRequest {
  std::string scriptName;
  Upload upload;
  UploadMode mode = UploadMode::kDeploy;
  Inherit inherit = Inherit::kLenient;
  std::string source;       // "wrangler", "api"
  std::string triggeredBy;  // "upload"
};

struct Uploaded {
  catalog::ScriptRow script;
  catalog::VersionRow version;
  Json reconciliation = nullptr;  // answers to uploads with exports
  std::vector<std::string> messages;
};

Task<Checked<Uploaded>> runUpload(Core& core, UploadRequest request);

struct DeploymentRequest {
  catalog::ScriptRow script;
  std::vector<catalog::DeploymentRow::Part> parts;
  Json annotations = Json::object();
  std::string source;
  std::string triggeredBy;
  catalog::CodeUpdateMode updateMode = catalog::CodeUpdateMode::kDeferred;
  std::chrono::seconds updateMaxDelay{300};
  // A new version that is to be stored in the same transaction (secrets).
  std::optional<catalog::Change::NewVersion> version;
};
struct Deployed {
  catalog::DeploymentRow deployment;
  std::vector<std::string> messages;
};
// 10064, 10061, 10071, 100405 when the versions cannot run on the classes as they are.
Task<Checked<Deployed>> runDeployment(Core& core, DeploymentRequest request);

// 10064, 10061: the version's code or bindings do not fit the script's classes as they are now.
Checked<void> fitsClasses(const catalog::VersionRow& version, const catalog::ScriptRow& script,
                          const std::vector<catalog::NamespaceRow>& namespaces);

// A copy of `from` with other bindings, numbered after the last one; `script` counts it.
Checked<catalog::Change::NewVersion> cloneVersion(Core& core, catalog::ScriptRow& script,
                                                  const catalog::VersionRow& from, Json bindings, Json annotations,
                                                  const std::string& source);

struct UpdateStrategy {
  catalog::CodeUpdateMode mode = catalog::CodeUpdateMode::kDeferred;
  std::chrono::seconds maxDelay{300};
};
// Of "code_update_strategy"; absent: deferred, 300 s.
Checked<UpdateStrategy> parseUpdateStrategy(const Json& body);
// Texts only, within Cloudflare's sizes.
Checked<Json> parseAnnotations(const Json& body);
// 10027 above kVersionTextBytesMax: modules may be large, what describes them not.
Checked<void> checkVersionSize(const catalog::VersionRow& version);
// Takes what `body` says of logpush, observability, tags and tail_consumers over into the script's settings.
Checked<void> applyScriptSettings(const Json& body, catalog::ScriptRow& script);

}  // namespace hf::api
