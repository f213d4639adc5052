// Modules: the user's ES modules in one environment: compiling, resolving, evaluating.
//
// Names: as uploaded; `./x`, `x` and `/x` name the same module; relative names are resolved against the importer's
// folder ("lib/a.js" importing "../b.js" means "b.js"). A name the upload has wins over a built-in of the same name.
// Text, data, JSON and wasm modules export their value as `default`.
// Thread: the environment's. Owns nothing of the upload but what start() needs: sources are borrowed until evaluation
// has ended, because a dynamic import may compile one later.
#pragma once

#include <v8.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/executor.h"
#include "base/result.h"
#include "js/environment.h"

namespace hf::js {

enum class ModuleKind : std::uint8_t { kEsModule, kText, kData, kJson, kWasm };

struct ModuleSource {
  std::string name;
  ModuleKind kind = ModuleKind::kEsModule;
  BytesView bytes;  // outlives the Modules
};

class Modules final {
 public:
  // The exports object of a built-in (`cloudflare:workers`, `node:buffer`), its own enumerable keys being the names;
  // an undefined value (not an empty handle) when there is no such built-in; empty with a pending exception if it threw.
  using Builtins = std::function<v8::MaybeLocal<v8::Value>(v8::Local<v8::Context>, std::string_view specifier)>;

  // `environment` outlives it; at most one per environment. Make it before destroying the environment's scope holders.
  Modules(Environment& environment, std::vector<ModuleSource> sources, Builtins builtins);
  ~Modules();
  Modules(const Modules&) = delete;
  Modules& operator=(const Modules&) = delete;

  // Compiles, links and evaluates the main module and what it imports. `done` runs once, outside any scope: within this
  // call when nothing is awaited, later when the top level awaits something; after `limit` it fails with kTimeout.
  // Errors (kScript) carry the text for the person who deployed: "Uncaught SyntaxError: ...\n  at index.js:3:1".
  // The exception itself is at hand in `failure()`. Call outside enter() and turn().
  void start(std::string_view mainName, std::chrono::milliseconds limit, Completion<Result<void>> done);

  // After start() succeeded, inside a scope.
  [[nodiscard]] v8::Local<v8::Object> mainNamespace() const;
  // The value start() failed with, when it was an exception; undefined otherwise. Inside a scope.
  [[nodiscard]] v8::Local<v8::Value> failure() const;
  // The value of a text, data, JSON or wasm module (Native.moduleValue). Empty with a pending Error when there is none.
  v8::MaybeLocal<v8::Value> value(v8::Local<v8::Context> context, std::string_view name);

 private:
  struct Loaded;
  struct Starting;
  friend struct ModuleCallbacks;

  v8::MaybeLocal<v8::Module> load(v8::Local<v8::Context> context, const std::string& specifier,
                                  const std::string& importer);
  v8::MaybeLocal<v8::Module> compile(v8::Local<v8::Context> context, const ModuleSource& source);
  v8::MaybeLocal<v8::Module> synthetic(v8::Local<v8::Context> context, const std::string& name,
                                       v8::Local<v8::Object> exports);
  [[nodiscard]] const ModuleSource* find(const std::string& name) const;
  void evaluateMain(const std::string& name);
  void settle(Result<void> result);

  // Fixed once made
  Environment& environment_;
  const std::vector<ModuleSource> sources_;
  const Builtins builtins_;
  std::unordered_map<std::string, const ModuleSource*> byName_;
  // Shard thread only
  std::unordered_map<std::string, std::unique_ptr<Loaded>> loaded_;
  std::unordered_multimap<int, Loaded*> byHash_;
  std::shared_ptr<Starting> starting_;  // shared with the promise callbacks and the timer, which may come late
  v8::Global<v8::Module> main_;
  v8::Global<v8::Value> failure_;
};

// "x", "./x", "/x" -> "x"; "../b.js" from "lib/a.js" -> "b.js". Names with a scheme ("node:fs") stay as they are.
std::string resolveModuleName(std::string_view specifier, std::string_view importer);

}  // namespace hf::js
