#include "actor/databases.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "actor/sql_values.h"
#include "actor/strings.h"
#include "base/check.h"
#include "base/limits.h"
#include "js/convert.h"

namespace hf::actor {
namespace {

using v8::FunctionCallbackInfo;
using v8::Isolate;
using v8::Local;
using v8::Value;

constexpr char kTooLong[] = "string or blob too big: SQLITE_TOOBIG";

}  // namespace

struct DatabaseTable::Natives {
  using Info = FunctionCallbackInfo<Value>;

  static DatabaseTable& self(const Info& info) { return js::selfOf<DatabaseTable>(info); }

  static void open(const Info& info) {
    DatabaseTable& table = self(info);
    Isolate* isolate = info.GetIsolate();
    ObjectKey object;
    const bool valid = fromHex(js::toUtf8(isolate, info[0]), object.ns.bytes) &&
                       fromHex(js::toUtf8(isolate, info[1]), object.id.bytes);
    HF_CHECK(valid, "the runtime passes ids as C++ gave them");
    if (const auto it = table.byObject_.find(object); it != table.byObject_.end()) {
      info.GetReturnValue().Set(static_cast<double>(it->second));
      return;
    }
    std::string name = info[2]->IsString() ? js::toUtf8(isolate, info[2]) : std::string();
    auto database = table.store_.open(object, name);
    if (!database) return js::throwResultError(isolate, database.error());
    const DatabaseHandle handle = table.nextHandle_++;
    table.open_.emplace(handle, Open{.object = object, .name = std::move(name), .database = *std::move(database)});
    table.byObject_.emplace(object, handle);
    info.GetReturnValue().Set(static_cast<double>(handle));
  }

  static void close(const Info& info) {
    DatabaseTable& table = self(info);
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    const auto it = table.open_.find(handle);
    if (it == table.open_.end()) return;
    table.closeCursorsOf(handle);
    table.byObject_.erase(it->second.object);
    table.connections_.remove(it->second.place);
    table.open_.erase(it);
  }

  static void releaseMemory(const Info& info) {
    const auto it = self(info).open_.find(static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value()));
    if (it == self(info).open_.end()) return;
    it->second.database->releaseMemory();
    self(info).connections_.remove(it->second.place);
  }

  static void broken(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr || !open->database->broken()) return;
    info.GetReturnValue().Set(js::string(info.GetIsolate(), open->database->broken()->message));
  }

  static void abort(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    self(info).closeCursorsOf(static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value()));
    open->database->abort({Errc::kDisconnected, js::toUtf8(info.GetIsolate(), info[1])});
  }

  // --- key-value

  static void kvGet(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    auto value = open->database->get(js::toUtf8(isolate, info[1]));
    if (!value) return js::throwResultError(isolate, value.error());
    if (!*value) return;
    Local<Value> result;
    if (self(info).serializer_->deserialize(isolate->GetCurrentContext(), **value).ToLocal(&result))
      info.GetReturnValue().Set(result);
  }

  static void kvGetMany(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Local<v8::Context> context = isolate->GetCurrentContext();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    std::vector<std::string> keys = toStrings(context, info[1].As<v8::Array>());
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    v8::LocalVector<Value> flat(isolate);
    for (const std::string& key : keys) {
      auto value = open->database->get(key);
      if (!value) return js::throwResultError(isolate, value.error());
      if (!*value) continue;
      Local<Value> result;
      if (!self(info).serializer_->deserialize(context, **value).ToLocal(&result)) return;
      flat.push_back(js::string(isolate, key));
      flat.push_back(result);
    }
    info.GetReturnValue().Set(v8::Array::New(isolate, flat.data(), flat.size()));
  }

  static bool put(const Info& info, Open& open, Local<Value> key, Local<Value> value) {
    Isolate* isolate = info.GetIsolate();
    const std::string keyText = js::toUtf8(isolate, key);
    const auto bytes = self(info).serializer_->serialize(isolate->GetCurrentContext(), value, js::CloneMode::kStorage);
    if (!bytes) return false;
    if (keyText.size() + bytes->size() > limits::kKeyPlusValueBytesMax) {
      js::throwResultError(isolate, {Errc::kSql, kTooLong});
      return false;
    }
    if (auto done = open.database->put(keyText, *bytes); !done) {
      js::throwResultError(isolate, done.error());
      return false;
    }
    return true;
  }

  static void returnWritten(const Info& info, Open& open) {
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    info.GetReturnValue().Set(static_cast<double>(self(info).markWritten(handle, open)));
  }

  static void kvPut(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr || !put(info, *open, info[1], info[2])) return;
    returnWritten(info, *open);
  }

  static void kvPutMany(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Local<v8::Context> context = isolate->GetCurrentContext();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    const auto flat = info[1].As<v8::Array>();
    if (auto begun = open->database->beginSync(); !begun) return js::throwResultError(isolate, begun.error());
    for (std::uint32_t i = 0; i + 1 < flat->Length(); i += 2) {
      Local<Value> key;
      Local<Value> value;
      const bool read = flat->Get(context, i).ToLocal(&key) && flat->Get(context, i + 1).ToLocal(&value);
      if (!read || !put(info, *open, key, value)) {
        HF_IGNORE(open->database->rollbackSync(), "the exception under way says more");
        returnWritten(info, *open);
        return;
      }
    }
    if (auto done = open->database->commitSync(); !done) return js::throwResultError(isolate, done.error());
    returnWritten(info, *open);
  }

  static void kvDelete(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    auto existed = open->database->remove(js::toUtf8(isolate, info[1]));
    if (!existed) return js::throwResultError(isolate, existed.error());
    returnWritten(info, *open);
    info.GetReturnValue().Set(*existed);
  }

  static void kvDeleteMany(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    std::int32_t count = 0;
    for (const std::string& key : toStrings(isolate->GetCurrentContext(), info[1].As<v8::Array>())) {
      auto existed = open->database->remove(key);
      if (!existed) return js::throwResultError(isolate, existed.error());
      if (*existed) count++;
    }
    returnWritten(info, *open);
    info.GetReturnValue().Set(count);
  }

  static std::optional<std::string> field(Local<v8::Context> context, Local<v8::Object> object, const char* name) {
    Local<Value> value;
    if (!object->Get(context, js::internalized(v8::Isolate::GetCurrent(), name)).ToLocal(&value) ||
        !value->IsString()) {
      return std::nullopt;
    }
    return js::toUtf8(v8::Isolate::GetCurrent(), value);
  }

  static void kvList(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Local<v8::Context> context = isolate->GetCurrentContext();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    const auto given = info[1].As<v8::Object>();
    storage::ListOptions options;
    options.start = field(context, given, "start");
    options.startAfter = field(context, given, "startAfter");
    options.end = field(context, given, "end");
    options.prefix = field(context, given, "prefix").value_or("");
    Local<Value> value;
    if (!given->Get(context, js::string(isolate, "reverse")).ToLocal(&value)) return;
    options.reverse = value->BooleanValue(isolate);
    if (!given->Get(context, js::string(isolate, "limit")).ToLocal(&value)) return;
    if (value->IsNumber()) options.limit = static_cast<std::uint64_t>(value.As<v8::Number>()->Value());
    auto entries = open->database->list(options);
    if (!entries) return js::throwResultError(isolate, entries.error());
    v8::LocalVector<Value> flat(isolate);
    flat.reserve(entries->size() * 2);
    for (const storage::ListEntry& entry : *entries) {
      Local<Value> item;
      if (!self(info).serializer_->deserialize(context, entry.value).ToLocal(&item)) return;
      flat.push_back(js::string(isolate, entry.key));
      flat.push_back(item);
    }
    info.GetReturnValue().Set(v8::Array::New(isolate, flat.data(), flat.size()));
  }

  static void kvDeleteAll(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    const bool withAlarm = info[1]->BooleanValue(isolate);
    auto done = open->database->deleteAll(withAlarm ? storage::DeleteAlarm::kYes : storage::DeleteAlarm::kNo);
    if (!done) return js::throwResultError(isolate, done.error());
    if (withAlarm) open->alarmTouched = true;
    returnWritten(info, *open);
  }

  static void pendingCommit(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    info.GetReturnValue().Set(static_cast<double>(open->database->isDirty() ? open->commits + 1 : 0));
  }

  static void lastCommit(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open != nullptr) info.GetReturnValue().Set(static_cast<double>(open->commits));
  }

  static void commitNow(const Info& info) {
    DatabaseTable& table = self(info);
    Open* open = table.get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    const bool wasDirty = open->database->isDirty();
    auto position = open->database->endTurn();
    if (!position) return js::throwResultError(info.GetIsolate(), position.error());
    if (wasDirty && !open->database->isDirty()) table.committed(handle, *open, *position);
    info.GetReturnValue().Set(static_cast<double>(open->commits));
  }

  // --- alarm

  static void alarmGet(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    auto at = open->database->alarm();
    if (!at) return js::throwResultError(isolate, at.error());
    if (*at) {
      info.GetReturnValue().Set(static_cast<double>(**at));
    } else {
      info.GetReturnValue().SetNull();
    }
  }

  static void alarmSet(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    std::optional<WallMs> at;
    if (info[1]->IsNumber()) at = static_cast<WallMs>(info[1].As<v8::Number>()->Value());
    if (auto done = open->database->setAlarm(at); !done) return js::throwResultError(isolate, done.error());
    open->alarmTouched = true;
    returnWritten(info, *open);
  }

  // --- SQL

  static void sqlExec(const Info& info) {
    DatabaseTable& table = self(info);
    Isolate* isolate = info.GetIsolate();
    Local<v8::Context> context = isolate->GetCurrentContext();
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    auto bindings = toSqlValues(context, info[2].As<v8::Array>());
    if (!bindings) return js::throwResultError(isolate, bindings.error());
    auto cursor = open->database->exec(js::toUtf8(isolate, info[1]), *std::move(bindings));
    const std::uint64_t commit = open->database->isDirty() ? table.markWritten(handle, *open) : 0;
    if (!cursor) return js::throwResultError(isolate, cursor.error());
    storage::Cursor& running = **cursor;
    v8::LocalVector<Value> columns(isolate);
    for (const std::string& name : running.columnNames()) columns.push_back(js::string(isolate, name));
    Local<Value> row = v8::Undefined(isolate);
    std::uint64_t id = 0;
    const double read = static_cast<double>(running.rowsRead());
    const double written = static_cast<double>(running.rowsWritten());
    if (running.hasRow()) {
      row = rowToV8(isolate, running);
      id = table.nextCursor_++;
      table.cursors_.emplace(id, OpenCursor{.database = handle, .cursor = *std::move(cursor)});
    }
    const auto key = [&](const char* name) { return js::internalized(isolate, name).As<v8::Name>(); };
    Local<v8::Name> names[] = {key("cursor"),   key("columns"),     key("row"),
                               key("rowsRead"), key("rowsWritten"), key("commit")};
    Local<Value> values[] = {v8::Number::New(isolate, static_cast<double>(id)),
                             v8::Array::New(isolate, columns.data(), columns.size()),
                             row,
                             v8::Number::New(isolate, read),
                             v8::Number::New(isolate, written),
                             v8::Number::New(isolate, static_cast<double>(commit))};
    info.GetReturnValue().Set(v8::Object::New(isolate, v8::Null(isolate), names, values, std::size(names)));
  }

  static OpenCursor* cursor(const Info& info) {
    DatabaseTable& table = self(info);
    const auto it = table.cursors_.find(static_cast<std::uint64_t>(info[0].As<v8::Number>()->Value()));
    return it == table.cursors_.end() ? nullptr : &it->second;
  }

  // A write with RETURNING goes on writing while it is read.
  static bool advance(const Info& info, OpenCursor& running) {
    DatabaseTable& table = self(info);
    auto moved = running.cursor->advance();
    if (const auto it = table.open_.find(running.database); it != table.open_.end() && it->second.database->isDirty()) {
      table.markWritten(running.database, it->second);
    }
    if (moved) return true;
    js::throwResultError(info.GetIsolate(), moved.error());
    return false;
  }

  static void cursorNext(const Info& info) {
    OpenCursor* running = cursor(info);
    if (running == nullptr || !running->cursor->hasRow()) return;
    if (!advance(info, *running) || !running->cursor->hasRow()) return;
    info.GetReturnValue().Set(rowToV8(info.GetIsolate(), *running->cursor));
  }

  static void cursorAll(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    v8::LocalVector<Value> rows(isolate);
    OpenCursor* running = cursor(info);
    if (running != nullptr) {
      while (running->cursor->hasRow()) {
        if (!advance(info, *running)) return;
        if (running->cursor->hasRow()) rows.push_back(rowToV8(isolate, *running->cursor));
      }
    }
    info.GetReturnValue().Set(v8::Array::New(isolate, rows.data(), rows.size()));
  }

  static void cursorCounters(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    const OpenCursor* running = cursor(info);
    const double read = running == nullptr ? 0 : static_cast<double>(running->cursor->rowsRead());
    const double written = running == nullptr ? 0 : static_cast<double>(running->cursor->rowsWritten());
    Local<Value> both[] = {v8::Number::New(isolate, read), v8::Number::New(isolate, written)};
    info.GetReturnValue().Set(v8::Array::New(isolate, both, 2));
  }

  static void cursorClose(const Info& info) {
    self(info).cursors_.erase(static_cast<std::uint64_t>(info[0].As<v8::Number>()->Value()));
  }

  static void databaseSize(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    auto size = open->database->databaseSize();
    if (!size) return js::throwResultError(info.GetIsolate(), size.error());
    info.GetReturnValue().Set(static_cast<double>(*size));
  }

  // --- transactions

  template <Result<void> (storage::Database::*Step)()>
  static void step(const Info& info) {
    DatabaseTable& table = self(info);
    Open* open = table.get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    auto done = ((*open->database).*Step)();
    if (open->database->isDirty()) {
      table.markWritten(static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value()), *open);
    }
    if (!done) js::throwResultError(info.GetIsolate(), done.error());
  }

  // beginTransaction commits the implicit transaction first: that commit is counted here, where its number is known.
  static void transactionBegin(const Info& info) {
    DatabaseTable& table = self(info);
    Isolate* isolate = info.GetIsolate();
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    const bool wasDirty = open->database->isDirty();
    auto position = open->database->endTurn();
    if (!position) return js::throwResultError(isolate, position.error());
    if (wasDirty && !open->database->isDirty()) table.committed(handle, *open, *position);
    if (auto begun = open->database->beginTransaction(); !begun) js::throwResultError(isolate, begun.error());
  }

  static void transactionCommit(const Info& info) {
    DatabaseTable& table = self(info);
    Isolate* isolate = info.GetIsolate();
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    if (auto done = open->database->commitTransaction(); !done) return js::throwResultError(isolate, done.error());
    if (open->database->isDirty()) return info.GetReturnValue().Set(0);
    auto position = open->database->endTurn();
    if (!position) return js::throwResultError(isolate, position.error());
    table.committed(handle, *open, *position);
    info.GetReturnValue().Set(static_cast<double>(open->commits));
  }

  static void transactionRollback(const Info& info) { step<&storage::Database::rollbackTransaction>(info); }
};

DatabaseTable::~DatabaseTable() { closeAll(); }

void DatabaseTable::install(v8::Local<v8::Context> context, v8::Local<v8::Object> native, js::Serializer& serializer) {
  serializer_ = &serializer;
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    js::setMethod(context, native, name, callback, this);
  };
  add("databaseOpen", Natives::open);
  add("databaseClose", Natives::close);
  add("databaseReleaseMemory", Natives::releaseMemory);
  add("databaseBroken", Natives::broken);
  add("databaseAbort", Natives::abort);
  add("kvGet", Natives::kvGet);
  add("kvGetMany", Natives::kvGetMany);
  add("kvPut", Natives::kvPut);
  add("kvPutMany", Natives::kvPutMany);
  add("kvDelete", Natives::kvDelete);
  add("kvDeleteMany", Natives::kvDeleteMany);
  add("kvList", Natives::kvList);
  add("kvDeleteAll", Natives::kvDeleteAll);
  add("pendingCommit", Natives::pendingCommit);
  add("lastCommit", Natives::lastCommit);
  add("commitNow", Natives::commitNow);
  add("alarmGet", Natives::alarmGet);
  add("alarmSet", Natives::alarmSet);
  add("sqlExec", Natives::sqlExec);
  add("cursorNext", Natives::cursorNext);
  add("cursorAll", Natives::cursorAll);
  add("cursorCounters", Natives::cursorCounters);
  add("cursorClose", Natives::cursorClose);
  add("databaseSize", Natives::databaseSize);
  add("syncBegin", Natives::step<&storage::Database::beginSync>);
  add("syncCommit", Natives::step<&storage::Database::commitSync>);
  add("syncRollback", Natives::step<&storage::Database::rollbackSync>);
  add("transactionBegin", Natives::transactionBegin);
  add("transactionCommit", Natives::transactionCommit);
  add("transactionRollback", Natives::transactionRollback);
  installBookmarks(context, native);
}

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
    if (!open.database->isDirty()) continue;  // broken, or committed during the turn
    auto position = open.database->endTurn();
    if (!position) {
      host_.onCommitFailed(handle, position.error());
    } else if (!open.database->isDirty()) {
      committed(handle, open, *position);
    }
  }
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
