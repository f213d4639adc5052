// The inside of EventLoop, for the sources of net/: this is where Asio is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "net/event_loop.h"

namespace hf::net {

// Something open on a loop that must let go of what it keeps alive when the loop ends.
class LoopResource
    : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  // The loop is being destroyed. No callback may be run.
  virtual void onLoopGone() = 0;

 protected:
  ~LoopResource() = default;
};

class EventLoopImpl final {
 public:
  EventLoopImpl();
  ~EventLoopImpl();
  EventLoopImpl(const EventLoopImpl&) = delete;
  EventLoopImpl& operator=(const EventLoopImpl&) = delete;

  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  // Every handler of the context calls this first: it ends a round in time for what else the loop has to do.
  void countHandler();
  // Where sockets receive; valid until the handler that uses it returns.
  [[nodiscard]] std::span<std::uint8_t> scratch();
  void add(LoopResource& resource) { resources_.push_back(resource); }

 private:
  friend class EventLoop;
  struct Watch;
  struct Hook {
    std::uint64_t id = 0;
    std::function<void()> run;
    bool removed = false;
  };
  using TimerKey = std::pair<SteadyTime, std::uint64_t>;

  void post(Task task);
  void wake();
  void awaitWake();
  void round();
  void runPosted();
  void runOwn();
  void runBatch();
  void runOutermost();
  // True when a handler ran.
  bool poll();
  void runNested(std::chrono::milliseconds most);
  void runTimers();
  void armTimer();
  void runHooks();
  void sleep();
  void arm(const std::shared_ptr<Watch>& watch);

  static thread_local EventLoopImpl* current_;

  // Loop thread only. One thread ever touches the context, so that it runs without locks.
  boost::asio::io_context context_;
  boost::asio::posix::stream_descriptor wakeUp_;  // an eventfd
  boost::asio::steady_timer timer_;
  SteadyTime timerArmedFor_ = SteadyTime::max();
  std::map<TimerKey, Task> timers_;
  std::unordered_map<std::uint64_t, SteadyTime> timerTimes_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Watch>> watches_;
  std::vector<Hook> hooks_;
  std::vector<Task> ownTasks_;
  std::vector<Task> outermostTasks_;
  // What is being run: a nested round goes on with it where the outer one is.
  std::vector<Task> batch_;
  std::size_t batchNext_ = 0;
  bool canNest_ = false;
  unsigned nesting_ = 0;
  std::uint64_t nextId_ = 1;
  std::size_t handlersThisRound_ = 0;
  Bytes scratch_;
  boost::intrusive::list<LoopResource, boost::intrusive::constant_time_size<false>> resources_;
  bool hasRun_ = false;

  // Guarded by mutex_
  std::mutex mutex_;
  std::vector<Task> inbox_;
  bool asleep_ = false;
  bool stopping_ = false;
};

}  // namespace hf::net
