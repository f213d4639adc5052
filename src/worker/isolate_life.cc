// What happens to an isolate besides events: deploys, handovers, resets from outside, short memory, the end.
#include <utility>

#include "js/convert.h"
#include "worker/isolate.h"
#include "worker/natives.h"

namespace hf::worker {

using v8::Value;

const char* Isolate::whyGone() const {
  if (!condemned_) return "ended";
  switch (environment_->condemned()) {
    case js::Condemned::kCpu:
      return "cpu";
    case js::Condemned::kHeap:
      return "memory";
    default:
      return "lost";
  }
}

void Isolate::peerGone(const PeerGone& gone) {
  if (isSuspended()) return afterTurn([this, gone] { peerGone(gone); });
  tellRuntime("peerGone", [&](v8::Isolate* isolate, auto& out) {
    v8::LocalVector<Value> namespaces(isolate);
    for (const NamespaceId& ns : gone.namespaces) namespaces.push_back(js::string(isolate, ns.hex()));
    out.push_back(v8::Number::New(isolate, static_cast<double>(gone.address)));
    out.push_back(js::internalized(isolate, gone.why));
    out.push_back(v8::Array::New(isolate, namespaces.data(), namespaces.size()));
  });
}

void Isolate::codeUpdated(catalog::CodeUpdateMode mode, WallMs deadline) {
  retired_ = true;
  if (isSuspended()) return afterTurn([this, mode, deadline] { codeUpdated(mode, deadline); });
  tellRuntime("codeUpdated", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(js::string(isolate, mode == catalog::CodeUpdateMode::kDeferred ? "deferred" : "now"));
    out.push_back(v8::Number::New(isolate, static_cast<double>(deadline)));
  });
}

void Isolate::adopt(const ObjectKey& object, const std::string& name, Task then) {
  if (isSuspended()) {
    return afterTurn([this, object, name, then = std::move(then)]() mutable { adopt(object, name, std::move(then)); });
  }
  tellRuntime("adopt", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(js::string(isolate, object.ns.hex()));
    out.push_back(js::string(isolate, object.id.hex()));
    out.push_back(nameValue(isolate, name));
  });
  then();
}

void Isolate::memoryPressure() {
  if (isSuspended()) return afterTurn([this] { memoryPressure(); });
  tellRuntime("memoryPressure", nullptr);
}

void Isolate::namespacesLeft(const std::vector<NamespaceId>& namespaces, const char* why) {
  if (isSuspended()) return afterTurn([this, namespaces, why] { namespacesLeft(namespaces, why); });
  tellRuntime("namespacesLeft", [&](v8::Isolate* isolate, auto& out) {
    v8::LocalVector<Value> list(isolate);
    for (const NamespaceId& ns : namespaces) list.push_back(js::string(isolate, ns.hex()));
    out.push_back(v8::Array::New(isolate, list.data(), list.size()));
    out.push_back(js::string(isolate, why));
  });
}

void Isolate::storageReplaced(const ObjectKey& object, Task then) {
  if (isSuspended()) {
    return afterTurn([this, object, then = std::move(then)]() mutable { storageReplaced(object, std::move(then)); });
  }
  tellRuntime("storageReplaced", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(js::string(isolate, object.ns.hex()));
    out.push_back(js::string(isolate, object.id.hex()));
  });
  then();
}

void Isolate::failDatabases(const Error& why) {
  for (const actor::DatabaseHandle database : databases_.handles()) failed_.emplace_back(database, why);
  if (failed_.empty() || condemned_ || inside_) return;
  environment_->enter([&] {
    inside_ = true;
    failPending();
    inside_ = false;
  });
  schedulePump();
}

void Isolate::drain(Task done) {
  if (isSuspended()) {
    drained_ = std::move(done);  // also when the turn ends the isolate
    return afterTurn([this] { drain(std::exchange(drained_, nullptr)); });
  }
  if (condemned_ || runtime_.IsEmpty()) {
    done();
    return;
  }
  drained_ = std::move(done);
  tellRuntime("drain", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(js::function(
        isolate->GetCurrentContext(),
        [](const v8::FunctionCallbackInfo<Value>& info) {
          auto& self = js::selfOf<Isolate>(info);
          if (self.drained_ != nullptr) std::exchange(self.drained_, nullptr)();
        },
        this));
  });
}

}  // namespace hf::worker
