// What the control plane asks of the runtime. Implemented by server/, so that api/ knows no V8.
// Thread:  called on the control thread; completions run there too.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/object_id.h"
#include "base/result.h"
#include "catalog/snapshot.h"

namespace hf::api {

enum class ExportKind : std::uint8_t { kHandlerObject, kEntrypoint, kDurableObject, kOther };

// One export of a main module, found by starting the code once (spec durable-objects 2.1).
struct ExportedName {
  std::string name;                      // "default" for the default export
  ExportKind kind = ExportKind::kOther;  // a class that extends nothing is kDurableObject: a legacy class
  std::vector<std::string> handlers;     // "fetch", "alarm", ...
};

struct ScriptReport {
  std::vector<ExportedName> exports;
  double startupMs = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  // Starts the code once in an isolate of its own, without events, and frees it.
  // kScript: the message is what Cloudflare's 10021 carries ("Uncaught ReferenceError: x is not defined\n  at
  // index.js:3:1", `No such module "x"`).
  virtual void check(std::shared_ptr<const catalog::Version> version, Completion<Result<ScriptReport>> done) = 0;
  // The snapshot is durable: run it. Objects of changed scripts move to their new version as the script's
  // CodeUpdateMode says. `done` once every shard has seen it.
  virtual void activate(catalog::SnapshotPtr snapshot, Completion<Result<void>> done) = 0;
  // The namespaces are gone from the last activated snapshot: reset their objects, delete their data and alarms.
  virtual void deleteNamespaces(std::vector<NamespaceId> namespaces, Completion<Result<void>> done) = 0;

  struct StoredObject {
    ObjectId id;
    bool hasStoredData = false;
  };
  // Objects of a namespace in order of id, after `after` (exclusive), at most `limit` (storage::Store::listObjects).
  virtual void listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                           Completion<Result<std::vector<StoredObject>>> done) = 0;
};

}  // namespace hf::api
