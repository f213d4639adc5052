#include "worker/isolate.h"

#include <algorithm>
#include <utility>

#include "actor/strings.h"
#include "base/check.h"
#include "base/limits.h"
#include "js/convert.h"
#include "js/platform.h"
#include "worker/natives.h"

namespace hf::worker {
namespace {

using v8::Context;
using v8::Function;
using v8::Local;
using v8::Object;
using v8::Value;

// Turns that run before the shard's other work gets a chance.
constexpr int kTurnsPerRound = 512;

std::string_view bindingKindName(catalog::BindingKind kind) {
  switch (kind) {
    case catalog::BindingKind::kPlainText:
      return "plain_text";
    case catalog::BindingKind::kJson:
      return "json";
    case catalog::BindingKind::kSecretText:
      return "secret_text";
    case catalog::BindingKind::kSecretKey:
      return "secret_key";
    case catalog::BindingKind::kData:
      return "data";
    case catalog::BindingKind::kWasm:
      return "wasm";
    case catalog::BindingKind::kDurableObject:
      return "durable_object";
    case catalog::BindingKind::kService:
      return "service";
    case catalog::BindingKind::kVersionMetadata:
      return "version_metadata";
  }
  return "";
}

js::ModuleKind moduleKind(catalog::ModuleKind kind) {
  switch (kind) {
    case catalog::ModuleKind::kText:
      return js::ModuleKind::kText;
    case catalog::ModuleKind::kData:
      return js::ModuleKind::kData;
    case catalog::ModuleKind::kWasm:
      return js::ModuleKind::kWasm;
    case catalog::ModuleKind::kJson:
      return js::ModuleKind::kJson;
    default:
      return js::ModuleKind::kEsModule;
  }
}

// Top-level await must settle without I/O, which Workers do not have at global scope.
constexpr std::chrono::milliseconds kStartLimit{1000};

}  // namespace

Isolate::Isolate(Shard& shard, IsolateAddress address, std::shared_ptr<const catalog::Version> version)
    : shard_(shard),
      address_(address),
      version_(std::move(version)),
      databases_(shard.dependencies().store, *this),
      pipes_(shard.pipes(), *this),
      http_(shard.pipes(), *this) {}

Isolate::~Isolate() {
  if (drained_ != nullptr) drained_();
  http_.failAll();
  pipes_.abortAll();
  databases_.closeAll();
  if (environment_ == nullptr) return;
  environment_->enter([&] {
    functions_.clear();
    runtime_.Reset();
    modules_.reset();
    serializer_.reset();
  });
}

Result<std::unique_ptr<Isolate>> Isolate::create(Shard& shard, IsolateAddress address,
                                                 std::shared_ptr<const catalog::Version> version,
                                                 const catalog::Snapshot& snapshot, Purpose purpose) {
  std::unique_ptr<Isolate> isolate(new Isolate(shard, address, std::move(version)));
  HF_TRY_VOID(isolate->start(snapshot, purpose));
  return isolate;
}

Result<void> Isolate::start(const catalog::Snapshot& snapshot, Purpose purpose) {
  const ShardsDependencies& dependencies = shard_.dependencies();
  js::EnvironmentOptions options;
  options.name = version_->scriptName;
  if (shard_.options().heapBytesMax != 0) options.heapBytesMax = shard_.options().heapBytesMax;
  if (shard_.options().cpuPerTurn.count() != 0) options.cpuPerTurn = shard_.options().cpuPerTurn;
  if (version_->limits.cpuPerTurn) options.cpuPerTurn = *version_->limits.cpuPerTurn;
  if (purpose == Purpose::kCheck) {
    options.cpuPerTurn = std::min<std::chrono::milliseconds>(options.cpuPerTurn, limits::kCpuAtCheckMax);
  }
  options.onUncaught = [this](Local<Value> error, js::Uncaught kind) {
    const Local<Context> context = environment_->context();
    shard_.dependencies().log.error("uncaught exception",
                                    {{"script", version_->scriptName},
                                     {"event", kind == js::Uncaught::kException ? "callback" : "unhandled rejection"},
                                     {"exception", describe(context, error)}});
  };
  options.onCondemned = [this](js::Condemned) { condemn(); };
  options.onHeapNearlyFull = [this] { memoryPressure(); };
  HF_TRY(environment_, js::Environment::create(dependencies.platform, shard_.loop(), dependencies.watchdog, options));
  environment_->setAfterNodeWork([this] { schedulePump(); });
  HF_TRY_VOID(startRuntime(snapshot, purpose));
  bool evalAtStart = false;
  environment_->enter([&] {
    Local<Value> answer;
    evalAtStart = callRuntime("allowsEvalAtStart", [](v8::Isolate*, auto&) {}).ToLocal(&answer) && answer->IsTrue();
  });
  if (!evalAtStart) environment_->forbidCodeGeneration();
  HF_TRY_VOID(startModules());
  if (evalAtStart) environment_->forbidCodeGeneration();
  if (purpose == Purpose::kServe) schedulePump();
  return {};
}

Result<void> Isolate::startRuntime(const catalog::Snapshot& snapshot, Purpose purpose) {
  Result<void> result;
  environment_->enter([&] {
    const Local<Context> context = environment_->context();
    v8::Isolate* isolate = environment_->isolate();
    serializer_ = std::make_unique<js::Serializer>(*environment_);
    Local<Object> native = Object::New(isolate);
    installNatives(context, native);
    Local<Value> arguments[] = {native, environment_->nodeRequire(), configObject(context, snapshot, purpose)};
    inside_ = true;
    std::string why;
    bool wrongFlags = false;
    const bool ran = environment_->turn([&] {
      v8::TryCatch caught(isolate);
      Local<Value> create;
      Local<Value> made;
      if (shard_.runtimeScript().run(context).ToLocal(&create) && create->IsFunction() &&
          create.As<Function>()->Call(context, v8::Undefined(isolate), 3, arguments).ToLocal(&made) &&
          made->IsObject()) {
        runtime_.Reset(isolate, made.As<Object>());
      } else if (caught.HasCaught()) {
        const js::ExceptionText error = js::describeException(context, caught.Exception());
        wrongFlags = error.name == "CompatibilityError";
        why = wrongFlags ? error.message : js::uncaughtText(context, caught.Exception(), caught.Message());
      }
    });
    inside_ = false;
    if (wrongFlags) {
      result = fail(Errc::kScript, why);
    } else if (!ran || runtime_.IsEmpty()) {
      result = fail(Errc::kInternal, "the runtime did not start: " + why);
    }
  });
  return result;
}

Result<void> Isolate::startModules() {
  std::vector<js::ModuleSource> sources;
  for (const catalog::Module& module : version_->modules) {
    if (module.kind == catalog::ModuleKind::kSourceMap) continue;
    sources.push_back({.name = module.name, .kind = moduleKind(module.kind), .bytes = module.content});
  }
  modules_ = std::make_unique<js::Modules>(
      *environment_, std::move(sources), [this](Local<Context>, std::string_view specifier) {
        return callRuntime("builtinModule",
                           [&](v8::Isolate* i, auto& out) { out.push_back(js::string(i, specifier)); });
      });
  environment_->enter([&] {
    v8::Isolate* isolate = environment_->isolate();
    Local<Object> maps = Object::New(isolate);
    for (const catalog::Module& module : version_->modules) {
      if (module.kind != catalog::ModuleKind::kSourceMap) continue;
      // "index.js.map" is the map of the module "index.js".
      std::string_view name = module.name;
      if (name.ends_with(".map")) name.remove_suffix(4);
      js::setProperty(environment_->context(), maps, name, js::string(isolate, asText(module.content)));
    }
    callRuntime("setSourceMaps", [&](v8::Isolate*, auto& out) { out.push_back(maps); });
  });
  std::optional<Result<void>> started;
  inside_ = true;
  modules_->start(version_->mainModule, kStartLimit, [&started](Result<void> result) { started = std::move(result); });
  inside_ = false;
  if (!started) {
    // `started` is captured by reference: the start must end before this frame does.
    modules_.reset();
    started = fail(Errc::kScript,
                   "Uncaught Error: the module awaits something at its top level that did not settle at once; "
                   "I/O is not possible at global scope");
  }
  Result<void> result;
  environment_->enter([&] {
    const Local<Context> context = environment_->context();
    if (!*started) {
      result = *started;
      if (modules_ != nullptr && modules_->failure()->IsObject()) {
        // Errors of the compiler have no stack: the text that V8's message gave knows the place.
        std::string text = describe(context, modules_->failure());
        if (text.find('\n') != std::string::npos) result = fail(Errc::kScript, std::move(text));
      }
      return;
    }
    inside_ = true;
    Local<Value> reports;
    const bool set = callRuntime("setMain", [&](v8::Isolate*, auto& out) {
                       out.push_back(modules_->mainNamespace());
                     }).ToLocal(&reports);
    result = set ? readExports(context, reports) : fail(Errc::kScript, "the main module's exports could not be read");
    inside_ = false;
  });
  return result;
}

std::string Isolate::describe(Local<Context> context, Local<Value> error) {
  Local<Value> text;
  if (!runtime_.IsEmpty() &&
      callRuntime("describeException", [&](v8::Isolate*, auto& out) { out.push_back(error); }).ToLocal(&text) &&
      text->IsString()) {
    return js::toUtf8(environment_->isolate(), text);
  }
  return js::uncaughtText(context, error, {});
}

Result<void> Isolate::readExports(Local<Context> context, Local<Value> reports) {
  v8::Isolate* isolate = environment_->isolate();
  const auto list = reports.As<v8::Array>();
  for (std::uint32_t i = 0; i < list->Length(); i++) {
    Local<Value> item;
    if (!list->Get(context, i).ToLocal(&item) || !item->IsObject()) continue;
    const auto field = [&](const char* name) {
      return item.As<Object>()->Get(context, js::string(isolate, name)).ToLocalChecked();
    };
    exports_.push_back({.name = js::toUtf8(isolate, field("name")),
                        .kind = js::toUtf8(isolate, field("kind")),
                        .handlers = actor::toStrings(context, field("handlers"))});
  }
  return {};
}

Local<Object> Isolate::configObject(Local<Context> context, const catalog::Snapshot& snapshot, Purpose purpose) {
  v8::Isolate* isolate = environment_->isolate();
  const auto text = [&](std::string_view value) { return js::string(isolate, value); };
  const auto set = [&](Local<Object> object, const char* name, Local<Value> value) {
    object->Set(context, text(name), value).Check();
  };
  Local<Object> config = Object::New(isolate);
  set(config, "address", v8::Number::New(isolate, static_cast<double>(address_)));
  set(config, "shard", v8::Number::New(isolate, shard_.index()));
  set(config, "shardCount", v8::Number::New(isolate, shard_.group().servingCount()));
  set(config, "script", text(version_->scriptName));
  set(config, "versionId", text(version_->id));
  set(config, "versionTag", text(version_->tag));
  set(config, "versionCreatedOn", text(version_->createdOn));
  set(config, "compatibilityDate", text(version_->compatibilityDate));
  v8::LocalVector<Value> flags(isolate);
  for (const std::string& flag : version_->compatibilityFlags) flags.push_back(text(flag));
  set(config, "compatibilityFlags", v8::Array::New(isolate, flags.data(), flags.size()));
  v8::LocalVector<Value> bindings(isolate);
  for (const catalog::Binding& binding : version_->bindings) {
    Local<Object> item = Object::New(isolate);
    set(item, "name", text(binding.name));
    set(item, "kind", text(bindingKindName(binding.kind)));
    set(item, "text", text(binding.text));
    set(item, "json", text(binding.text));
    set(item, "part", text(binding.part));
    set(item, "ns", text(binding.ns.hex()));
    set(item, "className", text(binding.className));
    set(item, "script", text(binding.script));
    set(item, "entrypoint", text(binding.entrypoint));
    set(item, "props", text(binding.propsJson));
    bindings.push_back(item);
  }
  set(config, "bindings", v8::Array::New(isolate, bindings.data(), bindings.size()));
  v8::LocalVector<Value> namespaces(isolate);
  for (const auto& [id, ns] : snapshot.namespaces) {
    if (ns.script != version_->scriptName) continue;
    Local<Object> item = Object::New(isolate);
    set(item, "ns", text(id.hex()));
    set(item, "className", text(ns.className));
    set(item, "useSqlite", v8::Boolean::New(isolate, ns.useSqlite));
    namespaces.push_back(item);
  }
  set(config, "namespaces", v8::Array::New(isolate, namespaces.data(), namespaces.size()));
  set(config, "secondMs", v8::Number::New(isolate, static_cast<double>(shard_.options().second.count())));
  set(config, "checking", v8::Boolean::New(isolate, purpose == Purpose::kCheck));
  return config;
}

// --- entering and turns

Local<Function> Isolate::runtimeFunction(const char* name) {
  v8::Isolate* isolate = environment_->isolate();
  v8::Global<Function>& slot = functions_[name];
  if (slot.IsEmpty()) {
    Local<Context> context = environment_->context();
    Local<Value> function;
    const bool found = runtime_.Get(isolate)->Get(context, js::string(isolate, name)).ToLocal(&function);
    HF_CHECK(found && function->IsFunction(), "runtime.ts has every function of the Runtime interface");
    slot.Reset(isolate, function.As<Function>());
  }
  return slot.Get(isolate);
}

v8::MaybeLocal<Value> Isolate::callRuntime(const char* function, const Fill& fill) {
  v8::Isolate* isolate = environment_->isolate();
  v8::EscapableHandleScope scope(isolate);
  v8::LocalVector<Value> arguments(isolate);
  if (fill) fill(isolate, arguments);
  Local<Value> result;
  v8::TryCatch caught(isolate);
  const Local<Context> context = environment_->context();
  // What C++ was doing when it called is not to be met half done by others.
  const bool returned = environment_->withoutSharing([&] {
    return runtimeFunction(function)
        ->Call(context, runtime_.Get(isolate), static_cast<int>(arguments.size()), arguments.data())
        .ToLocal(&result);
  });
  if (!returned) {
    if (!caught.HasTerminated()) {
      shard_.dependencies().log.error(
          "the runtime threw",
          {{"function", function}, {"error", js::uncaughtText(context, caught.Exception(), caught.Message())}});
    }
    return {};
  }
  return scope.Escape(result);
}

void Isolate::tellRuntime(const char* function, const Fill& arguments) {
  if (condemned_ || runtime_.IsEmpty()) return;
  HF_CHECK(!isSuspended(), "what enters an isolate waits for its turn");
  if (inside_) {
    callRuntime(function, arguments);
    return;
  }
  environment_->enter([&] {
    inside_ = true;
    callRuntime(function, arguments);
    inside_ = false;
  });
  schedulePump();
}

void Isolate::schedulePump() {
  if (std::exchange(scheduled_, true)) return;
  shard_.loop().post([&shard = shard_, address = address_, this] {
    if (!shard.isLive(address)) return;
    scheduled_ = false;
    pump();
  });
}

void Isolate::pump() {
  if (pumping_ || inside_ || condemned_ || runtime_.IsEmpty()) return;
  pumping_ = true;
  environment_->enter([&] {
    inside_ = true;
    v8::Isolate* isolate = environment_->isolate();
    const Local<Context> context = environment_->context();
    bool more = true;
    for (int i = 0; more; i++) {
      if (i == kTurnsPerRound) {
        databases_.endRound(actor::DatabaseTable::Round::kMore);
        schedulePump();
        break;
      }
      awake_ = false;
      more = false;
      const bool finished = environment_->turnThatShares([&] {
        v8::HandleScope scope(isolate);
        Local<Value> result;
        if (runtimeFunction("runTurn")->Call(context, runtime_.Get(isolate), 0, nullptr).ToLocal(&result)) {
          more = result->IsTrue();
        } else {
          more = true;  // ctx.abort() has cut it
        }
      });
      if (!finished) {
        condemn();
        break;
      }
      databases_.endTurn();
      if (!more && !awake_) databases_.endRound(actor::DatabaseTable::Round::kEnds);
      failPending();
      runAfterTurn();
      more = more || awake_;
    }
    inside_ = false;
  });
  pumping_ = false;
  if (!condemned_ && isDone()) shard_.dispose(address_);
}

void Isolate::runAfterTurn() {
  for (Task& task : std::exchange(afterTurn_, {})) task();
}

void Isolate::failPending() {
  for (auto& [database, why] : std::exchange(failed_, {})) {
    callRuntime("databaseFailed", [&](v8::Isolate* isolate, auto& out) {
      out.push_back(v8::Number::New(isolate, static_cast<double>(database)));
      out.push_back(js::string(isolate, why.message));
    });
    awake_ = true;
  }
}

void Isolate::condemn() {
  if (isSuspended()) return;  // its turn ends when it goes on, and pump() comes here
  if (std::exchange(condemned_, true)) return;
  const std::string why(js::condemnedText(environment_->condemned()));
  shard_.dependencies().log.error("isolate terminated",
                                  {{"script", version_->scriptName}, {"version", version_->id}, {"reason", why}});
  // What its objects wrote in the turn that was cut is dropped; what they had committed stays.
  databases_.closeAll();
  runAfterTurn();
  shard_.dispose(address_);
}

bool Isolate::isDone() { return condemned_ || (retired_ && !scheduled_ && activity() == 0); }

std::size_t Isolate::activity() {
  if (condemned_ || runtime_.IsEmpty()) return 0;
  std::size_t count = 0;
  const auto ask = [&] {
    Local<Value> result;
    if (callRuntime("activity", nullptr).ToLocal(&result) && result->IsNumber()) {
      count = static_cast<std::size_t>(result.As<v8::Number>()->Value());
    }
  };
  if (inside_) {
    ask();
  } else {
    environment_->enter([&] {
      inside_ = true;
      ask();
      inside_ = false;
    });
  }
  return count + http_.count();
}

// --- what happens to the isolate

void Isolate::fetch(FetchRequest request) {
  // At once, so that a client is told when the turn that is under way ends the isolate.
  const std::uint64_t id = http_.add(request.exchange);
  if (isSuspended()) {
    afterTurn([this, id, request = std::move(request)]() mutable { tellFetch(id, std::move(request)); });
  } else {
    tellFetch(id, std::move(request));
  }
}

void Isolate::tellFetch(std::uint64_t id, FetchRequest request) {
  const auto& exchange = request.exchange;
  const std::optional<std::uint64_t> length = exchange->contentLength();
  const double bodyLength = !exchange->hasBody() ? -1 : (length ? static_cast<double>(*length) : -2);
  tellRuntime("fetch", [&](v8::Isolate* isolate, auto& out) {
    v8::LocalVector<Value> headers(isolate);
    headers.reserve(request.headers.size());
    for (const std::string& text : request.headers) headers.push_back(js::latin1String(isolate, text));
    out.push_back(v8::Number::New(isolate, static_cast<double>(id)));
    out.push_back(js::internalized(isolate, request.method));
    out.push_back(js::string(isolate, request.url));
    out.push_back(v8::Array::New(isolate, headers.data(), headers.size()));
    out.push_back(v8::Number::New(isolate, bodyLength));
    out.push_back(v8::Boolean::New(isolate, exchange->isWebSocketUpgrade()));
  });
}

void Isolate::message(const Message& message) {
  if (isSuspended()) return afterTurn([this, message] { this->message(message); });
  tellRuntime("message", [&](v8::Isolate* isolate, auto& out) {
    Local<Value> value;
    if (!serializer_->deserialize(isolate->GetCurrentContext(), message.bytes).ToLocal(&value))
      value = v8::Undefined(isolate);
    out.push_back(v8::Number::New(isolate, static_cast<double>(message.from)));
    out.push_back(value);
  });
}

void Isolate::actorMessage(const ObjectKey& object, const std::string& name, const Message& message) {
  if (isSuspended()) return afterTurn([this, object, name, message] { actorMessage(object, name, message); });
  tellRuntime("actorMessage", [&](v8::Isolate* isolate, auto& out) {
    Local<Value> value;
    if (!serializer_->deserialize(isolate->GetCurrentContext(), message.bytes).ToLocal(&value))
      value = v8::Undefined(isolate);
    out.push_back(v8::Number::New(isolate, static_cast<double>(message.from)));
    out.push_back(js::string(isolate, object.ns.hex()));
    out.push_back(js::string(isolate, object.id.hex()));
    out.push_back(nameValue(isolate, name));
    out.push_back(value);
  });
}

void Isolate::durable(const std::vector<actor::DurableCommit>& commits) {
  if (isSuspended()) return afterTurn([this, commits] { durable(commits); });
  tellRuntime("durable", [&](v8::Isolate* isolate, auto& out) {
    v8::LocalVector<Value> pairs(isolate);
    pairs.reserve(commits.size() * 2);
    for (const actor::DurableCommit& commit : commits) {
      pairs.push_back(v8::Number::New(isolate, static_cast<double>(commit.database)));
      pairs.push_back(v8::Number::New(isolate, static_cast<double>(commit.commit)));
    }
    out.push_back(v8::Array::New(isolate, pairs.data(), pairs.size()));
  });
}

void Isolate::alarm(const ObjectKey& object, const std::string& name, WallMs scheduledAt, int retryCount) {
  if (isSuspended()) {
    return afterTurn([this, object, name, scheduledAt, retryCount] { alarm(object, name, scheduledAt, retryCount); });
  }
  tellRuntime("alarm", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(js::string(isolate, object.ns.hex()));
    out.push_back(js::string(isolate, object.id.hex()));
    out.push_back(nameValue(isolate, name));
    out.push_back(v8::Number::New(isolate, static_cast<double>(scheduledAt)));
    out.push_back(v8::Integer::New(isolate, retryCount));
  });
}

// --- DatabaseHost

void Isolate::onCommit(actor::DatabaseHandle database, std::uint64_t commit, std::optional<ledger::Position> position) {
  shard_.commit({.isolate = address_, .database = database, .commit = commit}, position);
}

void Isolate::onCommitFailed(actor::DatabaseHandle database, const Error& why) { failed_.emplace_back(database, why); }

void Isolate::onAlarmStored(const ObjectKey& object, std::optional<WallMs> at, const std::string& name) {
  shard_.alarmStored(object, at, name);
}

Executor& Isolate::executor() { return shard_.loop(); }

// The isolate may be gone when the store has done its work.
Completion<Result<std::string>> Isolate::storageReply(std::uint64_t job) {
  return [&shard = shard_, address = address_, job](Result<std::string> result) {
    shard.storageEnded(address, job, result);
  };
}

Completion<Result<std::optional<WallMs>>> Isolate::restoreReply(std::uint64_t job, const ObjectKey& object,
                                                                std::string name) {
  return
      [&shard = shard_, address = address_, job, object, name = std::move(name)](Result<std::optional<WallMs>> alarm) {
        if (alarm) shard.alarmStored(object, *alarm, name);
        shard.storageEnded(address, job, alarm ? Result<std::string>() : std::unexpected(alarm.error()));
      };
}

void Isolate::storageEnded(std::uint64_t job, const Result<std::string>& result) {
  if (isSuspended()) return afterTurn([this, job, result] { storageEnded(job, result); });
  tellRuntime("storageReply", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(v8::Number::New(isolate, static_cast<double>(job)));
    out.push_back(result ? Local<Value>(v8::Undefined(isolate)) : js::string(isolate, result.error().message));
    out.push_back(result ? Local<Value>(js::string(isolate, *result)) : v8::Undefined(isolate));
  });
}

}  // namespace hf::worker
