// Which isolate runs which Durable Object of this shard. At most one isolate owns an object at a time; since every
// object belongs to exactly one shard, this table is what makes a live instance unique in the process (spec 5.1, 8.4).
// Thread:  its shard's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/object_id.h"

namespace hf::actor {

// Of a worker isolate, unique in the process, never reused. The low byte is its shard.
using IsolateAddress = std::uint64_t;

inline unsigned shardOfAddress(IsolateAddress address) { return static_cast<unsigned>(address & 0xff); }

// The shard an object belongs to. Ids are uniformly random: one word of them spreads well.
inline unsigned shardOfObject(const ObjectId& id, unsigned shardCount) {
  std::uint32_t word = 0;
  std::memcpy(&word, id.bytes.data(), sizeof word);
  return word % shardCount;
}

class ActorTable final {
 public:
  [[nodiscard]] std::optional<IsolateAddress> ownerOf(const ObjectKey& object) const {
    const auto it = owners_.find(object);
    if (it == owners_.end()) return std::nullopt;
    return it->second;
  }

  // True when `isolate` owns the object afterwards: it did before, or nobody did.
  bool claim(const ObjectKey& object, IsolateAddress isolate) {
    return owners_.try_emplace(object, isolate).first->second == isolate;
  }

  // Only the owner's release counts.
  void release(const ObjectKey& object, IsolateAddress isolate) {
    const auto it = owners_.find(object);
    if (it != owners_.end() && it->second == isolate) owners_.erase(it);
  }

  // The isolate is gone. Returns what it owned.
  std::vector<ObjectKey> releaseAll(IsolateAddress isolate) {
    std::vector<ObjectKey> released;
    for (auto it = owners_.begin(); it != owners_.end();) {
      if (it->second == isolate) {
        released.push_back(it->first);
        it = owners_.erase(it);
      } else {
        ++it;
      }
    }
    return released;
  }

  [[nodiscard]] std::size_t size() const { return owners_.size(); }

 private:
  std::unordered_map<ObjectKey, IsolateAddress> owners_;
};

}  // namespace hf::actor
