#include "actor/two_queues.h"

namespace hf::actor {

void TwoQueues::use(Key key, Place& place) {
  std::list<Key>& queue = place.usedBefore ? often_ : once_;
  place.usedBefore = true;
  if (place.queue != nullptr) {
    queue.splice(queue.begin(), *place.queue, place.at);
  } else {
    place.at = queue.insert(queue.begin(), key);
  }
  place.queue = &queue;
}

void TwoQueues::remove(Place& place) {
  if (place.queue == nullptr) return;
  place.queue->erase(place.at);
  place.queue = nullptr;
}

std::optional<TwoQueues::Key> TwoQueues::excess() const {
  if (once_.size() > onceMax_) return once_.back();
  if (often_.size() > oftenMax_) return often_.back();
  return std::nullopt;
}

}  // namespace hf::actor
