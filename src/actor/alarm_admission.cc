#include "actor/alarm_admission.h"

#include <algorithm>

#include "base/check.h"

namespace hf::actor {

bool AlarmAdmission::runs(const Start& start) const {
  const auto it = running_.find(start.object);
  return it != running_.end() && it->second == start.number;
}

std::size_t AlarmAdmission::room(SteadyTime now) {
  while (!recent_.empty()) {
    const bool running = runs(recent_.front());
    if (running && now - recent_.front().at < limits_.longAfter) break;
    if (running) recentCount_--;
    recent_.pop_front();
  }
  if (recentCount_ >= limits_.recentMax || running_.size() >= limits_.allMax) return 0;
  return std::min(limits_.recentMax - recentCount_, limits_.allMax - running_.size());
}

std::optional<SteadyTime> AlarmAdmission::nextRoom() const {
  if (running_.size() >= limits_.allMax) return std::nullopt;
  const auto oldest = std::ranges::find_if(recent_, [&](const Start& start) { return runs(start); });
  if (oldest == recent_.end()) return std::nullopt;
  return oldest->at + limits_.longAfter;
}

void AlarmAdmission::started(const ObjectKey& object, SteadyTime now) {
  const auto [it, isNew] = running_.emplace(object, next_);
  HF_CHECK(isNew, "an object's alarm runs once at a time");
  recent_.push_back({.number = next_++, .at = now, .object = object});
  recentCount_++;
}

void AlarmAdmission::ended(const ObjectKey& object) {
  const auto it = running_.find(object);
  if (it == running_.end()) return;
  if (!recent_.empty() && it->second >= recent_.front().number) recentCount_--;
  running_.erase(it);
}

}  // namespace hf::actor
