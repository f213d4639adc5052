#include "api/core.h"

namespace hf::api {

Await<AsyncLock::Held> AsyncLock::acquire() {
  return Await<Held>([this](Completion<Result<Held>> done) {
    if (closed_) {
      done(fail(Errc::kCancelled, "the server is stopping"));
    } else if (held_) {
      waiting_.push_back(std::move(done));
    } else {
      held_ = true;
      done(Held(this));
    }
  });
}

void AsyncLock::close() {
  closed_ = true;
  std::deque<Completion<Result<Held>>> waiting = std::move(waiting_);
  waiting_.clear();
  for (auto& done : waiting) done(fail(Errc::kCancelled, "the server is stopping"));
}

void AsyncLock::release() {
  if (waiting_.empty()) {
    held_ = false;
    return;
  }
  Completion<Result<Held>> next = std::move(waiting_.front());
  waiting_.pop_front();
  executor_.post([this, next = std::move(next)]() mutable { next(Held(this)); });
}

Task<std::optional<std::string>> activate(Core& core, catalog::SnapshotPtr snapshot) {
  Await<void> activated(
      [&core, snapshot](Completion<Result<void>> done) { core.runtime.activate(snapshot, std::move(done)); });
  const Result<void> result = co_await activated;
  if (result) co_return std::nullopt;
  core.log.error("a committed deploy could not be activated", {{"error", result.error().message}});
  co_return "The change is stored, but could not be put into effect yet: " + result.error().message;
}

void deletePending(const std::shared_ptr<Core>& core) {
  if (core->deleting) return;
  const Result<std::vector<NamespaceId>> pending = core->catalog.pendingDeletions();
  if (!pending) {
    core->log.error("the queue of namespace deletions cannot be read", {{"error", pending.error().message}});
    return;
  }
  if (pending->empty()) return;
  core->deleting = true;
  core->runtime.deleteNamespaces(*pending, [core, ids = *pending](Result<void> deleted) {
    core->deleting = false;
    if (!deleted) {
      core->log.error("data of deleted namespaces is still on disk; deletion will be tried again",
                      {{"error", deleted.error().message}});
      return;
    }
    if (const Result<void> done = core->catalog.deletionsDone(ids); !done) {
      core->log.error("a finished namespace deletion could not be noted", {{"error", done.error().message}});
      return;
    }
    deletePending(core);  // what was queued meanwhile
  });
}

Checked<catalog::ScriptRow> findScript(Core& core, const std::string& name) {
  HF_API_TRY(std::optional<catalog::ScriptRow> row, orInternal(core.catalog.script(name)));
  if (!row) return refuse(404, 10007, "This Worker does not exist on your account.");
  return *std::move(row);
}

Checked<std::optional<catalog::VersionRow>> latestVersion(Core& core, const catalog::ScriptRow& script) {
  return orInternal(core.catalog.latestVersion(script.tag));
}

}  // namespace hf::api
