#include "actor/alarm_scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace hf::actor {

void AlarmScheduler::wait(const ObjectKey& object, Entry& entry, WallMs dueAt) {
  entry.dueAt = dueAt;
  entry.running = false;
  entry.retries = false;
  waiting_.emplace(dueAt, object);
}

void AlarmScheduler::unwait(const ObjectKey& object, const Entry& entry) {
  if (!entry.running) waiting_.erase({entry.dueAt, object});
}

void AlarmScheduler::set(const ObjectKey& object, WallMs at, std::string name) {
  Entry& entry = entries_[object];
  if (!name.empty()) entry.name = std::move(name);
  if (entry.running) {
    entry.queued = at;
    return;
  }
  unwait(object, entry);
  entry.storedAt = at;
  entry.counted = 0;
  entry.backoff = 0;
  entry.lastCounted = true;
  wait(object, entry, at);
}

void AlarmScheduler::remove(const ObjectKey& object) {
  const auto it = entries_.find(object);
  if (it == entries_.end()) return;
  if (it->second.running) {
    it->second.queued.reset();
    return;
  }
  unwait(object, it->second);
  entries_.erase(it);
}

void AlarmScheduler::removeNamespace(const NamespaceId& ns) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->first.ns != ns) {
      ++it;
      continue;
    }
    unwait(it->first, it->second);
    it = entries_.erase(it);
  }
}

void AlarmScheduler::clockSet(WallMs forward) {
  for (auto& [object, entry] : entries_) {
    if (entry.running || !entry.retries) continue;
    unwait(object, entry);
    wait(object, entry, entry.dueAt + forward);
    entry.retries = true;
  }
}

std::optional<WallMs> AlarmScheduler::nextDue() const {
  if (waiting_.empty()) return std::nullopt;
  return waiting_.begin()->first;
}

std::vector<DueAlarm> AlarmScheduler::takeDue(WallMs now, std::size_t limit) {
  std::vector<DueAlarm> due;
  while (!waiting_.empty() && due.size() < limit && waiting_.begin()->first <= now) {
    const ObjectKey object = waiting_.begin()->second;
    waiting_.erase(waiting_.begin());
    Entry& entry = entries_.at(object);
    HF_CHECK(!entry.running, "a running alarm does not wait");
    entry.running = true;
    due.push_back({.object = object, .name = entry.name, .scheduledAt = entry.storedAt, .retryCount = entry.counted});
  }
  return due;
}

AlarmScheduler::Next AlarmScheduler::done(const ObjectKey& object, AlarmOutcome outcome, WallMs now, double jitter) {
  const auto it = entries_.find(object);
  if (it == entries_.end() || !it->second.running) return Next::kNothing;  // its namespace was deleted meanwhile
  Entry& entry = it->second;
  if (entry.queued) {
    entry.storedAt = *std::exchange(entry.queued, std::nullopt);
    entry.counted = 0;
    entry.backoff = 0;
    entry.lastCounted = true;
    wait(object, entry, entry.storedAt);
    return Next::kNothing;
  }
  const bool counts = outcome == AlarmOutcome::kRetry;
  const bool retries = counts || outcome == AlarmOutcome::kRetryUncounted;
  const bool givesUp = outcome == AlarmOutcome::kAbandon || (counts && entry.counted >= kCountedRetriesMax);
  if (!retries || givesUp) {
    entries_.erase(it);
    return givesUp ? Next::kClearStored : Next::kNothing;
  }
  if (counts) {
    entry.counted++;
    if (!entry.lastCounted) entry.backoff = 0;
  }
  entry.lastCounted = counts;
  entry.backoff = std::min(entry.backoff, kBackoffMax);
  const auto delay = static_cast<double>(kFirstDelayMs << entry.backoff);
  entry.backoff++;
  wait(object, entry, now + static_cast<WallMs>(delay * (1 + (jitter * 0.25))));
  entry.retries = true;
  return Next::kNothing;
}

}  // namespace hf::actor
