// Finding a Durable Object namespace by what a person calls it; and reading them from a catalog whose server has
// stopped. Thread:  any.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/object_id.h"
#include "base/result.h"
#include "catalog/snapshot.h"

namespace hf::catalog {

// `text`: the id (32 hex digits), SCRIPT/CLASS, SCRIPT_CLASS, or CLASS if only one script has such a class.
// kNotFound names those that there are; kInvalidArgument: several fit.
Result<Namespace> findNamespace(const std::map<NamespaceId, Namespace>& namespaces, std::string_view text);

// `file`: a copy of DIR/catalog.sqlite and its log beside it, which may change while it is opened.
// kCorrupt, kUnsupported: as openCatalog.
Result<std::map<NamespaceId, Namespace>> readNamespaces(const std::string& file);

// What SQLite's integrity_check finds in such a copy; empty: it is whole.
Result<std::vector<std::string>> checkCatalog(const std::string& file);

}  // namespace hf::catalog
