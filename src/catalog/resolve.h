// From rows to what the runtime sees: bindings resolved to namespaces, classes and scripts as they are called now.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catalog/records.h"
#include "catalog/snapshot.h"

namespace hf::catalog {

struct NameTables {
  std::map<std::string, std::string> scriptNames;  // tag -> name
  std::map<NamespaceId, NamespaceRow> namespaces;
};

// A Durable Object binding whose namespace is gone (its Worker was deleted with force) is left out: the code finds
// `undefined`, as on Cloudflare. One without "namespace_id" gets the zero id.
std::vector<Binding> resolveBindings(const Json& bindings, const std::string& scriptName,
                                     const std::vector<Module>& modules, const NameTables& names);

Version makeVersion(const std::string& scriptName, const VersionRow& row, std::vector<Module> modules,
                    const NameTables& names);

// "text" of a member that may be missing or of another type.
std::string textOf(const Json& object, const char* key);

}  // namespace hf::catalog
