#include "api/bindings.h"

#include <algorithm>

#include "api/upload.h"

namespace hf::api {
namespace {

using catalog::NamespaceRow;

const Json* findBinding(const Json& bindings, const std::string& name) {
  const auto found = std::ranges::find_if(bindings, [&](const Json& entry) { return textOf(entry, "name") == name; });
  return found == bindings.end() ? nullptr : &*found;
}

std::unexpected<ApiError> wrong(const std::string& name, const std::string& type, const std::string& what) {
  return refuse(400, 10021, "The binding '" + name + "' of type '" + type + "' " + what);
}

bool isOwn(const Json& binding, const std::string& scriptName) {
  const std::string script = textOf(binding, "script_name");
  return script.empty() || script == scriptName;
}

Checked<void> needText(const Json& binding, const char* key) {
  const Json* member = memberOf(binding, key);
  if (member != nullptr && member->is_string()) return {};
  return wrong(textOf(binding, "name"), textOf(binding, "type"), std::string("needs the text '") + key + "'.");
}

Checked<void> checkSecretKey(const Json& binding) {
  static const std::set<std::string> kFormats = {"raw", "pkcs8", "spki", "jwk"};
  const std::string format = textOf(binding, "format");
  const std::string name = textOf(binding, "name");
  if (!kFormats.contains(format)) return wrong(name, "secret_key", "needs 'format': raw, pkcs8, spki or jwk.");
  if (memberOf(binding, "algorithm") == nullptr) return wrong(name, "secret_key", "needs 'algorithm'.");
  const char* key = format == "jwk" ? "key_jwk" : "key_base64";
  if (memberOf(binding, key) == nullptr) return wrong(name, "secret_key", std::string("needs '") + key + "'.");
  return {};
}

Checked<void> checkPart(const Json& binding, const BindingSource& source) {
  if (auto checked = needText(binding, "part"); !checked) return checked;
  const std::string part = moduleName(textOf(binding, "part"));
  if (source.modules != nullptr && std::ranges::count(*source.modules, part, &catalog::Module::name) != 0) return {};
  return wrong(textOf(binding, "name"), textOf(binding, "type"), "names the part '" + part + "', which is missing.");
}

Checked<void> checkObject(const Json& binding, const BindingSource& source) {
  const std::string name = textOf(binding, "name");
  if (!textOf(binding, "dispatch_namespace").empty()) {
    return wrong(name, "durable_object_namespace", "names a dispatch namespace, which Holdfast does not have.");
  }
  if (const std::string id = textOf(binding, "namespace_id"); !id.empty()) {
    if (std::ranges::any_of(source.namespaces, [&id](const NamespaceRow& row) { return row.id.hex() == id; }))
      return {};
    return refuse(
        400, 10061,
        "Cannot create binding '" + name + "': there is no Durable Object namespace with the id '" + id + "'.");
  }
  const std::string className = textOf(binding, "class_name");
  if (className.empty()) return wrong(name, "durable_object_namespace", "needs 'class_name'.");
  if (isOwn(binding, source.scriptName)) return {};
  const std::string script = textOf(binding, "script_name");
  const auto tag = source.scriptTags.find(script);
  if (tag == source.scriptTags.end()) {
    return refuse(400, 10061, "Cannot create binding for class in script '" + script + "' that does not exist. ");
  }
  const bool known = std::ranges::any_of(source.namespaces, [&](const NamespaceRow& row) {
    return row.scriptTag == tag->second && row.className == className;
  });
  if (known) return {};
  return refuse(400, 10061,
                "Cannot create binding for class '" + className +
                    "' because it is not currently configured to implement Durable Objects. Ensure a "
                    "--new-class migration has been applied to it.");
}

Checked<void> checkService(const Json& binding, const BindingSource& source) {
  const std::string target = textOf(binding, "service");
  const std::string name = textOf(binding, "name");
  if (target.empty()) return wrong(name, "service", "needs 'service'.");
  const Json* props = memberOf(binding, "props");
  if (props != nullptr && !props->is_object()) return wrong(name, "service", "has 'props' that are no object.");
  if (target == source.scriptName || source.scriptTags.contains(target)) return {};
  return refuse(400, 10144,
                "Could not resolve service binding '" + name + "'. Target script '" + target + "' not found.");
}

Checked<void> checkBinding(const Json& binding, const BindingSource& source) {
  const std::string type = textOf(binding, "type");
  if (type == "plain_text" || type == "secret_text") return needText(binding, "text");
  if (type == "version_metadata") return {};
  if (type == "secret_key") return checkSecretKey(binding);
  if (type == "durable_object_namespace") return checkObject(binding, source);
  if (type == "service") return checkService(binding, source);
  if (type == "wasm_module" || type == "data_blob" || type == "text_blob") return checkPart(binding, source);
  if (type == "json") {
    if (memberOf(binding, "json") != nullptr) return {};
    return wrong(textOf(binding, "name"), type, "needs 'json'.");
  }
  if (type == "assets") {
    return wrong(textOf(binding, "name"), type, "needs static assets, which are not part of this release of Holdfast.");
  }
  return wrong(textOf(binding, "name"), type, "is not of a type that this release of Holdfast runs.");
}

// What a carried-over binding stands for stays what it is, also when its class is renamed by the same upload.
Json carried(const Json& binding, const std::string& newName) {
  Json out = binding;
  out["name"] = newName;
  if (textOf(out, "type") == "durable_object_namespace") {
    out.erase("class_name");
    out.erase("script_name");
    out.erase("environment");
  }
  return out;
}

Checked<std::optional<Json>> inherited(const Json& binding, const BindingSource& source,
                                       std::vector<ApiError::Entry>& unresolved) {
  const std::string name = textOf(binding, "name");
  std::string old = textOf(binding, "old_name");
  if (old.empty()) old = name;
  std::optional<catalog::VersionRow> from = source.latest;
  const std::string id = textOf(binding, "version_id");
  if (!id.empty() && id != "latest") {
    HF_API_TRY(from, source.version(id));
  }
  const Json* found = from ? findBinding(from->bindings, old) : nullptr;
  if (found != nullptr) return carried(*found, name);
  unresolved.push_back({.code = 10057,
                        .message = "inherit binding '" + name +
                                   "' is invalid: the version to inherit from has no "
                                   "binding '" +
                                   old + "'."});
  return std::nullopt;
}

Checked<std::set<std::string>> keptTypes(const Json& metadata) {
  const Json* keep = memberOf(metadata, "keep_bindings");
  // Clients that know nothing of keeping rely on secrets staying (spec control-plane 8).
  if (keep == nullptr || keep->is_null()) return std::set<std::string>{"secret_text", "secret_key"};
  if (!keep->is_array()) return refuse(400, 10021, "keep_bindings must be an array of binding types.");
  std::set<std::string> out;
  for (const Json& type : *keep) {
    if (!type.is_string()) return refuse(400, 10021, "keep_bindings must be an array of binding types.");
    out.insert(type.get<std::string>());
  }
  return out;
}

}  // namespace

Checked<Json> collectBindings(const Json& metadata, const BindingSource& source) {
  Json out = Json::array();
  std::set<std::string> names;
  std::vector<ApiError::Entry> unresolved;
  const Json* uploaded = memberOf(metadata, "bindings");
  if (uploaded != nullptr && !uploaded->is_null() && !uploaded->is_array()) {
    return refuse(400, 10021, "bindings must be an array.");
  }
  for (const Json& binding : uploaded != nullptr && uploaded->is_array() ? *uploaded : Json::array()) {
    const std::string name = textOf(binding, "name");
    if (name.empty()) return refuse(400, 10021, "Every binding needs a name.");
    if (!names.insert(name).second) return refuse(400, 10021, "The binding '" + name + "' is defined twice.");
    if (textOf(binding, "type") == "inherit") {
      HF_API_TRY(std::optional<Json> copy, inherited(binding, source, unresolved));
      if (copy) out.push_back(*std::move(copy));
      continue;
    }
    Json entry = binding;
    if (!textOf(entry, "class_name").empty()) entry.erase("namespace_id");
    if (entry.contains("part")) entry["part"] = moduleName(textOf(entry, "part"));
    if (auto checked = checkBinding(entry, source); !checked) return std::unexpected(checked.error());
    out.push_back(std::move(entry));
  }
  if (!unresolved.empty() && source.inherit == Inherit::kStrict) {
    return std::unexpected(ApiError{.status = 400, .entries = std::move(unresolved)});
  }
  if (source.latest) {
    HF_API_TRY(const std::set<std::string> kept, keptTypes(metadata));
    for (const Json& binding : source.latest->bindings) {
      const std::string name = textOf(binding, "name");
      if (kept.contains(textOf(binding, "type")) && names.insert(name).second) out.push_back(carried(binding, name));
    }
  }
  return out;
}

std::set<std::string> boundClasses(const Json& bindings, const std::string& scriptName) {
  std::set<std::string> out;
  for (const Json& binding : bindings) {
    if (textOf(binding, "type") != "durable_object_namespace") continue;
    if (!textOf(binding, "namespace_id").empty() || !isOwn(binding, scriptName)) continue;
    out.insert(textOf(binding, "class_name"));
  }
  return out;
}

Checked<Json> resolveNamespaces(Json bindings, const std::string& scriptName, const std::string& scriptTag,
                                const std::vector<NamespaceRow>& namespaces,
                                const std::map<std::string, std::string>& scriptTags) {
  for (Json& binding : bindings) {
    if (textOf(binding, "type") != "durable_object_namespace") continue;
    const std::string id = textOf(binding, "namespace_id");
    const std::string className = textOf(binding, "class_name");
    std::string owner = scriptTag;
    if (!isOwn(binding, scriptName)) {
      const auto tag = scriptTags.find(textOf(binding, "script_name"));
      if (tag == scriptTags.end()) {
        return refuse(
            400, 10061,
            "Cannot create binding for class in script '" + textOf(binding, "script_name") + "' that does not exist. ");
      }
      owner = tag->second;
    }
    const auto row = std::ranges::find_if(namespaces, [&](const NamespaceRow& candidate) {
      return id.empty() ? candidate.scriptTag == owner && candidate.className == className : candidate.id.hex() == id;
    });
    if (row == namespaces.end()) {
      return refuse(400, 10061,
                    "Cannot create binding '" + textOf(binding, "name") +
                        "': its Durable Object class is not currently configured to implement Durable "
                        "Objects, or is being deleted. Remove the binding, or apply a --new-class "
                        "migration.");
    }
    binding["class_name"] = row->className;
    binding["namespace_id"] = row->id.hex();
    if (row->scriptTag == scriptTag) {
      binding.erase("script_name");
    } else {
      for (const auto& [name, tag] : scriptTags) {
        if (tag == row->scriptTag) binding["script_name"] = name;
      }
    }
  }
  return bindings;
}

std::map<NamespaceId, std::set<std::string>> boundByOthers(const catalog::Snapshot& snapshot,
                                                           const std::string& scriptName) {
  std::map<NamespaceId, std::set<std::string>> out;
  for (const auto& [name, script] : snapshot.scripts) {
    if (name == scriptName) continue;
    for (const catalog::Script::Part& part : script.parts) {
      for (const catalog::Binding& binding : part.version->bindings) {
        if (binding.kind == catalog::BindingKind::kDurableObject) out[binding.ns].insert(name);
      }
    }
  }
  return out;
}

bool isSecret(const Json& binding) {
  const std::string type = textOf(binding, "type");
  return type == "secret_text" || type == "secret_key";
}

Json redactedBindings(const Json& bindings) {
  Json out = Json::array();
  for (const Json& binding : bindings) {
    Json entry = binding;
    if (isSecret(binding)) {
      for (const char* secret : {"text", "key_base64", "key_jwk"}) entry.erase(secret);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace hf::api
