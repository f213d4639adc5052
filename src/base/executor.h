// Executor: the thread something belongs to, seen from a room that knows no event loop.
// Each shard is one; so is the control plane's thread. Implemented by net::EventLoop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace hf {

// Run once, on the executor's thread. Move-only, so that it may own what it needs.
using Task = std::move_only_function<void()>;

// Invoked exactly once, on the thread that asked.
template <class T>
using Completion = std::move_only_function<void(T)>;

using SteadyTime = std::chrono::steady_clock::time_point;

class Executor {
 public:
  virtual ~Executor() = default;

  // Any thread. Tasks of one poster run in the order posted. Posts are gathered: a sleeping executor is
  // woken once per batch, not once per task. Tasks posted after the executor has stopped are destroyed unrun.
  virtual void post(Task task) = 0;

  // True on the executor's own thread.
  [[nodiscard]] virtual bool isCurrent() const = 0;

  // Own thread only. Runs `task` once, not before `when`; returns an id for cancelTimer. Never 0.
  virtual std::uint64_t addTimer(SteadyTime when, Task task) = 0;
  // Own thread only. Does nothing when the timer has run or is unknown.
  virtual void cancelTimer(std::uint64_t id) = 0;
};

}  // namespace hf
