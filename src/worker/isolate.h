// One worker isolate: a script version on a shard, with its entrypoint and all its objects there.
// C++'s side of `Native` and `Runtime` (web/native.ts): every call that crosses goes through here.
// Thread:  its shard's.
// Turns:   tellRuntime() lets C++ tell the runtime something, which only queues. pump(), a task of the shard's loop,
// runs
//          the queued turns, each in a CallbackScope of its own, and after each commits what it wrote.
// Long turns are suspended now and then, and the shard's loop runs nested in them. What happens to a suspended isolate
//          waits, in order, until its turn has ended (afterTurn); whatever enters the isolate asks isSuspended() first.
#pragma once

#include <v8.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actor/databases.h"
#include "js/environment.h"
#include "js/modules.h"
#include "js/serializer.h"
#include "web/http_binding.h"
#include "web/pipe_binding.h"
#include "worker/shard.h"

namespace hf::worker {

enum class Purpose : std::uint8_t { kServe, kCheck };

class Isolate final : public actor::DatabaseHost, public web::BindingHost {
 public:
  // kScript with the uncaught error's text when the code throws while it starts.
  static Result<std::unique_ptr<Isolate>> create(Shard& shard, IsolateAddress address,
                                                 std::shared_ptr<const catalog::Version> version,
                                                 const catalog::Snapshot& snapshot, Purpose purpose);
  Isolate(const Isolate&) = delete;
  Isolate& operator=(const Isolate&) = delete;
  ~Isolate() override;

  [[nodiscard]] IsolateAddress address() const { return address_; }
  [[nodiscard]] const catalog::Version& version() const { return *version_; }
  [[nodiscard]] const std::vector<ExportedName>& exports() const { return exports_; }
  [[nodiscard]] bool condemned() const { return condemned_; }
  [[nodiscard]] bool retired() const { return retired_; }
  // Of one that is done.
  [[nodiscard]] const char* whyGone() const;

  void fetch(FetchRequest request);
  void message(const Message& message);
  void actorMessage(const ObjectKey& object, const std::string& name, const Message& message);
  void peerGone(const PeerGone& gone);
  void durable(const std::vector<actor::DurableCommit>& commits);
  void alarm(const ObjectKey& object, const std::string& name, WallMs scheduledAt, int retryCount);
  // A job of the store has ended.
  void storageEnded(std::uint64_t job, const Result<std::string>& result);
  void codeUpdated(catalog::CodeUpdateMode mode, WallMs deadline);
  // Claim the object: a handover waits for it. `then` runs when it has been told.
  void adopt(const ObjectKey& object, const std::string& name, Task then);
  // Their objects are this script's no more: `why` is "deleted" or "transferred" (to another script).
  void namespacesLeft(const std::vector<NamespaceId>& namespaces, const char* why);
  // Resets the object, so that its database is closed when `then` runs: at once, or when a suspended turn has ended.
  void storageReplaced(const ObjectKey& object, Task then);
  // Every open database is to be reset: the ledger is poisoned.
  void failDatabases(const Error& why);
  void drain(Task done);
  // Terminated, or retired and without requests, objects and tasks that still need it.
  [[nodiscard]] bool isDone();
  // The database of an object that this isolate has open.
  [[nodiscard]] actor::DatabaseTable& databases() { return databases_; }
  // Commits what C++ wrote into databases().
  void endTurn() {
    databases_.endTurn();
    databases_.endRound(actor::DatabaseTable::Round::kEnds);
  }

  // DatabaseHost
  void onCommit(actor::DatabaseHandle database, std::uint64_t commit,
                std::optional<ledger::Position> position) override;
  void onCommitFailed(actor::DatabaseHandle database, const Error& why) override;
  void onAlarmStored(const ObjectKey& object, std::optional<WallMs> at, const std::string& name) override;
  Executor& executor() override;
  Completion<Result<std::string>> storageReply(std::uint64_t job) override;
  Completion<Result<std::optional<WallMs>>> restoreReply(std::uint64_t job, const ObjectKey& object,
                                                         std::string name) override;

  // BindingHost
  void tellRuntime(const char* function,
                   const std::function<void(v8::Isolate*, v8::LocalVector<v8::Value>&)>& arguments) override;
  [[nodiscard]] bool isSuspended() const override { return environment_ != nullptr && environment_->isSuspended(); }
  void afterTurn(Task task) override { afterTurn_.push_back(std::move(task)); }

 private:
  struct Natives;
  friend struct Natives;
  using Fill = std::function<void(v8::Isolate*, v8::LocalVector<v8::Value>&)>;

  Isolate(Shard& shard, IsolateAddress address, std::shared_ptr<const catalog::Version> version);

  Result<void> start(const catalog::Snapshot& snapshot, Purpose purpose);
  Result<void> startRuntime(const catalog::Snapshot& snapshot, Purpose purpose);
  Result<void> startModules();
  void installNatives(v8::Local<v8::Context> context, v8::Local<v8::Object> native);
  v8::Local<v8::Object> configObject(v8::Local<v8::Context> context, const catalog::Snapshot& snapshot,
                                     Purpose purpose);
  Result<void> readExports(v8::Local<v8::Context> context, v8::Local<v8::Value> reports);
  v8::Local<v8::Function> runtimeFunction(const char* name);
  void tellFetch(std::uint64_t id, FetchRequest request);
  [[nodiscard]] std::size_t activity();
  // Calls a function of the runtime; must be inside the isolate. Empty when it was terminated.
  v8::MaybeLocal<v8::Value> callRuntime(const char* function, const Fill& fill);
  // Only ever as a task of the loop: callers up the stack iterate over what turns may change.
  void pump();
  void schedulePump();
  void runAfterTurn();
  void memoryPressure();
  void failPending();
  void condemn();
  [[nodiscard]] std::string describe(v8::Local<v8::Context> context, v8::Local<v8::Value> error);

  // Fixed once made
  Shard& shard_;
  const IsolateAddress address_;
  const std::shared_ptr<const catalog::Version> version_;
  std::vector<ExportedName> exports_;
  // Shard thread only
  std::unique_ptr<js::Environment> environment_;
  std::unique_ptr<js::Serializer> serializer_;
  std::unique_ptr<js::Modules> modules_;
  actor::DatabaseTable databases_;
  web::PipeBinding pipes_;
  web::HttpBinding http_;
  v8::Global<v8::Object> runtime_;
  std::unordered_map<std::string_view, v8::Global<v8::Function>> functions_;
  std::unordered_map<std::string, NamespaceIds> ids_;  // by namespace
  std::vector<std::pair<actor::DatabaseHandle, Error>> failed_;
  std::vector<Task> afterTurn_;
  Task drained_;
  bool inside_ = false;
  bool pumping_ = false;
  bool awake_ = false;      // the runtime has queued a turn
  bool scheduled_ = false;  // a posted task will pump
  bool condemned_ = false;
  bool retired_ = false;
};

}  // namespace hf::worker
