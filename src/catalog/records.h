// What the catalog keeps, row by row, as the control plane reads and writes it. Snapshot (snapshot.h) is the same
// seen by the runtime, with every name resolved.
// Values: copied and compared; no behaviour.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/object_id.h"
#include "catalog/snapshot.h"

namespace hf::catalog {

// Keys stay in the order in which they came: users see their settings as they wrote them.
using Json = nlohmann::ordered_json;

// A Worker: what outlives its versions.
struct ScriptRow {
  std::string tag;  // 32 hex, the row's key, never reused
  std::string name;
  WallMs createdMs = 0;
  WallMs modifiedMs = 0;
  std::optional<std::string> migrationTag;
  bool usesExports = false;  // once classes are declared by `exports`, migrations are refused
  // Settings without versions: "logpush", "observability", "tags", "tail_consumers".
  Json settings = Json::object();
  bool subdomainEnabled = true;
  bool previewsEnabled = true;
  std::uint64_t lastVersionNumber = 0;
  // SHA-256 of the last migrating upload's metadata and modules, hex: recognises a repeated request.
  std::string lastUploadHash;
};

// One uploaded version without its modules.
struct VersionRow {
  std::string id;  // uuid
  std::string scriptTag;
  std::uint64_t number = 0;
  WallMs createdMs = 0;
  // What the upload said and what starting it showed. Keys: "main_module", "compatibility_date",
  // "compatibility_flags", "limits", "placement", "handlers", "named_handlers", "startup_time_ms", "etag", "source",
  // "migration_tag", "exports" (declarations as uploaded), "classes" (the Durable Object classes that the code
  // exports).
  Json metadata = Json::object();
  // As uploaded, with inherited ones copied in; Durable Object bindings carry "namespace_id".
  Json bindings = Json::array();
  Json annotations = Json::object();
};

struct DeploymentRow {
  struct Part {
    std::string versionId;
    double percentage = 100;
    friend bool operator==(const Part&, const Part&) = default;
  };
  std::string id;  // uuid
  std::string scriptTag;
  WallMs createdMs = 0;
  std::string source;
  std::vector<Part> parts;
  Json annotations = Json::object();
  CodeUpdateMode updateMode = CodeUpdateMode::kDeferred;
  std::chrono::seconds updateMaxDelay{300};
};

struct NamespaceRow {
  NamespaceId id;
  std::string scriptTag;
  std::string className;
  bool useSqlite = true;
  friend bool operator==(const NamespaceRow&, const NamespaceRow&) = default;
};

}  // namespace hf::catalog
