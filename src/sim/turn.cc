#include "sim/turn.h"

#include <utility>

namespace hf::sim {
namespace {

constexpr std::uint32_t kKeys = 12;
constexpr std::int64_t kRows = 10;

}  // namespace

Turn::Turn(Shard& shard, std::size_t object, storage::Database& db)
    : shard_(shard), world_(shard.world_), object_(object), db_(db), state_(world_.model.state(object)) {}

bool Turn::isWrong(std::string text) {
  wrong_ = world_.model.object(object_).name + ": " + std::move(text);
  return false;
}

template <class T>
bool Turn::went(const Result<T>& result) {
  if (!result) error_ = result.error();
  return result.has_value();
}

template <class F>
bool Turn::mayCommit(const F& call) {
  const std::uint64_t before = shard_.store_.ledger().tail().value;
  const bool well = went(call());
  const std::uint64_t after = shard_.store_.ledger().tail().value;
  if (after == before) {
    if (!well || state_ == world_.model.state(object_)) return well;
    return isWrong("a commit said yes and left no record");
  }
  shard_.committed(object_, after, state_);
  return well || isWrong("a commit that failed is with the ledger: " + error_->message);
}

ValueId Turn::newValue() {
  ValueSize size = world_.chance(8) ? ValueSize::kPages : ValueSize::kSmall;
  if (world_.plan.hasLargeValues && world_.chance(40)) size = ValueSize::kLarge;
  return valueId(static_cast<std::uint32_t>(world_.random.below(1U << 28)), size);
}

bool Turn::run() { return work() && end(); }

bool Turn::work() {
  if (world_.isTraced) world_.say(world_.model.object(object_).name + ": a turn");
  if (world_.chance(5)) {
    if (!explicitTransaction(1)) return false;
  } else if (world_.chance(20)) {
    if (!changes(1, false) || !deleteAll() || !changes(1, false)) return false;
  } else if (!changes(0, false)) {
    return false;
  }
  return true;
}

bool Turn::furtherTurn() {
  db_.markTurn();
  const ObjectState before = state_;
  if (!changes(0, false)) return false;
  if (!world_.chance(3)) return true;
  state_ = before;
  return went(db_.rollbackTurn());
}

bool Turn::end() {
  return mayCommit([&]() -> Result<void> {
    HF_TRY(position_, db_.endTurn());
    return {};
  });
}

bool Turn::changes(int depth, bool isSync) {
  for (std::uint64_t left = world_.random.below(5); left > 0; left--) {
    const bool nests = depth < 3 && world_.chance(8);
    if (!(nests ? syncTransaction(depth + 1) : change())) return false;
  }
  return true;
}

bool Turn::explicitTransaction(int depth) {
  if (depth == 1 && world_.chance(2) && !changes(3, false)) return false;
  if (depth == 1) {
    if (!mayCommit([&] { return db_.beginTransaction(); })) return false;
  } else if (!went(db_.beginTransaction())) {
    return false;
  }
  const ObjectState before = state_;
  if (!changes(2, false)) return false;
  if (depth < 3 && world_.chance(3) && !explicitTransaction(depth + 1)) return false;
  if (!changes(2, false)) return false;
  if (world_.chance(3)) {
    state_ = before;
    return went(db_.rollbackTransaction());
  }
  if (depth > 1) return went(db_.commitTransaction());
  return mayCommit([&] { return db_.commitTransaction(); });
}

bool Turn::syncTransaction(int depth) {
  if (!went(db_.beginSync())) return false;
  const ObjectState before = state_;
  if (!changes(depth, true)) return false;
  if (!world_.chance(3)) return went(db_.commitSync());
  state_ = before;
  return went(db_.rollbackSync());
}

bool Turn::change() {
  switch (world_.random.below(12)) {
    case 0:
      return removeKey();
    case 1:
    case 2:
      return insertRow();
    case 3:
      return removeRow();
    case 4: {
      std::optional<WallMs> at;
      if (!world_.chance(4)) at = world_.clock.wallMs() + static_cast<WallMs>(world_.random.below(20'000));
      return setAlarm(at);
    }
    case 5:
    case 6:
      return readKey();
    default:
      return put(static_cast<std::uint32_t>(world_.random.below(kKeys)), newValue());
  }
}

bool Turn::put(std::uint32_t key, ValueId value) {
  state_.kv[key] = value;
  return went(db_.put(keyText(key), asBytes(valueText(value))));
}

bool Turn::removeKey() {
  const auto key = static_cast<std::uint32_t>(world_.random.below(kKeys));
  const Result<bool> existed = db_.remove(keyText(key));
  if (!went(existed)) return false;
  if (*existed != (state_.kv.erase(key) > 0)) return isWrong("delete of key " + std::to_string(key) + " was mistaken");
  return true;
}

bool Turn::readKey() {
  const auto key = static_cast<std::uint32_t>(world_.random.below(kKeys));
  const Result<std::optional<Bytes>> found = db_.get(keyText(key));
  if (!went(found)) return false;
  const auto it = state_.kv.find(key);
  if (found->has_value() != (it != state_.kv.end())) {
    return isWrong("key " + std::to_string(key) + (found->has_value() ? " should not be there" : " is missing"));
  }
  if (found->has_value() && asText(**found) != valueText(it->second)) {
    return isWrong("key " + std::to_string(key) + " holds something else");
  }
  return true;
}

bool Turn::exec(const char* sql, std::vector<storage::SqlValue> bindings) {
  const auto cursor = db_.exec(sql, std::move(bindings));
  return went(cursor);
}

bool Turn::insertRow() {
  if (!state_.hasTable) {
    if (!exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", {})) return false;
    if (world_.chance(2) && !exec("CREATE INDEX i ON t (v)", {})) return false;
    state_.hasTable = true;
  }
  const auto row = static_cast<std::int64_t>(world_.random.below(kRows));
  const ValueId value = newValue();
  state_.rows[row] = value;
  return exec("INSERT OR REPLACE INTO t VALUES (?, ?)", {row, valueText(value)});
}

bool Turn::removeRow() {
  if (!state_.hasTable) return true;
  const auto row = static_cast<std::int64_t>(world_.random.below(kRows));
  state_.rows.erase(row);
  return exec("DELETE FROM t WHERE id = ?", {row});
}

bool Turn::setAlarm(std::optional<WallMs> at) {
  state_.alarm = at;
  return went(db_.setAlarm(at));
}

bool Turn::deleteAll() {
  const bool keepsAlarm = world_.chance(2);
  const std::optional<WallMs> alarm = keepsAlarm ? state_.alarm : std::nullopt;
  state_ = {};
  state_.alarm = alarm;
  return went(db_.deleteAll(keepsAlarm ? storage::DeleteAlarm::kNo : storage::DeleteAlarm::kYes));
}

}  // namespace hf::sim
