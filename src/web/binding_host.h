// What the bindings of one isolate (pipes, HTTP) need of it: a way into the runtime.
#pragma once

#include <v8.h>

#include <functional>

#include "base/executor.h"

namespace hf::web {

class BindingHost {
 public:
  virtual ~BindingHost() = default;
  // Calls one of the Runtime functions of web/native.ts, from inside the isolate or outside; the turns that it queues
  // run later. `arguments` fills in the values, inside the isolate. Nothing happens when the isolate was terminated.
  // Not while isSuspended().
  virtual void tellRuntime(const char* function,
                           const std::function<void(v8::Isolate*, v8::LocalVector<v8::Value>&)>& arguments) = 0;

  // A turn of the isolate is under way and has lent the shard to others: nothing may enter the isolate. What happens to
  // it meanwhile goes through afterTurn(), which keeps the order.
  [[nodiscard]] virtual bool isSuspended() const = 0;
  virtual void afterTurn(Task task) = 0;
};

}  // namespace hf::web
