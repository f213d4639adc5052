#include "actor/sql_values.h"

#include <cstring>

#include "js/convert.h"

namespace hf::actor {
namespace {

v8::Local<v8::Value> toV8(v8::Isolate* isolate, const storage::SqlView& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return v8::Number::New(isolate, static_cast<double>(*integer));
  }
  if (const auto* real = std::get_if<double>(&value)) return v8::Number::New(isolate, *real);
  if (const auto* text = std::get_if<std::string_view>(&value)) return js::string(isolate, *text);
  if (const auto* blob = std::get_if<BytesView>(&value)) {
    v8::Local<v8::ArrayBuffer> buffer;
    // Out of budget: a RangeError is pending, and the native function that asked returns at once.
    if (js::arrayBuffer(isolate, *blob).ToLocal(&buffer)) return buffer;
  }
  return v8::Null(isolate);
}

}  // namespace

Result<std::vector<storage::SqlValue>> toSqlValues(v8::Local<v8::Context> context, v8::Local<v8::Array> values) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  std::vector<storage::SqlValue> out;
  out.reserve(values->Length());
  for (std::uint32_t i = 0; i < values->Length(); i++) {
    v8::Local<v8::Value> value;
    if (!values->Get(context, i).ToLocal(&value)) return fail(Errc::kInvalidArgument, "a binding could not be read");
    if (value->IsNullOrUndefined()) {
      out.emplace_back(storage::SqlNull{});
    } else if (value->IsNumber()) {
      out.emplace_back(value.As<v8::Number>()->Value());
    } else if (value->IsString()) {
      out.emplace_back(js::toUtf8(isolate, value));
    } else if (value->IsArrayBuffer() || value->IsArrayBufferView()) {
      const BytesView bytes = js::bytesOf(value).value_or(BytesView{});
      out.emplace_back(Bytes(bytes.begin(), bytes.end()));
    } else {
      return fail(Errc::kInvalidArgument, "a binding is null, a number, a string or bytes");
    }
  }
  return out;
}

v8::Local<v8::Value> rowToV8(v8::Isolate* isolate, const storage::Cursor& cursor) {
  const std::size_t count = cursor.columnNames().size();
  v8::LocalVector<v8::Value> row(isolate);
  row.reserve(count);
  for (std::size_t i = 0; i < count; i++) row.push_back(toV8(isolate, cursor.column(i)));
  return v8::Array::New(isolate, row.data(), row.size());
}

}  // namespace hf::actor
