#include "js/modules.h"

#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "js/convert.h"
#include "net/event_loop.h"

namespace hf::js {

namespace {

constexpr std::string_view kUrlPrefix = "file:///bundle/";

std::string_view withoutDotSlash(std::string_view name) {
  while (name.starts_with("./")) name.remove_prefix(2);
  return name;
}

}  // namespace

std::string resolveModuleName(std::string_view specifier, std::string_view importer) {
  const std::size_t colon = specifier.find(':');
  if (colon != std::string_view::npos && specifier.substr(0, colon).find('/') == std::string_view::npos) {
    return std::string(specifier);
  }
  std::vector<std::string_view> parts;
  const auto append = [&parts](std::string_view path) {
    while (!path.empty()) {
      const std::size_t slash = path.find('/');
      const std::string_view part = path.substr(0, slash);
      path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
      if (part == "..") {
        if (!parts.empty()) parts.pop_back();
      } else if (!part.empty() && part != ".") {
        parts.push_back(part);
      }
    }
  };
  if (specifier.starts_with("./") || specifier.starts_with("../")) {
    const std::size_t slash = importer.rfind('/');
    if (slash != std::string_view::npos) append(importer.substr(0, slash));
  }
  append(specifier);
  std::string name;
  for (const std::string_view part : parts) {
    if (!name.empty()) name += '/';
    name += part;
  }
  return name;
}

// What V8 calls back, without data of its own: the environment is the one whose scope we are in.
struct ModuleCallbacks {
  static v8::MaybeLocal<v8::Module> resolve(v8::Local<v8::Context> context, v8::Local<v8::String> specifier,
                                            v8::Local<v8::FixedArray>, v8::Local<v8::Module> referrer) {
    v8::Isolate* isolate = v8::Isolate::GetCurrent();
    Modules* modules = Environment::current()->modules();
    HF_CHECK(modules != nullptr, "only Modules links modules");
    return modules->load(context, toUtf8(isolate, specifier), nameOf(isolate, referrer->GetResourceName()));
  }

  static v8::MaybeLocal<v8::Value> evaluateSynthetic(v8::Local<v8::Context> context, v8::Local<v8::Module> module) {
    v8::Isolate* isolate = v8::Isolate::GetCurrent();
    Modules* modules = Environment::current()->modules();
    const auto found = modules->loaded_.find(nameOf(isolate, module->GetResourceName()));
    HF_CHECK(found != modules->loaded_.end(), "a synthetic module is remembered until it is evaluated");
    const v8::Local<v8::Object> exports = found->second.exports.Get(isolate);
    v8::Local<v8::Array> names;
    if (!exports->GetOwnPropertyNames(context).ToLocal(&names)) return {};
    for (std::uint32_t i = 0; i < names->Length(); ++i) {
      v8::Local<v8::Value> name;
      v8::Local<v8::Value> value;
      if (!names->Get(context, i).ToLocal(&name) || !name->IsString()) continue;
      if (!exports->Get(context, name).ToLocal(&value)) return {};
      if (module->SetSyntheticModuleExport(isolate, name.As<v8::String>(), value).IsNothing()) return {};
    }
    v8::Local<v8::Promise::Resolver> resolver;
    if (!v8::Promise::Resolver::New(context).ToLocal(&resolver)) return {};
    if (resolver->Resolve(context, v8::Undefined(isolate)).IsNothing()) return {};
    return resolver->GetPromise();
  }

  // import(): loading starts in a microtask, because V8 cannot evaluate a graph inside the evaluation of the same
  // graph.
  static v8::MaybeLocal<v8::Promise> importDynamically(v8::Local<v8::Context> context, v8::Local<v8::Data>,
                                                       v8::Local<v8::Value> resourceName,
                                                       v8::Local<v8::String> specifier, v8::Local<v8::FixedArray>) {
    v8::Isolate* isolate = v8::Isolate::GetCurrent();
    v8::Local<v8::Value> names[] = {specifier, resourceName};
    v8::Local<v8::Promise::Resolver> resolver;
    v8::Local<v8::Function> step;
    if (!v8::Promise::Resolver::New(context).ToLocal(&resolver) ||
        !v8::Function::New(context, &importStep, v8::Array::New(isolate, names, 2)).ToLocal(&step) ||
        resolver->Resolve(context, v8::Undefined(isolate)).IsNothing()) {
      return {};
    }
    return resolver->GetPromise()->Then(context, step);
  }
  static v8::MaybeLocal<v8::Promise> importWithPhase(v8::Local<v8::Context> context, v8::Local<v8::Data> options,
                                                     v8::Local<v8::Value> resourceName, v8::Local<v8::String> specifier,
                                                     v8::ModuleImportPhase, v8::Local<v8::FixedArray> attributes) {
    return importDynamically(context, options, resourceName, specifier, attributes);
  }

  static void importStep(const v8::FunctionCallbackInfo<v8::Value>& info) {
    v8::Isolate* isolate = info.GetIsolate();
    const v8::Local<v8::Context> context = isolate->GetCurrentContext();
    const auto names = info.Data().As<v8::Array>();
    v8::Local<v8::Value> specifier;
    v8::Local<v8::Value> importer;
    if (!names->Get(context, 0).ToLocal(&specifier) || !names->Get(context, 1).ToLocal(&importer)) return;
    const std::string name = nameOf(isolate, specifier);
    Modules* modules = Environment::current()->modules();
    if (modules == nullptr) return throwError(isolate, "No such module \"" + name + "\".");
    v8::Local<v8::Module> module;
    v8::Local<v8::Promise> evaluated;
    v8::Local<v8::Function> giveNamespace;
    if (!modules->load(context, name, nameOf(isolate, importer)).ToLocal(&module) ||
        !modules->evaluate(context, module).ToLocal(&evaluated) ||
        !v8::Function::New(context, &returnData, module->GetModuleNamespace()).ToLocal(&giveNamespace)) {
      return;
    }
    v8::Local<v8::Promise> result;
    if (evaluated->Then(context, giveNamespace).ToLocal(&result)) info.GetReturnValue().Set(result);
  }
  static void returnData(const v8::FunctionCallbackInfo<v8::Value>& info) { info.GetReturnValue().Set(info.Data()); }

  static void importMeta(v8::Local<v8::Context> context, v8::Local<v8::Module> module, v8::Local<v8::Object> meta) {
    v8::Isolate* isolate = v8::Isolate::GetCurrent();
    const Modules* modules = Environment::current()->modules();
    if (modules == nullptr) return;
    const std::string name = nameOf(isolate, module->GetResourceName());
    setProperty(context, meta, "url", string(isolate, std::string(kUrlPrefix) + name));
    setProperty(context, meta, "main", v8::Boolean::New(isolate, modules->main_ == module));
  }

  static void mainFulfilled(const v8::FunctionCallbackInfo<v8::Value>&) {
    if (Modules* modules = Environment::current()->modules(); modules != nullptr) modules->settle({});
  }
  static void mainRejected(const v8::FunctionCallbackInfo<v8::Value>& info) {
    if (Modules* modules = Environment::current()->modules(); modules != nullptr) {
      modules->failWith(info[0], v8::Exception::CreateMessage(info.GetIsolate(), info[0]));
    }
  }

  static std::string nameOf(v8::Isolate* isolate, v8::Local<v8::Value> name) {
    return name->IsString() ? toUtf8(isolate, name.As<v8::String>()) : std::string();
  }
};

void installModuleCallbacks(v8::Isolate* isolate) {
  isolate->SetHostImportModuleDynamicallyCallback(&ModuleCallbacks::importDynamically);
  isolate->SetHostImportModuleWithPhaseDynamicallyCallback(&ModuleCallbacks::importWithPhase);
  isolate->SetHostInitializeImportMetaObjectCallback(&ModuleCallbacks::importMeta);
}

Modules::Modules(Environment& environment, std::vector<ModuleSource> sources, Builtins builtins)
    : environment_(environment),
      sources_(std::move(sources)),
      builtins_(std::move(builtins)),
      alive_(std::make_shared<Modules*>(this)) {
  HF_CHECK(environment.modules() == nullptr, "an environment has one set of modules");
  for (const ModuleSource& source : sources_) byName_.emplace(withoutDotSlash(source.name), &source);
  environment.setModules(this);
}

Modules::~Modules() {
  *alive_ = nullptr;
  if (starting_) environment_.loop().cancelTimer(starting_->timer);
  environment_.setModules(nullptr);
}

const ModuleSource* Modules::find(std::string_view name) const {
  const auto found = byName_.find(name);
  return found == byName_.end() ? nullptr : found->second;
}

v8::MaybeLocal<v8::Module> Modules::load(v8::Local<v8::Context> context, std::string_view specifier,
                                         std::string_view importer) {
  v8::Isolate* isolate = environment_.isolate();
  std::string name = resolveModuleName(specifier, importer);
  const ModuleSource* source = find(name);
  if (source == nullptr && !specifier.starts_with('/')) {
    std::string beside = resolveModuleName("./" + std::string(specifier), importer);
    source = find(beside);
    if (source != nullptr) name = std::move(beside);
  }
  if (source == nullptr) name = std::string(specifier);
  if (const auto found = loaded_.find(name); found != loaded_.end()) return found->second.module.Get(isolate);

  if (source != nullptr && source->kind == ModuleKind::kEsModule) return compile(context, *source);
  if (source != nullptr) {
    v8::Local<v8::Value> made;
    if (!value(context, name).ToLocal(&made)) return {};
    const v8::Local<v8::Object> exports = v8::Object::New(isolate);
    setProperty(context, exports, "default", made);
    return makeSynthetic(context, name, exports);
  }
  v8::Local<v8::Value> exports;
  if (!builtins_(context, name).ToLocal(&exports)) return {};
  if (exports->IsObject()) return makeSynthetic(context, name, exports.As<v8::Object>());
  std::string message = "No such module \"" + resolveModuleName(specifier, importer) + "\".";
  if (!importer.empty()) message += "\n  imported from \"" + std::string(importer) + "\"";
  throwError(isolate, message);
  return {};
}

v8::MaybeLocal<v8::Module> Modules::compile(v8::Local<v8::Context> context, const ModuleSource& source) {
  v8::Isolate* isolate = environment_.isolate();
  const std::string name(withoutDotSlash(source.name));
  v8::Local<v8::String> text;
  if (!tryString(isolate, asText(source.bytes)).ToLocal(&text)) return {};
  const v8::ScriptOrigin origin(string(isolate, name), 0, 0, false, -1, v8::Local<v8::Value>(), false, false, true);
  v8::ScriptCompiler::Source from(text, origin);
  v8::Local<v8::Module> module;
  if (!v8::ScriptCompiler::CompileModule(isolate, &from).ToLocal(&module)) return {};
  loaded_[name].module.Reset(isolate, module);
  return module;
}

v8::MaybeLocal<v8::Module> Modules::makeSynthetic(v8::Local<v8::Context> context, const std::string& name,
                                                  v8::Local<v8::Object> exports) {
  v8::Isolate* isolate = environment_.isolate();
  v8::Local<v8::Array> keys;
  if (!exports->GetOwnPropertyNames(context).ToLocal(&keys)) return {};
  std::vector<v8::Local<v8::String>> names;
  for (std::uint32_t i = 0; i < keys->Length(); ++i) {
    v8::Local<v8::Value> key;
    if (!keys->Get(context, i).ToLocal(&key)) return {};
    if (key->IsString()) names.push_back(key.As<v8::String>());
  }
  const v8::Local<v8::Module> module = v8::Module::CreateSyntheticModule(
      isolate, string(isolate, name), v8::MemorySpan<const v8::Local<v8::String>>(names.data(), names.size()),
      &ModuleCallbacks::evaluateSynthetic);
  Loaded& loaded = loaded_[name];
  loaded.module.Reset(isolate, module);
  loaded.exports.Reset(isolate, exports);
  return module;
}

v8::MaybeLocal<v8::Value> Modules::value(v8::Local<v8::Context> context, std::string_view name) {
  v8::Isolate* isolate = environment_.isolate();
  const std::string_view key = withoutDotSlash(name);
  if (const auto made = values_.find(key); made != values_.end()) return made->second.Get(isolate);
  const ModuleSource* source = find(key);
  if (source == nullptr || source->kind == ModuleKind::kEsModule) {
    throwError(isolate, "No such module \"" + std::string(name) + "\".");
    return {};
  }
  v8::Local<v8::Value> made;
  if (!makeValue(context, *source).ToLocal(&made)) return {};
  values_[std::string(key)].Reset(isolate, made);
  return made;
}

namespace {

// V8 does not know which of the Worker's modules it could not read.
void rethrowNamed(v8::Local<v8::Context> context, v8::TryCatch& caught, const ModuleSource& source) {
  if (!caught.CanContinue()) {
    caught.ReThrow();
    return;
  }
  const ExceptionText error = describeException(context, caught.Exception());
  caught.Reset();
  throwError(v8::Isolate::GetCurrent(), "The module \"" + source.name + "\" cannot be read: " + error.message);
  caught.ReThrow();
}

}  // namespace

v8::MaybeLocal<v8::Value> Modules::makeValue(v8::Local<v8::Context> context, const ModuleSource& source) {
  v8::Isolate* isolate = environment_.isolate();
  v8::Local<v8::String> text;
  v8::Local<v8::ArrayBuffer> buffer;
  v8::Local<v8::WasmModuleObject> wasm;
  switch (source.kind) {
    case ModuleKind::kText:
      if (tryString(isolate, asText(source.bytes)).ToLocal(&text)) return text;
      return {};
    case ModuleKind::kJson: {
      if (!tryString(isolate, asText(source.bytes)).ToLocal(&text)) return {};
      v8::TryCatch caught(isolate);
      v8::Local<v8::Value> parsed;
      if (v8::JSON::Parse(context, text).ToLocal(&parsed)) return parsed;
      rethrowNamed(context, caught, source);
      return {};
    }
    case ModuleKind::kData:
      if (arrayBuffer(isolate, source.bytes).ToLocal(&buffer)) return buffer;
      return {};
    case ModuleKind::kWasm: {
      v8::TryCatch caught(isolate);
      if (v8::WasmModuleObject::Compile(isolate, {source.bytes.data(), source.bytes.size()}).ToLocal(&wasm)) {
        return wasm;
      }
      rethrowNamed(context, caught, source);
      return {};
    }
    case ModuleKind::kEsModule:
      break;
  }
  HF_CHECK(false, "an ES module has no value");
}

v8::MaybeLocal<v8::Promise> Modules::evaluate(v8::Local<v8::Context> context, v8::Local<v8::Module> module) {
  v8::Isolate* isolate = environment_.isolate();
  if (module->GetStatus() == v8::Module::kUninstantiated &&
      module->InstantiateModule(context, &ModuleCallbacks::resolve).IsNothing()) {
    return {};
  }
  if (module->GetStatus() < v8::Module::kInstantiated || module->GetStatus() == v8::Module::kEvaluating) {
    throwError(isolate, "This module is being loaded by the code that imports it.");
    return {};
  }
  v8::Local<v8::Value> promise;
  if (!module->Evaluate(context).ToLocal(&promise)) return {};
  return promise.As<v8::Promise>();
}

void Modules::start(std::string_view mainName, std::chrono::milliseconds limit, Completion<Result<void>> done) {
  HF_CHECK(!starting_, "modules are started once");
  HF_CHECK(!environment_.isEntered(), "start() enters the environment by itself");
  starting_.emplace(Starting{.done = std::move(done), .result = std::nullopt});
  if (!environment_.turn([&] { evaluateMain(mainName); })) {
    settle(fail(Errc::kScript, "Script startup " + std::string(condemnedText(environment_.condemned())) + "."));
  }
  starting_->isSynchronous = false;
  if (starting_->result) return finish();
  starting_->timer = environment_.loop().addTimer(systemClock().steady() + limit, [this, limit] {
    starting_->timer = 0;
    settle(fail(Errc::kTimeout, "Uncaught Error: Top-level await in module is unsettled after " +
                                    std::to_string(limit.count()) + " ms."));
  });
}

void Modules::evaluateMain(std::string_view mainName) {
  v8::Isolate* isolate = environment_.isolate();
  const v8::Local<v8::Context> context = environment_.context();
  const v8::TryCatch caught(isolate);
  const std::string name = resolveModuleName(withoutDotSlash(mainName), "");
  if (const ModuleSource* source = find(name); source == nullptr || source->kind != ModuleKind::kEsModule) {
    return settle(fail(Errc::kScript, "The main module \"" + name + "\" is not among the uploaded ES modules."));
  }
  v8::Local<v8::Module> module;
  v8::Local<v8::Promise> promise;
  if (load(context, name, "").ToLocal(&module)) {
    main_.Reset(isolate, module);
    if (evaluate(context, module).ToLocal(&promise)) {
      // The handlers also keep Node from reporting the rejection as unhandled.
      HF_CHECK(!promise
                    ->Then(context, function(context, &ModuleCallbacks::mainFulfilled, this),
                           function(context, &ModuleCallbacks::mainRejected, this))
                    .IsEmpty(),
               "Promise.prototype.then of V8 itself does not run user code");
      return;
    }
  }
  if (!caught.HasTerminated()) failWith(caught.Exception(), caught.Message());
}

void Modules::failWith(v8::Local<v8::Value> exception, v8::Local<v8::Message> message) {
  failure_.Reset(environment_.isolate(), exception);
  settle(fail(Errc::kScript, uncaughtText(environment_.context(), exception, message)));
}

void Modules::settle(Result<void> result) {
  if (!starting_ || starting_->result) return;  // too late, or the main module imported again
  starting_->result = std::move(result);
  if (starting_->isSynchronous) return;
  // We may be inside JavaScript; what comes next wants to be outside.
  environment_.loop().post([alive = alive_] {
    if (*alive != nullptr) (*alive)->finish();
  });
}

void Modules::finish() {
  environment_.loop().cancelTimer(std::exchange(starting_->timer, 0));
  Completion<Result<void>> done = std::move(starting_->done);
  done(*starting_->result);  // may destroy us
}

v8::Local<v8::Object> Modules::mainNamespace() const {
  return main_.Get(environment_.isolate())->GetModuleNamespace().As<v8::Object>();
}

v8::Local<v8::Value> Modules::failure() const {
  if (failure_.IsEmpty()) return v8::Undefined(environment_.isolate());
  return failure_.Get(environment_.isolate());
}

}  // namespace hf::js
