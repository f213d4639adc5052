// What every endpoint works with. One per ApiServer; running requests keep it alive.
// Thread: control.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "api/api_server.h"
#include "api/reply.h"
#include "api/task.h"

namespace hf::api {

// Lets one request at a time change the account: a deploy reads, waits for its code to start and then commits, and
// nothing that it has read may change meanwhile. First come, first served.
class AsyncLock final {
 public:
  // Who waited goes on in a task of its own, not inside the call that let go.
  explicit AsyncLock(Executor& executor) : executor_(executor) {}

  // Hands the lock on when it goes.
  class Held {
   public:
    explicit Held(AsyncLock* lock) : lock_(lock) {}
    Held(Held&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (lock_ != nullptr) lock_->release();
    }

   private:
    AsyncLock* lock_;
  };
  [[nodiscard]] Await<Held> acquire();
  // Those that wait are told kCancelled.
  void close();

 private:
  void release();

  Executor& executor_;
  bool held_ = false;
  bool closed_ = false;
  std::deque<Completion<Result<Held>>> waiting_;
};

struct Core {
  catalog::Catalog& catalog;
  Runtime& runtime;
  const Log& log;
  const Clock& clock;
  Random& random;
  const ApiOptions options;
  AsyncLock lock;
  bool healthy = true;
  std::string unhealthyReason;
  bool deleting = false;
};

// Tells the runtime what the catalog says. What goes wrong is logged and returned as a sentence for the client: the
// deploy itself is durable and stands.
Task<std::optional<std::string>> activate(Core& core, catalog::SnapshotPtr snapshot);

// Has the runtime delete the data of what the catalog has queued; again after a failure only with the next call. The
// queue is durable, so nobody waits.
void deletePending(const std::shared_ptr<Core>& core);

// 10007 (404) when there is none.
Checked<catalog::ScriptRow> findScript(Core& core, const std::string& name);
Checked<std::optional<catalog::VersionRow>> latestVersion(Core& core, const catalog::ScriptRow& script);

}  // namespace hf::api
