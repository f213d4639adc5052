// For the tests of rooms that stand on V8: a shard's thread with its loop, and JavaScript run on it from the test's.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "js/convert.h"
#include "js/environment.h"
#include "js/platform.h"
#include "js/watchdog.h"
#include "net/event_loop.h"

namespace hf::js::testing {

inline constexpr std::chrono::seconds kPatience{20};

// What the whole test program shares. Made on Node's main thread, where the tests run.
struct Engine {
  Log log{STDERR_FILENO, LogFormat::kText, LogLevel::kError};
  std::unique_ptr<Platform> platform = *Platform::create(v8::Isolate::GetCurrent()->GetCurrentContext(), log);

  static Engine& get() {
    static Engine engine;
    return engine;
  }
};

// One thread with an event loop, as a shard has.
class Shard final {
 public:
  Shard() : thread_([this] { loop.run(); }) {}
  ~Shard() {
    loop.stop();
    thread_.join();
  }
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Runs `body` on the shard and waits for it.
  template <class F>
  auto run(F body) {
    std::packaged_task<std::invoke_result_t<F>()> task(std::move(body));
    auto result = task.get_future();
    loop.post([task = std::move(task)]() mutable { task(); });
    if (result.wait_for(kPatience) != std::future_status::ready) {
      ADD_FAILURE() << "the shard is stuck";
      abort();
    }
    return result.get();
  }

  net::EventLoop loop;

 private:
  std::thread thread_;
};

// An environment on a shard, driven from the test's thread.
class Isolate final {
 public:
  explicit Isolate(Shard& shard, Watchdog& watchdog, EnvironmentOptions options = {}) : shard_(shard) {
    options.onUncaught = [this](v8::Local<v8::Value> error, Uncaught kind) {
      const v8::Local<v8::Context> context = environment->context();
      uncaught.push_back((kind == Uncaught::kRejection ? "rejection " : "exception ") +
                         describeException(context, error).message);
    };
    options.onCondemned = [this](Condemned reason) { condemned.set_value(reason); };
    shard_.run([&] {
      auto made = Environment::create(*Engine::get().platform, shard_.loop, watchdog, std::move(options));
      if (!made) {
        ADD_FAILURE() << made.error().message;
        abort();
      }
      environment = *std::move(made);
      environment->setAfterNodeWork([this] { ++nodeWork; });
      environment->turn([&] {
        const v8::Local<v8::Context> context = environment->context();
        setProperty(context, context->Global(), "nodeRequire", environment->nodeRequire());
      });
    });
  }
  ~Isolate() {
    shard_.run([&] { environment.reset(); });
  }
  Isolate(const Isolate&) = delete;
  Isolate& operator=(const Isolate&) = delete;

  // Evaluates a script in a turn; the result as text, "Uncaught ..." for an exception, "terminated" when it was.
  std::string eval(std::string_view source) {
    return shard_.run([&] { return evalHere(source); });
  }
  // On the shard.
  std::string evalHere(std::string_view source) {
    std::string text;
    const bool lives = environment->turn([&] { text = evaluate(source); });
    return lives ? text : "terminated";
  }
  // Evaluates to a promise and waits until it settles, while the shard does nothing but what Node's loop asks for.
  std::string await(std::string_view source) {
    auto promise = std::make_shared<std::promise<std::string>>();
    auto settled = promise->get_future();
    shard_.run([&] {
      environment->turn([&] {
        v8::Isolate* isolate = environment->isolate();
        const v8::Local<v8::Context> context = environment->context();
        auto* holder = new std::shared_ptr<std::promise<std::string>>(promise);  // freed by `settle`, called once
        setProperty(context, context->Global(), "settle", function(context, &settle, holder));
        const std::string wrapped = "Promise.resolve((async () => (" + std::string(source) +
                                    "))()).then((v) => settle(String(v)), (e) => settle('Uncaught ' + e)); 0";
        const std::string started = evaluate(wrapped);
        if (started != "0") promise->set_value(started);
        static_cast<void>(isolate);
      });
    });
    if (settled.wait_for(kPatience) != std::future_status::ready) return "timed out";
    return settled.get();
  }

  std::unique_ptr<Environment> environment;
  std::vector<std::string> uncaught;  // shard's thread
  int nodeWork = 0;                   // shard's thread
  std::promise<Condemned> condemned;

 private:
  std::string evaluate(std::string_view source) {
    v8::Isolate* isolate = environment->isolate();
    const v8::Local<v8::Context> context = environment->context();
    v8::TryCatch caught(isolate);
    v8::Local<v8::Script> script;
    v8::Local<v8::Value> value;
    const v8::ScriptOrigin origin(string(isolate, "test.js"));
    v8::ScriptCompiler::Source from(string(isolate, source), origin);
    if (!v8::ScriptCompiler::Compile(context, &from).ToLocal(&script) || !script->Run(context).ToLocal(&value)) {
      if (caught.HasTerminated()) return "terminated";
      return uncaughtText(context, caught.Exception(), caught.Message());
    }
    v8::Local<v8::String> text;
    return value->ToDetailString(context).ToLocal(&text) ? toUtf8(isolate, text) : "no text";
  }
  static void settle(const v8::FunctionCallbackInfo<v8::Value>& info) {
    const std::unique_ptr<std::shared_ptr<std::promise<std::string>>> holder(
        &selfOf<std::shared_ptr<std::promise<std::string>>>(info));
    (*holder)->set_value(toUtf8(info.GetIsolate(), info[0].As<v8::String>()));
  }

  Shard& shard_;
};

}  // namespace hf::js::testing
