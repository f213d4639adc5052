// What is done to a fresh Node environment before anything else runs in it: errors are led to us, what would touch the
// process is made to throw, and the built-ins that C++ needs are captured.
#pragma once

#include <v8.h>

#include <memory>

namespace hf::js {

class CachedScript;
class Environment;

struct NodeParts {
  v8::Local<v8::Object> process;
  v8::Local<v8::Function> require;
};

// One per Platform: its code cache serves every environment of the process.
std::unique_ptr<CachedScript> makeNodeSetupScript();

// Inside the environment, from LoadEnvironment's callback. An array: [DOMException, Object.prototype].
v8::MaybeLocal<v8::Value> setUpNode(Environment& environment, const NodeParts& parts);

}  // namespace hf::js
