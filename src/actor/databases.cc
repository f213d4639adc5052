#include "actor/databases.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "actor/sql_values.h"
#include "actor/strings.h"
#include "base/check.h"
#include "base/limits.h"
#include "js/convert.h"
#include "js/environment.h"

namespace hf::actor {
namespace {

using v8::FunctionCallbackInfo;
using v8::Isolate;
using v8::Local;
using v8::Value;

constexpr char kTooLong[] = "string or blob too big: SQLITE_TOOBIG";
constexpr char kTooManyRows[] =
    "SQL query result set is too large to fit in memory. Use a streaming iterator (e.g. `for (const row of cursor)` or "
    "`cursor.raw()`) or add a LIMIT clause instead of calling toArray() on a very large result set.";
constexpr char kTooManyEntries[] =
    "The result of list() is too large to fit in memory. Read it in portions, with `limit` and `startAfter`, or "
    "iterate "
    "over storage.kv.list().";
constexpr std::size_t kRowsBetweenHeapLooks = 1024;

// A result that V8 cannot hold ends the call instead of the isolate. Rows become objects yet, which takes as much
// again.
bool isHeapNearlyFull() {
  const js::Environment& environment = *js::Environment::current();
  return environment.heapBytes() > environment.heapBytesMax() / 8 * 5;
}

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
    self(info).close(static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value()));
  }

  static void releaseMemory(const Info& info) {
    const auto it = self(info).open_.find(static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value()));
    if (it == self(info).open_.end()) return;
    it->second.database->releaseMemory();
    self(info).connections_.remove(it->second.place);
    const auto tree = self(info).trees_.find(it->first);
    if (tree != self(info).trees_.end() && tree->second.index != 0) {
      self(info).open_.at(tree->second.index).database->releaseMemory();
    }
  }

  static void broken(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr || !open->database->broken()) return;
    // kSql: a transaction that is too large, a statement that takes too long or too much memory.
    const Errc code = open->database->broken()->code;
    const bool user = code == Errc::kSql || code == Errc::kCancelled;
    info.GetReturnValue().Set(js::internalized(info.GetIsolate(), user ? "user" : "infrastructure"));
  }

  static void abort(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    self(info).closeCursorsOf(static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value()));
    // What its tree is about to commit goes on; it is closed in a moment.
    if (open->tree != 0) {
      HF_IGNORE(open->database->rollbackTurn(), "it may be broken already");
      return;
    }
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
      flat.push_back(js::internalized(isolate, key));
      flat.push_back(result);
    }
    info.GetReturnValue().Set(v8::Array::New(isolate, flat.data(), flat.size()));
  }

  // User code runs in getters of the value, and may end the object: databases are looked up afterwards. False: an
  // exception is pending.
  static bool serialize(const Info& info, Local<Value> key, Local<Value> value, std::string& keyText,
                        BytesView& bytes) {
    Isolate* isolate = info.GetIsolate();
    keyText = js::toUtf8(isolate, key);
    const auto made = self(info).serializer_->serialize(isolate->GetCurrentContext(), value, js::CloneMode::kStorage);
    if (!made) return false;
    bytes = *made;
    if (keyText.size() + bytes.size() <= limits::kKeyPlusValueBytesMax) return true;
    js::throwResultError(isolate, {Errc::kSql, kTooLong});
    return false;
  }

  // The commit that a write will be part of; 0 when nothing was written and no transaction is open. A transaction that
  // a failed write has opened ends with the turn as well.
  static void answerWritten(const Info& info, Open& open, const Result<void>& done) {
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    const std::uint64_t commit = open.database->isDirty() ? self(info).markWritten(handle, open) : 0;
    if (!done) return js::throwResultError(info.GetIsolate(), done.error());
    info.GetReturnValue().Set(static_cast<double>(commit));
  }

  static void kvPut(const Info& info) {
    std::string key;
    BytesView bytes;
    if (!serialize(info, info[1], info[2], key, bytes)) return;
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    answerWritten(info, *open, open->database->put(key, bytes));
  }

  static Result<void> putAll(storage::Database& database, const std::vector<storage::ListEntry>& entries) {
    HF_TRY_VOID(database.beginSync());
    for (const storage::ListEntry& entry : entries) {
      if (auto done = database.put(entry.key, entry.value); !done) {
        HF_IGNORE(database.rollbackSync(), "the error that led here says more");
        return done;
      }
    }
    return database.commitSync();
  }

  static void kvPutMany(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Local<v8::Context> context = isolate->GetCurrentContext();
    const auto flat = info[1].As<v8::Array>();
    std::vector<storage::ListEntry> entries;
    for (std::uint32_t i = 0; i + 1 < flat->Length(); i += 2) {
      Local<Value> key;
      Local<Value> value;
      std::string keyText;
      BytesView bytes;
      if (!flat->Get(context, i).ToLocal(&key) || !flat->Get(context, i + 1).ToLocal(&value) ||
          !serialize(info, key, value, keyText, bytes)) {
        return;
      }
      entries.push_back({.key = std::move(keyText), .value = Bytes(bytes.begin(), bytes.end())});
    }
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    answerWritten(info, *open, putAll(*open->database, entries));
  }

  static void kvDelete(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    auto existed = open->database->remove(js::toUtf8(isolate, info[1]));
    answerWritten(info, *open, existed ? Result<void>() : std::unexpected(existed.error()));
    if (existed) info.GetReturnValue().Set(*existed);
  }

  static void kvDeleteMany(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    std::int32_t count = 0;
    Result<void> done;
    for (const std::string& key : toStrings(isolate->GetCurrentContext(), info[1].As<v8::Array>())) {
      const auto existed = open->database->remove(key);
      if (!existed) {
        done = std::unexpected(existed.error());
        break;
      }
      if (*existed) count++;
    }
    answerWritten(info, *open, done);
    if (done) info.GetReturnValue().Set(count);
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
    Local<Value> reverse;
    Local<Value> limit;
    Local<Value> bytesMax;
    if (!given->Get(context, js::internalized(isolate, "reverse")).ToLocal(&reverse) ||
        !given->Get(context, js::internalized(isolate, "limit")).ToLocal(&limit) ||
        !given->Get(context, js::internalized(isolate, "bytesMax")).ToLocal(&bytesMax)) {
      return;
    }
    options.reverse = reverse->BooleanValue(isolate);
    if (limit->IsNumber()) options.limit = static_cast<std::uint64_t>(limit.As<v8::Number>()->Value());
    double left = bytesMax->IsNumber() ? bytesMax.As<v8::Number>()->Value() : HUGE_VAL;
    v8::LocalVector<Value> flat(isolate);
    bool threw = false;
    std::size_t count = 0;
    // No JavaScript runs while a value is read, so that nobody uses the database meanwhile.
    auto walked = open->database->visit(options, [&](std::string_view key, BytesView bytes) {
      Local<Value> item;
      if (!self(info).serializer_->deserialize(context, bytes).ToLocal(&item)) {
        threw = true;
        return storage::Walk::kStop;
      }
      // Keys of a Map are internalized sooner or later: at once, no copy of each is made first.
      flat.push_back(js::internalized(isolate, key));
      flat.push_back(item);
      if (++count % kRowsBetweenHeapLooks == 0 && isHeapNearlyFull()) {
        threw = true;
        js::throwError(isolate, kTooManyEntries);
        return storage::Walk::kStop;
      }
      left -= static_cast<double>(key.size() + bytes.size());
      return left > 0 ? storage::Walk::kGoOn : storage::Walk::kStop;
    });
    if (threw) return;
    if (!walked) return js::throwResultError(isolate, walked.error());
    info.GetReturnValue().Set(v8::Array::New(isolate, flat.data(), flat.size()));
  }

  static void kvDeleteAll(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    const bool withAlarm = info[1]->BooleanValue(info.GetIsolate());
    if (open->tree != 0 && !self(info).commitTree(open->tree)) return throwReset(info);
    const auto done = open->database->deleteAll(withAlarm ? storage::DeleteAlarm::kYes : storage::DeleteAlarm::kNo);
    if (withAlarm && done) open->alarmTouched = true;
    answerWritten(info, *open, done);
  }

  static void throwReset(const Info& info) {
    js::throwResultError(info.GetIsolate(), {Errc::kDisconnected, "Durable Object storage is no longer accessible."});
  }

  static void pendingCommit(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    info.GetReturnValue().Set(
        static_cast<double>(open->database->isDirty() ? self(info).counterOf(*open).commits + 1 : 0));
  }

  static void lastCommit(const Info& info) {
    Open* open = self(info).get(info.GetIsolate(), info[0]);
    if (open != nullptr) info.GetReturnValue().Set(static_cast<double>(self(info).counterOf(*open).commits));
  }

  static void commitNow(const Info& info) {
    DatabaseTable& table = self(info);
    Open* open = table.get(info.GetIsolate(), info[0]);
    if (open == nullptr) return;
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    if (open->tree != 0) {
      if (!table.commitTree(open->tree)) return throwReset(info);
      return info.GetReturnValue().Set(static_cast<double>(table.counterOf(*open).commits));
    }
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
    const auto done = open->database->setAlarm(at);
    if (done) open->alarmTouched = true;
    answerWritten(info, *open, done);
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
    std::size_t count = 0;
    if (running != nullptr) {
      while (running->cursor->hasRow()) {
        if (!advance(info, *running)) return;
        if (running->cursor->hasRow()) rows.push_back(rowToV8(isolate, *running->cursor));
        if (++count % kRowsBetweenHeapLooks == 0 && isHeapNearlyFull()) {
          return js::throwError(isolate, kTooManyRows);
        }
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
    if (open->tree != 0) {
      if (!table.commitTree(open->tree)) return throwReset(info);
    } else {
      const bool wasDirty = open->database->isDirty();
      auto position = open->database->endTurn();
      if (!position) return js::throwResultError(isolate, position.error());
      if (wasDirty && !open->database->isDirty()) table.committed(handle, *open, *position);
    }
    if (auto begun = open->database->beginTransaction(); !begun) js::throwResultError(isolate, begun.error());
  }

  static void transactionCommit(const Info& info) {
    DatabaseTable& table = self(info);
    Isolate* isolate = info.GetIsolate();
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    const auto handle = static_cast<DatabaseHandle>(info[0].As<v8::Number>()->Value());
    if (open->tree != 0 && open->database->transactionDepth() == 1) {
      if (auto done = open->database->yieldTransaction(); !done) return js::throwResultError(isolate, done.error());
      if (!table.commitTree(open->tree)) return throwReset(info);
      return info.GetReturnValue().Set(static_cast<double>(table.counterOf(*open).commits));
    }
    if (auto done = open->database->commitTransaction(); !done) return js::throwResultError(isolate, done.error());
    if (open->database->isDirty()) return info.GetReturnValue().Set(0);
    auto position = open->database->endTurn();
    if (!position) return js::throwResultError(isolate, position.error());
    table.committed(handle, *open, *position);
    info.GetReturnValue().Set(static_cast<double>(open->commits));
  }

  static void transactionRollback(const Info& info) { step<&storage::Database::rollbackTransaction>(info); }
};

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
  installFacets(context, native);
}

}  // namespace hf::actor
