#include "js/watchdog.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "js/exit_codes.h"
#include "js/process_end.h"

namespace hf::js {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kTickMax = 25ms;
constexpr std::chrono::nanoseconds kTickMin = 5ms;
constexpr std::chrono::nanoseconds kTickOfLongTurns = 10ms;
// So many samples without any turn, and it goes to sleep.
constexpr int kIdleSamples = 8;

std::chrono::nanoseconds cpuTime(clockid_t clock) {
  timespec now{};
  HF_CHECK(clock_gettime(clock, &now) == 0, "the thread of a watched isolate lives as long as its entry");
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace

Watchdog::Watchdog(const Log& log) : Watchdog(log, Options{}) {}

Watchdog::Watchdog(const Log& log, Options options)
    : log_(log), options_(std::move(options)), tick_(kTickMax), thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    HF_CHECK(entries_.empty(), "environments release their entry before the watchdog goes");
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

Watchdog::Entry* Watchdog::watch(std::string name, std::chrono::milliseconds cpuPerTurn, std::function<void()> onLimit,
                                 std::function<void()> onLong) {
  std::unique_ptr<Entry> made(new Entry(*this, std::move(name)));
  Entry* entry = made.get();
  entry->onLimit_ = std::move(onLimit);
  entry->onLong_ = std::move(onLong);
  entry->limit_ = cpuPerTurn;
  HF_CHECK(pthread_getcpuclockid(pthread_self(), &entry->cpuClock_) == 0, "a running thread has a CPU clock");
  {
    const std::lock_guard lock(mutex_);
    entries_.push_back(std::move(made));
    updateTick();
  }
  return entry;
}

void Watchdog::release(Entry* entry) {
  const std::lock_guard lock(mutex_);
  const auto erased = std::erase_if(entries_, [entry](const auto& owned) { return owned.get() == entry; });
  HF_CHECK(erased == 1, "an entry is released once");
  updateTick();
}

void Watchdog::Entry::suspend() {
  HF_CHECK(suspensions_.load(std::memory_order_relaxed) % 2 == 0, "a turn is suspended once at a time");
  cpuAtSuspension_ = cpuTime(cpuClock_);
  suspensions_.fetch_add(1, std::memory_order_seq_cst);
}

void Watchdog::Entry::resume() {
  suspendedFor_.fetch_add((cpuTime(cpuClock_) - cpuAtSuspension_).count(), std::memory_order_seq_cst);
  suspensions_.fetch_add(1, std::memory_order_seq_cst);
}

void Watchdog::updateTick() {
  tick_ = kTickMax;
  for (const auto& entry : entries_) tick_ = std::min(tick_, std::max(entry->limit_ / 10, kTickMin));
}

void Watchdog::wake() {
  // Under the mutex, so that it cannot fall between the sampling and the wait.
  const std::lock_guard lock(mutex_);
  asleep_.store(false, std::memory_order_seq_cst);
  changed_.notify_one();
}

void Watchdog::run() {
  std::unique_lock lock(mutex_);
  int idle = 0;
  while (!stopping_) {
    idle = sample() ? 0 : idle + 1;
    if (idle < kIdleSamples) {
      changed_.wait_for(lock, longTurns_ ? std::min(tick_, kTickOfLongTurns) : tick_, [this] { return stopping_; });
      continue;
    }
    // A turn that begins now either sees the flag and wakes us, or is seen by this last sample.
    asleep_.store(true, std::memory_order_seq_cst);
    if (!sample()) changed_.wait(lock, [this] { return stopping_ || !asleep_.load(); });
    asleep_.store(false, std::memory_order_seq_cst);
    idle = 0;
  }
}

bool Watchdog::sample() {
  bool running = false;
  longTurns_ = false;
  for (const auto& entry : entries_) {
    const std::uint64_t sequence = entry->sequence_.load(std::memory_order_seq_cst);
    if (sequence % 2 == 0) continue;
    running = true;
    const std::uint64_t suspensions = entry->suspensions_.load(std::memory_order_seq_cst);
    if (suspensions % 2 == 1) continue;
    const auto suspended = std::chrono::nanoseconds(entry->suspendedFor_.load(std::memory_order_seq_cst));
    const std::chrono::nanoseconds now = cpuTime(entry->cpuClock_) - suspended;
    // Suspended meanwhile: what was read does not belong together. The next sample tells.
    if (entry->suspensions_.load(std::memory_order_seq_cst) != suspensions) continue;
    if (sequence != entry->seen_) {
      entry->seen_ = sequence;
      entry->cpuAtSeen_ = now;
      entry->longAt_ = now + options_.longTurn;
      entry->inGrace_ = false;
    }
    sampleRunning(*entry, now);
  }
  return running;
}

void Watchdog::sampleRunning(Entry& entry, std::chrono::nanoseconds now) {
  if (!entry.inGrace_) {
    longTurns_ = longTurns_ || now - entry.cpuAtSeen_ >= options_.longTurn;
    if (now >= entry.longAt_ && entry.onLong_) {
      entry.longAt_ = now + options_.longTurnAgain;
      entry.longSequence_.store(entry.seen_, std::memory_order_release);
      entry.onLong_();
    }
    const bool overLimit = now - entry.cpuAtSeen_ >= entry.limit_;
    if (!overLimit && !entry.graceRequested_.load(std::memory_order_seq_cst)) return;
    entry.inGrace_ = true;
    entry.cpuAtGrace_ = now;
    if (overLimit && entry.onLimit_) std::exchange(entry.onLimit_, nullptr)();
    return;
  }
  if (now - entry.cpuAtGrace_ < options_.grace) return;
  log_.error("a turn was terminated but does not stop: the process must start anew",
             {{"isolate", entry.name_}, {"exitCode", std::to_string(kExitRunawayTurn)}});
  if (options_.exitProcess) {
    entry.cpuAtGrace_ = now;
    options_.exitProcess(kExitRunawayTurn);
  } else {
    endProcess(kExitRunawayTurn);
  }
}

}  // namespace hf::js
