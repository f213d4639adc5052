#include "worker/shard.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/random.h"
#include "js/platform.h"
#include "worker/isolate.h"

namespace hf::worker {
namespace {

// How soon after the files have caught up outputs go on.
constexpr std::chrono::milliseconds kBehindLookEvery{5};

// Alarms delivered before other events of the shard get a turn.
constexpr std::size_t kAlarmsPerRound = 8;

// Long waits are cut, so that a wall clock that is set is noticed this soon.
constexpr std::chrono::milliseconds kClockLookEvery{1000};
// What is less is the clock being slewed.
constexpr std::chrono::milliseconds kClockSetAtLeast{250};

}  // namespace

Shard::Shard(unsigned index, ShardGroup& group, ShardsDependencies dependencies, const ShardsOptions& options,
             js::CachedScript& runtimeScript)
    : index_(index),
      group_(group),
      dependencies_(dependencies),
      options_(options),
      runtimeScript_(runtimeScript),
      pipes_(index, group, dependencies.clock),
      snapshot_(std::make_shared<catalog::Snapshot>()),
      alarmRuns_({.recentMax = limits::kAlarmRunsRecentMax,
                  .allMax = limits::kAlarmRunsMax,
                  .longAfter = limits::kAlarmRunLong}),
      random_(systemRandom().next64()) {}

Shard::~Shard() { HF_CHECK(isolates_.empty(), "clear() has freed every isolate"); }

void Shard::start() {
  thread_ = std::thread([this] { loop_.run(); });
}

void Shard::join() {
  if (thread_.joinable()) thread_.join();
}

// --- scripts and their isolates

Shard::VersionPtr Shard::versionOf(const catalog::Script& script, std::uint32_t pin) const {
  if (script.parts.empty()) return nullptr;
  double point = static_cast<double>(pin) / 4294967296.0 * 100.0;
  for (const catalog::Script::Part& part : script.parts) {
    if (point < part.percentage) return part.version;
    point -= part.percentage;
  }
  return script.parts.back().version;
}

Result<Isolate*> Shard::isolateFor(std::string_view script, std::uint32_t pin) {
  const auto found = snapshot_->scripts.find(script);
  const VersionPtr version = found == snapshot_->scripts.end() ? nullptr : versionOf(found->second, pin);
  if (version == nullptr) {
    return fail(Errc::kNotFound, "no script named '" + std::string(script) + "' is deployed here");
  }
  if (const auto it = byVersion_.find(version->id); it != byVersion_.end()) return isolates_.at(it->second).get();
  const IsolateAddress address = (nextIsolate_++ << 8) | index_;
  HF_TRY(std::unique_ptr<Isolate> isolate, Isolate::create(*this, address, version, *snapshot_, Purpose::kServe));
  Isolate* made = isolate.get();
  isolates_.emplace(address, std::move(isolate));
  byVersion_[version->id] = address;
  return made;
}

Result<Isolate*> Shard::isolateForObject(const ObjectKey& object) {
  const auto ns = snapshot_->namespaces.find(object.ns);
  if (ns == snapshot_->namespaces.end()) {
    return fail(Errc::kNotFound, "the Durable Object's namespace is not deployed here any more");
  }
  std::uint32_t pin = 0;
  std::memcpy(&pin, object.id.bytes.data() + 4, sizeof pin);
  return isolateFor(ns->second.script, pin);
}

bool Shard::claim(const ObjectKey& object, const Isolate& isolate) {
  if (const auto owner = actors_.ownerOf(object)) return *owner == isolate.address();
  if (isolate.retired() || isolate.condemned()) return false;
  if (actor::shardOfObject(object.id, group_.servingCount()) != index_) return false;
  const auto ns = snapshot_->namespaces.find(object.ns);
  if (ns == snapshot_->namespaces.end() || ns->second.script != isolate.version().scriptName) return false;
  const auto script = snapshot_->scripts.find(ns->second.script);
  if (script == snapshot_->scripts.end()) return false;
  std::uint32_t pin = 0;
  std::memcpy(&pin, object.id.bytes.data() + 4, sizeof pin);
  const VersionPtr version = versionOf(script->second, pin);
  if (version == nullptr || version->id != isolate.version().id) return false;
  return actors_.claim(object, isolate.address());
}

void Shard::fetch(FetchRequest request) {
  const std::shared_ptr<net::Exchange> exchange = request.exchange;
  auto isolate = isolateFor(request.script, static_cast<std::uint32_t>(random_()));
  if (isolate) {
    (*isolate)->fetch(std::move(request));
    return;
  }
  const bool missing = isolate.error().code == Errc::kNotFound;
  if (!missing) {
    dependencies_.log.error("script did not start", {{"script", request.script}, {"error", isolate.error().message}});
  }
  web::respondWithErrorPage(*exchange, missing ? 404 : 500, missing ? isolate.error().message : "");
}

// --- deploys

void Shard::activate(catalog::SnapshotPtr snapshot) {
  HF_CHECK(loop_.isCurrent(), "a shard is touched by its own thread only");
  const catalog::SnapshotPtr before = std::exchange(snapshot_, std::move(snapshot));
  const WallMs now = dependencies_.clock.wallMs();
  std::vector<std::string> restart;
  for (auto it = byVersion_.begin(); it != byVersion_.end();) {
    Isolate& isolate = *isolates_.at(it->second);
    const auto script = snapshot_->scripts.find(isolate.version().scriptName);
    const bool deployed = script != snapshot_->scripts.end() &&
                          std::ranges::any_of(script->second.parts, [&](const catalog::Script::Part& part) {
                            return part.version->id == isolate.version().id;
                          });
    if (deployed) {
      ++it;
      continue;
    }
    it = byVersion_.erase(it);
    if (script == snapshot_->scripts.end()) {
      isolate.codeUpdated(catalog::CodeUpdateMode::kImmediate, now);
    } else {
      restart.push_back(script->first);
      const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(script->second.updateMaxDelay);
      isolate.codeUpdated(script->second.updateMode, now + delay.count());
    }
  }
  // What is left of still older versions must not outlive the new one's deadline.
  for (const auto& [address, isolate] : isolates_) {
    if (!isolate->retired() || byVersion_.contains(isolate->version().id)) continue;
    const auto script = snapshot_->scripts.find(isolate->version().scriptName);
    if (script == snapshot_->scripts.end() || std::ranges::find(restart, script->first) == restart.end()) continue;
    const auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(script->second.updateMaxDelay);
    isolate->codeUpdated(script->second.updateMode, now + delay.count());
  }
  resetTransferred(*before);
  // A script that was running here is wanted here: its new version starts now and not under the next request.
  for (const std::string& script : restart) {
    if (auto isolate = isolateFor(script, static_cast<std::uint32_t>(random_())); !isolate) {
      dependencies_.log.error("script did not start", {{"script", script}, {"error", isolate.error().message}});
    }
  }
}

// A script whose class went to another one runs on; the class's objects go on over there.
void Shard::resetTransferred(const catalog::Snapshot& before) {
  std::map<std::string, std::vector<NamespaceId>> moved;  // by the script that had them
  for (const auto& [id, ns] : before.namespaces) {
    const auto now = snapshot_->namespaces.find(id);
    if (now != snapshot_->namespaces.end() && now->second.script != ns.script) moved[ns.script].push_back(id);
  }
  if (moved.empty()) return;
  for (const auto& [address, isolate] : isolates_) {
    const auto it = moved.find(isolate->version().scriptName);
    if (it != moved.end()) isolate->namespacesLeft(it->second, "transferred");
  }
}

Result<CheckReport> Shard::check(std::shared_ptr<const catalog::Version> version, catalog::SnapshotPtr snapshot) {
  const auto begin = dependencies_.clock.steady();
  const IsolateAddress address = (nextIsolate_++ << 8) | index_;
  HF_TRY(const std::unique_ptr<Isolate> isolate,
         Isolate::create(*this, address, std::move(version), *snapshot, Purpose::kCheck));
  const std::chrono::duration<double, std::milli> took = dependencies_.clock.steady() - begin;
  return CheckReport{.exports = isolate->exports(), .startupMs = took.count()};
}

void Shard::resetNamespaces(const std::vector<NamespaceId>& namespaces) {
  for (const auto& [address, isolate] : isolates_) isolate->namespacesLeft(namespaces, "deleted");
  for (const NamespaceId& ns : namespaces) {
    alarms_.removeNamespace(ns);
    std::erase_if(runningAlarms_, [&](const auto& entry) {
      if (entry.first.ns != ns) return false;
      alarmRuns_.ended(entry.first);
      return true;
    });
  }
}

void Shard::resetObject(const ObjectKey& object, Task then) {
  if (const auto owner = actors_.ownerOf(object)) {
    if (const auto it = isolates_.find(*owner); it != isolates_.end()) {
      return it->second->storageReplaced(object, std::move(then));
    }
  }
  then();
}

void Shard::dispose(IsolateAddress address) {
  loop_.post([this, address] { free(address); });
}

void Shard::free(IsolateAddress address) {
  const auto it = isolates_.find(address);
  if (it == isolates_.end()) return;
  if (it->second->isSuspended()) {
    it->second->afterTurn([this, address] { dispose(address); });
    return;
  }
  if (!it->second->isDone()) return;  // it was, and has got more to do since: its next pump asks again
  const std::unique_ptr<Isolate> isolate = std::move(it->second);
  isolates_.erase(it);
  PeerGone gone{.address = address, .why = isolate->whyGone(), .namespaces = {}};
  for (const auto& [id, ns] : snapshot_->namespaces) {
    if (ns.script == isolate->version().scriptName) gone.namespaces.push_back(id);
  }
  std::erase_if(byVersion_, [&](const auto& entry) { return entry.second == address; });
  // One that was terminated for what it computed would be so again, and for ever if that did not count.
  const auto outcome = isolate->condemned() ? actor::AlarmOutcome::kRetry : actor::AlarmOutcome::kRetryUncounted;
  for (const ObjectKey& object : actors_.releaseAll(address)) {
    if (runningAlarms_.contains(object)) alarmDone(object, outcome);
  }
  for (unsigned i = 0; i < group_.servingCount(); i++) {
    Shard* peer = &group_.shard(i);
    peer->loop().post([peer, gone] { peer->onPeerGone(gone); });
  }
}

void Shard::onPeerGone(const PeerGone& gone) {
  std::vector<IsolateAddress> present;
  for (const auto& [own, isolate] : isolates_) present.push_back(own);
  for (const IsolateAddress own : present) {
    if (const auto it = isolates_.find(own); it != isolates_.end()) it->second->peerGone(gone);
  }
}

void Shard::clear() {
  HF_CHECK(loop_.isCurrent(), "isolates are freed on their own thread");
  HF_CHECK(loop_.nesting() == 0, "no turn is under way when isolates are freed");
  drained_ = nullptr;
  byVersion_.clear();
  std::vector<IsolateAddress> present;
  for (const auto& [address, isolate] : isolates_) present.push_back(address);
  for (const IsolateAddress address : present) isolates_.erase(address);
}

void Shard::drain(Task done) {
  drained_ = std::move(done);
  draining_ = isolates_.size() + 1;
  std::vector<IsolateAddress> present;
  for (const auto& [address, isolate] : isolates_) present.push_back(address);
  for (const IsolateAddress address : present) {
    isolates_.at(address)->drain([this] { loop_.post([this] { finishDrain(); }); });
  }
  finishDrain();
}

void Shard::finishDrain() {
  if (draining_ > 0) draining_--;
  if (draining_ == 0 && drained_ != nullptr) std::exchange(drained_, nullptr)();
}

// --- sleeping objects that change their isolate

void Shard::handOver(const ObjectKey& object, IsolateAddress from, Handover handover) {
  actors_.release(object, from);
  handovers_.insert_or_assign(object, std::move(handover));
  loop_.post([this, object] { deliverHandover(object); });
}

std::optional<Handover> Shard::takeHandover(const ObjectKey& object) {
  if (handovers_.empty()) return std::nullopt;
  auto taken = handovers_.extract(object);
  return taken ? std::optional(std::move(taken.mapped())) : std::nullopt;
}

void Shard::cut(const Handover& handover) {
  for (const web::PipeEnd end : handover.ends) pipes_.abort(end);
}

void Shard::deliverHandover(const ObjectKey& object) {
  const auto it = handovers_.find(object);
  if (it == handovers_.end()) return;  // an event was faster
  const auto cutIfLeft = [this, object] {
    if (const auto left = takeHandover(object)) cut(*left);
  };
  auto isolate = isolateForObject(object);
  if (!isolate || !claim(object, **isolate)) {
    dependencies_.log.warn("sockets cut: nobody runs their object now", {{"object", object.id.hex()}});
    return cutIfLeft();
  }
  (*isolate)->adopt(object, it->second.name, cutIfLeft);
}

// --- messages between isolates

void Shard::send(IsolateAddress to, Message message) {
  Shard* target = &group_.shard(actor::shardOfAddress(to));
  // Also to this shard: an isolate is never entered from inside another one.
  target->loop().post(
      [target, to, message = std::move(message)]() mutable { target->deliver(to, std::move(message)); });
}

void Shard::deliver(IsolateAddress to, Message message) {
  const auto it = isolates_.find(to);
  if (it != isolates_.end() && !it->second->condemned()) {
    it->second->message(message);
    return;
  }
  if (message.from == 0) return;
  Shard* sender = &group_.shard(actor::shardOfAddress(message.from));
  sender->loop().post([sender, from = message.from, to] {
    if (const auto waiting = sender->isolates_.find(from); waiting != sender->isolates_.end())
      waiting->second->peerGone({.address = to, .why = "lost", .namespaces = {}});
  });
}

void Shard::sendToActor(const ObjectKey& object, std::string name, Message message) {
  Shard* target = &group_.shard(actor::shardOfObject(object.id, group_.servingCount()));
  target->loop().post([target, object, name = std::move(name), message = std::move(message)]() mutable {
    target->deliverToActor(object, std::move(name), std::move(message));
  });
}

void Shard::deliverToActor(const ObjectKey& object, std::string name, Message message) {
  Isolate* isolate = nullptr;
  if (const auto owner = actors_.ownerOf(object)) {
    if (const auto it = isolates_.find(*owner); it != isolates_.end() && !it->second->condemned())
      isolate = it->second.get();
  }
  if (isolate == nullptr) {
    auto made = isolateForObject(object);
    if (!made || !claim(object, **made)) {
      // Bounced: the sender gets its own message back, from address 0.
      const IsolateAddress sender = message.from;
      if (sender != 0) send(sender, Message{.from = 0, .bytes = std::move(message.bytes)});
      return;
    }
    isolate = *made;
  }
  isolate->actorMessage(object, name, message);
}

// --- durability

void Shard::commit(actor::DurableCommit commit, std::optional<ledger::Position> position) {
  const ledger::Position durable = dependencies_.store.ledger().durable();
  durability_.add(position.value_or(ledger::Position{}), commit);
  if (position.value_or(ledger::Position{}) <= durable && !tellingDurable_) {
    tellingDurable_ = true;
    loop_.post([this] {
      tellingDurable_ = false;
      tellDurable();
    });
  }
}

void Shard::storageEnded(IsolateAddress address, std::uint64_t job, const Result<std::string>& result) {
  if (const auto it = isolates_.find(address); it != isolates_.end()) it->second->storageEnded(job, result);
}

void Shard::onDurable(ledger::Position /*durable*/) { tellDurable(); }

void Shard::tellDurable() {
  // Back-pressure: what has been written leaves when the files have caught up, and who waits for it writes no more.
  if (dependencies_.store.isBehind()) {
    if (std::exchange(holdsBack_, true)) return;
    loop_.addTimer(dependencies_.clock.steady() + kBehindLookEvery, [this] {
      holdsBack_ = false;
      tellDurable();
    });
    return;
  }
  std::vector<actor::DurableCommit> commits = durability_.take(dependencies_.store.ledger().durable());
  std::ranges::sort(commits, {},
                    [](const actor::DurableCommit& c) { return std::tuple(c.isolate, c.database, c.commit); });
  for (auto begin = commits.begin(); begin != commits.end();) {
    const auto end = std::find_if(begin, commits.end(), [&](const auto& c) { return c.isolate != begin->isolate; });
    if (const auto it = isolates_.find(begin->isolate); it != isolates_.end()) it->second->durable({begin, end});
    begin = end;
  }
}

void Shard::onPoisoned(const Error& why) {
  std::vector<IsolateAddress> present;
  for (const auto& [address, isolate] : isolates_) present.push_back(address);
  for (const IsolateAddress address : present) {
    if (const auto it = isolates_.find(address); it != isolates_.end()) it->second->failDatabases(why);
  }
}

// --- alarms

void Shard::scheduleAlarm(storage::ScheduledAlarm alarm) {
  alarms_.set(alarm.object, alarm.at, std::move(alarm.objectName));
  armAlarmTimer();
}

void Shard::alarmStored(const ObjectKey& object, std::optional<WallMs> at, const std::string& name) {
  if (at) {
    alarms_.set(object, *at, name);
  } else {
    alarms_.remove(object);
  }
  armAlarmTimer();
}

void Shard::armAlarmTimer() {
  const std::optional<WallMs> next = drained_ == nullptr ? alarms_.nextDue() : std::nullopt;
  if (!next) {
    if (alarmTimer_ != 0) loop_.cancelTimer(std::exchange(alarmTimer_, 0));
    return;
  }
  const SteadyTime now = dependencies_.clock.steady();
  const std::chrono::milliseconds wait{std::max<WallMs>(*next - dependencies_.clock.wallMs(), 0)};
  SteadyTime at = now + std::min(wait, kClockLookEvery);
  // No more of them for the moment: a run that ends comes here too.
  if (wait.count() == 0 && alarmRuns_.room(now) == 0) at = alarmRuns_.nextRoom().value_or(now + kClockLookEvery);
  if (alarmTimer_ != 0) {
    // One that comes a little early looks again. Not moved for each alarm that is set.
    if (alarmTimerAt_ <= at) return;
    loop_.cancelTimer(alarmTimer_);
  }
  alarmTimerAt_ = at;
  alarmTimer_ = loop_.addTimer(at, [this] {
    alarmTimer_ = 0;
    fireAlarms();
  });
}

void Shard::watchClock() {
  const auto steady = dependencies_.clock.steady().time_since_epoch();
  const auto offset = std::chrono::milliseconds(dependencies_.clock.wallMs()) -
                      std::chrono::duration_cast<std::chrono::milliseconds>(steady);
  const auto before = std::exchange(clockOffset_, offset);
  const auto moved = offset - before;
  if (before.count() != 0 && std::chrono::abs(moved) >= kClockSetAtLeast) {
    dependencies_.log.warn("the clock was set", {{"forward_ms", std::to_string(moved.count())}});
    alarms_.clockSet(moved.count());
  }
}

void Shard::fireAlarms() {
  watchClock();
  if (drained_ == nullptr) {
    const std::size_t most = std::min(kAlarmsPerRound, alarmRuns_.room(dependencies_.clock.steady()));
    for (const actor::DueAlarm& due : alarms_.takeDue(dependencies_.clock.wallMs(), most)) fireAlarm(due);
  }
  armAlarmTimer();
}

void Shard::fireAlarm(const actor::DueAlarm& due) {
  if (!snapshot_->namespaces.contains(due.object.ns)) {
    alarms_.done(due.object, actor::AlarmOutcome::kCancelled, dependencies_.clock.wallMs(), 0);
    return;
  }
  runningAlarms_[due.object] = {due.scheduledAt, due.name};
  alarmRuns_.started(due.object, dependencies_.clock.steady());
  Isolate* isolate = nullptr;
  if (const auto owner = actors_.ownerOf(due.object)) {
    if (const auto it = isolates_.find(*owner); it != isolates_.end()) isolate = it->second.get();
  }
  if (isolate == nullptr) {
    auto made = isolateForObject(due.object);
    if (!made || !claim(due.object, **made)) {
      alarmDone(due.object, actor::AlarmOutcome::kRetryUncounted);
      return;
    }
    isolate = *made;
  }
  isolate->alarm(due.object, due.name, due.scheduledAt, due.retryCount);
}

void Shard::alarmDone(const ObjectKey& object, actor::AlarmOutcome outcome) {
  const auto running = runningAlarms_.find(object);
  if (running == runningAlarms_.end()) return;
  const auto [at, name] = std::exchange(running->second, {});
  runningAlarms_.erase(running);
  alarmRuns_.ended(object);
  const double jitter = std::uniform_real_distribution<double>(0, 1)(random_);
  const auto next = alarms_.done(object, outcome, dependencies_.clock.wallMs(), jitter);
  if (next == actor::AlarmScheduler::Next::kClearStored) {
    dependencies_.log.warn("alarm abandoned", {{"object", object.id.hex()}});
    // Not from inside the isolate that reports.
    loop_.post([this, object, objectName = name, storedAt = at] { clearStoredAlarm(object, objectName, storedAt); });
  }
  armAlarmTimer();
}

void Shard::clearStoredAlarm(const ObjectKey& object, const std::string& name, WallMs at) {
  const auto clear = [&](storage::Database& database) -> Result<void> {
    HF_TRY(const std::optional<WallMs> stored, database.alarm());
    if (stored == at) HF_TRY_VOID(database.setAlarm(std::nullopt));
    return {};
  };
  Result<void> done;
  Isolate* owner = nullptr;
  if (const auto address = actors_.ownerOf(object)) {
    if (const auto it = isolates_.find(*address); it != isolates_.end()) owner = it->second.get();
  }
  if (owner != nullptr && owner->isSuspended()) {
    return owner->afterTurn([this, object, name, at] { clearStoredAlarm(object, name, at); });
  }
  if (storage::Database* open = owner == nullptr ? nullptr : owner->databases().find(object)) {
    done = clear(*open);
    owner->databases().touch(object);
    owner->endTurn();
  } else {
    auto database = dependencies_.store.open(object, name);
    done = database ? clear(**database) : Result<void>(std::unexpected(database.error()));
    if (done) {
      if (auto committed = (*database)->endTurn(); !committed) done = std::unexpected(committed.error());
    }
  }
  if (!done)
    dependencies_.log.error("alarm could not be cleared",
                            {{"object", object.id.hex()}, {"error", done.error().message}});
}

}  // namespace hf::worker
