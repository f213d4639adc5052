// Small bridges between C++ and JavaScript values. All are called inside an environment's scope.
#pragma once

#include <v8.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace hf::js {

class Environment;

// ---- strings
// From UTF-8 (broken sequences become U+FFFD); pure ASCII takes the one-byte path. Throws RangeError (and gives an
// empty handle) beyond V8's longest string.
v8::MaybeLocal<v8::String> tryString(v8::Isolate* isolate, std::string_view utf8);
// For texts of our own and for what is surely short: a failure is a bug.
v8::Local<v8::String> string(v8::Isolate* isolate, std::string_view utf8);
// Property names and other texts used again and again.
v8::Local<v8::String> internalized(v8::Isolate* isolate, std::string_view utf8);
// UTF-8; lone surrogates become U+FFFD.
std::string toUtf8(v8::Isolate* isolate, v8::Local<v8::String> value);
// The same for a value that is known to be a string.
inline std::string toUtf8(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  return toUtf8(isolate, value.As<v8::String>());
}
// Latin-1 bytes (HTTP header values) as a string.
v8::Local<v8::String> latin1String(v8::Isolate* isolate, std::string_view latin1);

// ---- bytes
// The bytes of an ArrayBuffer or view, without copying; nothing for other values. Holds while no JavaScript runs.
std::optional<BytesView> bytesOf(v8::Local<v8::Value> value);
// A new ArrayBuffer with a copy. Empty with a pending RangeError when the environment's budget is used up.
v8::MaybeLocal<v8::ArrayBuffer> arrayBuffer(v8::Isolate* isolate, BytesView bytes);
// A new Uint8Array over a new ArrayBuffer with a copy.
v8::MaybeLocal<v8::Uint8Array> uint8Array(v8::Isolate* isolate, BytesView bytes);

// ---- errors into JavaScript. After one of these return to JavaScript at once.
void throwError(v8::Isolate* isolate, std::string_view message);
void throwTypeError(v8::Isolate* isolate, std::string_view message);
void throwRangeError(v8::Isolate* isolate, std::string_view message);
// `name` as in DOMException's names, "DataCloneError".
void throwDomException(Environment& environment, std::string_view name, std::string_view message);
// The class that errc.def names for its code.
void throwResultError(v8::Isolate* isolate, const Error& error);

// ---- errors out of JavaScript
struct ExceptionText {
  std::string name;     // "TypeError"; "" for a thrown value that is no Error
  std::string message;  // the message alone; a thrown value's text
  std::string stack;    // V8's stack with its first line; "" when there is none
};
// Runs getters of user objects only under a TryCatch; never leaves an exception pending.
ExceptionText describeException(v8::Local<v8::Context> context, v8::Local<v8::Value> exception);
// "Uncaught TypeError: x is not a function\n  at index.js:3:7 in handler\n ..." : as the control plane shows it.
// `message` may be empty; it knows the position of syntax errors.
std::string uncaughtText(v8::Local<v8::Context> context, v8::Local<v8::Value> exception,
                         v8::Local<v8::Message> message);

// ---- functions and objects
using Callback = void (*)(const v8::FunctionCallbackInfo<v8::Value>&);
// object[name] = a function whose Data is `self`. `self` outlives the context.
void setMethod(v8::Local<v8::Context> context, v8::Local<v8::Object> object, std::string_view name, Callback callback,
               void* self);
v8::Local<v8::Function> function(v8::Local<v8::Context> context, Callback callback, void* self);
// The `self` of setMethod.
template <class T>
T& selfOf(const v8::FunctionCallbackInfo<v8::Value>& info) {
  return *static_cast<T*>(info.Data().As<v8::External>()->Value(v8::kExternalPointerTypeTagDefault));
}
void setProperty(v8::Local<v8::Context> context, v8::Local<v8::Object> object, std::string_view name,
                 v8::Local<v8::Value> value);

// Methods of T as callbacks: setMethod(context, object, "kvGet", &bind<T, &T::kvGet>, this), where
// void T::kvGet(const v8::FunctionCallbackInfo<v8::Value>&).
template <class T, void (T::*kMethod)(const v8::FunctionCallbackInfo<v8::Value>&)>
void bind(const v8::FunctionCallbackInfo<v8::Value>& info) {
  (selfOf<T>(info).*kMethod)(info);
}

// ---- scripts
// Source text compiled once, with all its functions, and remembered as V8's code cache for the environments that
// follow. Thread: any.
class CachedScript final {
 public:
  // `source` as UTF-8 must evaluate to the value wanted (a function expression in parentheses, say).
  CachedScript(std::string name, std::string source);
  ~CachedScript();
  CachedScript(const CachedScript&) = delete;
  CachedScript& operator=(const CachedScript&) = delete;
  // Compiles (from the cache when there is one) and runs. Empty: an exception is pending.
  v8::MaybeLocal<v8::Value> run(v8::Local<v8::Context> context);
  // The last run took the cache.
  [[nodiscard]] bool wasCached() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace hf::js
