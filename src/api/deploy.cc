#include "api/deploy.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "api/page.h"
#include "base/check.h"

namespace hf::api {
namespace {

using catalog::Change;
using catalog::ClassDeclarations;
using catalog::DeploymentRow;
using catalog::Migrations;
using catalog::Module;
using catalog::ModuleKind;
using catalog::NamespaceRow;
using catalog::ScriptRow;
using catalog::VersionRow;

// What is decided before the code is started.
struct Draft {
  ScriptRow script;
  std::optional<VersionRow> latest;
  VersionRow version;
  std::vector<Module> modules;
  std::optional<Migrations> migrations;
  std::optional<ClassDeclarations> declarations;
  UpdateStrategy strategy;
  std::vector<NamespaceRow> namespaces;           // before
  std::map<std::string, std::string> scriptTags;  // name -> tag
};

std::string hashOf(const Json& metadata, const std::vector<Module>& modules) {
  // A hash of hashes: no piece can run into the next.
  Bytes digests;
  const auto add = [&digests](BytesView bytes) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash{};
    SHA256(bytes.data(), bytes.size(), hash.data());
    digests.insert(digests.end(), hash.begin(), hash.end());
  };
  add(asBytes(dumpJson(metadata)));
  for (const Module& module : modules) {
    add(asBytes(module.name));
    add(module.content);
  }
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash{};
  SHA256(digests.data(), digests.size(), hash.data());
  return toHex(hash);
}

Checked<void> checkName(const std::string& name) {
  // It becomes a label of a host name.
  const bool fits = !name.empty() && name.size() <= 63 && name.front() != '-' && name.back() != '-' &&
                    std::ranges::all_of(name, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
                    });
  if (fits) return {};
  return refuse(400, 10016,
                "The Worker name '" + name +
                    "' is invalid: use lowercase letters, digits, '-' and '_', at most 63 characters, no "
                    "'-' at either end.");
}

Checked<void> checkEntry(const Json& metadata, const std::vector<Module>& modules) {
  for (const char* feature : {"assets", "containers"}) {
    const Json* member = memberOf(metadata, feature);
    if (member == nullptr || member->is_null() || (member->is_array() && member->empty())) continue;
    return refuse(400, 10021, std::string(feature) + " are not part of this release of Holdfast.");
  }
  if (!textOf(metadata, "body_part").empty()) {
    return refuse(400, 10021,
                  "This Worker is in the service-worker format (addEventListener), which Holdfast does not run. Use ES "
                  "modules: export default { fetch(request, env, ctx) { ... } }.");
  }
  const std::string main = moduleName(textOf(metadata, "main_module"));
  if (main.empty()) return refuse(400, 10021, "The metadata names no main_module.");
  const auto module = std::ranges::find(modules, main, &Module::name);
  if (module == modules.end()) return refuse(400, 10021, "No such module \"" + main + "\".");
  if (module->kind != ModuleKind::kEsm) {
    return refuse(400, 10021, "The main module '" + main + "' is not an ES module (application/javascript+module).");
  }
  return {};
}

// "2026-02-28": a day that there is.
bool isDate(const std::string& text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const auto year = parseCount(text.substr(0, 4), 9999);
  const auto month = parseCount(text.substr(5, 2), 12);
  const auto day = parseCount(text.substr(8, 2), 31);
  if (!year || !month || !day) return false;
  return std::chrono::year_month_day(std::chrono::year(static_cast<int>(*year)),
                                     std::chrono::month(static_cast<unsigned>(*month)),
                                     std::chrono::day(static_cast<unsigned>(*day)))
      .ok();
}

// The day in UTC, which orders as text does.
std::string dayOf(WallMs now) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(
      std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(now))));
  const auto padded = [](unsigned value, std::size_t digits) {
    const std::string text = std::to_string(value);
    return std::string(digits - std::min(digits, text.size()), '0') + text;
  };
  return padded(static_cast<unsigned>(static_cast<int>(day.year())), 4) + "-" +
         padded(static_cast<unsigned>(day.month()), 2) + "-" + padded(static_cast<unsigned>(day.day()), 2);
}

Checked<void> copyRuntimeSettings(const Json& metadata, WallMs now, Json& out) {
  const Json* date = memberOf(metadata, "compatibility_date");
  if (date != nullptr && !date->is_null()) {
    const std::string text = date->is_string() ? date->get<std::string>() : "?";
    if (!text.empty() && !isDate(text)) return refuse(400, 10021, "compatibility_date must be a date: \"YYYY-MM-DD\".");
    if (const std::string today = dayOf(now); text > today) {
      return refuse(
          400, 10021,
          "Can't set compatibility date in the future: \"" + text + "\". Today's date (UTC) is \"" + today + "\".");
    }
    out["compatibility_date"] = text;
  }
  out["compatibility_flags"] = Json::array();
  if (const Json* flags = memberOf(metadata, "compatibility_flags"); flags != nullptr && !flags->is_null()) {
    if (!flags->is_array()) return refuse(400, 10021, "compatibility_flags must be an array of texts.");
    for (const Json& flag : *flags) {
      if (!flag.is_string()) return refuse(400, 10021, "compatibility_flags must be an array of texts.");
      out["compatibility_flags"].push_back(flag);
    }
  }
  if (const Json* limits = memberOf(metadata, "limits"); limits != nullptr && !limits->is_null()) {
    if (!limits->is_object()) return refuse(400, 10021, "limits must be an object.");
    if (const Json* cpu = memberOf(*limits, "cpu_ms")) {
      if (!cpu->is_number() || cpu->get<double>() < 1 || cpu->get<double>() > 3'600'000) {
        return refuse(400, 10021, "limits.cpu_ms must be a number of milliseconds from 1 to 3600000.");
      }
    }
    out["limits"] = *limits;
    if (out["limits"].contains("cpu_ms")) {
      out["limits"]["cpu_ms"] = static_cast<std::int64_t>(out["limits"]["cpu_ms"].get<double>());
    }
  }
  if (const Json* placement = memberOf(metadata, "placement")) out["placement"] = *placement;
  return {};
}

std::unexpected<ApiError> migrationInVersion() {
  ApiError error{.status = 400, .entries = {}};
  error.entries.push_back(
      {.code = 10211,
       .message = "Version upload failed. You attempted to upload a version of a Worker that includes a Durable Object "
                  "migration, but migrations must be fully applied by running \"wrangler deploy\".",
       .documentationUrl = "https://developers.cloudflare.com/workers/configuration/versions-and-deployments/"
                           "gradual-deployments/#gradual-deployments-for-durable-objects"});
  return std::unexpected(std::move(error));
}

Checked<void> readClassChanges(const Json& metadata, UploadMode mode, Draft& draft) {
  const Json* migrations = memberOf(metadata, "migrations");
  const bool hasMigrations = migrations != nullptr && !migrations->is_null();
  const Json* exports = memberOf(metadata, "exports");
  if (exports != nullptr && !exports->is_null()) {
    auto declarations = catalog::parseExports(*exports);
    if (!declarations) return refuse(declarations.error());
    if (!declarations->empty()) {
      if (hasMigrations) {
        return refuse(400, 100402, "Durable Object classes are declared by 'exports' or by 'migrations', not by both.");
      }
      draft.declarations = *std::move(declarations);
    }
    draft.version.metadata["exports"] = *exports;
  }
  if (!hasMigrations) return {};
  if (mode == UploadMode::kVersion) return migrationInVersion();
  if (draft.script.usesExports) {
    return refuse(400, 100402,
                  "This Worker declares its Durable Object classes by 'exports'; it cannot go back to 'migrations'.");
  }
  auto parsed = catalog::parseMigrations(*migrations);
  if (!parsed) return refuse(parsed.error());
  draft.migrations = *std::move(parsed);
  return {};
}

// Shape, class changes, settings; no bindings yet.
Checked<Draft> draftUpload(Core& core, const UploadRequest& request) {
  const Json& metadata = request.upload.metadata;
  Draft draft;
  if (auto checked = checkName(request.scriptName); !checked) return std::unexpected(checked.error());
  HF_API_TRY(std::optional<ScriptRow> known, orInternal(core.catalog.script(request.scriptName)));
  const WallMs now = core.clock.wallMs();
  if (!known && request.mode == UploadMode::kVersion) {
    return refuse(404, 10007, "This Worker does not exist on your account.");
  }
  if (known) {
    draft.script = *std::move(known);
    HF_API_TRY(draft.latest, latestVersion(core, draft.script));
  } else {
    draft.script = ScriptRow{.tag = catalog::makeTag(core.random), .name = request.scriptName, .createdMs = now};
  }
  draft.script.modifiedMs = now;
  draft.modules = request.upload.modules;
  if (auto checked = checkEntry(metadata, draft.modules); !checked) return std::unexpected(checked.error());
  HF_API_TRY(draft.strategy, parseUpdateStrategy(metadata));
  VersionRow& version = draft.version;
  version.id = catalog::makeUuid(core.random);
  version.scriptTag = draft.script.tag;
  version.number = ++draft.script.lastVersionNumber;
  version.createdMs = now;
  HF_API_TRY(version.annotations, parseAnnotations(metadata));
  version.annotations["workers/triggered_by"] = request.triggeredBy;
  version.metadata["main_module"] = moduleName(textOf(metadata, "main_module"));
  if (auto copied = copyRuntimeSettings(metadata, now, version.metadata); !copied)
    return std::unexpected(copied.error());
  version.metadata["source"] = request.source;
  version.metadata["etag"] = hashOf(Json(version.id), draft.modules);
  if (auto read = readClassChanges(metadata, request.mode, draft); !read) return std::unexpected(read.error());
  if (request.mode == UploadMode::kDeploy) {
    if (auto applied = applyScriptSettings(metadata, draft.script); !applied) return std::unexpected(applied.error());
  }
  HF_API_TRY(draft.namespaces, orInternal(core.catalog.namespaces()));
  HF_API_TRY(const std::vector<ScriptRow> scripts, orInternal(core.catalog.scripts()));
  for (const ScriptRow& row : scripts) draft.scriptTags[row.name] = row.tag;
  draft.scriptTags[draft.script.name] = draft.script.tag;
  return draft;
}

// The version that a repeated request already made: its answer was lost, and its tag is now the stored one (spec 17).
Checked<std::optional<VersionRow>> alreadyApplied(Core& core, const Draft& draft, const std::string& hash) {
  const bool repeated = draft.latest && draft.migrations->newTag &&
                        draft.migrations->newTag == draft.script.migrationTag && draft.script.lastUploadHash == hash;
  if (!repeated) return std::nullopt;
  return orInternal(core.catalog.version(draft.script.tag, draft.latest->id));
}

Checked<Json> draftBindings(Core& core, const UploadRequest& request, const Draft& draft) {
  BindingSource source;
  source.scriptName = draft.script.name;
  source.scriptTag = draft.script.tag;
  source.latest = draft.latest;
  source.version = [&core, tag = draft.script.tag](const std::string& id) {
    return orInternal(core.catalog.version(tag, id));
  };
  source.inherit = request.inherit;
  source.namespaces = draft.namespaces;
  source.scriptTags = draft.scriptTags;
  source.modules = &draft.modules;
  return collectBindings(request.upload.metadata, source);
}

// Notes what starting the code has shown. 10068 when nothing can ever call it.
Checked<std::set<std::string>> takeReport(const ScriptReport& report, Json& metadata) {
  Json handlers = Json::array();
  Json named = Json::array();
  std::set<std::string> classes;
  bool callable = false;
  for (const ExportedName& name : report.exports) {
    const bool isEmptyObject = name.kind == ExportKind::kHandlerObject && name.handlers.empty();
    callable = callable || (name.kind != ExportKind::kOther && !isEmptyObject);
    if (name.name == "default") {
      handlers = name.handlers;
      continue;
    }
    if (name.kind == ExportKind::kOther) continue;
    if (name.kind == ExportKind::kDurableObject) classes.insert(name.name);
    named.push_back(Json{{"name", name.name}, {"handlers", name.handlers}});
  }
  if (!callable) return refuse(400, 10068, "The uploaded script has no registered event handlers.");
  metadata["handlers"] = std::move(handlers);
  metadata["named_handlers"] = std::move(named);
  metadata["classes"] = classes;
  metadata["startup_time_ms"] = std::max(1, static_cast<int>(std::ceil(report.startupMs)));
  return classes;
}

catalog::PlanInput planInput(Core& core, const ScriptRow& script, const std::vector<NamespaceRow>& namespaces) {
  catalog::PlanInput input;
  input.script = script.name;
  input.scriptTag = script.tag;
  input.namespaces = namespaces;
  input.boundByOthers = boundByOthers(*core.catalog.snapshot(), script.name);
  input.newId = [&core] { return catalog::makeNamespaceId(core.random); };
  return input;
}

Checked<catalog::Plan> planClasses(Core& core, const Draft& draft, UploadMode mode, std::set<std::string> codeClasses) {
  catalog::PlanInput input = planInput(core, draft.script, draft.namespaces);
  input.scriptTags = draft.scriptTags;
  input.codeClasses = std::move(codeClasses);
  input.boundClasses = boundClasses(draft.version.bindings, draft.script.name);
  if (draft.declarations && mode == UploadMode::kVersion) {
    // Nothing is provisioned by a version that does not run yet; what it binds must be there already.
    catalog::Plan plan;
    plan.namespaces = draft.namespaces;
    for (const std::string& name : input.boundClasses) {
      const bool known = std::ranges::any_of(draft.namespaces, [&](const NamespaceRow& row) {
        return row.scriptTag == draft.script.tag && row.className == name;
      });
      if (!known) {
        return refuse(400, 100406,
                      "The binding to class '" + name +
                          "' needs an export that is not provisioned yet: run \"wrangler deploy\" first.");
      }
    }
    return plan;
  }
  auto plan = draft.declarations ? catalog::planExports(input, *draft.declarations)
                                 : catalog::planMigrations(input, draft.migrations);
  if (!plan) return refuse(plan.error());
  return *std::move(plan);
}

Change changeOf(Core& core, const UploadRequest& request, Draft draft, const catalog::Plan& plan) {
  Change change;
  change.namespaces = plan.changed;
  change.deletedNamespaces = plan.deleted;
  if (request.mode == UploadMode::kDeploy) {
    DeploymentRow deployment;
    deployment.id = catalog::makeUuid(core.random);
    deployment.scriptTag = draft.script.tag;
    deployment.createdMs = draft.version.createdMs;
    deployment.source = request.source;
    deployment.parts = {{.versionId = draft.version.id, .percentage = 100}};
    deployment.annotations = draft.version.annotations;
    deployment.updateMode = draft.strategy.mode;
    deployment.updateMaxDelay = draft.strategy.maxDelay;
    change.deployment = std::move(deployment);
  }
  change.script = std::move(draft.script);
  change.version = Change::NewVersion{.row = std::move(draft.version), .modules = std::move(draft.modules)};
  return change;
}

// A version that declares its classes provisions them when it is deployed, not when it is uploaded.
Checked<catalog::Plan> planDeployment(Core& core, const ScriptRow& script, const std::vector<VersionRow>& versions,
                                      const std::vector<NamespaceRow>& namespaces) {
  catalog::Plan unchanged;
  unchanged.namespaces = namespaces;
  const Json* exports = memberOf(versions.front().metadata, "exports");
  if (versions.size() == 2) {
    const Json* other = memberOf(versions.back().metadata, "exports");
    const bool same = exports == nullptr || other == nullptr ? exports == other : *exports == *other;
    if (!same) return refuse(400, 100405, "The versions of a split deployment must declare the same 'exports'.");
  }
  if (exports == nullptr) return unchanged;
  auto declarations = catalog::parseExports(*exports);
  if (!declarations) return refuse(declarations.error());
  if (declarations->empty()) return unchanged;
  catalog::PlanInput input = planInput(core, script, namespaces);
  if (const Json* classes = memberOf(versions.front().metadata, "classes")) {
    for (const Json& name : *classes) input.codeClasses.insert(name.get<std::string>());
  }
  auto plan = catalog::planExports(input, *declarations);
  if (!plan) return refuse(plan.error());
  return *std::move(plan);
}

}  // namespace

Checked<void> fitsClasses(const VersionRow& version, const ScriptRow& script,
                          const std::vector<NamespaceRow>& namespaces) {
  const Json* classes = memberOf(version.metadata, "classes");
  for (const NamespaceRow& row : namespaces) {
    if (row.scriptTag != script.tag) continue;
    const bool exported = classes != nullptr && std::ranges::find(*classes, Json(row.className)) != classes->end();
    if (exported) continue;
    return refuse(400, 10064,
                  "The version " + version.id + " of the script does not export class '" + row.className +
                      "' which is depended on by existing Durable Objects. A version from before a "
                      "migration cannot be deployed again.");
  }
  for (const Json& binding : version.bindings) {
    const std::string id = textOf(binding, "namespace_id");
    if (textOf(binding, "type") != "durable_object_namespace" || id.empty()) continue;
    if (std::ranges::any_of(namespaces, [&id](const NamespaceRow& row) { return row.id.hex() == id; })) continue;
    return refuse(400, 10061,
                  "The version " + version.id + " binds '" + textOf(binding, "name") +
                      "' to a Durable Object class that has been deleted.");
  }
  return {};
}

Task<Checked<Uploaded>> runUpload(Core& core, UploadRequest request) {
  HF_API_CO_TRY(Draft draft, draftUpload(core, request));
  std::string hash;
  if (draft.migrations) {
    hash = hashOf(request.upload.metadata, draft.modules);
    if (auto checked = catalog::checkMigrationTag(draft.script.migrationTag, *draft.migrations); !checked) {
      HF_API_CO_TRY(std::optional<VersionRow> earlier, alreadyApplied(core, draft, hash));
      if (!earlier) co_return refuse(checked.error());
      co_return Uploaded{.script = std::move(draft.script), .version = *std::move(earlier)};
    }
  }
  HF_API_CO_TRY(draft.version.bindings, draftBindings(core, request, draft));
  if (auto fits = checkVersionSize(draft.version); !fits) co_return std::unexpected(fits.error());

  HF_API_CO_TRY(std::shared_ptr<const catalog::Version> runnable,
                orInternal(core.catalog.runnable(draft.script.name, draft.version, draft.modules)));
  Await<ScriptReport> checking(
      [&core, runnable](Completion<Result<ScriptReport>> done) { core.runtime.check(runnable, std::move(done)); });
  const Result<ScriptReport> report = co_await checking;
  if (!report) {
    if (report.error().code == Errc::kScript) co_return refuse(400, 10021, report.error().message);
    co_return internal(report.error());
  }
  HF_API_CO_TRY(std::set<std::string> classes, takeReport(*report, draft.version.metadata));
  HF_API_CO_TRY(catalog::Plan plan, planClasses(core, draft, request.mode, std::move(classes)));
  HF_API_CO_TRY(draft.version.bindings, resolveNamespaces(std::move(draft.version.bindings), draft.script.name,
                                                          draft.script.tag, plan.namespaces, draft.scriptTags));
  if (draft.migrations) {
    if (draft.migrations->newTag) draft.script.migrationTag = draft.migrations->newTag;
    draft.script.lastUploadHash = hash;
  }
  if (draft.declarations && request.mode == UploadMode::kDeploy) draft.script.usesExports = true;
  if (draft.script.migrationTag) draft.version.metadata["migration_tag"] = *draft.script.migrationTag;

  const Change change = changeOf(core, request, std::move(draft), plan);
  HF_API_CO_TRY(catalog::SnapshotPtr snapshot, orInternal(core.catalog.commit(change)));
  Uploaded out{.script = *change.script,
               .version = change.version->row,
               .reconciliation = std::move(plan.reconciliation),
               .messages = {}};
  core.log.info(request.mode == UploadMode::kDeploy ? "deployed" : "version uploaded",
                {{"script", out.script.name}, {"version", out.version.id}});
  if (request.mode == UploadMode::kDeploy) {
    std::optional<std::string> trouble = co_await activate(core, std::move(snapshot));
    if (trouble) out.messages.push_back(*std::move(trouble));
  }
  co_return out;
}

Task<Checked<Deployed>> runDeployment(Core& core, DeploymentRequest request) {
  HF_API_CO_TRY(const std::vector<NamespaceRow> namespaces, orInternal(core.catalog.namespaces()));
  std::vector<VersionRow> versions;
  for (const DeploymentRow::Part& part : request.parts) {
    std::optional<VersionRow> row;
    if (request.version && request.version->row.id == part.versionId) {
      row = request.version->row;
    } else {
      HF_API_CO_TRY(row, orInternal(core.catalog.version(request.script.tag, part.versionId)));
    }
    if (!row) co_return refuse(404, 10071, "This Worker has no version '" + part.versionId + "'.");
    versions.push_back(*std::move(row));
  }
  HF_API_CO_TRY(const catalog::Plan plan, planDeployment(core, request.script, versions, namespaces));
  for (const VersionRow& version : versions) {
    if (auto fits = fitsClasses(version, request.script, plan.namespaces); !fits) {
      co_return std::unexpected(fits.error());
    }
  }
  Change change;
  const WallMs now = core.clock.wallMs();
  request.script.modifiedMs = now;
  change.script = request.script;
  change.namespaces = plan.changed;
  change.deletedNamespaces = plan.deleted;
  if (!plan.reconciliation.is_null()) change.script->usesExports = true;
  change.version = std::move(request.version);
  DeploymentRow row;
  row.id = catalog::makeUuid(core.random);
  row.scriptTag = request.script.tag;
  row.createdMs = now;
  row.source = request.source;
  row.parts = std::move(request.parts);
  row.annotations = std::move(request.annotations);
  row.annotations["workers/triggered_by"] = request.triggeredBy;
  row.updateMode = request.updateMode;
  row.updateMaxDelay = request.updateMaxDelay;
  change.deployment = row;
  HF_API_CO_TRY(catalog::SnapshotPtr snapshot, orInternal(core.catalog.commit(change)));
  core.log.info("deployed", {{"script", request.script.name}, {"version", row.parts.front().versionId}});
  Deployed out{.deployment = std::move(row), .messages = {}};
  std::optional<std::string> trouble = co_await activate(core, std::move(snapshot));
  if (trouble) out.messages.push_back(*std::move(trouble));
  co_return out;
}

Checked<Change::NewVersion> cloneVersion(Core& core, ScriptRow& script, const VersionRow& from, Json bindings,
                                         Json annotations, const std::string& source) {
  Change::NewVersion out;
  out.row = from;
  out.row.id = catalog::makeUuid(core.random);
  out.row.number = ++script.lastVersionNumber;
  out.row.createdMs = core.clock.wallMs();
  out.row.bindings = std::move(bindings);
  out.row.annotations = std::move(annotations);
  out.row.metadata["source"] = source;
  if (auto fits = checkVersionSize(out.row); !fits) return std::unexpected(fits.error());
  HF_API_TRY(out.modules, orInternal(core.catalog.modules(from.id)));
  return out;
}

}  // namespace hf::api
