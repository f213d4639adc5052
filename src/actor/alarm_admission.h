// How many alarms run at once on a shard. Thousands may be due in one minute: those that wait cost a line of the
// scheduler each, those that run an object in memory.
// A run that goes on for long waits for something (a fetch, a timer); it must not hold up all the others, and counts
// only towards a higher limit.
// Thread:  its shard's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>

#include "base/executor.h"
#include "base/object_id.h"

namespace hf::actor {

class AlarmAdmission final {
 public:
  struct Limits {
    std::size_t recentMax = 0;  // runs younger than `longAfter`
    std::size_t allMax = 0;
    std::chrono::milliseconds longAfter{};
  };
  explicit AlarmAdmission(Limits limits) : limits_(limits) {}

  // How many may start now.
  [[nodiscard]] std::size_t room(SteadyTime now);
  // When there is room at the latest although no run ends. Of use when room() is 0.
  [[nodiscard]] std::optional<SteadyTime> nextRoom() const;

  void started(const ObjectKey& object, SteadyTime now);
  // Does nothing when it does not run.
  void ended(const ObjectKey& object);

  [[nodiscard]] std::size_t running() const { return running_.size(); }

 private:
  struct Start {
    std::uint64_t number = 0;
    SteadyTime at;
    ObjectKey object;
  };
  [[nodiscard]] bool runs(const Start& start) const;

  const Limits limits_;
  std::uint64_t next_ = 1;
  std::unordered_map<ObjectKey, std::uint64_t> running_;  // the number of its start
  std::deque<Start> recent_;                              // by age; some have ended
  std::size_t recentCount_ = 0;                           // those of recent_ that run
};

}  // namespace hf::actor
