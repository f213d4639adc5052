// When each object's alarm is due, and when a failed one is tried again (spec durable-objects 6.4, A.6).
// A pure state machine: no clock, no chance, no I/O of its own. The truth is the object's database; this is an index
// that may be early, never late: whoever runs an alarm compares it with the stored time.
// Thread:  its shard's.
//
//   set() ──► kWaiting ── takeDue() ──► kRunning ── done(ok, cancelled, abandon) ──► gone, or the queued time
//                ▲                          │
//                └──── done(retry) ─────────┘        set() while kRunning: queued, replaces a retry
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/object_id.h"

namespace hf::actor {

enum class AlarmOutcome : std::uint8_t { kOk, kCancelled, kRetry, kRetryUncounted, kAbandon };

struct DueAlarm {
  ObjectKey object;
  std::string name;
  WallMs scheduledAt = 0;  // the stored time
  int retryCount = 0;      // counted retries so far
};

class AlarmScheduler final {
 public:
  static constexpr int kCountedRetriesMax = 6;
  static constexpr int kBackoffMax = 9;
  static constexpr WallMs kFirstDelayMs = 2000;

  // The stored alarm of `object` is `at`.
  void set(const ObjectKey& object, WallMs at, std::string name);
  // No alarm is stored any more. A run under way goes on; should it be tried again, the next run finds nothing stored.
  void remove(const ObjectKey& object);
  void removeNamespace(const NamespaceId& ns);

  // The wall clock was set, `forward` milliseconds on what had passed: a retry's delay stays as long as it was. The
  // times of the alarms themselves are the wall clock's.
  void clockSet(WallMs forward);

  // The earliest time at which takeDue() has something.
  [[nodiscard]] std::optional<WallMs> nextDue() const;
  // Everything due at `now`, at most `limit`; each is running until done().
  std::vector<DueAlarm> takeDue(WallMs now, std::size_t limit);

  enum class Next : std::uint8_t { kNothing, kClearStored };
  // `jitter` in [0, 1). kClearStored: given up; the stored alarm is to be cleared if it is still the same time.
  Next done(const ObjectKey& object, AlarmOutcome outcome, WallMs now, double jitter);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    WallMs storedAt = 0;
    WallMs dueAt = 0;
    std::string name;
    bool running = false;
    bool retries = false;  // waits for its next try
    std::optional<WallMs> queued;
    int counted = 0;
    int backoff = 0;
    bool lastCounted = true;
  };
  void wait(const ObjectKey& object, Entry& entry, WallMs dueAt);
  void unwait(const ObjectKey& object, const Entry& entry);

  std::unordered_map<ObjectKey, Entry> entries_;
  std::set<std::pair<WallMs, ObjectKey>> waiting_;
};

}  // namespace hf::actor
