#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "js/convert.h"

namespace hf::js {

namespace {
using CachedData = v8::ScriptCompiler::CachedData;
}

struct CachedScript::State {
  // Fixed once made
  std::string name;
  std::string source;
  // Guarded by mutex
  std::mutex mutex;
  std::shared_ptr<const CachedData> cache;  // shared by the compilations that read it
  bool wasCached = false;
};

CachedScript::CachedScript(std::string name, std::string source) : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->source = std::move(source);
}
CachedScript::~CachedScript() = default;

v8::MaybeLocal<v8::Value> CachedScript::run(v8::Local<v8::Context> context) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  v8::EscapableHandleScope scope(isolate);
  std::shared_ptr<const CachedData> cache;
  {
    const std::lock_guard lock(state_->mutex);
    cache = state_->cache;
  }
  v8::Local<v8::String> source;
  if (!tryString(isolate, state_->source).ToLocal(&source)) return {};
  const v8::ScriptOrigin origin(string(isolate, state_->name));
  // The Source deletes its CachedData, which does not own the bytes.
  v8::ScriptCompiler::Source from(
      source, origin,
      cache == nullptr ? nullptr : new CachedData(cache->data, cache->length, CachedData::BufferNotOwned));
  v8::Local<v8::UnboundScript> unbound;
  if (!v8::ScriptCompiler::CompileUnboundScript(
           isolate, &from, cache == nullptr ? v8::ScriptCompiler::kEagerCompile : v8::ScriptCompiler::kConsumeCodeCache)
           .ToLocal(&unbound)) {
    return {};
  }
  const bool wasCached = cache != nullptr && !from.GetCachedData()->rejected;
  if (!wasCached) cache.reset(v8::ScriptCompiler::CreateCodeCache(unbound));
  {
    const std::lock_guard lock(state_->mutex);
    state_->wasCached = wasCached;
    if (!wasCached) state_->cache = std::move(cache);
  }
  v8::Local<v8::Value> value;
  if (!unbound->BindToCurrentContext()->Run(context).ToLocal(&value)) return {};
  return scope.Escape(value);
}

bool CachedScript::wasCached() const {
  const std::lock_guard lock(state_->mutex);
  return state_->wasCached;
}

}  // namespace hf::js
