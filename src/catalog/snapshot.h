// What is deployed, as the runtime sees it: an immutable value, replaced whole by each deploy.
// Thread:  any; shared between the control thread, which makes it, and the shards, which read it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/object_id.h"

namespace hf::catalog {

enum class ModuleKind : std::uint8_t { kEsm, kText, kData, kWasm, kJson, kSourceMap };

struct Module {
  std::string name;  // as uploaded, a leading "./" removed
  ModuleKind kind = ModuleKind::kEsm;
  Bytes content;
};

enum class BindingKind : std::uint8_t {
  kPlainText,
  kJson,
  kSecretText,
  kSecretKey,
  kData,
  kWasm,
  kDurableObject,
  kService,
  kVersionMetadata,
};

// A binding with everything that names have been resolved to.
struct Binding {
  std::string name;
  BindingKind kind = BindingKind::kPlainText;
  std::string text;        // kPlainText, kSecretText: the text; kJson, kSecretKey: JSON text
  std::string part;        // kData, kWasm: the module's name
  NamespaceId ns;          // kDurableObject
  std::string className;   // kDurableObject: the class as it is called now
  std::string script;      // kDurableObject, kService: the script that implements it
  std::string entrypoint;  // kService: empty is the default export
  std::string propsJson;   // kService: empty is {}

  friend bool operator==(const Binding&, const Binding&) = default;
};

struct Limits {
  std::optional<std::chrono::milliseconds> cpuPerTurn;
};

// One uploaded version of a script. Unchanged versions are the same pointer from one Snapshot to the next; where a
// class that a binding names was renamed or moved, a new value with the same id takes its place.
struct Version {
  std::string id;  // uuid with hyphens
  std::uint64_t number = 0;
  std::string scriptName;
  std::string mainModule;
  std::vector<Module> modules;
  std::vector<Binding> bindings;
  std::string compatibilityDate;  // "YYYY-MM-DD", empty: oldest
  std::vector<std::string> compatibilityFlags;
  Limits limits;
  std::string createdOn;  // RFC 3339
  std::string tag;        // annotation workers/tag
};

// A Durable Object class that has storage.
struct Namespace {
  NamespaceId id;
  std::string name;  // "{script}_{class}"
  std::string script;
  std::string className;
  bool useSqlite = true;
};

enum class CodeUpdateMode : std::uint8_t { kDeferred, kImmediate };

// What a script runs now. (Split deployments: the first entry is the one with the most traffic.)
struct Script {
  struct Part {
    std::shared_ptr<const Version> version;
    double percentage = 100;
  };
  std::string name;
  std::string tag;          // 32 hex, stable for the life of the script
  std::vector<Part> parts;  // one or two; empty: a draft without deployment
  CodeUpdateMode updateMode = CodeUpdateMode::kDeferred;
  std::chrono::seconds updateMaxDelay{300};
  bool workersDevEnabled = true;
};

struct Snapshot {
  std::uint64_t generation = 0;  // grows by one with every change
  std::map<std::string, Script, std::less<>> scripts;
  std::map<NamespaceId, Namespace> namespaces;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace hf::catalog
