#include "ledger/notifier.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hf::ledger {

Notifier::~Notifier() {
  for (const auto& entry : entries_) entry->isRemoved = true;
}

void Notifier::add(Executor& executor, DurabilityListener& listener) {
  auto entry = std::make_shared<Entry>(executor, listener);
  const std::scoped_lock lock(mutex_);
  HF_CHECK(std::ranges::none_of(entries_, [&](const auto& e) { return &e->listener == &listener; }),
           "a listener is added once");
  if (why_) postPoisoned(entry, *why_);
  entries_.push_back(std::move(entry));
}

void Notifier::remove(DurabilityListener& listener) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) {
    if (&entry->listener != &listener) return false;
    entry->isRemoved = true;
    return true;
  });
}

void Notifier::durable(Position position) {
  const std::scoped_lock lock(mutex_);
  for (const auto& entry : entries_) {
    entry->durable = position.value;
    if (entry->isPosted.exchange(true)) continue;
    entry->executor.post([entry] {
      // First this, then the position: a newer one either is read here or posts another task.
      entry->isPosted = false;
      const std::uint64_t newest = entry->durable;
      if (entry->isRemoved || newest <= entry->told) return;
      entry->told = newest;
      entry->listener.onDurable(Position{newest});
    });
  }
}

void Notifier::poisoned(const Error& why) {
  const std::scoped_lock lock(mutex_);
  why_ = why;
  for (const auto& entry : entries_) postPoisoned(entry, why);
}

void Notifier::postPoisoned(const std::shared_ptr<Entry>& entry, const Error& why) {
  entry->executor.post([entry, why] {
    if (!entry->isRemoved) entry->listener.onPoisoned(why);
  });
}

}  // namespace hf::ledger
