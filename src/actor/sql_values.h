// SQL values between JavaScript and SQLite (spec durable-objects 5.3).
// Thread: inside the isolate.
#pragma once

#include <v8.h>

#include <vector>

#include "base/result.h"
#include "storage/database.h"

namespace hf::actor {

// Elements are null, number, string, ArrayBuffer or a view; numbers are bound as REAL. kInvalidArgument otherwise.
Result<std::vector<storage::SqlValue>> toSqlValues(v8::Local<v8::Context> context, v8::Local<v8::Array> values);

// The cursor's current row as an array: null, number, string, ArrayBuffer.
v8::Local<v8::Value> rowToV8(v8::Isolate* isolate, const storage::Cursor& cursor);

}  // namespace hf::actor
