#include "js/convert.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>

#include "base/check.h"
#include "js/environment.h"

namespace hf::js {

namespace {

bool isAscii(std::string_view text) {
  // Eight bytes at a time; V8's UTF-8 decoder is several times slower than its one-byte copy.
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t seen = 0;
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    seen |= word;
  }
  for (; left > 0; ++at, --left) seen |= static_cast<unsigned char>(*at);
  return (seen & 0x8080808080808080ULL) == 0;
}

v8::MaybeLocal<v8::String> newString(v8::Isolate* isolate, std::string_view utf8, v8::NewStringType type) {
  if (utf8.size() > static_cast<std::size_t>(v8::String::kMaxLength)) return {};
  const int length = static_cast<int>(utf8.size());
  if (isAscii(utf8)) {
    return v8::String::NewFromOneByte(isolate, reinterpret_cast<const std::uint8_t*>(utf8.data()), type, length);
  }
  return v8::String::NewFromUtf8(isolate, utf8.data(), type, length);
}

// A property as text; "" when it is absent, not a string or its getter throws.
std::string textProperty(v8::Local<v8::Context> context, v8::Local<v8::Object> object, std::string_view name) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  const v8::TryCatch caught(isolate);
  v8::Local<v8::Value> value;
  if (!object->Get(context, internalized(isolate, name)).ToLocal(&value) || !value->IsString()) return "";
  return toUtf8(isolate, value.As<v8::String>());
}

std::string textOf(v8::Local<v8::Context> context, v8::Local<v8::Value> value) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  const v8::TryCatch caught(isolate);
  v8::Local<v8::String> text;
  if (value->ToDetailString(context).ToLocal(&text)) return toUtf8(isolate, text);
  return "";
}

}  // namespace

v8::MaybeLocal<v8::String> tryString(v8::Isolate* isolate, std::string_view utf8) {
  v8::MaybeLocal<v8::String> made = newString(isolate, utf8, v8::NewStringType::kNormal);
  if (made.IsEmpty()) throwRangeError(isolate, "Invalid string length");
  return made;
}

v8::Local<v8::String> string(v8::Isolate* isolate, std::string_view utf8) {
  v8::Local<v8::String> made;
  HF_CHECK(newString(isolate, utf8, v8::NewStringType::kNormal).ToLocal(&made), "a text of ours is short");
  return made;
}

v8::Local<v8::String> internalized(v8::Isolate* isolate, std::string_view utf8) {
  v8::Local<v8::String> made;
  HF_CHECK(newString(isolate, utf8, v8::NewStringType::kInternalized).ToLocal(&made), "a name of ours is short");
  return made;
}

std::string toUtf8(v8::Isolate* isolate, v8::Local<v8::String> value) {
  std::string out;
  const auto length = static_cast<std::size_t>(value->Length());
  if (value->ContainsOnlyOneByte()) {
    // ASCII needs no second look; the first byte beyond it does.
    out.resize(length);
    value->WriteOneByteV2(isolate, 0, static_cast<std::uint32_t>(length), reinterpret_cast<std::uint8_t*>(out.data()));
    if (isAscii(out)) return out;
  }
  out.resize(value->Utf8LengthV2(isolate));
  value->WriteUtf8V2(isolate, out.data(), out.size(), v8::String::WriteFlags::kReplaceInvalidUtf8);
  return out;
}

v8::Local<v8::String> latin1String(v8::Isolate* isolate, std::string_view latin1) {
  v8::Local<v8::String> made;
  HF_CHECK(v8::String::NewFromOneByte(isolate, reinterpret_cast<const std::uint8_t*>(latin1.data()),
                                      v8::NewStringType::kNormal, static_cast<int>(latin1.size()))
               .ToLocal(&made),
           "a header is short");
  return made;
}

std::optional<BytesView> bytesOf(v8::Local<v8::Value> value) {
  if (value->IsArrayBufferView()) {
    const auto view = value.As<v8::ArrayBufferView>();
    const std::size_t length = view->ByteLength();
    // Buffer() also moves a small on-heap array out, so that its address holds.
    const v8::Local<v8::ArrayBuffer> buffer = view->Buffer();
    if (length == 0) return BytesView{};
    return BytesView(static_cast<const std::uint8_t*>(buffer->Data()) + view->ByteOffset(), length);
  }
  if (value->IsArrayBuffer()) {
    const auto buffer = value.As<v8::ArrayBuffer>();
    return BytesView(static_cast<const std::uint8_t*>(buffer->Data()), buffer->ByteLength());
  }
  return std::nullopt;
}

v8::MaybeLocal<v8::ArrayBuffer> arrayBuffer(v8::Isolate* isolate, BytesView bytes) {
  v8::Local<v8::ArrayBuffer> made;
  if (!v8::ArrayBuffer::MaybeNew(isolate, bytes.size(), v8::BackingStoreInitializationMode::kUninitialized)
           .ToLocal(&made)) {
    throwRangeError(isolate, "Array buffer allocation failed");
    return {};
  }
  if (!bytes.empty()) std::memcpy(made->Data(), bytes.data(), bytes.size());
  return made;
}

v8::MaybeLocal<v8::Uint8Array> uint8Array(v8::Isolate* isolate, BytesView bytes) {
  v8::Local<v8::ArrayBuffer> buffer;
  if (!arrayBuffer(isolate, bytes).ToLocal(&buffer)) return {};
  return v8::Uint8Array::New(buffer, 0, bytes.size());
}

void throwError(v8::Isolate* isolate, std::string_view message) {
  isolate->ThrowException(v8::Exception::Error(string(isolate, message)));
}
void throwTypeError(v8::Isolate* isolate, std::string_view message) {
  isolate->ThrowException(v8::Exception::TypeError(string(isolate, message)));
}
void throwRangeError(v8::Isolate* isolate, std::string_view message) {
  isolate->ThrowException(v8::Exception::RangeError(string(isolate, message)));
}

void throwDomException(Environment& environment, std::string_view name, std::string_view message) {
  v8::Isolate* isolate = environment.isolate();
  std::array<v8::Local<v8::Value>, 2> arguments = {string(isolate, message), internalized(isolate, name)};
  v8::Local<v8::Object> exception;
  if (environment.domExceptionClass()->NewInstance(environment.context(), 2, arguments.data()).ToLocal(&exception)) {
    isolate->ThrowException(exception);
  }  // otherwise stack overflow or termination is pending already
}

void throwResultError(v8::Isolate* isolate, const Error& error) {
  const std::string_view name = errcJsClass(error.code);
  if (name == "TypeError") return throwTypeError(isolate, error.message);
  if (name == "RangeError") return throwRangeError(isolate, error.message);
  throwError(isolate, error.message);
}

ExceptionText describeException(v8::Local<v8::Context> context, v8::Local<v8::Value> exception) {
  ExceptionText text;
  if (exception.IsEmpty()) return text;
  if (!exception->IsNativeError() && !exception->IsObject()) {
    text.message = textOf(context, exception);
    return text;
  }
  const auto object = exception.As<v8::Object>();
  text.name = textProperty(context, object, "name");
  text.message = textProperty(context, object, "message");
  text.stack = textProperty(context, object, "stack");
  if (text.name.empty() && text.message.empty()) text.message = textOf(context, exception);
  return text;
}

std::string uncaughtText(v8::Local<v8::Context> context, v8::Local<v8::Value> exception,
                         v8::Local<v8::Message> message) {
  if (exception.IsEmpty()) return "Uncaught exception";
  const ExceptionText text = describeException(context, exception);
  std::string out = "Uncaught ";
  out += text.name;
  if (!text.name.empty() && !text.message.empty()) out += ": ";
  out += text.message;
  // The frames of the stack, indented by two; a syntax error has none but its message knows the place.
  std::size_t at = text.stack.find("\n    at ");
  const bool isSyntaxError = text.name == "SyntaxError" && !message.IsEmpty();
  if (at == std::string::npos || isSyntaxError) {
    if (message.IsEmpty()) return out;
    const v8::Local<v8::Value> resource = message->GetScriptResourceName();
    const int line = message->GetLineNumber(context).FromMaybe(0);
    if (!resource->IsString() || line == 0) return out;
    out += "\n  at " + toUtf8(v8::Isolate::GetCurrent(), resource.As<v8::String>()) + ":" + std::to_string(line) + ":" +
           std::to_string(message->GetStartColumn(context).FromMaybe(0) + 1);
    return out;
  }
  while (at != std::string::npos) {
    const std::size_t next = text.stack.find("\n    at ", at + 1);
    out += "\n  ";
    out += std::string_view(text.stack).substr(at + 5, (next == std::string::npos ? text.stack.size() : next) - at - 5);
    at = next;
  }
  return out;
}

v8::Local<v8::Function> function(v8::Local<v8::Context> context, Callback callback, void* self) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  v8::Local<v8::Function> made;
  HF_CHECK(v8::Function::New(context, callback, v8::External::New(isolate, self, v8::kExternalPointerTypeTagDefault), 0,
                             v8::ConstructorBehavior::kThrow)
               .ToLocal(&made),
           "functions are made before user code can exhaust anything");
  return made;
}

void setMethod(v8::Local<v8::Context> context, v8::Local<v8::Object> object, std::string_view name, Callback callback,
               void* self) {
  const v8::Local<v8::Function> made = function(context, callback, self);
  made->SetName(internalized(v8::Isolate::GetCurrent(), name));
  setProperty(context, object, name, made);
}

void setProperty(v8::Local<v8::Context> context, v8::Local<v8::Object> object, std::string_view name,
                 v8::Local<v8::Value> value) {
  HF_CHECK(object->CreateDataProperty(context, internalized(v8::Isolate::GetCurrent(), name), value).FromMaybe(false),
           "an object of ours takes properties");
}

}  // namespace hf::js
