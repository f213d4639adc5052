// Small conversions shared by the files that implement Isolate.
#pragma once

#include <v8.h>

#include <string>

#include "js/convert.h"

namespace hf::worker {

// The name an object was reached by; an object without one has `undefined`.
inline v8::Local<v8::Value> nameValue(v8::Isolate* isolate, const std::string& name) {
  if (name.empty()) return v8::Undefined(isolate);
  return js::string(isolate, name);
}

}  // namespace hf::worker
