// Coroutines of the control plane: Task<T> is one step of a request, Await<T> waits for a Completion<T>.
// Thread: one, the control thread. No value is shared, so there is nothing to guard.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/executor.h"
#include "base/result.h"

namespace hf::api {

// Starts when it is awaited; awaited once. What a library throws inside it comes out of the co_await: only the server's
// outermost coroutine catches, so that a mistake in one handler is a 500 and not the end of the process.
template <class T>
class [[nodiscard]] Task final {
 public:
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr thrown;
    std::coroutine_handle<> waiter;

    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Resume {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          return self.promise().waiter;
        }
        void await_resume() noexcept {}
      };
      return Resume{};
    }
    template <class U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
    void unhandled_exception() { thrown = std::current_exception(); }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().waiter = waiter;
    return handle_;
  }
  T await_resume() {
    if (handle_.promise().thrown) std::rethrow_exception(handle_.promise().thrown);
    return std::move(*handle_.promise().value);
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

// A coroutine that nobody awaits: it runs until its first wait at once, and frees itself at its end. It catches what it
// awaits.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { HF_CHECK(false, "a detached coroutine catches everything"); }
  };
};

// Runs `start` with a completion and resumes with what it delivers. A completion that is dropped, because the other
// side has stopped, delivers kCancelled.
template <class T>
class [[nodiscard]] Await final {
 public:
  using Start = std::move_only_function<void(Completion<Result<T>>)>;
  explicit Await(Start start) : start_(std::move(start)) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    auto state = state_;
    start_([guard = Guard(state_)](Result<T> result) mutable { guard.deliver(std::move(result)); });
    if (state->result) return false;  // delivered inside the call
    state->waiter = waiter;
    return true;
  }
  Result<T> await_resume() { return std::move(*state_->result); }

 private:
  struct State {
    std::optional<Result<T>> result;
    std::coroutine_handle<> waiter;
  };
  class Guard {
   public:
    explicit Guard(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Guard(Guard&&) noexcept = default;
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (state_) deliver(fail(Errc::kCancelled, "the server is stopping"));
    }
    void deliver(Result<T> result) {
      const std::shared_ptr<State> state = std::move(state_);
      state_ = nullptr;
      state->result.emplace(std::move(result));
      if (state->waiter) state->waiter.resume();
    }

   private:
    std::shared_ptr<State> state_;  // with the awaiting coroutine
  };

  Start start_;
  std::shared_ptr<State> state_ = std::make_shared<State>();  // with the completion
};

}  // namespace hf::api
