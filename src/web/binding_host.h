// What the bindings of one isolate (pipes, HTTP) need of it: a way into the runtime.
#pragma once

#include <v8.h>

#include <functional>

namespace hf::web {

class BindingHost {
 public:
  virtual ~BindingHost() = default;
  // Calls one of the Runtime functions of web/native.ts, from inside the isolate or outside; when outside, the turns
  // that it queued run before this returns. `arguments` fills in the values, inside the isolate. Nothing happens when
  // the isolate was terminated.
  virtual void tellRuntime(const char* function,
                           const std::function<void(v8::Isolate*, v8::LocalVector<v8::Value>&)>& arguments) = 0;
};

}  // namespace hf::web
