// Point-in-time recovery: requests, and what they must lead to.
#include <utility>

#include "sim/shard.h"

namespace hf::sim {

Result<void> Shard::excuseRestore(const std::string& what, const Error& error) {
  // A checkpoint without space gives the oldest history up.
  const bool mayBeGone = world_.plan.isHistoryShort() || world_.plan.hasFullDisk || world_.plan.hasFailures;
  if (error.code == Errc::kNotFound && mayBeGone) return {};
  return world_.excuse(what, error);
}

Result<void> Shard::requestRestore(std::size_t object) {
  const ModelObject& of = world_.model.object(object);
  if (world_.model.isNothing(object)) return {};
  std::string bookmark;
  Wanted wanted;
  if (!undos_[object].empty() && world_.chance(4)) {
    const Undo& undo = undos_[object][world_.random.below(undos_[object].size())];
    bookmark = undo.bookmark;
    wanted = undo.wanted;
  } else {
    // What was before the object was deleted with its namespace cannot be asked for.
    std::size_t first = of.history.size();
    while (first > 0 && !of.history[first - 1].isNothing) first--;
    wanted.position = of.history[first + world_.random.below(of.history.size() - first)].end;
    const Result<std::string> text = store_.bookmark(of.key, ledger::Position{wanted.position});
    if (!text) return violation("no bookmark: " + text.error().message);
    bookmark = *text;
  }
  const std::uint64_t before = store_.ledger().tail().value;
  const Result<storage::RestoreRequested> requested = store_.requestRestore(of.key, bookmark);
  const std::uint64_t after = store_.ledger().tail().value;
  if (!requested) {
    if (after != before) return violation("a request that was refused is with the ledger");
    return excuseRestore("a request to take " + of.name + " back", requested.error());
  }
  if (world_.isTraced) {
    world_.say(of.name + ": to be taken back to " + std::to_string(wanted.position) + (wanted.isUndo ? " (undo)" : "") +
               ", up to " + std::to_string(after));
  }
  if (after == before || requested->position.value != after) return violation("a request has another position");
  world_.model.restoreRequested(object, after, wanted);
  undos_[object].push_back({.bookmark = requested->undo, .wanted = {.position = after, .isUndo = true}});
  waiting_.push_back({.position = after, .end = after});
  if (!world_.chance(4)) close(object);
  return {};
}

Result<void> Shard::compareRestores() const {
  for (std::size_t i = 0; i < world_.model.size(); i++) {
    const ModelObject& of = world_.model.object(i);
    if (store_.hasRestoreRequest(of.key) == world_.model.pendingRestore(i).has_value()) continue;
    return violation("a request to take " + of.name + " back is " +
                     (world_.model.pendingRestore(i) ? "forgotten" : "there, and was carried out or never made"));
  }
  return {};
}

Result<void> Shard::restore(std::size_t object) {
  const ModelObject& of = world_.model.object(object);
  const std::optional<Wanted> wanted = world_.model.pendingRestore(object);
  if (!wanted) return violation(of.name + " has a request that nobody made");
  // A copy: the history that it stands in grows.
  const ObjectState expected = world_.model.past(object, *wanted);
  const std::uint64_t before = store_.ledger().tail().value;
  std::optional<Result<std::optional<WallMs>>> outcome;
  store_.restore(of.key, of.name, executor_, [&](Result<std::optional<WallMs>> done) { outcome = std::move(done); });
  for (int steps = 0; !outcome && steps < 1000; steps++) {
    store_.step();
    executor_.run();
  }
  if (!outcome) return violation("taking " + of.name + " back does not end");
  return restoreEnded(object, before, expected, *outcome);
}

Result<void> Shard::restoreEnded(std::size_t object, std::uint64_t before, const ObjectState& expected,
                                 const Result<std::optional<WallMs>>& outcome) {
  const ModelObject& of = world_.model.object(object);
  // Its last commit tells whether the restoration is one.
  auto opened = store_.open(of.key, of.name);
  std::optional<ledger::Position> last;
  if (opened) {
    databases_[object] = *std::move(opened);
    HF_TRY(last, databases_[object]->endTurn());
  }
  const bool hasCommitted = last && last->value > before;
  if (hasCommitted) {
    if (world_.isTraced) world_.say(of.name + ": taken back, up to " + std::to_string(last->value));
    noteAlarm(object, world_.model.state(object).alarm, expected.alarm);
    world_.model.restored(object, last->value, expected);
    world_.coverage.restores++;
    world_.mix(last->value);
  }
  if (!outcome) {
    HF_TRY_VOID(excuseRestore("taking " + of.name + " back", outcome.error()));
    if (!hasCommitted && !store_.hasRestoreRequest(of.key)) {
      world_.model.restoreRequested(object, store_.ledger().tail().value, std::nullopt);
    }
    return {};
  }
  if (!hasCommitted) return violation(of.name + " was taken back without a commit");
  if (*outcome != expected.alarm) return violation(of.name + " has another alarm than before");
  world_.model.acknowledged(last->value);
  return compare(object, Thoroughly::kYes);
}

}  // namespace hf::sim
