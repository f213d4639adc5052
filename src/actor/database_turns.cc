// DatabaseTable: which databases are open, and how a turn becomes their commits.
#include <utility>

#include "actor/databases.h"
#include "base/check.h"
#include "js/convert.h"

namespace hf::actor {

DatabaseTable::~DatabaseTable() { closeAll(); }

DatabaseTable::Open* DatabaseTable::get(v8::Isolate* isolate, v8::Local<v8::Value> handle) {
  const auto it = open_.find(static_cast<DatabaseHandle>(handle.As<v8::Number>()->Value()));
  if (it != open_.end()) {
    Open& open = it->second;
    if (std::exchange(open.usedInTurn, turn_) != turn_) connections_.use(it->first, open.place);
    return &open;
  }
  js::throwResultError(isolate, {Errc::kDisconnected, "Durable Object storage is no longer accessible."});
  return nullptr;
}

std::uint64_t DatabaseTable::markWritten(DatabaseHandle handle, Open& open) {
  if (open.tree != 0) {
    markTreeWritten(open.tree);
    return open_.at(open.tree).commits + 1;
  }
  if (!open.listed) {
    open.listed = true;
    dirty_.push_back(handle);
  }
  return open.commits + 1;
}

void DatabaseTable::committed(DatabaseHandle handle, Open& open, std::optional<ledger::Position> position) {
  open.commits++;
  host_.onCommit(handle, open.commits, position);
  if (!std::exchange(open.alarmTouched, false)) return;
  auto at = open.database->alarm();
  if (at) {
    host_.onAlarmStored(open.object, *at, open.name);
  } else {
    host_.onCommitFailed(handle, at.error());
  }
}

void DatabaseTable::endTurn() {
  turn_++;
  for (const DatabaseHandle handle : std::exchange(dirty_, {})) {
    const auto it = open_.find(handle);
    if (it == open_.end()) continue;
    Open& open = it->second;
    open.listed = false;
    if (open.tree != 0 || !open.database->isDirty()) continue;  // broken, or committed during the turn
    auto position = open.database->endTurn();
    if (!position) {
      host_.onCommitFailed(handle, position.error());
    } else if (!open.database->isDirty()) {
      committed(handle, open, *position);
    }
  }
  endTreeTurns();
  releaseExcess();
}

void DatabaseTable::releaseExcess() {
  while (const auto handle = connections_.excess()) {
    Open& open = open_.at(*handle);
    connections_.remove(open.place);
    open.database->releaseMemory();
  }
}

void DatabaseTable::closeAll() {
  cursors_.clear();
  byObject_.clear();
  open_.clear();
  dirty_.clear();
  trees_.clear();
  dirtyTrees_.clear();
}

void DatabaseTable::close(DatabaseHandle handle) {
  const auto it = open_.find(handle);
  if (it == open_.end()) return;
  closeCursorsOf(handle);
  if (it->second.tree != 0) return closeInTree(handle, it->second);
  erase(handle);
}

void DatabaseTable::erase(DatabaseHandle handle) {
  const auto it = open_.find(handle);
  HF_CHECK(it != open_.end(), "what is erased is open");
  closeCursorsOf(handle);
  byObject_.erase(it->second.object);
  connections_.remove(it->second.place);
  open_.erase(it);
}

storage::Database* DatabaseTable::find(const ObjectKey& object) {
  const auto it = byObject_.find(object);
  return it == byObject_.end() ? nullptr : open_.at(it->second).database.get();
}

void DatabaseTable::touch(const ObjectKey& object) {
  const auto it = byObject_.find(object);
  if (it == byObject_.end()) return;
  Open& open = open_.at(it->second);
  open.alarmTouched = true;
  markWritten(it->second, open);
}

std::vector<DatabaseHandle> DatabaseTable::handles() const {
  std::vector<DatabaseHandle> all;
  for (const auto& [handle, open] : open_) all.push_back(handle);
  return all;
}

void DatabaseTable::closeCursorsOf(DatabaseHandle handle) {
  std::erase_if(cursors_, [&](const auto& entry) { return entry.second.database == handle; });
}

}  // namespace hf::actor
