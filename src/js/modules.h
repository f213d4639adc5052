// Modules: the user's ES modules in one environment: compiling, resolving, evaluating.
//
// Names: as uploaded; `./x`, `x` and `/x` name the same module; relative names are resolved against the importer's
// folder ("lib/a.js" importing "../b.js" means "b.js"). A bare name is looked for as it is, then in the importer's
// folder, then among the built-ins.
// Text, data, JSON and wasm modules export their value as `default`.
// Thread: the environment's. Owns nothing of the upload but what start() needs: sources are borrowed until evaluation
// has ended, because a dynamic import may compile one later.
#pragma once

#include <v8.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
  // an undefined value (not an empty handle) when there is no such built-in; empty with a pending exception if it
  // threw.
  using Builtins = std::function<v8::MaybeLocal<v8::Value>(v8::Local<v8::Context>, std::string_view specifier)>;

  // `environment` outlives it; at most one per environment. Destroyed outside the environment's scopes.
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
  struct Loaded {
    v8::Global<v8::Module> module;
    v8::Global<v8::Object> exports;  // of what is not an ES module, until it is evaluated
  };
  struct Starting {
    Completion<Result<void>> done;
    std::optional<Result<void>> result;
    bool isSynchronous = true;
    std::uint64_t timer = 0;
  };
  friend struct ModuleCallbacks;

  // Each with an empty handle when an exception is pending.
  v8::MaybeLocal<v8::Module> load(v8::Local<v8::Context> context, std::string_view specifier,
                                  std::string_view importer);
  v8::MaybeLocal<v8::Module> compile(v8::Local<v8::Context> context, const ModuleSource& source);
  v8::MaybeLocal<v8::Module> makeSynthetic(v8::Local<v8::Context> context, const std::string& name,
                                           v8::Local<v8::Object> exports);
  v8::MaybeLocal<v8::Value> makeValue(v8::Local<v8::Context> context, const ModuleSource& source);
  v8::MaybeLocal<v8::Promise> evaluate(v8::Local<v8::Context> context, v8::Local<v8::Module> module);

  [[nodiscard]] const ModuleSource* find(std::string_view name) const;
  void evaluateMain(std::string_view mainName);
  void failWith(v8::Local<v8::Value> exception, v8::Local<v8::Message> message);
  void settle(Result<void> result);
  void finish();

  // Fixed once made
  Environment& environment_;
  const std::vector<ModuleSource> sources_;
  const Builtins builtins_;
  std::map<std::string, const ModuleSource*, std::less<>> byName_;
  std::shared_ptr<Modules*> alive_;  // held by tasks of the loop; null when we are gone
  // Shard thread only
  std::map<std::string, Loaded, std::less<>> loaded_;
  std::map<std::string, v8::Global<v8::Value>, std::less<>> values_;
  std::optional<Starting> starting_;
  v8::Global<v8::Module> main_;
  v8::Global<v8::Value> failure_;
};

// Dynamic import() and import.meta of this isolate go to Environment::current()->modules().
void installModuleCallbacks(v8::Isolate* isolate);

// "x", "./x", "/x" -> "x"; "../b.js" from "lib/a.js" -> "b.js". Names with a scheme ("node:fs") stay as they are.
std::string resolveModuleName(std::string_view specifier, std::string_view importer);

}  // namespace hf::js
