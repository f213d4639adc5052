#include "sim/shard.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "sim/turn.h"

namespace hf::sim {
namespace {

constexpr ValueId kNotAValue = UINT32_MAX;

// The number that a text begins with, if the rest is what belongs to it.
ValueId valueOf(std::string_view text) {
  ValueId id = kNotAValue;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  return error == std::errc() && valueText(id) == text ? id : kNotAValue;
}

}  // namespace

Shard::Shard(World& world, storage::Store& store) : world_(world), store_(store) {
  databases_.resize(world.model.size());
  undos_.resize(world.model.size());
  store.ledger().addListener(executor_, *this);
}

Shard::~Shard() {
  closeAll();
  store_.ledger().removeListener(*this);
}

Result<void> Shard::complaint() const {
  if (complaint_.empty()) return {};
  return violation(complaint_);
}

void Shard::onDurable(ledger::Position durable) {
  if (durable.value <= durable_) complaint_ = "the durable position went back";
  if (world_.isPoisoned) complaint_ = "something became durable after the ledger was poisoned";
  durable_ = durable.value;
  while (!waiting_.empty() && waiting_.front().position <= durable_) {
    world_.model.acknowledged(waiting_.front().end);
    waiting_.pop_front();
  }
}

void Shard::onPoisoned(const Error& why) {
  if (world_.isTraced) world_.say("poisoned: " + why.message);
  world_.isPoisoned = true;
  world_.coverage.poisonings++;
}

Result<storage::Database*> Shard::open(std::size_t object) {
  if (databases_[object] != nullptr) return databases_[object].get();
  const ModelObject& of = world_.model.object(object);
  if (restoresAtOpening_ && store_.hasRestoreRequest(of.key)) {
    HF_TRY_VOID(restore(object));
    if (store_.hasRestoreRequest(of.key)) return nullptr;
    if (databases_[object] != nullptr) return databases_[object].get();
  }
  auto opened = store_.open(of.key, of.name);
  if (!opened) {
    HF_TRY_VOID(world_.excuse("opening " + of.name, opened.error()));
    return nullptr;
  }
  databases_[object] = *std::move(opened);
  return databases_[object].get();
}

void Shard::close(std::size_t object) { databases_[object].reset(); }

void Shard::closeAll() {
  for (auto& database : databases_) database.reset();
}

void Shard::releaseMemory(std::size_t object) {
  if (databases_[object] != nullptr) databases_[object]->releaseMemory();
}

void Shard::committed(std::size_t object, std::uint64_t end, const ObjectState& state) {
  const ModelObject& of = world_.model.object(object);
  if (world_.isTraced) world_.say(of.name + ": committed, up to " + std::to_string(end));
  noteAlarm(object, world_.model.state(object).alarm, state.alarm);
  world_.model.committed(object, end, state);
  world_.coverage.commits++;
  world_.mix(end);
}

void Shard::noteAlarm(std::size_t object, const std::optional<WallMs>& before, const std::optional<WallMs>& now) {
  if (before == now) return;
  const ModelObject& of = world_.model.object(object);
  if (now) {
    alarms_.set(of.key, *now, of.name);
  } else {
    alarms_.remove(of.key);
  }
}

void Shard::show(std::size_t object, const std::optional<ledger::Position>& position) {
  // Nobody has a way to an object whose namespace is being deleted; what it looks like tells nobody anything.
  if (world_.model.isNothing(object)) return;
  const std::uint64_t end = world_.model.lastEnd(object);
  if (position && position->value > durable_) {
    // In order, as behind one gate: an answer may wait longer than it must.
    const std::uint64_t before = waiting_.empty() ? 0 : waiting_.back().position;
    waiting_.push_back({.position = std::max(before, position->value), .end = end});
  } else {
    world_.model.acknowledged(end);
  }
}

Result<void> Shard::turn(std::size_t object) {
  HF_TRY(storage::Database * db, open(object));
  if (db == nullptr) return {};
  world_.coverage.turns++;
  Turn turn(*this, object, *db);
  const bool well = turn.run();
  if (!turn.wrong().empty()) return violation(turn.wrong());
  if (well) {
    show(object, turn.position());
    return {};
  }
  HF_TRY_VOID(world_.excuse("a turn of " + world_.model.object(object).name, *turn.error()));
  // The actor resets the object.
  db->abort({Errc::kCancelled, "reset"});
  close(object);
  return {};
}

Result<void> Shard::turnsTogether(std::vector<std::size_t> objects) {
  std::vector<std::unique_ptr<Turn>> turns;
  std::vector<storage::Database*> databases;
  std::optional<Error> error;
  for (const std::size_t object : objects) {
    HF_TRY(storage::Database * db, open(object));
    if (db == nullptr) continue;
    world_.coverage.turns++;
    turns.push_back(std::make_unique<Turn>(*this, object, *db));
    databases.push_back(db);
    Turn& turn = *turns.back();
    const bool well = turn.work() && (world_.chance(2) || turn.furtherTurn());
    if (!turn.wrong().empty()) return violation(turn.wrong());
    if (!well) error = turn.error();
    if (!well) break;
  }
  if (turns.empty()) return {};
  if (!error) {
    const std::uint64_t before = store_.ledger().tail().value;
    const Result<std::optional<ledger::Position>> position = store_.commitTogether(databases);
    const std::uint64_t after = store_.ledger().tail().value;
    for (const auto& turn : turns) {
      if (after > before && !position) {
        return violation("commits together that failed are with the ledger: " + position.error().message);
      }
      // Of an object that has written nothing there is no record in the group.
      const auto last = position ? turn->database().endTurn() : std::unexpected(position.error());
      if (last && *last && (*last)->value == after && after > before) {
        committed(turn->object(), after, turn->state());
      } else if (position && turn->state() != world_.model.state(turn->object())) {
        return violation("commits together said yes and left no record");
      }
      if (position) show(turn->object(), *position);
    }
    if (after > before) world_.coverage.groups++;
    if (position) return {};
    error = position.error();
  }
  HF_TRY_VOID(world_.excuse("turns together with " + world_.model.object(turns.front()->object()).name, *error));
  for (const auto& turn : turns) {
    turn->database().abort({Errc::kCancelled, "reset"});
    close(turn->object());
  }
  return {};
}

Result<void> Shard::plainTurn(std::size_t object) {
  const std::string what = "a turn that nothing hinders, of " + world_.model.object(object).name + ",";
  close(object);
  HF_TRY(storage::Database * db, open(object));
  if (db == nullptr) return world_.disk.hasPower() ? Result<void>(violation(what + " cannot open it")) : Result<void>();
  Turn turn(*this, object, *db);
  const bool well =
      turn.put(1, valueId(static_cast<std::uint32_t>(world_.random.below(1000)), ValueSize::kSmall)) && turn.end();
  if (!turn.wrong().empty()) return violation(turn.wrong());
  if (well) {
    show(object, turn.position());
    return {};
  }
  if (!world_.disk.hasPower()) return {};
  return violation(what + " failed: " + turn.error()->message);
}

Result<ObjectState> Shard::read(std::size_t object, storage::Database& db, Thoroughly thoroughly) {
  ObjectState state;
  if (thoroughly == Thoroughly::kYes) {
    HF_TRY(const auto check, db.exec("PRAGMA quick_check", {}));
    const std::string found =
        check->hasRow() ? std::string(std::get<std::string_view>(check->column(0))) : std::string("no answer");
    const std::string text = world_.model.object(object).name + ": quick_check says " + found;
    // A page that could not be read is an error of the disk, of which it says no more.
    const bool couldNotRead = found.contains("unable to get the page") || found.contains("failed to get page");
    if (couldNotRead && (world_.mayFail || !world_.disk.hasPower())) return fail(Errc::kIo, text);
    if (found != "ok") return fail(world_.isDamaged ? Errc::kCorrupt : Errc::kInternal, text);
  }
  HF_TRY(const std::vector<storage::ListEntry> entries, db.list({}));
  for (const storage::ListEntry& entry : entries) {
    std::uint32_t key = 0;
    std::from_chars(entry.key.data() + 3, entry.key.data() + entry.key.size(), key);
    state.kv[key] = valueOf(asText(entry.value));
  }
  {
    HF_TRY(const auto schema, db.exec("SELECT 1 FROM sqlite_schema WHERE name = 't'", {}));
    state.hasTable = schema->hasRow();
  }
  if (state.hasTable) {
    HF_TRY(const auto rows, db.exec("SELECT id, v FROM t ORDER BY id", {}));
    while (rows->hasRow()) {
      state.rows[std::get<std::int64_t>(rows->column(0))] = valueOf(std::get<std::string_view>(rows->column(1)));
      HF_TRY_VOID(rows->advance());
    }
  }
  HF_TRY(state.alarm, db.alarm());
  return state;
}

Result<void> Shard::compare(std::size_t object, Thoroughly thoroughly) {
  HF_TRY(storage::Database * db, open(object));
  if (db == nullptr) return {};
  const ModelObject& of = world_.model.object(object);
  const Result<ObjectState> found = read(object, *db, thoroughly);
  if (!found) {
    if (found.error().code == Errc::kInternal) return std::unexpected(found.error());
    HF_TRY_VOID(world_.excuse("reading " + of.name, found.error()));
    db->abort({Errc::kCancelled, "reset"});
    close(object);
    return {};
  }
  const std::string wrong = difference(world_.model.state(object), *found);
  if (!wrong.empty()) {
    return violation(of.name + " is not as its commit up to " + std::to_string(world_.model.lastEnd(object)) +
                     " left it: " + wrong);
  }
  const Result<std::optional<ledger::Position>> position = db->endTurn();
  if (!position) return violation(of.name + ": a turn that only read failed: " + position.error().message);
  show(object, *position);
  return {};
}

Result<void> Shard::compareAll(Thoroughly thoroughly) {
  for (std::size_t i = 0; i < world_.model.size(); i++) {
    HF_TRY_VOID(compare(i, thoroughly));
    if (world_.chance(2)) close(i);
  }
  return {};
}

Result<void> Shard::compareAlarms() {
  std::set<std::size_t> known;
  for (const storage::ScheduledAlarm& alarm : store_.recoveredAlarms()) {
    const std::optional<std::size_t> object = world_.model.find(alarm.object);
    if (!object) return violation("an alarm of an object that never was");
    const ModelObject& of = world_.model.object(*object);
    const std::optional<WallMs> expected = world_.model.state(*object).alarm;
    if (expected != alarm.at) {
      return violation("the index has an alarm of " + of.name + " at " + std::to_string(alarm.at) + ", stored is " +
                       (expected ? std::to_string(*expected) : "none"));
    }
    if (alarm.objectName != of.name) return violation("the index has another name for " + of.name);
    known.insert(*object);
    alarms_.set(alarm.object, alarm.at, alarm.objectName);
  }
  for (std::size_t i = 0; i < world_.model.size(); i++) {
    if (world_.model.state(i).alarm && !known.contains(i)) {
      return violation("the alarm of " + world_.model.object(i).name + " is not in the index: it would never fire");
    }
  }
  return {};
}

Result<void> Shard::runDueAlarms() {
  const WallMs now = world_.clock.wallMs();
  for (const actor::DueAlarm& due : alarms_.takeDue(now, 100)) HF_TRY_VOID(runAlarm(due));
  // One whose turn failed is tried again later.
  if (alarms_.size() != world_.model.alarms()) {
    return violation(std::to_string(world_.model.alarms()) + " alarms are stored, " + std::to_string(alarms_.size()) +
                     " are scheduled");
  }
  return {};
}

Result<void> Shard::runAlarm(const actor::DueAlarm& due) {
  const auto retry = [&] {
    alarms_.done(due.object, actor::AlarmOutcome::kRetryUncounted, world_.clock.wallMs(), 0.5);
  };
  const std::size_t object = world_.model.find(due.object).value();
  const ModelObject& of = world_.model.object(object);
  const std::optional<WallMs> known = world_.model.state(object).alarm;
  HF_TRY(storage::Database * db, open(object));
  if (db == nullptr) {
    retry();
    return {};
  }
  const Result<std::optional<WallMs>> stored = db->alarm();
  if (stored && *stored != world_.model.state(object).alarm) {
    return violation(of.name + " has another alarm than it stored");
  }
  Turn turn(*this, object, *db);
  const bool isDue = stored && *stored && **stored <= world_.clock.wallMs();
  if (stored && !isDue && *stored != known) {
    // It was taken back when it was opened.
    alarms_.done(due.object, actor::AlarmOutcome::kCancelled, world_.clock.wallMs(), 0.5);
    return {};
  }
  if (stored && !isDue) return violation(of.name + " was woken for an alarm that it does not have");
  const bool well = stored && turn.setAlarm(std::nullopt) &&
                    turn.put(0, valueId(static_cast<std::uint32_t>(world_.random.below(1000)), ValueSize::kSmall)) &&
                    turn.end();
  if (!turn.wrong().empty()) return violation(turn.wrong());
  if (well) {
    world_.coverage.alarmsRun++;
    alarms_.done(due.object, actor::AlarmOutcome::kOk, world_.clock.wallMs(), 0.5);
    show(object, turn.position());
    return {};
  }
  HF_TRY_VOID(world_.excuse("the alarm of " + of.name, stored ? *turn.error() : stored.error()));
  db->abort({Errc::kCancelled, "reset"});
  close(object);
  retry();
  return {};
}

Result<void> Shard::listNamespace(std::size_t ns) {
  const NamespaceId id = Model::namespaceId(ns);
  const auto listed = store_.listObjects(id, std::nullopt, 1000);
  if (!listed) return world_.excuse("listing a namespace", listed.error());
  std::set<ObjectId> withData;
  for (const storage::StoredObject& object : *listed) {
    if (object.hasStoredData) withData.insert(object.id);
  }
  for (std::size_t i = 0; i < world_.model.size(); i++) {
    const ModelObject& of = world_.model.object(i);
    if (of.key.ns != id) continue;
    const bool isListed = withData.erase(of.key.id) > 0;
    const ObjectState& state = world_.model.state(i);
    if (!isListed && !(state == ObjectState())) return violation(of.name + " has data and is not listed");
    if (isListed && world_.model.isNothing(i)) return violation(of.name + " is listed, and is not there");
  }
  if (!withData.empty()) return violation("an object that never was is listed");
  return {};
}

Result<void> Shard::deleteNamespace(std::size_t ns) {
  const NamespaceId id = Model::namespaceId(ns);
  for (std::size_t i = 0; i < world_.model.size(); i++) {
    if (world_.model.object(i).key.ns == id) close(i);
  }
  const std::uint64_t before = store_.ledger().tail().value;
  const Result<void> deleted = store_.deleteNamespace(id);
  const std::uint64_t after = store_.ledger().tail().value;
  bool isGone = deleted.has_value();
  if (!deleted && after != before) {
    // The round that it ended first may have appended too: what the namespace looks like tells.
    const auto left = store_.listObjects(id, std::nullopt, 1000);
    isGone = left && std::ranges::none_of(*left, &storage::StoredObject::hasStoredData);
  }
  if (isGone) {
    if (world_.isTraced) world_.say("a namespace was deleted, up to " + std::to_string(after));
    world_.model.namespaceDeleted(ns, after);
    world_.coverage.namespacesDeleted++;
    for (std::size_t i = 0; i < world_.model.size(); i++) {
      if (world_.model.object(i).key.ns == id) undos_[i].clear();
    }
    alarms_.removeNamespace(id);
  }
  if (!deleted) return world_.excuse("deleting a namespace", deleted.error());
  if (after == before) return violation("a deletion of a namespace left no record");
  world_.model.acknowledged(after);
  return {};
}

}  // namespace hf::sim
