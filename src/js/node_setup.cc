#include "js/node_setup.h"

#include <string>

#include "js/convert.h"
#include "js/environment.h"
#include "js/modules.h"

namespace hf::js {

namespace {

// Evaluates to a function (process, require, onException, onRejection).
constexpr const char* kSetup = R"JS((function (process, require, onException, onRejection) {
  'use strict';
  process.setUncaughtExceptionCaptureCallback(onException);
  process.on('unhandledRejection', onRejection);
  // What one script may not do to a process that serves many. The global `process` of user code is a facade made by
  // the runtime; this is for code that reaches the real one.
  for (const name of [
    'abort', 'chdir', 'debugPort', 'dlopen', 'execve', 'exit', 'initgroups', 'kill', 'loadEnvFile', 'openStdin',
    'reallyExit', 'setegid', 'seteuid', 'setgid', 'setgroups', 'setuid', 'umask', 'binding', '_linkedBinding',
    '_debugEnd', '_debugProcess', '_getActiveHandles', '_getActiveRequests', '_kill', '_startProfilerIdleNotifier',
    '_stopProfilerIdleNotifier', 'setUncaughtExceptionCaptureCallback', 'addUncaughtExceptionCaptureCallback',
  ]) {
    if (!(name in process)) continue;
    const refuse = () => { throw new Error(`process.${name} is not available in Workers.`); };
    // Node itself wraps some of them later: assignments are ignored, not refused.
    Object.defineProperty(process, name, { get: () => refuse, set() {}, configurable: false, enumerable: true });
  }
  // Small Buffers are slices of a shared pool; storing one would store the pool, with other data in it.
  require('buffer').Buffer.poolSize = 0;
  return [globalThis.DOMException, Object.prototype];
}))JS";

void report(const v8::FunctionCallbackInfo<v8::Value>& info, Uncaught kind) {
  Environment& environment = selfOf<Environment>(info);
  environment.reportUncaught(info[0], kind);
}
void onException(const v8::FunctionCallbackInfo<v8::Value>& info) { report(info, Uncaught::kException); }
void onRejection(const v8::FunctionCallbackInfo<v8::Value>& info) { report(info, Uncaught::kRejection); }

}  // namespace

std::unique_ptr<CachedScript> makeNodeSetupScript() { return std::make_unique<CachedScript>("holdfast:setup", kSetup); }

v8::MaybeLocal<v8::Value> setUpNode(Environment& environment, const NodeParts& parts) {
  const v8::Local<v8::Context> context = environment.context();
  CachedScript& script = environment.platform().nodeSetupScript();
  v8::Local<v8::Value> setup;
  if (!script.run(context).ToLocal(&setup)) return {};
  v8::Local<v8::Value> arguments[] = {parts.process, parts.require, function(context, &onException, &environment),
                                      function(context, &onRejection, &environment)};
  v8::Local<v8::Value> result;
  if (!setup.As<v8::Function>()->Call(context, v8::Undefined(environment.isolate()), 4, arguments).ToLocal(&result)) {
    return {};
  }
  installModuleCallbacks(environment.isolate());
  return result;
}

}  // namespace hf::js
