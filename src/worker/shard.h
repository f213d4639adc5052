// One shard: the isolates, objects, alarms and pipes of one thread, and the way to the other shards.
// Thread:  its own, except where a method says otherwise.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "actor/actor_table.h"
#include "actor/alarm_admission.h"
#include "actor/alarm_scheduler.h"
#include "actor/durability.h"
#include "base/clock.h"
#include "base/log.h"
#include "catalog/snapshot.h"
#include "js/convert.h"
#include "ledger/ledger.h"
#include "net/event_loop.h"
#include "web/pipe.h"
#include "worker/shards.h"

namespace hf::worker {

class Isolate;
class Shard;

using actor::IsolateAddress;

// The other shards. Fixed once made; any thread.
class ShardGroup : public web::PipeRoutes {
 public:
  [[nodiscard]] virtual unsigned servingCount() const = 0;
  [[nodiscard]] virtual Shard& shard(unsigned index) = 0;
};

// Bytes of a structured clone on their way from one isolate to another.
struct Message {
  IsolateAddress from = 0;
  Bytes bytes;
};

// An isolate that is no more.
struct PeerGone {
  IsolateAddress address = 0;
  const char* why = "lost";             // as Runtime.peerGone has it
  std::vector<NamespaceId> namespaces;  // of its script
};

// A sleeping object with open sockets, between the isolates of two versions of its script.
struct Handover {
  std::string name;
  std::vector<web::PipeEnd> ends;  // held by the pipe table
  Bytes state;                     // a structured clone
};

class Shard final : public ledger::DurabilityListener {
 public:
  Shard(unsigned index, ShardGroup& group, ShardsDependencies dependencies, const ShardsOptions& options,
        js::CachedScript& runtimeScript);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard() override;

  // Control thread: before start() / after the loop was stopped.
  void start();
  void join();

  [[nodiscard]] unsigned index() const { return index_; }
  [[nodiscard]] net::EventLoop& loop() { return loop_; }
  [[nodiscard]] web::PipeTable& pipes() { return pipes_; }
  [[nodiscard]] ShardGroup& group() { return group_; }
  [[nodiscard]] const ShardsDependencies& dependencies() const { return dependencies_; }
  [[nodiscard]] const ShardsOptions& options() const { return options_; }
  [[nodiscard]] const catalog::Snapshot& snapshot() const { return *snapshot_; }
  // runtime.js, compiled once for the process.
  [[nodiscard]] js::CachedScript& runtimeScript() { return runtimeScript_; }
  [[nodiscard]] actor::ActorTable& actors() { return actors_; }

  void fetch(FetchRequest request);
  void activate(catalog::SnapshotPtr snapshot);
  Result<CheckReport> check(std::shared_ptr<const catalog::Version> version, catalog::SnapshotPtr snapshot);
  void resetNamespaces(const std::vector<NamespaceId>& namespaces);
  // Resets the object if it lives here; then runs `then`, in a task in which no JavaScript comes before it.
  void resetObject(const ObjectKey& object, Task then);
  void drain(Task done);
  // Frees every isolate.
  void clear();

  // The isolate that runs `script` now; made if need be. An error says why it would not start.
  Result<Isolate*> isolateFor(std::string_view script, std::uint32_t pin);
  // The isolate that is to run a new instance of `object`.
  Result<Isolate*> isolateForObject(const ObjectKey& object);
  // False once free() has run for it: pointers to it are then dangling.
  [[nodiscard]] bool isLive(IsolateAddress address) const { return isolates_.contains(address); }
  [[nodiscard]] std::uint32_t random() { return static_cast<std::uint32_t>(random_()); }
  // True when `isolate` may own (or owns) `object`.
  bool claim(const ObjectKey& object, const Isolate& isolate);

  // `from` gives the object up; whoever claims it next takes the handover, and soon its class's isolate is told to.
  void handOver(const ObjectKey& object, IsolateAddress from, Handover handover);
  [[nodiscard]] std::optional<Handover> takeHandover(const ObjectKey& object);
  void cut(const Handover& handover);

  // From an isolate of this shard to another isolate, or to an object, wherever they are.
  void send(IsolateAddress to, Message message);
  void sendToActor(const ObjectKey& object, std::string name, Message message);

  // What isolates report
  void commit(actor::DurableCommit commit, std::optional<ledger::Position> position);
  void alarmStored(const ObjectKey& object, std::optional<WallMs> at, const std::string& name);
  void alarmDone(const ObjectKey& object, actor::AlarmOutcome outcome);
  // A job of the store that an isolate asked for has ended.
  void storageEnded(IsolateAddress address, std::uint64_t job, const Result<std::string>& result);
  // The isolate was terminated, or is retired and idle: free it when nothing of it is on the stack.
  void dispose(IsolateAddress address);

  void scheduleAlarm(storage::ScheduledAlarm alarm);
  void onPeerGone(const PeerGone& gone);

  void onDurable(ledger::Position durable) override;
  void onPoisoned(const Error& why) override;

 private:
  using VersionPtr = std::shared_ptr<const catalog::Version>;

  void resetTransferred(const catalog::Snapshot& before);
  void deliver(IsolateAddress to, Message message);
  void deliverToActor(const ObjectKey& object, std::string name, Message message);
  void tellDurable();
  void armAlarmTimer();
  void watchClock();
  void fireAlarms();
  void fireAlarm(const actor::DueAlarm& due);
  void clearStoredAlarm(const ObjectKey& object, const std::string& name, WallMs at);
  void deliverHandover(const ObjectKey& object);
  void free(IsolateAddress address);
  void finishDrain();
  [[nodiscard]] VersionPtr versionOf(const catalog::Script& script, std::uint32_t pin) const;

  // Fixed once made
  const unsigned index_;
  ShardGroup& group_;
  const ShardsDependencies dependencies_;
  const ShardsOptions& options_;
  js::CachedScript& runtimeScript_;
  // Shard thread only
  net::EventLoop loop_;
  web::PipeTable pipes_;
  catalog::SnapshotPtr snapshot_;
  std::uint64_t nextIsolate_ = 1;
  std::unordered_map<IsolateAddress, std::unique_ptr<Isolate>> isolates_;
  std::map<std::string, IsolateAddress> byVersion_;  // version id → the isolate that serves it
  actor::ActorTable actors_;
  std::unordered_map<ObjectKey, Handover> handovers_;
  actor::DurabilityQueue durability_;
  bool tellingDurable_ = false;
  bool holdsBack_ = false;  // a timer will tell
  actor::AlarmScheduler alarms_;
  actor::AlarmAdmission alarmRuns_;
  std::unordered_map<ObjectKey, std::pair<WallMs, std::string>> runningAlarms_;
  std::uint64_t alarmTimer_ = 0;
  SteadyTime alarmTimerAt_;
  std::chrono::milliseconds clockOffset_{};  // wall clock minus steady clock, when last looked
  std::mt19937_64 random_;
  Task drained_;
  std::size_t draining_ = 0;
  // Control thread only
  std::thread thread_;
};

}  // namespace hf::worker
