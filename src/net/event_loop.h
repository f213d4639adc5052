// EventLoop: the thread something lives on. One per shard, one for the control plane.
//
// A round: tasks posted by other threads and by this one, due timers, ready descriptors, what these have posted; then
// the round hooks, once. A loop with nothing to do sleeps; a post from another thread wakes it once per batch, however
// many tasks follow.
//
// A posted task that goes on for long may run rounds nested in itself (runNested), so that the rest of the loop does
// not wait for it. Only a posted task: what timers, descriptors and hooks call runs with the loop's own frames below
// it, and those of sockets, which are not to be re-entered. Thread:  post, stop, isCurrent: any. run: the thread that
// becomes the loop's. All else: the loop's own thread, or any
//          one thread while the loop is not running (before run() and after it has returned).
// Owns:    its tasks, timers and watches. Tasks left over when it stops are destroyed unrun, by its destructor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/executor.h"

namespace hf::net {

class EventLoopImpl;

enum class Rearm : std::uint8_t { kAutomatic, kManual };

class EventLoop final : public Executor {
 public:
  EventLoop();
  ~EventLoop() override;
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs rounds until stop(), also while there is nothing to do. Once in the life of a loop.
  void run();
  // Any thread. run() returns at the end of its round, when what was posted before stop() has run. Final.
  void stop();

  void post(Task task) override;
  [[nodiscard]] bool isCurrent() const override;
  std::uint64_t addTimer(SteadyTime when, Task task) override;
  void cancelTimer(std::uint64_t id) override;

  // Calls `onReadable` as long as `fd` is readable (level-triggered; an epoll descriptor, such as uv_backend_fd, counts
  // as readable while it has events). kManual: once, then not again before rearmFd(). Returns an id, never 0.
  // `fd` is not owned and stays open until unwatchFd(). The callback may unwatch.
  std::uint64_t watchFd(int fd, std::function<void()> onReadable, Rearm rearm = Rearm::kAutomatic);
  void rearmFd(std::uint64_t id);
  // Does nothing when the id is unknown.
  void unwatchFd(std::uint64_t id);

  // `hook` runs at the end of every round, before the loop sleeps: for work that is worth gathering (flushes,
  // wake-ups). What a hook posts runs in the next round. Returns an id, never 0.
  std::uint64_t addRoundHook(std::function<void()> hook);
  void removeRoundHook(std::uint64_t id);

  // Own thread. Runs rounds inside the posted task that is running, until nothing is ready or `most` has passed; at
  // least one, and never sleeps. What the outer round had still to run is run, in order.
  void runNested(std::chrono::milliseconds most);
  // Own thread. True when a posted task is what runs, at this nesting: runNested() may be called.
  [[nodiscard]] bool canNest() const;
  // Own thread. How many rounds are nested now; 0 in an ordinary one.
  [[nodiscard]] unsigned nesting() const;
  // Own thread. Like post(), for what must not run inside another task: it waits for an ordinary round.
  void postOutermost(Task task);

  // For the sources of net/ only (event_loop_impl.h).
  [[nodiscard]] EventLoopImpl& impl() { return *impl_; }

 private:
  const std::unique_ptr<EventLoopImpl> impl_;
};

}  // namespace hf::net
