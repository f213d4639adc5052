#include "api/describe.h"

#include <openssl/sha.h>

#include <array>

#include "api/bindings.h"

namespace hf::api {
namespace {

using catalog::rfc3339;

std::string userId(const ApiOptions& options) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash{};
  SHA256(asBytes(options.accountId).data(), options.accountId.size(), hash.data());
  return toHex(BytesView(hash).first(16));
}

std::string email(const ApiOptions& options) { return "operator@" + options.domain; }

Json member(const Json& object, const char* key, Json fallback) {
  const Json* found = memberOf(object, key);
  return found == nullptr || found->is_null() ? fallback : *found;
}

// Tombstones are for the upload that brings them; readers see what lives (spec control-plane 6).
Json liveExports(const Json& metadata) {
  Json out = Json::object();
  const Json* exports = memberOf(metadata, "exports");
  if (exports == nullptr) return out;
  for (const auto& [name, entry] : exports->items()) {
    const std::string state = textOf(entry, "state");
    if (state.empty() || state == "created") out[name] = entry;
  }
  return out;
}

}  // namespace

Checked<ScriptView> viewScript(catalog::Catalog& catalog, catalog::ScriptRow row) {
  ScriptView view;
  HF_API_TRY(view.latest, orInternal(catalog.latestVersion(row.tag)));
  HF_API_TRY(view.deployments, orInternal(catalog.deployments(row.tag)));
  view.row = std::move(row);
  return view;
}

Json describeScript(const ScriptView& view) {
  const Json metadata = view.latest ? view.latest->metadata : Json::object();
  const Json settings = describeScriptSettings(view.row);
  Json out{{"id", view.row.name},
           {"tag", view.row.tag},
           {"tags", settings["tags"]},
           {"etag", textOf(metadata, "etag")},
           {"handlers", member(metadata, "handlers", Json::array())},
           {"named_handlers", member(metadata, "named_handlers", Json::array())},
           {"created_on", rfc3339(view.row.createdMs)},
           {"modified_on", rfc3339(view.row.modifiedMs)},
           {"usage_model", "standard"},
           {"compatibility_date", member(metadata, "compatibility_date", "")},
           {"compatibility_flags", member(metadata, "compatibility_flags", Json::array())}};
  // Absent means "no migration was ever applied": wrangler decides by it what to send.
  if (view.row.migrationTag) out["migration_tag"] = *view.row.migrationTag;
  out["has_assets"] = false;
  out["has_modules"] = true;
  out["last_deployed_from"] = view.deployments.empty() ? textOf(metadata, "source") : view.deployments.front().source;
  out["logpush"] = settings["logpush"];
  out["placement_mode"] = nullptr;
  out["tail_consumers"] = settings["tail_consumers"];
  out["observability"] = settings["observability"];
  if (const Json* limits = memberOf(metadata, "limits")) out["limits"] = *limits;
  out["routes"] = Json::array();
  return out;
}

Json describeVersion(const catalog::VersionRow& row, const ApiOptions& options) {
  const Json& metadata = row.metadata;
  Json runtime{{"compatibility_date", member(metadata, "compatibility_date", "")},
               {"compatibility_flags", member(metadata, "compatibility_flags", Json::array())},
               {"usage_model", "standard"},
               {"limits", member(metadata, "limits", Json::object())}};
  if (!textOf(metadata, "migration_tag").empty()) runtime["migration_tag"] = textOf(metadata, "migration_tag");
  const Json live = liveExports(metadata);
  if (!live.empty()) runtime["exports"] = live;
  const std::string created = rfc3339(row.createdMs);
  return Json{{"id", row.id},
              {"number", row.number},
              {"metadata",
               {{"created_on", created},
                {"modified_on", created},
                {"source", textOf(metadata, "source")},
                {"author_id", userId(options)},
                {"author_email", email(options)},
                {"has_preview", false},
                {"hasPreview", false}}},
              {"annotations", row.annotations},
              {"resources",
               {{"bindings", redactedBindings(row.bindings)},
                {"script",
                 {{"etag", textOf(metadata, "etag")},
                  {"handlers", member(metadata, "handlers", Json::array())},
                  {"named_handlers", member(metadata, "named_handlers", Json::array())},
                  {"last_deployed_from", textOf(metadata, "source")}}},
                {"script_runtime", std::move(runtime)}}},
              {"startup_time_ms", member(metadata, "startup_time_ms", 1)}};
}

Json describeDeployment(const catalog::DeploymentRow& row, const ApiOptions& options) {
  Json versions = Json::array();
  for (const auto& part : row.parts) {
    const auto whole = static_cast<std::int64_t>(part.percentage);
    const bool isWhole = static_cast<double>(whole) == part.percentage;
    versions.push_back(
        Json{{"version_id", part.versionId}, {"percentage", isWhole ? Json(whole) : Json(part.percentage)}});
  }
  return Json{{"id", row.id},
              {"source", row.source},
              {"strategy", "percentage"},
              {"author_email", email(options)},
              {"created_on", rfc3339(row.createdMs)},
              {"annotations", row.annotations},
              {"versions", std::move(versions)},
              {"code_update_strategy",
               {{"mode", row.updateMode == catalog::CodeUpdateMode::kImmediate ? "immediate" : "deferred"},
                {"max_delay", row.updateMaxDelay.count()}}}};
}

Json describeObservability(const catalog::ScriptRow& row) {
  Json logs{{"enabled", false},
            {"head_sampling_rate", 1},
            {"invocation_logs", true},
            {"persist", true},
            {"destinations", Json::array()}};
  Json out{{"enabled", false}, {"head_sampling_rate", 1}, {"logs", std::move(logs)}};
  if (const Json* stored = memberOf(row.settings, "observability"); stored != nullptr && stored->is_object()) {
    out.merge_patch(*stored);
  }
  return out;
}

Json describeScriptSettings(const catalog::ScriptRow& row) {
  return Json{{"logpush", member(row.settings, "logpush", false)},
              {"observability", member(row.settings, "observability", Json{{"enabled", false}})},
              {"tags", member(row.settings, "tags", Json::array())},
              {"tail_consumers", member(row.settings, "tail_consumers", nullptr)}};
}

Json describeNamespace(const catalog::NamespaceRow& row, const std::string& scriptName) {
  return Json{{"id", row.id.hex()},
              {"name", scriptName + "_" + row.className},
              {"script", scriptName},
              {"class", row.className},
              {"use_sqlite", row.useSqlite}};
}

Json describeUser(const ApiOptions& options) {
  return Json{{"id", userId(options)}, {"email", email(options)}, {"username", "operator"},
              {"first_name", nullptr}, {"last_name", nullptr},    {"two_factor_authentication_enabled", false},
              {"suspended", false}};
}

Json describeAccount(const ApiOptions& options) {
  return Json{{"id", options.accountId},
              {"name", "Holdfast (" + options.accountId + ")"},
              {"type", "standard"},
              {"settings", Json::object()},
              {"created_on", rfc3339(0)}};
}

std::string workerUrl(const ApiOptions& options, const std::string& scriptName) {
  return "http://" + scriptName + "." + options.domain + ":" + std::to_string(options.publicPort);
}

}  // namespace hf::api
