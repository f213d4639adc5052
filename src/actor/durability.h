// Commits of this shard that are with the ledger but not yet on disk, and whom to tell when they are.
// Thread:  its shard's.
#pragma once

#include <deque>
#include <vector>

#include "actor/actor_table.h"
#include "ledger/ledger.h"

namespace hf::actor {

using DatabaseHandle = std::uint64_t;

struct DurableCommit {
  IsolateAddress isolate = 0;
  DatabaseHandle database = 0;
  std::uint64_t commit = 0;
};

class DurabilityQueue final {
 public:
  // Positions of one shard's commits grow, except that a commit without pages repeats its object's last one.
  void add(ledger::Position position, DurableCommit commit) {
    if (!queue_.empty() && position < queue_.back().position) position = queue_.back().position;
    queue_.push_back({position, commit});
  }

  // Takes everything that is durable now, oldest first.
  std::vector<DurableCommit> take(ledger::Position durable) {
    std::vector<DurableCommit> taken;
    while (!queue_.empty() && queue_.front().position <= durable) {
      taken.push_back(queue_.front().commit);
      queue_.pop_front();
    }
    return taken;
  }

  [[nodiscard]] bool empty() const { return queue_.empty(); }

 private:
  struct Waiting {
    ledger::Position position;
    DurableCommit commit;
  };
  std::deque<Waiting> queue_;
};

}  // namespace hf::actor
