// Which entries keep what is costly to make again: 2Q (Johnson and Shasha). An entry used for the first time enters a
// short queue, and one that is used again a long one, so that a burst of entries used once, which is what new objects
// are, neither drives out those in regular use nor holds memory itself. Thread:  one. Owns nothing but the order; the
// owner keeps each entry's Place beside the entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>

namespace hf::actor {

class TwoQueues final {
 public:
  using Key = std::uint64_t;

  struct Place {
    std::list<Key>* queue = nullptr;  // null: in none
    std::list<Key>::iterator at;
    bool usedBefore = false;
  };

  TwoQueues(std::size_t onceMax, std::size_t oftenMax) : onceMax_(onceMax), oftenMax_(oftenMax) {}
  TwoQueues(const TwoQueues&) = delete;
  TwoQueues& operator=(const TwoQueues&) = delete;

  // Now the last used of its queue: of the short one the first time.
  void use(Key key, Place& place);
  // Out of its queue. That it was used is remembered in the place.
  void remove(Place& place);
  // The one to remove next, while there are too many.
  [[nodiscard]] std::optional<Key> excess() const;

 private:
  const std::size_t onceMax_;
  const std::size_t oftenMax_;
  std::list<Key> once_;   // last used first
  std::list<Key> often_;  // last used first
};

}  // namespace hf::actor
