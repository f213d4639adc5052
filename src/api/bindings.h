// Bindings of an upload: what is carried over from the version before, what is allowed, what the names stand for.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/reply.h"
#include "catalog/catalog.h"

namespace hf::api {

enum class Inherit { kLenient, kStrict };

struct BindingSource {
  std::string scriptName;
  std::string scriptTag;
  std::optional<catalog::VersionRow> latest;
  std::function<Checked<std::optional<catalog::VersionRow>>(const std::string& id)> version;  // of the same script
  Inherit inherit = Inherit::kLenient;
  std::vector<catalog::NamespaceRow> namespaces;  // before the upload
  std::map<std::string, std::string> scriptTags;  // name -> tag
  const std::vector<catalog::Module>* modules = nullptr;
};

// The new version's bindings from metadata["bindings"] and metadata["keep_bindings"] (absent: secrets are kept),
// checked field by field. Durable Object bindings that were carried over have "namespace_id"; others to own classes
// have not. 10057 for each inherit binding that cannot be resolved, 10061, 10144, 10021 naming binding and type.
Checked<Json> collectBindings(const Json& metadata, const BindingSource& source);

// Own classes that bindings name, for the planner.
std::set<std::string> boundClasses(const Json& bindings, const std::string& scriptName);

// Gives every Durable Object binding its "namespace_id" and its class's name as it will be.
Checked<Json> resolveNamespaces(Json bindings, const std::string& scriptName, const std::string& scriptTag,
                                const std::vector<catalog::NamespaceRow>& namespaces,
                                const std::map<std::string, std::string>& scriptTags);

// Which other scripts' running versions are bound to which namespace.
std::map<NamespaceId, std::set<std::string>> boundByOthers(const catalog::Snapshot& snapshot,
                                                           const std::string& scriptName);

// As answers show them: without the values of secrets.
Json redactedBindings(const Json& bindings);

bool isSecret(const Json& binding);

}  // namespace hf::api
