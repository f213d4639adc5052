// Tells listeners on their own executors how far the ledger is durable. A listener that is behind has one task waiting,
// however many syncs pass meanwhile.
// Thread: add, remove: any. durable, poisoned: the writer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/executor.h"
#include "ledger/ledger.h"

namespace hf::ledger {

class Notifier final {
 public:
  Notifier() = default;
  // Listeners that are still there hear nothing more.
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  void add(Executor& executor, DurabilityListener& listener);
  void remove(DurabilityListener& listener);
  void durable(Position position);
  void poisoned(const Error& why);

 private:
  // Owned by the notifier and by the task that waits on the executor: whichever goes last.
  struct Entry {
    Executor& executor;
    DurabilityListener& listener;
    std::atomic<std::uint64_t> durable = 0;
    std::atomic<bool> isPosted = false;
    std::atomic<bool> isRemoved = false;
    std::uint64_t told = 0;  // on the executor only
  };
  static void postPoisoned(const std::shared_ptr<Entry>& entry, const Error& why);

  std::mutex mutex_;
  // Guarded by mutex_
  std::vector<std::shared_ptr<Entry>> entries_;
  std::optional<Error> why_;
};

}  // namespace hf::ledger
