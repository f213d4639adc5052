// The addon's entry point: what cli/main.cjs calls on Node's main thread, which then only waits.
#include <node.h>
#include <unistd.h>
#include <uv.h>
#include <v8.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "js/convert.h"
#include "js/platform.h"
#include "server/directory.h"
#include "server/node.h"
#include "server/options.h"
#include "server/restart.h"

namespace hf::server {
namespace {

// The one server of this process, from main() until its promise is resolved.
struct Running {
  v8::Isolate* isolate = nullptr;
  v8::Global<v8::Context> context;
  v8::Global<v8::Promise::Resolver> resolver;
  std::unique_ptr<Log> log;
  std::unique_ptr<js::Platform> platform;
  std::unique_ptr<Node> node;
  int exitCode = 0;
  uv_async_t finished{};  // keeps Node's main loop alive
};

void onFinished(uv_async_t* handle) {
  auto* running = static_cast<Running*>(handle->data);
  running->node.reset();
  v8::Isolate* isolate = running->isolate;
  const v8::HandleScope scope(isolate);
  const v8::Local<v8::Context> context = running->context.Get(isolate);
  const v8::Context::Scope contextScope(context);
  const node::CallbackScope callbackScope(isolate, v8::Object::New(isolate), {0, 0});
  running->resolver.Get(isolate)->Resolve(context, v8::Integer::New(isolate, running->exitCode)).Check();
  uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
}

// main(arguments: string[], command: string[]): a number, or a promise of one: the exit code. `command`: this process,
// as it would be started again.
void runMain(const v8::FunctionCallbackInfo<v8::Value>& info) {
  v8::Isolate* isolate = info.GetIsolate();
  const v8::Local<v8::Context> context = isolate->GetCurrentContext();
  auto& running = js::selfOf<Running>(info);
  const auto texts = [&](int index) {
    std::vector<std::string> result;
    const auto list = info[index].As<v8::Array>();
    for (std::uint32_t i = 0; i < list->Length(); i++) {
      result.push_back(js::toUtf8(isolate, list->Get(context, i).ToLocalChecked()));
    }
    return result;
  };
  const std::vector<std::string> arguments = texts(0);
  Command command = parseCommandLine(arguments);
  if (const auto* leave = std::get_if<Leave>(&command)) {
    std::fputs(leave->text.c_str(), leave->code == 0 ? stdout : stderr);
    info.GetReturnValue().Set(leave->code);
    return;
  }
  if (const auto* env = std::get_if<EnvOptions>(&command)) {
    const Result<std::string> lines = environmentLines(env->directory);
    std::fputs(lines ? lines->c_str() : ("holdfast: " + lines.error().message + "\n").c_str(), lines ? stdout : stderr);
    info.GetReturnValue().Set(lines ? 0 : kExitStartFailed);
    return;
  }
  if (const auto* run = std::get_if<RunTool>(&command)) {
    // Node's loop, which would hear of a signal, stands still meanwhile.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
    const int code = (*run)();
    std::fflush(stdout);
    info.GetReturnValue().Set(code);
    return;
  }
  auto& options = std::get<ServeOptions>(command);
  running.log = std::make_unique<Log>(STDERR_FILENO, options.logFormat, options.logLevel);
  if (options.restarts) {
    armRestart(texts(1));
    const Restarted again = restarted();
    options.wait = again.wait;
    if (again.times > 0) {
      running.log->warn("started again in place after a failure of the JavaScript engine",
                        {{"times", std::to_string(again.times)}, {"waitsMs", std::to_string(again.wait.count())}});
    }
  }
  auto platform = js::Platform::create(context, *running.log);
  if (!platform) {
    std::fprintf(stderr, "holdfast: %s\n", platform.error().message.c_str());
    info.GetReturnValue().Set(kExitStartFailed);
    return;
  }
  running.platform = *std::move(platform);
  running.isolate = isolate;
  running.context.Reset(isolate, context);
  const auto resolver = v8::Promise::Resolver::New(context).ToLocalChecked();
  running.resolver.Reset(isolate, resolver);
  running.finished.data = &running;
  const int initialised = uv_async_init(node::GetCurrentEventLoop(isolate), &running.finished, onFinished);
  HF_CHECK(initialised == 0, "Node's main loop takes a handle");
  running.node = startNode(*running.platform, *running.log, std::move(options), [&running](int exitCode) {
    running.exitCode = exitCode;
    uv_async_send(&running.finished);
  });
  info.GetReturnValue().Set(resolver->GetPromise());
}

// signal(): SIGTERM or SIGINT arrived.
void onSignal(const v8::FunctionCallbackInfo<v8::Value>& info) {
  auto& running = js::selfOf<Running>(info);
  if (running.node != nullptr) running.node->signal();
}

}  // namespace
}  // namespace hf::server

NODE_MODULE_INIT() {
  // Lives as long as the process: Node never unloads an addon of its main thread.
  static hf::server::Running running;
  hf::js::setMethod(context, exports.As<v8::Object>(), "main", hf::server::runMain, &running);
  hf::js::setMethod(context, exports.As<v8::Object>(), "signal", hf::server::onSignal, &running);
}
