// Point-in-time recovery for TypeScript: bookmarks, requests, and the restoration before an object starts.
#include <optional>
#include <string>
#include <utility>

#include "actor/databases.h"
#include "base/check.h"
#include "js/convert.h"

namespace hf::actor {
namespace {

using v8::FunctionCallbackInfo;
using v8::Isolate;
using v8::Value;

ObjectKey objectOf(Isolate* isolate, const FunctionCallbackInfo<Value>& info, int first) {
  ObjectKey object;
  const bool valid = fromHex(js::toUtf8(isolate, info[first]), object.ns.bytes) &&
                     fromHex(js::toUtf8(isolate, info[first + 1]), object.id.bytes);
  HF_CHECK(valid, "the runtime passes ids as C++ gave them");
  return object;
}

double numberOf(v8::Local<Value> value) { return value.As<v8::Number>()->Value(); }

}  // namespace

struct DatabaseTable::BookmarkNatives {
  using Info = FunctionCallbackInfo<Value>;
  static DatabaseTable& self(const Info& info) { return js::selfOf<DatabaseTable>(info); }

  // bookmark(db): of what is committed.
  static void bookmark(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    Open* open = self(info).get(isolate, info[0]);
    if (open == nullptr) return;
    // Facets are taken back with their root: their bookmarks are the root's, and say where all of them are.
    DatabaseTable& table = self(info);
    const ObjectKey object = table.counterOf(*open).object;
    Result<bool> hasFacets = open->tree != 0 ? Result<bool>(true) : table.store_.hasFacets(object);
    if (!hasFacets) return js::throwResultError(isolate, hasFacets.error());
    const ledger::Position position = *hasFacets ? table.store_.ledger().tail() : open->database->version();
    const Result<std::string> text = table.store_.bookmark(object, position);
    if (!text) return js::throwResultError(isolate, text.error());
    info.GetReturnValue().Set(js::string(isolate, *text));
  }

  // bookmarkForTime(job, db, ms): answered by Runtime.storageReply.
  static void bookmarkForTime(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    DatabaseTable& table = self(info);
    Open* open = table.get(isolate, info[1]);
    if (open == nullptr) return;
    table.store_.bookmarkForTime(table.counterOf(*open).object, static_cast<WallMs>(numberOf(info[2])),
                                 table.host_.executor(),
                                 table.host_.storageReply(static_cast<std::uint64_t>(numberOf(info[0]))));
  }

  // restoreRequest(db, bookmark): the undo bookmark. Counts as a commit.
  static void restoreRequest(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    DatabaseTable& table = self(info);
    Open* open = table.get(isolate, info[0]);
    if (open == nullptr) return;
    auto requested = table.store_.requestRestore(open->object, js::toUtf8(isolate, info[1]));
    if (!requested) return js::throwResultError(isolate, requested.error());
    table.committed(static_cast<DatabaseHandle>(numberOf(info[0])), *open, requested->position);
    info.GetReturnValue().Set(js::string(isolate, requested->undo));
  }

  static void restorePending(const Info& info) {
    info.GetReturnValue().Set(self(info).store_.hasRestoreRequest(objectOf(info.GetIsolate(), info, 0)));
  }

  // restoreObject(job, ns, id, name): answered by Runtime.storageReply.
  static void restoreObject(const Info& info) {
    Isolate* isolate = info.GetIsolate();
    DatabaseTable& table = self(info);
    const ObjectKey object = objectOf(isolate, info, 1);
    std::string name = info[3]->IsString() ? js::toUtf8(isolate, info[3]) : std::string();
    table.store_.restore(object, name, table.host_.executor(),
                         table.host_.restoreReply(static_cast<std::uint64_t>(numberOf(info[0])), object, name));
  }
};

void DatabaseTable::installBookmarks(v8::Local<v8::Context> context, v8::Local<v8::Object> native) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    js::setMethod(context, native, name, callback, this);
  };
  add("bookmark", BookmarkNatives::bookmark);
  add("bookmarkForTime", BookmarkNatives::bookmarkForTime);
  add("restoreRequest", BookmarkNatives::restoreRequest);
  add("restorePending", BookmarkNatives::restorePending);
  add("restoreObject", BookmarkNatives::restoreObject);
}

}  // namespace hf::actor
