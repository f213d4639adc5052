// Watchdog: one thread that asks long turns to share their thread, and ends those which use too much CPU time.
// It samples: a turn costs two atomic stores and no clock. While no environment runs anything it sleeps without waking.
// Limits are CPU time of the shard's thread, measured to about a tenth of the limit (at most 25 ms). What the thread
// does while a turn is suspended does not count against that turn.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"

namespace hf::js {

class Watchdog final {
 public:
  struct Options {
    // A terminated turn that still runs after so much more CPU time ends the process (kExitRunawayTurn).
    std::chrono::milliseconds grace{5000};
    // A turn is long after so much CPU time, and told again each time it has used so much more.
    std::chrono::milliseconds longTurn{50};
    std::chrono::milliseconds longTurnAgain{8};
    // What "ends the process" means; a test puts something milder here.
    std::function<void(int code)> exitProcess{};
  };

  // One watched isolate. Made by Watchdog::watch on the isolate's thread.
  class Entry final {
   public:
    // Own thread only. Turns may nest; the outermost counts.
    void beginTurn() {
      if (depth_++ != 0) return;
      sequence_.store(++own_, std::memory_order_seq_cst);
      if (watchdog_.asleep_.load(std::memory_order_seq_cst)) [[unlikely]]
        watchdog_.wake();
    }
    void endTurn() {
      if (--depth_ == 0) sequence_.store(++own_, std::memory_order_release);
    }
    // Own thread only, in a turn. Until resume() the thread works for others; such times may nest among entries.
    void suspend();
    void resume();
    // Own thread only. True when onLong was called for the turn that runs now, and not for an earlier one.
    [[nodiscard]] bool isLong() const { return longSequence_.load(std::memory_order_acquire) == own_; }
    // Any thread. The turn has been told to terminate (heap limit): from now on the grace period runs.
    void startGrace() {
      graceRequested_.store(true, std::memory_order_seq_cst);
      watchdog_.wake();
    }

   private:
    friend class Watchdog;
    Entry(Watchdog& watchdog, std::string name) : watchdog_(watchdog), name_(std::move(name)) {}

    // Fixed once made
    Watchdog& watchdog_;
    const std::string name_;
    std::function<void()> onLimit_;
    std::function<void()> onLong_;
    clockid_t cpuClock_ = 0;
    std::chrono::nanoseconds limit_{0};
    // Own thread only
    std::uint64_t own_ = 0;
    unsigned depth_ = 0;
    std::chrono::nanoseconds cpuAtSuspension_{0};
    // Odd while a turn runs
    alignas(64) std::atomic<std::uint64_t> sequence_{0};
    std::atomic<bool> graceRequested_{false};
    // Odd while the turn is suspended
    std::atomic<std::uint64_t> suspensions_{0};
    std::atomic<std::chrono::nanoseconds::rep> suspendedFor_{0};  // CPU time, in all
    std::atomic<std::uint64_t> longSequence_{0};                  // the last turn that was long
    // Watchdog thread only
    // Times are the thread's CPU time without suspendedFor_.
    std::uint64_t seen_ = 0;
    std::chrono::nanoseconds cpuAtSeen_{0};
    std::chrono::nanoseconds longAt_{0};
    bool inGrace_ = false;
    std::chrono::nanoseconds cpuAtGrace_{0};
  };

  explicit Watchdog(const Log& log);
  Watchdog(const Log& log, Options options);
  // Every entry must have been released.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // On the thread whose CPU time counts. `onLimit` is called on the watchdog's thread, at most once, under its mutex,
  // when a turn has used more than `cpuPerTurn`; it must ask the isolate to terminate and return at once.
  // `onLong` likewise, many times, when a turn goes on for long: it must ask the isolate for an interrupt.
  Entry* watch(std::string name, std::chrono::milliseconds cpuPerTurn, std::function<void()> onLimit,
               std::function<void()> onLong = nullptr);
  // After this returns `onLimit` does not run and will not.
  void release(Entry* entry);

 private:
  void run();
  // True while some turn runs.
  bool sample();
  void sampleRunning(Entry& entry, std::chrono::nanoseconds now);
  void updateTick();
  void wake();

  // Fixed once made
  const Log& log_;
  const Options options_;
  // Any thread
  std::atomic<bool> asleep_{false};
  // Guarded by mutex_
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::chrono::nanoseconds tick_{0};
  bool longTurns_ = false;  // of the last sample
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hf::js
