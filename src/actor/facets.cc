// Facets' databases for TypeScript. A facet is known by its path from the root: the JSON text of its names. The list of
// an object's facets is a database of its own beside them: key, the path; value, the id under which the facet is
// stored.
#include <string>
#include <utility>
#include <vector>

#include "actor/databases.h"
#include "js/convert.h"

namespace hf::actor {
namespace {

using v8::FunctionCallbackInfo;
using v8::Isolate;
using v8::Value;

// `["a"]` and `["a","b"]`: what lies below a path begins with it, its bracket replaced.
std::string below(std::string path) {
  path.back() = ',';
  return path;
}

DatabaseHandle handleOf(v8::Local<Value> value) { return static_cast<DatabaseHandle>(value.As<v8::Number>()->Value()); }

}  // namespace

struct DatabaseTable::FacetNatives {
  using Info = FunctionCallbackInfo<Value>;
  static DatabaseTable& self(const Info& info) { return js::selfOf<DatabaseTable>(info); }

  static Result<DatabaseHandle> index(DatabaseTable& table, DatabaseHandle root) {
    HF_TRY(const DatabaseHandle handle, table.openFacet(root, kFacetIndex));
    table.trees_.at(root).index = handle;
    return handle;
  }

  static Result<DatabaseHandle> openListed(DatabaseTable& table, DatabaseHandle root, const std::string& path) {
    HF_TRY(const DatabaseHandle list, index(table, root));
    storage::Database& listed = *table.open_.at(list).database;
    HF_TRY(const std::optional<Bytes> known, listed.get(path));
    HF_TRY(const DatabaseHandle handle, table.openFacet(root, path));
    if (!known) {
      const std::string id = table.open_.at(handle).object.id.hex();
      HF_TRY_VOID(listed.put(path, asBytes(id)));
      table.markTreeWritten(root);
    }
    return handle;
  }

  // The facets below `path` ("": all), and the one at it if `itself`.
  static Result<std::vector<std::string>> listed(DatabaseTable& table, DatabaseHandle root, const std::string& path,
                                                 bool itself) {
    std::vector<std::string> paths;
    HF_TRY(const bool has, hasFacets(table, root));
    if (!has) return paths;
    HF_TRY(const DatabaseHandle list, index(table, root));
    storage::ListOptions options;
    if (!path.empty()) options.prefix = below(path);
    storage::Database& listed = *table.open_.at(list).database;
    HF_TRY_VOID(listed.visit(options, [&](std::string_view key, BytesView) {
      paths.emplace_back(key);
      return storage::Walk::kGoOn;
    }));
    if (!itself) return paths;
    HF_TRY(const std::optional<Bytes> known, listed.get(path));
    if (known) paths.push_back(path);
    return paths;
  }

  static Result<bool> hasFacets(DatabaseTable& table, DatabaseHandle root) {
    const Open& open = table.open_.at(root);
    if (open.tree != 0) return true;
    return table.store_.hasFacets(open.object);
  }

  // Nobody runs them any more. Each database is erased and leaves the list, in the commit of this turn.
  static Result<void> eraseAll(DatabaseTable& table, DatabaseHandle root, const std::string& path, bool itself) {
    HF_TRY(const std::vector<std::string> paths, listed(table, root, path, itself));
    if (paths.empty()) return {};
    for (const std::string& each : paths) {
      HF_TRY(const DatabaseHandle handle, table.openFacet(root, each));
      Open& open = table.open_.at(handle);
      HF_TRY_VOID(open.database->deleteAll(storage::DeleteAlarm::kYes));
      open.closing = true;
    }
    HF_TRY(const DatabaseHandle list, index(table, root));
    storage::Database& listed = *table.open_.at(list).database;
    if (path.empty()) {
      HF_TRY_VOID(listed.deleteAll(storage::DeleteAlarm::kYes));
    } else {
      for (const std::string& each : paths) HF_TRY_VOID(listed.remove(each));
    }
    table.markTreeWritten(root);
    return {};
  }

  // What is at `to` and below it becomes a copy of `from`; a commit of its own, with all that was written before.
  static Result<void> cloneAll(DatabaseTable& table, DatabaseHandle root, const std::string& from,
                               const std::string& to) {
    HF_TRY_VOID(eraseAll(table, root, to, true));
    HF_TRY(const std::vector<std::string> paths, listed(table, root, from, true));
    if (paths.empty()) return {};
    if (!table.commitTree(root)) return fail(Errc::kDisconnected, "Durable Object storage is no longer accessible.");
    for (const std::string& each : paths) {
      const std::string target = each == from ? to : below(to) + each.substr(from.size());
      HF_TRY(const DatabaseHandle source, table.openFacet(root, each));
      HF_TRY(const DatabaseHandle made, openListed(table, root, target));
      HF_TRY_VOID(table.open_.at(made).database->copyFrom(*table.open_.at(source).database));
      table.open_.at(made).closing = true;
    }
    table.markTreeWritten(root);
    if (!table.commitTree(root)) return fail(Errc::kDisconnected, "Durable Object storage is no longer accessible.");
    return {};
  }

  // facetTree(root)
  static void tree(const Info& info) {
    if (self(info).get(info.GetIsolate(), info[0]) != nullptr) self(info).beginTree(handleOf(info[0]));
  }

  // facetOpen(root, path)
  static void open(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    if (self(info).get(isolate, info[0]) == nullptr) return;
    const auto handle = openListed(self(info), handleOf(info[0]), js::toUtf8(isolate, info[1]));
    if (!handle) return js::throwResultError(isolate, handle.error());
    info.GetReturnValue().Set(static_cast<double>(*handle));
  }

  // facetErase(root, path, itself): the commit that it will be part of, 0: there was nothing.
  static void erase(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    DatabaseTable& table = self(info);
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    const bool itself = info[2]->BooleanValue(isolate);
    if (auto done = eraseAll(table, handleOf(info[0]), js::toUtf8(isolate, info[1]), itself); !done) {
      return js::throwResultError(isolate, done.error());
    }
    const bool pends = open->tree != 0 && table.trees_.at(open->tree).listed;
    info.GetReturnValue().Set(static_cast<double>(pends ? open->commits + 1 : 0));
  }

  // facetClone(root, from, to): the commit that it is part of.
  static void clone(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    DatabaseTable& table = self(info);
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    const std::string from = js::toUtf8(isolate, info[1]);
    if (auto done = cloneAll(table, handleOf(info[0]), from, js::toUtf8(isolate, info[2])); !done) {
      return js::throwResultError(isolate, done.error());
    }
    info.GetReturnValue().Set(static_cast<double>(open->commits));
  }
};

void DatabaseTable::installFacets(v8::Local<v8::Context> context, v8::Local<v8::Object> native) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    js::setMethod(context, native, name, callback, this);
  };
  add("facetTree", FacetNatives::tree);
  add("facetOpen", FacetNatives::open);
  add("facetErase", FacetNatives::erase);
  add("facetClone", FacetNatives::clone);
}

}  // namespace hf::actor
