#include "net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/limits.h"
#include "net/event_loop_impl.h"

namespace hf::net {
namespace {

// Descriptors served before posted tasks and timers get their turn again.
constexpr std::size_t kHandlersPerRound = 256;

int makeEventFd() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  HF_CHECK(fd >= 0, "a process that starts has a descriptor left for each loop");
  return fd;
}

}  // namespace

thread_local EventLoopImpl* EventLoopImpl::current_ = nullptr;

// Shared by the loop's table and the wait under way.
struct EventLoopImpl::Watch {
  boost::asio::posix::stream_descriptor descriptor;
  std::function<void()> onReadable;
  Rearm rearm = Rearm::kAutomatic;
  bool armed = false;
  bool removed = false;
};

EventLoopImpl::EventLoopImpl()
    : context_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE), wakeUp_(context_, makeEventFd()), timer_(context_) {
  awaitWake();
}

EventLoopImpl::~EventLoopImpl() {
  for (auto& [id, watch] : watches_) {
    watch->removed = true;
    watch->descriptor.release();  // not ours to close
  }
  while (!resources_.empty()) {
    LoopResource& resource = resources_.front();
    resources_.pop_front();
    resource.onLoopGone();
  }
  // What tasks own may cancel timers and remove watches as it goes, so it goes while we are whole.
  std::exchange(inbox_, {}).clear();
  std::exchange(ownTasks_, {}).clear();
  std::exchange(outermostTasks_, {}).clear();
  std::exchange(timers_, {}).clear();
  std::exchange(watches_, {}).clear();
  std::exchange(hooks_, {}).clear();
}

void EventLoopImpl::countHandler() {
  if (++handlersThisRound_ == kHandlersPerRound) context_.stop();
}

std::span<std::uint8_t> EventLoopImpl::scratch() {
  if (scratch_.empty()) scratch_.resize(limits::kBodyWindowBytes);
  return scratch_;
}

void EventLoopImpl::post(Task task) {
  if (current_ == this) {
    ownTasks_.push_back(std::move(task));
    return;
  }
  bool wakeNow = false;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    inbox_.push_back(std::move(task));
    wakeNow = std::exchange(asleep_, false);
  }
  if (wakeNow) wake();
}

void EventLoopImpl::wake() {
  const std::uint64_t one = 1;
  // A full counter also wakes.
  while (::write(wakeUp_.native_handle(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void EventLoopImpl::awaitWake() {
  wakeUp_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    countHandler();
    std::uint64_t count = 0;
    HF_CHECK(::read(wakeUp_.native_handle(), &count, sizeof count) >= 0 || errno == EAGAIN || errno == EINTR,
             "an eventfd can be read");
    awaitWake();
  });
}

void EventLoopImpl::runPosted() {
  {
    const std::lock_guard lock(mutex_);
    batch_.swap(inbox_);
  }
  runBatch();
  runOwn();
}

void EventLoopImpl::runOwn() {
  // What these post themselves comes later.
  batch_.swap(ownTasks_);
  runBatch();
}

void EventLoopImpl::runBatch() {
  // A nested round may have run the rest, and other batches after it.
  while (batchNext_ < batch_.size()) {
    const std::size_t index = batchNext_++;
    Task task = std::exchange(batch_[index], nullptr);
    canNest_ = true;
    task();
    canNest_ = false;
  }
  batch_.clear();
  batchNext_ = 0;
}

void EventLoopImpl::runOutermost() {
  for (Task& task : std::exchange(outermostTasks_, {})) task();
}

bool EventLoopImpl::poll() {
  const bool ran = context_.poll() > 0;
  if (context_.stopped()) context_.restart();
  handlersThisRound_ = 0;
  return ran;
}

void EventLoopImpl::runNested(std::chrono::milliseconds most) {
  HF_CHECK(canNest_, "rounds are nested in posted tasks only");
  canNest_ = false;
  nesting_++;
  const SteadyTime until = std::chrono::steady_clock::now() + most;
  for (bool ready = true; ready;) {
    runBatch();
    runPosted();
    runTimers();
    ready = poll();
    runOwn();
    runHooks();
    if (std::chrono::steady_clock::now() >= until) break;
    if (ready || !ownTasks_.empty()) continue;
    const std::lock_guard lock(mutex_);
    ready = !inbox_.empty();
  }
  nesting_--;
  canNest_ = true;
}

void EventLoopImpl::runTimers() {
  if (timers_.empty()) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  const std::uint64_t firstNew = nextId_;
  while (!timers_.empty() && timers_.begin()->first.first <= now && timers_.begin()->first.second < firstNew) {
    auto due = timers_.extract(timers_.begin());
    timerTimes_.erase(due.key().second);
    due.mapped()();
  }
  armTimer();
}

void EventLoopImpl::armTimer() {
  // Only ever moved forward: a wake-up too many is cheaper than telling the kernel of every timer that is cancelled.
  if (timers_.empty() || timers_.begin()->first.first >= timerArmedFor_) return;
  timerArmedFor_ = timers_.begin()->first.first;
  timer_.expires_at(timerArmedFor_);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    countHandler();
    timerArmedFor_ = SteadyTime::max();
    runTimers();
  });
}

void EventLoopImpl::runHooks() {
  if (hooks_.empty()) return;
  // A hook may add and remove hooks, itself too: the list grows only at its end and is cleaned afterwards.
  for (std::size_t i = 0, count = hooks_.size(); i < count; i++) {
    if (hooks_[i].removed) continue;
    const std::function<void()> run = std::move(hooks_[i].run);
    run();
    hooks_[i].run = run;
  }
  std::erase_if(hooks_, [](const Hook& hook) { return hook.removed; });
}

void EventLoopImpl::sleep() {
  if (!ownTasks_.empty() || !outermostTasks_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (!inbox_.empty() || stopping_) return;
    asleep_ = true;
  }
  context_.run_one();
  const std::lock_guard lock(mutex_);
  asleep_ = false;
}

void EventLoopImpl::round() {
  runPosted();
  runTimers();
  poll();
  runOwn();
  runOutermost();
  runHooks();
  sleep();
}

void EventLoopImpl::arm(const std::shared_ptr<Watch>& watch) {
  if (watch->armed || watch->removed) return;
  watch->armed = true;
  watch->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                               [this, watch](const boost::system::error_code& error) {
                                 if (error || watch->removed) return;
                                 countHandler();
                                 watch->armed = false;
                                 watch->onReadable();
                                 if (watch->rearm == Rearm::kAutomatic) arm(watch);
                               });
}

EventLoop::EventLoop() : impl_(std::make_unique<EventLoopImpl>()) {}

EventLoop::~EventLoop() { HF_CHECK(!isCurrent(), "a loop is not destroyed by what it runs"); }

void EventLoop::run() {
  HF_CHECK(!impl_->hasRun_, "a loop runs once");
  HF_CHECK(EventLoopImpl::current_ == nullptr, "one loop per thread");
  impl_->hasRun_ = true;
  EventLoopImpl::current_ = impl_.get();
  for (bool stopping = false; !stopping;) {
    impl_->round();
    const std::lock_guard lock(impl_->mutex_);
    stopping = impl_->stopping_;
  }
  impl_->runPosted();  // what was posted before stop()
  EventLoopImpl::current_ = nullptr;
}

void EventLoop::stop() {
  bool wakeNow = false;
  {
    const std::lock_guard lock(impl_->mutex_);
    impl_->stopping_ = true;
    wakeNow = std::exchange(impl_->asleep_, false);
  }
  if (wakeNow) impl_->wake();
}

void EventLoop::post(Task task) { impl_->post(std::move(task)); }

void EventLoop::runNested(std::chrono::milliseconds most) { impl_->runNested(most); }

bool EventLoop::canNest() const { return impl_->canNest_; }

unsigned EventLoop::nesting() const { return impl_->nesting_; }

void EventLoop::postOutermost(Task task) { impl_->outermostTasks_.push_back(std::move(task)); }

bool EventLoop::isCurrent() const { return EventLoopImpl::current_ == impl_.get(); }

std::uint64_t EventLoop::addTimer(SteadyTime when, Task task) {
  const std::uint64_t id = impl_->nextId_++;
  impl_->timers_.emplace(EventLoopImpl::TimerKey{when, id}, std::move(task));
  impl_->timerTimes_.emplace(id, when);
  impl_->armTimer();
  return id;
}

void EventLoop::cancelTimer(std::uint64_t id) {
  const auto it = impl_->timerTimes_.find(id);
  if (it == impl_->timerTimes_.end()) return;
  // Destroyed last: what the task owns may cancel timers too.
  const auto timer = impl_->timers_.extract({it->second, id});
  impl_->timerTimes_.erase(it);
}

std::uint64_t EventLoop::watchFd(int fd, std::function<void()> onReadable, Rearm rearm) {
  const std::uint64_t id = impl_->nextId_++;
  auto watch = std::make_shared<EventLoopImpl::Watch>(boost::asio::posix::stream_descriptor(impl_->context_, fd),
                                                      std::move(onReadable), rearm);
  impl_->watches_.emplace(id, watch);
  impl_->arm(watch);
  return id;
}

void EventLoop::rearmFd(std::uint64_t id) {
  const auto it = impl_->watches_.find(id);
  HF_CHECK(it != impl_->watches_.end(), "a watch is re-armed while it exists");
  impl_->arm(it->second);
}

void EventLoop::unwatchFd(std::uint64_t id) {
  const auto it = impl_->watches_.find(id);
  if (it == impl_->watches_.end()) return;
  const std::shared_ptr<EventLoopImpl::Watch> watch = std::move(it->second);
  impl_->watches_.erase(it);
  watch->removed = true;
  watch->descriptor.release();
}

std::uint64_t EventLoop::addRoundHook(std::function<void()> hook) {
  const std::uint64_t id = impl_->nextId_++;
  impl_->hooks_.push_back({.id = id, .run = std::move(hook)});
  return id;
}

void EventLoop::removeRoundHook(std::uint64_t id) {
  for (EventLoopImpl::Hook& hook : impl_->hooks_) {
    if (hook.id == id) hook.removed = true;
  }
}

}  // namespace hf::net
