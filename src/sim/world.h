// What the parts of a simulation share: chance, time, the disk, the model, what has been broken on purpose, and the
// trace. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sim_disk.h"
#include "sim/model.h"
#include "sim/plan.h"

namespace hf::sim {

// Moves only when told.
class SimClock final : public Clock {
 public:
  [[nodiscard]] WallMs wallMs() const override { return now_; }
  [[nodiscard]] SteadyTime steady() const override { return SteadyTime(std::chrono::milliseconds(now_)); }
  void advance(WallMs milliseconds) { now_ += milliseconds; }

 private:
  WallMs now_ = 1'800'000'000'000;
};

// The shard's queue of tasks; the simulation says when they run.
class SimExecutor final : public Executor {
 public:
  void post(Task task) override { tasks_.push_back(std::move(task)); }
  [[nodiscard]] bool isCurrent() const override { return true; }
  std::uint64_t addTimer(SteadyTime when, Task task) override;
  void cancelTimer(std::uint64_t id) override {}
  void run();

 private:
  std::deque<Task> tasks_;
};

// How often what happened, so that a test can see that the simulator goes where it should.
struct Coverage {
  std::uint64_t lives = 0;
  std::uint64_t turns = 0;
  std::uint64_t commits = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t powerLosses = 0;
  std::uint64_t powerLossesInRecovery = 0;
  std::uint64_t kills = 0;
  std::uint64_t cleanCloses = 0;
  std::uint64_t tornEnds = 0;  // recoveries that dropped something
  std::uint64_t poisonings = 0;
  std::uint64_t refusedForSpace = 0;
  std::uint64_t refusedForLoad = 0;
  std::uint64_t spaceReturned = 0;
  std::uint64_t ioErrors = 0;
  std::uint64_t damageReported = 0;
  std::uint64_t damageHarmless = 0;
  std::uint64_t alarmsRun = 0;
  std::uint64_t namespacesDeleted = 0;
  std::uint64_t restores = 0;
  std::uint64_t groups = 0;

  Coverage& operator+=(const Coverage& other);
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool reachesAll() const;
};

struct World {
  World(std::uint64_t seed, bool isTraced);

  const std::uint64_t seed;
  const bool isTraced;
  const Log log;  // silent unless traced
  SeededRandom random;
  const Plan plan;
  SimDisk disk;
  SimClock clock;
  Model model;
  Coverage coverage;

  // What errors this life may see.
  bool isSpaceShort = false;
  bool mayFail = false;
  bool isDamaged = false;
  bool isPoisoned = false;

  // Changes with everything that happens: equal for equal runs.
  std::uint64_t digest = 0;

  bool chance(std::uint64_t oneIn) { return random.below(oneIn) == 0; }
  void mix(std::uint64_t value) { digest = (digest ^ value) * 0x9e3779b97f4a7c15ULL + (digest >> 29); }
  // For a person, if one asked.
  void say(const std::string& text) const;
  // Whether `error` can be explained by what was broken on purpose; an error if not.
  Result<void> excuse(const std::string& what, const Error& error);
};

// What a simulation found wrong with the code that it runs.
inline std::unexpected<Error> violation(std::string text) { return fail(Errc::kInternal, std::move(text)); }

}  // namespace hf::sim
