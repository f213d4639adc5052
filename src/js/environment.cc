#include "js/environment.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/check.h"
#include "js/convert.h"
#include "js/counting_allocator.h"
#include "js/engine_fatal.h"
#include "js/node_setup.h"
#include "net/event_loop.h"

namespace hf::js {

namespace {

// Room for unwinding after the heap limit; some loops of built-ins go on for a while (architecture.md section 2).
constexpr std::size_t kHeapReserveBytes = 64 * 1024 * 1024;
constexpr std::size_t kHeapReservesMax = 8;

// JavaScript may use this much of the thread's stack; below it stays room for C++ that JavaScript calls.
constexpr std::size_t kStackBytesMax = 2 * 1024 * 1024;
constexpr std::size_t kStackReserveBytes = 256 * 1024;

// A long turn lends its thread to others for about so long at a time.
constexpr std::chrono::milliseconds kShareMax{50};
// Turns suspended inside one another. One more runs through: its thread's stack is not endless.
constexpr unsigned kSuspendedMax = 4;

constexpr auto kFlags = static_cast<node::EnvironmentFlags::Flags>(
    node::EnvironmentFlags::kNoRegisterESMLoader | node::EnvironmentFlags::kNoNativeAddons |
    node::EnvironmentFlags::kNoGlobalSearchPaths | node::EnvironmentFlags::kNoCreateInspector |
    node::EnvironmentFlags::kNoStartDebugSignalHandler);

}  // namespace

thread_local Environment* Environment::current_ = nullptr;
thread_local unsigned Environment::suspendedHere_ = 0;
thread_local std::uint64_t Environment::suspension_ = 0;

std::string_view condemnedText(Condemned reason) {
  switch (reason) {
    case Condemned::kNo:
      return "running";
    case Condemned::kCpu:
      return "exceeded CPU time limit";
    case Condemned::kHeap:
      return "exceeded memory limit";
    case Condemned::kExit:
      return "process exit was called";
  }
  return "";
}

Environment::Environment(Platform& platform, net::EventLoop& loop, Watchdog& watchdog, EnvironmentOptions options)
    : platform_(platform),
      loop_(loop),
      watchdog_(watchdog),
      options_(std::move(options)),
      allocator_(std::make_shared<CountingAllocator>(options_.heapBytesMax)),
      alive_(std::make_shared<Environment*>(this)) {
  HF_CHECK(uv_loop_init(&uv_) == 0, "a libuv loop needs three file descriptors");
  HF_CHECK(uv_async_init(&uv_, &keepAlive_, nullptr) == 0, "a libuv async handle needs memory only");
}

Result<std::unique_ptr<Environment>> Environment::create(Platform& platform, net::EventLoop& loop, Watchdog& watchdog,
                                                         EnvironmentOptions options) {
  HF_CHECK(loop.isCurrent(), "an environment is made on its shard's thread");
  std::unique_ptr<Environment> made(new Environment(platform, loop, watchdog, std::move(options)));
  HF_TRY_VOID(made->start());
  return made;
}

Result<void> Environment::start() {
  node::IsolateSettings settings;
  settings.fatal_error_callback = &onEngineFatal;
  settings.oom_error_callback = &onEngineOutOfMemory;
  isolate_ = node::NewIsolate(allocator_, &uv_, &platform_.node(), platform_.snapshot(), settings);
  if (isolate_ == nullptr) return fail(Errc::kInternal, "V8 could not make an isolate");
  isolate_->SetAllowAtomicsWait(false);  // it would block the shard without using CPU time
  limitHeap();
  if (options_.onHeapNearlyFull) {
    isolate_->AddGCEpilogueCallback(&Environment::onFullCollection, this, v8::kGCTypeMarkSweepCompact);
  }
  {
    const v8::Isolate::Scope isolateScope(isolate_);
    const v8::HandleScope handleScope(isolate_);
    limitStack();
    HF_TRY_VOID(createNode());
    watched_ = watchdog_.watch(
        options_.name, options_.cpuPerTurn, [this] { condemn(Condemned::kCpu); },
        [this] {
          if (!interruptAsked_.exchange(true)) isolate_->RequestInterrupt(&Environment::onInterrupt, this);
        });
    HF_TRY_VOID(loadNode());
  }
  watchBackend();
  updateWatch();
  return {};
}

void Environment::limitHeap() {
  // NewIsolate has no parameter for it. Removing the callback sets the limit of a live heap.
  isolate_->AddNearHeapLimitCallback(&Environment::onNearHeapLimit, this);
  isolate_->RemoveNearHeapLimitCallback(&Environment::onNearHeapLimit, options_.heapBytesMax);
  isolate_->AddNearHeapLimitCallback(&Environment::onNearHeapLimit, this);
}

void Environment::limitStack() {
  pthread_attr_t attributes;
  HF_CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0, "a running thread has attributes");
  void* lowest = nullptr;
  std::size_t size = 0;
  HF_CHECK(pthread_attr_getstack(&attributes, &lowest, &size) == 0, "a running thread has a stack");
  pthread_attr_destroy(&attributes);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const auto end = reinterpret_cast<std::uintptr_t>(lowest) + kStackReserveBytes;
  HF_CHECK(here > end, "a shard's thread has at least half a megabyte of stack");
  isolate_->SetStackLimit(std::max(end, here - kStackBytesMax));
  stackEnd_ = end;
  limitedAt_ = suspension_;
}

Result<void> Environment::createNode() {
  const v8::TryCatch caught(isolate_);
  isolateData_ = node::CreateIsolateData(isolate_, &uv_, &platform_.node(), nullptr, platform_.snapshot());
  env_ = node::CreateEnvironment(isolateData_, {}, {"holdfast"}, {}, kFlags);
  if (env_ == nullptr) return fail(Errc::kInternal, "Node could not make an environment");
  node::SetProcessExitHandler(env_, [this](node::Environment*, int) { condemn(Condemned::kExit); });
  context_.Reset(isolate_, node::GetMainContext(env_));
  return {};
}

Result<void> Environment::loadNode() {
  const Entered entered(*this);
  v8::TryCatch caught(isolate_);
  watched_->beginTurn();
  const v8::MaybeLocal<v8::Value> loaded =
      node::LoadEnvironment(env_, [this](const node::StartExecutionCallbackInfo& info) -> v8::MaybeLocal<v8::Value> {
        nodeProcess_.Reset(isolate_, info.process_object);
        nodeRequire_.Reset(isolate_, info.native_require);
        return setUpNode(*this, {.process = info.process_object, .require = info.native_require});
      });
  watched_->endTurn();
  v8::Local<v8::Value> value;
  if (!loaded.ToLocal(&value) || !value->IsArray()) {
    if (condemned() != Condemned::kNo) return fail(Errc::kScript, std::string(condemnedText(condemned())));
    return fail(Errc::kInternal,
                "Node's environment did not start: " + uncaughtText(context(), caught.Exception(), caught.Message()));
  }
  const auto builtins = value.As<v8::Array>();
  domException_.Reset(isolate_, builtins->Get(context(), 0).ToLocalChecked().As<v8::Function>());
  objectPrototype_.Reset(isolate_, builtins->Get(context(), 1).ToLocalChecked().As<v8::Object>());
  turnResource_.Reset(isolate_, v8::Object::New(isolate_));
  return {};
}

Environment::~Environment() {
  HF_CHECK(loop_.isCurrent(), "an environment is destroyed on its shard's thread");
  HF_CHECK(depth_ == 0, "an environment is destroyed from outside its scopes");
  HF_CHECK(modules_ == nullptr, "what holds handles of an environment goes before it");
  *alive_ = nullptr;
  loop_.unwatchFd(std::exchange(backendWatch_, 0));
  loop_.cancelTimer(std::exchange(timer_, 0));
  if (watched_ != nullptr) watchdog_.release(watched_);
  if (isolate_ != nullptr) disposeNode();
  uv_close(reinterpret_cast<uv_handle_t*>(&keepAlive_), nullptr);
  while (uv_loop_close(&uv_) == UV_EBUSY) uv_run(&uv_, UV_RUN_ONCE);
}

void Environment::disposeNode() {
  if (options_.onHeapNearlyFull) isolate_->RemoveGCEpilogueCallback(&Environment::onFullCollection, this);
  isolate_->RemoveNearHeapLimitCallback(&Environment::onNearHeapLimit, 0);
  {
    const v8::Isolate::Scope isolateScope(isolate_);
    const v8::HandleScope handleScope(isolate_);
    context_.Reset();
    nodeRequire_.Reset();
    nodeProcess_.Reset();
    domException_.Reset();
    objectPrototype_.Reset();
    turnResource_.Reset();
    if (env_ != nullptr) node::FreeEnvironment(env_);
    if (isolateData_ != nullptr) node::FreeIsolateData(isolateData_);
  }
  bool finished = false;
  platform_.node().AddIsolateFinishedCallback(
      isolate_, [](void* flag) { *static_cast<bool*>(flag) = true; }, &finished);
  platform_.node().DisposeIsolate(isolate_);
  while (!finished) uv_run(&uv_, UV_RUN_ONCE);
}

void Environment::forbidCodeGeneration() {
  enter([this] {
    // Node's own callback would allow what the context forbids.
    isolate_->SetModifyCodeGenerationFromStringsCallback(
        [](v8::Local<v8::Context>, v8::Local<v8::Value>, bool) -> v8::ModifyCodeGenerationFromStringsResult {
          return {false, {}};
        });
    context()->AllowCodeGenerationFromStrings(false);
  });
}

void Environment::condemn(Condemned reason) {
  Condemned none = Condemned::kNo;
  if (!condemned_.compare_exchange_strong(none, reason, std::memory_order_acq_rel)) return;
  // Stop() terminates the running JavaScript, and closing callback scopes then run neither microtasks nor hooks: with
  // TerminateExecution alone, Node would find its async hook stack torn and end the process.
  if (env_ != nullptr) {
    node::Stop(env_);
  } else {
    isolate_->TerminateExecution();
  }
  if (!options_.onCondemned) return;
  // The callback is copied: it may destroy this environment, and with it options_.
  loop_.post([alive = alive_, callback = options_.onCondemned, reason] {
    if (*alive != nullptr) callback(reason);
  });
}

bool Environment::cutTurn() {
  if (!inTurn_ || condemned() != Condemned::kNo) return condemned() != Condemned::kNo;
  cut_ = true;
  isolate_->TerminateExecution();
  return true;
}

void Environment::afterCut() {
  cut_ = false;
  // Condemned meanwhile: its termination may be the one that is taken back, but no turn follows.
  isolate_->CancelTerminateExecution();
  // Nobody has put back what AsyncLocalStorage.run() replaced.
  isolate_->SetContinuationPreservedEmbedderDataV2(v8::Undefined(isolate_));
}

std::size_t Environment::onNearHeapLimit(void* data, std::size_t current, std::size_t initial) {
  Environment& self = *static_cast<Environment*>(data);
  const std::size_t limit = self.options_.heapBytesMax;
  const std::size_t most = 2 * limit + kHeapReservesMax * kHeapReserveBytes;
  if (self.condemned() == Condemned::kNo && current < most && self.heapBytes() < limit - limit / 8) {
    // V8 adds the bytes of ArrayBuffers to its heap here, and asks when one is refused. They have a budget of their
    // own, and a RangeError is kinder. Not raising the limit could be taken for being out of memory.
    return std::max(limit + self.arrayBufferBytes() + kHeapReserveBytes / 4, current + 1024 * 1024);
  }
  self.condemn(Condemned::kHeap);
  if (self.watched_ != nullptr) self.watched_->startGrace();
  // Room to unwind; what still grows then is a loop that V8 cannot stop, and V8 ends the process.
  if (current >= most) return current;
  return current + kHeapReserveBytes;
}

// In the middle of a collection: no JavaScript, no handles.
void Environment::onFullCollection(v8::Isolate* /*isolate*/, v8::GCType /*type*/, v8::GCCallbackFlags /*flags*/,
                                   void* data) {
  Environment& self = *static_cast<Environment*>(data);
  const std::size_t most = std::max(self.heapBytes(), self.arrayBufferBytes());
  if (most < self.options_.heapBytesMax / 10 * 7 || std::exchange(self.nearlyFullPosted_, true)) return;
  // The callback is copied: it may destroy this environment, and with it options_.
  self.loop_.post([alive = self.alive_, callback = self.options_.onHeapNearlyFull] {
    if (*alive == nullptr) return;
    (*alive)->nearlyFullPosted_ = false;
    callback();
  });
}

std::size_t Environment::arrayBufferBytes() const { return allocator_->bytes(); }

std::size_t Environment::heapBytes() const {
  v8::HeapStatistics statistics;
  isolate_->GetHeapStatistics(&statistics);
  return statistics.used_heap_size();
}

void Environment::rearm(int timeout) {
  if (condemned() != Condemned::kNo) return;
  if (timeout == 0) {
    if (runPosted_) return;
    runPosted_ = true;
    loop_.post([alive = alive_] {
      Environment* self = *alive;
      if (self == nullptr) return;
      self->runPosted_ = false;
      self->runNode();
    });
    return;
  }
  loop_.cancelTimer(std::exchange(timer_, 0));
  armedAtMs_ = kNever;
  if (timeout < 0) return;
  // libuv counts from the same origin as the steady clock.
  armedAtMs_ = uv_now(&uv_) + static_cast<unsigned>(timeout);
  timer_ = loop_.addTimer(SteadyTime(std::chrono::milliseconds(armedAtMs_)), [this] {
    timer_ = 0;
    armedAtMs_ = kNever;
    runNode();
  });
}

void Environment::onInterrupt(v8::Isolate* /*isolate*/, void* self) {
  auto& environment = *static_cast<Environment*>(self);
  environment.interruptAsked_.store(false);
  environment.share();
}

void Environment::share() {
  // The turn that was meant may have ended, and what runs now may be a step that others must not come across.
  if (!mayShare_ || !watched_->isLong() || condemned() != Condemned::kNo || !loop_.canNest()) return;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (suspendedHere_ >= kSuspendedMax || here < stackEnd_ + kStackBytesMax) return;
  static thread_local std::uint64_t last = 0;
  const std::uint64_t outer = std::exchange(suspension_, ++last);
  suspended_ = true;
  suspendedHere_++;
  watched_->suspend();
  loop_.runNested(kShareMax);
  watched_->resume();
  suspendedHere_--;
  suspended_ = false;
  suspension_ = outer;
  if (backendWatch_ == 0) watchBackend();
}

void Environment::watchBackend() {
  backendWatch_ = loop_.watchFd(uv_backend_fd(&uv_), [this] { runNode(); });
}

void Environment::runNode() {
  if (suspended_) {
    // It stays readable, and would keep the nested rounds from ending. Timers are set again when the turn ends.
    loop_.unwatchFd(std::exchange(backendWatch_, 0));
    return;
  }
  HF_CHECK(depth_ == 0, "a libuv loop does not run inside itself");
  if (condemned() != Condemned::kNo) return;
  {
    const Entered entered(*this);
    watched_->beginTurn();
    uv_run(&uv_, UV_RUN_NOWAIT);
    watched_->endTurn();
  }
  if (afterNodeWork_) afterNodeWork_();
}

}  // namespace hf::js
