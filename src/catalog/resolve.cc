#include "catalog/resolve.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/check.h"
#include "catalog/catalog.h"

namespace hf::catalog {
namespace {

std::optional<BindingKind> kindOf(const std::string& type) {
  static const std::map<std::string, BindingKind> kKinds = {
      {"plain_text", BindingKind::kPlainText},
      {"text_blob", BindingKind::kPlainText},
      {"json", BindingKind::kJson},
      {"secret_text", BindingKind::kSecretText},
      {"secret_key", BindingKind::kSecretKey},
      {"data_blob", BindingKind::kData},
      {"wasm_module", BindingKind::kWasm},
      {"durable_object_namespace", BindingKind::kDurableObject},
      {"service", BindingKind::kService},
      {"version_metadata", BindingKind::kVersionMetadata},
  };
  const auto found = kKinds.find(type);
  if (found == kKinds.end()) return std::nullopt;
  return found->second;
}

std::string partText(const std::vector<Module>& modules, const std::string& name) {
  const auto part = std::ranges::find(modules, name, &Module::name);
  return part == modules.end() ? std::string() : std::string(asText(part->content));
}

// False when the binding has nothing to stand for any more.
bool resolveDurableObject(const Json& json, const std::string& scriptName, const NameTables& names, Binding& out) {
  const std::string id = textOf(json, "namespace_id");
  if (id.empty()) {
    out.className = textOf(json, "class_name");
    out.script = scriptName;
    return true;
  }
  const Result<NamespaceId> ns = NamespaceId::parse(id);
  HF_CHECK(ns.has_value(), "namespace ids in the catalog were written by us");
  const auto row = names.namespaces.find(*ns);
  if (row == names.namespaces.end()) return false;
  const auto script = names.scriptNames.find(row->second.scriptTag);
  HF_CHECK(script != names.scriptNames.end(), "a namespace belongs to a script");
  out.ns = *ns;
  out.className = row->second.className;
  out.script = script->second;
  return true;
}

}  // namespace

std::string textOf(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

std::vector<Binding> resolveBindings(const Json& bindings, const std::string& scriptName,
                                     const std::vector<Module>& modules, const NameTables& names) {
  std::vector<Binding> out;
  for (const Json& json : bindings) {
    const std::string type = textOf(json, "type");
    const std::optional<BindingKind> kind = kindOf(type);
    HF_CHECK(kind.has_value(), "bindings of other types are refused at upload");
    Binding binding;
    binding.name = textOf(json, "name");
    binding.kind = *kind;
    switch (*kind) {
      case BindingKind::kPlainText:
        binding.text = type == "text_blob" ? partText(modules, textOf(json, "part")) : textOf(json, "text");
        break;
      case BindingKind::kSecretText:
        binding.text = textOf(json, "text");
        break;
      case BindingKind::kJson:
        binding.text = json.contains("json") ? json["json"].dump() : "null";
        break;
      case BindingKind::kSecretKey: {
        Json key = json;
        key.erase("name");
        key.erase("type");
        binding.text = key.dump();
        break;
      }
      case BindingKind::kData:
      case BindingKind::kWasm:
        binding.part = textOf(json, "part");
        break;
      case BindingKind::kDurableObject:
        if (!resolveDurableObject(json, scriptName, names, binding)) continue;
        break;
      case BindingKind::kService:
        binding.script = textOf(json, "service");
        binding.entrypoint = textOf(json, "entrypoint");
        if (json.contains("props")) binding.propsJson = json["props"].dump();
        break;
      case BindingKind::kVersionMetadata:
        break;
    }
    out.push_back(std::move(binding));
  }
  return out;
}

Version makeVersion(const std::string& scriptName, const VersionRow& row, std::vector<Module> modules,
                    const NameTables& names) {
  Version version;
  version.id = row.id;
  version.number = row.number;
  version.scriptName = scriptName;
  version.mainModule = textOf(row.metadata, "main_module");
  version.bindings = resolveBindings(row.bindings, scriptName, modules, names);
  version.modules = std::move(modules);
  version.compatibilityDate = textOf(row.metadata, "compatibility_date");
  if (row.metadata.contains("compatibility_flags")) {
    for (const Json& flag : row.metadata["compatibility_flags"]) {
      version.compatibilityFlags.push_back(flag.get<std::string>());
    }
  }
  if (row.metadata.contains("limits") && row.metadata["limits"].contains("cpu_ms")) {
    version.limits.cpuPerTurn = std::chrono::milliseconds(row.metadata["limits"]["cpu_ms"].get<std::int64_t>());
  }
  version.createdOn = rfc3339(row.createdMs);
  version.tag = textOf(row.annotations, "workers/tag");
  return version;
}

}  // namespace hf::catalog
