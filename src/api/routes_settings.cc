// Settings of a script, with and without versions; the subdomain; cron triggers.
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

Checked<void> store(Core& core, const ScriptRow& script) {
  catalog::Change change;
  change.script = script;
  const Result<catalog::SnapshotPtr> stored = core.catalog.commit(change);
  if (!stored) return internal(stored.error());
  return {};
}

Task<Answer> getScriptSettings(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  co_return ok(describeScriptSettings(script));
}

Task<Answer> patchScriptSettings(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(ScriptRow script, findScript(core, request.param("n")));
  const std::optional<Json> body = request.json();
  if (!body || !body->is_object()) co_return refuse(400, 10001, "The body is not a JSON object.");
  if (auto applied = applyScriptSettings(*body, script); !applied) co_return std::unexpected(applied.error());
  script.modifiedMs = core.clock.wallMs();
  if (auto stored = store(core, script); !stored) co_return std::unexpected(stored.error());
  co_return ok(describeScriptSettings(script));
}

Json settingsOf(const ScriptRow& script, const VersionRow& version) {
  const auto value = [&version](const char* key, Json fallback) {
    const Json* member = memberOf(version.metadata, key);
    return member == nullptr ? fallback : *member;
  };
  Json out{{"bindings", redactedBindings(version.bindings)},
           {"compatibility_date", value("compatibility_date", "")},
           {"compatibility_flags", value("compatibility_flags", Json::array())},
           {"usage_model", "standard"},
           {"limits", value("limits", Json::object())},
           {"placement", value("placement", Json::object())}};
  if (script.migrationTag) out["migration_tag"] = *script.migrationTag;
  out.update(describeScriptSettings(script));
  out["annotations"] = version.annotations;
  return out;
}

Task<Answer> getSettings(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  HF_API_CO_TRY(const auto latest, latestVersion(core, script));
  if (!latest) co_return refuse(404, 10222, "This Worker has no version.");
  co_return ok(settingsOf(script, *latest));
}

// Bindings that name only themselves mean "as it is" here (spec control-plane 8).
void inheritBareBindings(Json& bindings, const Json& existing) {
  for (Json& binding : bindings) {
    if (!binding.is_object() || binding.size() > 2 || textOf(binding, "type") == "version_metadata") continue;
    const std::string name = textOf(binding, "name");
    const bool known = std::ranges::any_of(existing, [&](const Json& entry) { return textOf(entry, "name") == name; });
    if (known) binding["type"] = "inherit";
  }
}

Task<Answer> patchSettings(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(ScriptRow script, findScript(core, request.param("n")));
  HF_API_CO_TRY(const auto latest, latestVersion(core, script));
  if (!latest) co_return refuse(404, 10222, "This Worker has no version.");
  HF_API_CO_TRY(Upload upload, decodeUpload(request.body, request.header("content-type"), "settings"));
  Json metadata = latest->metadata;
  for (const char* shown : {"migration_tag", "classes", "handlers", "named_handlers", "etag", "source", "exports"}) {
    metadata.erase(shown);
  }
  if (upload.metadata.contains("bindings")) {
    inheritBareBindings(upload.metadata["bindings"], latest->bindings);
  } else {
    metadata["bindings"] = Json::array();
    for (const Json& binding : latest->bindings) {
      metadata["bindings"].push_back(Json{{"type", "inherit"}, {"name", textOf(binding, "name")}});
    }
  }
  for (const auto& [key, value] : upload.metadata.items()) metadata[key] = value;
  UploadRequest next;
  next.scriptName = script.name;
  next.upload.metadata = std::move(metadata);
  HF_API_CO_TRY(next.upload.modules, orInternal(core.catalog.modules(latest->id)));
  next.mode = UploadMode::kDeploy;
  next.inherit = Inherit::kStrict;
  next.source = request.source();
  next.triggeredBy = "upload";
  HF_API_CO_TRY(Uploaded done, co_await runUpload(core, std::move(next)));
  Reply reply = ok(settingsOf(done.script, done.version));
  reply.messages = std::move(done.messages);
  co_return reply;
}

Json subdomainOf(const ScriptRow& script) {
  return Json{{"enabled", script.subdomainEnabled}, {"previews_enabled", script.previewsEnabled}};
}

Task<Answer> getSubdomain(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY(const ScriptRow script, findScript(core, request.param("n")));
  co_return ok(subdomainOf(script));
}

Task<Answer> changeSubdomain(Core& core, std::string name, bool enabled, std::optional<bool> previews) {
  HF_API_CO_TRY(ScriptRow script, findScript(core, name));
  script.subdomainEnabled = enabled;
  script.previewsEnabled = previews.value_or(enabled);
  catalog::Change change;
  change.script = script;
  HF_API_CO_TRY(catalog::SnapshotPtr snapshot, orInternal(core.catalog.commit(change)));
  Reply reply = ok(subdomainOf(script));
  std::optional<std::string> trouble = co_await activate(core, std::move(snapshot));
  if (trouble) reply.messages.push_back(*std::move(trouble));
  co_return reply;
}

Task<Answer> postSubdomain(Core& core, const ApiRequest& request) {
  const std::optional<Json> body = request.json();
  const std::optional<bool> enabled = body ? boolOf(*body, "enabled") : std::nullopt;
  if (!enabled) co_return refuse(400, 10001, "The body must be a JSON object with 'enabled': true or false.");
  co_return co_await changeSubdomain(core, request.param("n"), *enabled, boolOf(*body, "previews_enabled"));
}

Task<Answer> deleteSubdomain(Core& core, const ApiRequest& request) {
  return changeSubdomain(core, request.param("n"), false, false);
}

Task<Answer> getSchedules(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY([[maybe_unused]] const ScriptRow script, findScript(core, request.param("n")));
  co_return ok(Json{{"schedules", Json::array()}});
}

Task<Answer> putSchedules(Core& core, const ApiRequest& request) {
  HF_API_CO_TRY([[maybe_unused]] const ScriptRow script, findScript(core, request.param("n")));
  const std::optional<Json> body = request.json();
  if (!body || !body->is_array()) co_return refuse(400, 10001, "The body must be a JSON array of schedules.");
  if (!body->empty()) {
    co_return refuse(400, 10100,
                     "Cron triggers are not part of this release of Holdfast: remove triggers.crons from the "
                     "configuration, or use a Durable Object's alarm.");
  }
  co_return ok(Json{{"schedules", Json::array()}});
}

}  // namespace

std::vector<Route> settingsRoutes() {
  return {
      {"GET", "/accounts/{a}/workers/scripts/{n}/script-settings", &getScriptSettings},
      {"PATCH", "/accounts/{a}/workers/scripts/{n}/script-settings", &patchScriptSettings},
      {"GET", "/accounts/{a}/workers/scripts/{n}/settings", &getSettings},
      {"PATCH", "/accounts/{a}/workers/scripts/{n}/settings", &patchSettings},
      {"GET", "/accounts/{a}/workers/scripts/{n}/subdomain", &getSubdomain},
      {"POST", "/accounts/{a}/workers/scripts/{n}/subdomain", &postSubdomain},
      {"DELETE", "/accounts/{a}/workers/scripts/{n}/subdomain", &deleteSubdomain},
      {"GET", "/accounts/{a}/workers/scripts/{n}/schedules", &getSchedules},
      {"PUT", "/accounts/{a}/workers/scripts/{n}/schedules", &putSchedules},
  };
}

}  // namespace hf::api
