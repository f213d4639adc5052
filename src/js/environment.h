// Environment: one Node environment, which is one V8 isolate, on one shard's thread.
//
// Invariants
//  1. Only the shard's thread touches it (the watchdog and V8's helpers only ask the isolate to terminate).
//  2. JavaScript runs inside turn() or from this environment's libuv loop, which counts as a turn as well.
//  3. Once condemned, it runs no JavaScript any more; the owner destroys it soon.
//  4. While it is suspended nothing enters it: V8 forbids it inside an interrupt. Its libuv loop waits too.
//  5. An idle environment costs no wake-ups: its libuv loop is run only when its backend has something ready, a timer
//  of
//     it is due, or JavaScript has changed what it waits for.
//
//   running ◄──long turn, and again──► suspended: the shard's loop runs nested in the turn
//   running ──limit reached, process.exit──► condemned ──~Environment──► gone
#pragma once

#include <node.h>
#include <uv.h>
#include <v8.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/result.h"
#include "js/platform.h"
#include "js/watchdog.h"

namespace hf::net {
class EventLoop;
}

namespace hf::js {

class CountingAllocator;
class Modules;

// Why an environment runs no more JavaScript.
enum class Condemned : std::uint8_t { kNo, kCpu, kHeap, kExit };
std::string_view condemnedText(Condemned reason);

enum class Uncaught : std::uint8_t { kException, kRejection };

struct EnvironmentOptions {
  std::string name;                                      // for the log and for error messages: the script's name
  std::size_t heapBytesMax = limits::kHeapBytesDefault;  // V8's heap; ArrayBuffers are counted apart, same limit
  std::chrono::milliseconds cpuPerTurn = limits::kCpuPerTurnDefault;
  // An exception nobody caught, a rejection nobody handled. Inside the environment; must not run user code.
  std::function<void(v8::Local<v8::Value> error, Uncaught kind)> onUncaught{};
  // As a task of the shard's loop, when a full collection has left the heap or the budget of ArrayBuffers nearly full.
  std::function<void()> onHeapNearlyFull{};
  // Once, as a task of the shard's loop, when the environment was condemned, whatever it was doing then.
  std::function<void(Condemned reason)> onCondemned{};
};

class Environment final {
 public:
  // On the shard's thread, outside any other isolate's scope or inside one (scopes nest).
  static Result<std::unique_ptr<Environment>> create(Platform& platform, net::EventLoop& loop, Watchdog& watchdog,
                                                     EnvironmentOptions options);
  // Own thread, not from within enter() or turn() of this environment. Works after a termination. Waits for libuv
  // thread-pool work of this environment that cannot be cancelled (a long key derivation, say).
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  [[nodiscard]] v8::Isolate* isolate() const { return isolate_; }
  // Inside enter() or turn() only.
  [[nodiscard]] v8::Local<v8::Context> context() const { return context_.Get(isolate_); }
  // Node's `require(id)` for all its public built-in modules ("fs", "node:fs"), none hidden; never hand it to user
  // code.
  [[nodiscard]] v8::Local<v8::Function> nodeRequire() const { return nodeRequire_.Get(isolate_); }
  // Node's real `process` object. Its dangerous methods throw; `globalThis.process` still refers to it.
  [[nodiscard]] v8::Local<v8::Object> nodeProcess() const { return nodeProcess_.Get(isolate_); }
  // Built-ins as they were before user code ran.
  [[nodiscard]] v8::Local<v8::Function> domExceptionClass() const { return domException_.Get(isolate_); }
  [[nodiscard]] v8::Local<v8::Object> objectPrototype() const { return objectPrototype_.Get(isolate_); }

  [[nodiscard]] Condemned condemned() const { return condemned_.load(std::memory_order_acquire); }
  [[nodiscard]] const std::string& name() const { return options_.name; }
  [[nodiscard]] net::EventLoop& loop() const { return loop_; }
  [[nodiscard]] Platform& platform() const { return platform_; }
  // Bytes of live ArrayBuffers, and what V8's heap uses now.
  [[nodiscard]] std::size_t arrayBufferBytes() const;
  [[nodiscard]] std::size_t heapBytes() const;
  [[nodiscard]] std::size_t heapBytesMax() const { return options_.heapBytesMax; }

  // Runs `body` inside the isolate and context; returns what it returns. Runs no microtasks: for conversions and for
  // reading state. Nests, also with other environments' scopes.
  template <class F>
  auto enter(F&& body) -> std::invoke_result_t<F> {
    const Entered entered(*this);
    return std::forward<F>(body)();
  }

  // Runs `body` as a turn: watched, and when it returns next-ticks and microtasks have run. False: condemned (then
  // `body` may have run in part or not at all). A JavaScript exception that leaves `body` goes to onUncaught.
  template <class F>
  bool turn(F&& body) {
    if (condemned() != Condemned::kNo) return false;
    const Entered entered(*this);
    const bool outerTurn = std::exchange(inTurn_, true);
    watched_->beginTurn();
    {
      const node::CallbackScope scope(env_, turnResource_.Get(isolate_), node::async_context{0, 0});
      std::forward<F>(body)();
    }
    inTurn_ = outerTurn;
    if (cut_) [[unlikely]]
      afterCut();
    watched_->endTurn();
    return condemned() == Condemned::kNo;
  }

  // Ends the JavaScript of the turn that runs, which cannot catch it: nothing more of it runs, no `finally`, and no
  // microtask that it has queued while microtasks run. The environment goes on with the next turn. Call it from a
  // native function of the turn, and let JavaScript then loop until it ends. False: this is no turn (Node's own loop
  // calls). The host must have been started with --no-force-async-hooks-checks.
  bool cutTurn();

  // Like turn(), and when it goes on for long it is suspended now and then: the shard's loop then runs nested in it,
  // for other isolates. Only from a posted task of the loop, with no frame below that others may not come across.
  template <class F>
  bool turnThatShares(F&& body) {
    const bool outer = std::exchange(mayShare_, true);
    const bool finished = turn(std::forward<F>(body));
    mayShare_ = outer;
    return finished;
  }
  // Runs `body`, inside turnThatShares(), without a suspension.
  template <class F>
  auto withoutSharing(F&& body) -> std::invoke_result_t<F> {
    const RestoreSharing restore{mayShare_, std::exchange(mayShare_, false)};
    return std::forward<F>(body)();
  }
  // A turn of this environment is under way and has lent the thread to others: nothing may enter.
  [[nodiscard]] bool isSuspended() const { return suspended_; }

  // From now on `eval` and `new Function` throw EvalError, as they do in Workers once a script has started.
  void forbidCodeGeneration();

  // Called after this environment's libuv loop has run, outside any scope: JavaScript may have queued turns.
  void setAfterNodeWork(std::function<void()> callback) { afterNodeWork_ = std::move(callback); }

  // The environment whose scope this thread is in; nullptr outside. For V8 callbacks that carry no data.
  static Environment* current() { return current_; }
  // Where user modules live, once made (modules.h).
  [[nodiscard]] Modules* modules() const { return modules_; }
  void setModules(Modules* modules) { modules_ = modules; }

  // To onUncaught. Called by Node's hooks, inside a scope.
  void reportUncaught(v8::Local<v8::Value> error, Uncaught kind) const {
    if (condemned() == Condemned::kNo && options_.onUncaught) options_.onUncaught(error, kind);
  }

  // JavaScript is running or a scope is open.
  [[nodiscard]] bool isEntered() const { return depth_ != 0; }

 private:
  struct RestoreSharing {
    bool& flag;
    const bool value;
    ~RestoreSharing() { flag = value; }
  };

  class Entered final {
   public:
    explicit Entered(Environment& environment)
        : environment_(environment),
          outer_(std::exchange(current_, &environment)),
          isolateScope_(environment.isolate_),
          handleScope_(environment.isolate_),
          contextScope_(environment.context_.Get(environment.isolate_)) {
      HF_CHECK(!environment_.suspended_, "nothing enters a suspended environment");
      if (environment_.depth_++ == 0 && environment_.limitedAt_ != suspension_) [[unlikely]]
        environment_.limitStack();
    }
    ~Entered() {
      current_ = outer_;
      if (--environment_.depth_ == 0) environment_.updateWatch();
    }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    Environment& environment_;
    Environment* const outer_;
    const v8::Isolate::Scope isolateScope_;
    const v8::HandleScope handleScope_;
    const v8::Context::Scope contextScope_;
  };

  Environment(Platform& platform, net::EventLoop& loop, Watchdog& watchdog, EnvironmentOptions options);
  Result<void> start();
  Result<void> createNode();
  Result<void> loadNode();
  void limitHeap();
  void limitStack();
  void afterCut();
  void disposeNode();

  // Any thread. The first reason stays.
  void condemn(Condemned reason);
  static void onFullCollection(v8::Isolate* isolate, v8::GCType type, v8::GCCallbackFlags flags, void* self);
  static std::size_t onNearHeapLimit(void* self, std::size_t current, std::size_t initial);

  // After each scope: does libuv wait for something else than what the shard's loop watches for us?
  void updateWatch() {
    const int timeout = uv_backend_timeout(&uv_);
    if (timeout < 0 ? armedAtMs_ == kNever
                    : timeout > 0 && uv_now(&uv_) + static_cast<unsigned>(timeout) == armedAtMs_) {
      return;
    }
    rearm(timeout);
  }
  void rearm(int timeout);
  void runNode();
  static void onInterrupt(v8::Isolate* isolate, void* self);
  void share();
  void watchBackend();

  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  static thread_local Environment* current_;
  static thread_local unsigned suspendedHere_;    // environments of this thread
  static thread_local std::uint64_t suspension_;  // the innermost, each with a number of its own; 0: none

  // Fixed once made
  Platform& platform_;
  net::EventLoop& loop_;
  Watchdog& watchdog_;
  const EnvironmentOptions options_;
  std::shared_ptr<CountingAllocator> allocator_;  // shared with V8's backing stores, which may outlive the isolate
  std::shared_ptr<Environment*> alive_;           // held by tasks of the loop; null when we are gone
  uv_loop_t uv_{};
  uv_async_t keepAlive_{};  // keeps uv_backend_timeout truthful when everything else is unreferenced
  v8::Isolate* isolate_ = nullptr;
  node::IsolateData* isolateData_ = nullptr;
  node::Environment* env_ = nullptr;
  v8::Global<v8::Context> context_;
  v8::Global<v8::Function> nodeRequire_;
  v8::Global<v8::Object> nodeProcess_;
  v8::Global<v8::Function> domException_;
  v8::Global<v8::Object> objectPrototype_;
  v8::Global<v8::Object> turnResource_;
  Watchdog::Entry* watched_ = nullptr;
  // Shard thread only
  std::function<void()> afterNodeWork_;
  Modules* modules_ = nullptr;
  unsigned depth_ = 0;
  std::uint64_t limitedAt_ = 0;  // the suspension_ that V8's stack limit was made for
  std::uintptr_t stackEnd_ = 0;
  bool mayShare_ = false;
  bool inTurn_ = false;
  bool cut_ = false;
  bool suspended_ = false;
  bool runPosted_ = false;
  bool nearlyFullPosted_ = false;
  std::uint64_t armedAtMs_ = kNever;  // uv_now units
  std::uint64_t timer_ = 0;
  std::uint64_t backendWatch_ = 0;
  // Any thread
  std::atomic<bool> interruptAsked_{false};
  std::atomic<Condemned> condemned_{Condemned::kNo};
};

}  // namespace hf::js
