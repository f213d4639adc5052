#include "js/serializer.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"
#include "js/clone_format.h"
#include "js/convert.h"

namespace hf::js {

namespace {

constexpr int kShortStringMax = 1024;
constexpr std::size_t kFirstBufferBytes = 2048;  // takes every primitive that writePrimitive writes
constexpr std::size_t kBufferKeptBytesMax = 1024 * 1024;

std::string className(v8::Local<v8::Object> object) {
  return toUtf8(v8::Isolate::GetCurrent(), object->GetConstructorName());
}

// Whether the prototypes are those of a class of the runtime's or of Node's own (URL, Headers, a class that extends
// RpcTarget). The state of such an object is not in its properties: a copy of these would be an empty shell.
bool isOfRuntime(v8::Local<v8::Context> context, v8::Local<v8::Value> prototype) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  const v8::TryCatch caught(isolate);
  const v8::Local<v8::String> key = internalized(isolate, "constructor");
  const v8::Local<v8::String> valueKey = internalized(isolate, "value");
  for (; prototype->IsObject() && !prototype->IsProxy(); prototype = prototype.As<v8::Object>()->GetPrototypeV2()) {
    v8::Local<v8::Value> descriptor;
    v8::Local<v8::Value> constructor;
    if (!prototype.As<v8::Object>()->GetOwnPropertyDescriptor(context, key).ToLocal(&descriptor)) return false;
    if (!descriptor->IsObject() || !descriptor.As<v8::Object>()->Get(context, valueKey).ToLocal(&constructor) ||
        !constructor->IsFunction()) {
      continue;
    }
    const v8::Local<v8::Value> script = constructor.As<v8::Function>()->GetScriptOrigin().ResourceName();
    if (script.IsEmpty() || !script->IsString()) continue;
    const std::string name = toUtf8(isolate, script);
    if (name.starts_with("holdfast:") || name.starts_with("node:internal/")) return true;
  }
  return false;
}

}  // namespace

class Serializer::Delegate final : public v8::ValueSerializer::Delegate {
 public:
  Delegate(Serializer& owner, v8::Local<v8::Context> context, CloneMode mode)
      : buffer(std::exchange(owner.buffer_, {})), owner_(owner), context_(context), mode_(mode) {}

  void ThrowDataCloneError(v8::Local<v8::String> message) override {
    throwClone(toUtf8(owner_.environment_.isolate(), message));
  }

  bool HasCustomHostObject(v8::Isolate*) override { return true; }

  // Asked for every object that is not an array, a Map, a Date and so on.
  v8::Maybe<bool> IsHostObject(v8::Isolate*, v8::Local<v8::Object> object) override {
    // Of an error V8 keeps a few properties only: RPC passes it as a reference (actor/rpc_refs.ts).
    if (object->IsNativeError()) return v8::Just(mode_ != CloneMode::kStorage);
    const v8::Local<v8::Value> prototype = object->GetPrototypeV2();
    if (prototype == owner_.environment_.objectPrototype()) return v8::Just(object->InternalFieldCount() > 0);
    return v8::Just(mode_ != CloneMode::kStorage || object->InternalFieldCount() > 0 ||
                    isOfRuntime(context_, prototype));
  }

  v8::Maybe<bool> WriteHostObject(v8::Isolate* isolate, v8::Local<v8::Object> object) override {
    if (mode_ == CloneMode::kPlain) {
      throwClone("");
      return v8::Nothing<bool>();
    }
    const std::string name = className(object);
    if (object->InternalFieldCount() > 0 && mode_ == CloneMode::kStorage) {
      throwClone("#<" + name + "> could not be cloned.");
    } else {
      throwClone("Could not serialize object of type \"" + name + "\". This type does not support serialization.");
    }
    return v8::Nothing<bool>();
  }

  v8::Maybe<std::uint32_t> GetSharedArrayBufferId(v8::Isolate*, v8::Local<v8::SharedArrayBuffer>) override {
    throwClone("#<SharedArrayBuffer> could not be cloned.");
    return v8::Nothing<std::uint32_t>();
  }
  v8::Maybe<std::uint32_t> GetWasmModuleTransferId(v8::Isolate*, v8::Local<v8::WasmModuleObject>) override {
    throwClone("#<Module> could not be cloned.");
    return v8::Nothing<std::uint32_t>();
  }
  bool AdoptSharedValueConveyor(v8::Isolate*, v8::SharedValueConveyor&&) override {
    throwClone("A shared value could not be cloned.");
    return false;
  }

  void* ReallocateBufferMemory(void* old, std::size_t size, std::size_t* actual) override {
    HF_CHECK(old == nullptr || old == buffer.bytes.get(), "V8 gives back what it got");
    if (size > buffer.capacity) {
      auto grown = std::make_unique_for_overwrite<std::uint8_t[]>(std::max(size, kFirstBufferBytes));
      if (old != nullptr) std::memcpy(grown.get(), old, buffer.capacity);
      buffer = {std::move(grown), std::max(size, kFirstBufferBytes)};
    }
    *actual = buffer.capacity;
    return buffer.bytes.get();
  }
  void FreeBufferMemory(void*) override {}  // `buffer` owns it

  Buffer buffer;

 private:
  void throwClone(const std::string& message) {
    v8::Isolate* isolate = owner_.environment_.isolate();
    if (mode_ == CloneMode::kPlain) {
      isolate->ThrowException(v8::Null(isolate));  // V8 wants some exception
      return;
    }
    const v8::Isolate::AllowJavascriptExecutionScope ours(isolate);
    throwDomException(owner_.environment_, "DataCloneError", message);
  }

  Serializer& owner_;
  const v8::Local<v8::Context> context_;
  const CloneMode mode_;
};

Serializer::Serializer(Environment& environment) : environment_(environment) {}
Serializer::~Serializer() = default;

std::size_t Serializer::writePrimitive(v8::Local<v8::Value> value) {
  if (value->IsObject()) return 0;
  if (buffer_.capacity < kFirstBufferBytes || buffer_.capacity > kBufferKeptBytesMax) {
    buffer_ = {std::make_unique_for_overwrite<std::uint8_t[]>(kFirstBufferBytes), kFirstBufferBytes};
  }
  std::uint8_t* const begin = buffer_.bytes.get();
  std::uint8_t* at = std::copy(std::begin(kCloneHeader), std::end(kCloneHeader), begin);
  if (value->IsString()) {
    const auto text = value.As<v8::String>();
    const int length = text->Length();
    if (length > kShortStringMax || !text->IsOneByte()) return 0;
    *at++ = static_cast<std::uint8_t>(CloneTag::kOneByteString);
    at = writeCloneVarint(at, static_cast<std::uint32_t>(length));
    text->WriteOneByteV2(environment_.isolate(), 0, static_cast<std::uint32_t>(length), at);
    at += length;
  } else if (value->IsInt32()) {
    *at++ = static_cast<std::uint8_t>(CloneTag::kInt32);
    at = writeCloneVarint(at, zigZag(value.As<v8::Int32>()->Value()));
  } else if (value->IsNumber()) {
    const double number = value.As<v8::Number>()->Value();
    *at++ = static_cast<std::uint8_t>(CloneTag::kDouble);
    std::memcpy(at, &number, sizeof number);
    at += sizeof number;
  } else if (value->IsBoolean()) {
    *at++ = static_cast<std::uint8_t>(value->IsTrue() ? CloneTag::kTrue : CloneTag::kFalse);
  } else if (value->IsUndefined()) {
    *at++ = static_cast<std::uint8_t>(CloneTag::kUndefined);
  } else if (value->IsNull()) {
    *at++ = static_cast<std::uint8_t>(CloneTag::kNull);
  } else {
    return 0;  // BigInt, Symbol
  }
  return static_cast<std::size_t>(at - begin);
}

std::optional<BytesView> Serializer::serialize(v8::Local<v8::Context> context, v8::Local<v8::Value> value,
                                               CloneMode mode) {
  if (const std::size_t size = writePrimitive(value); size != 0) return BytesView(buffer_.bytes.get(), size);
  if (buffer_.capacity > kBufferKeptBytesMax) buffer_ = {};
  // A getter may come back to us while V8 writes: each level works on a buffer of its own, the outermost's is kept.
  Delegate delegate(*this, context, mode);
  std::size_t size = 0;
  bool written = false;
  {
    std::optional<v8::Isolate::DisallowJavascriptExecutionScope> quiet;
    if (mode != CloneMode::kStorage) {
      quiet.emplace(environment_.isolate(), v8::Isolate::DisallowJavascriptExecutionScope::THROW_ON_FAILURE);
    }
    std::optional<v8::TryCatch> caught;
    if (mode == CloneMode::kPlain) caught.emplace(environment_.isolate());
    v8::ValueSerializer serializer(environment_.isolate(), &delegate);
    serializer.WriteHeader();
    written = serializer.WriteValue(context, value).FromMaybe(false);
    size = serializer.Release().second;
    if (caught && caught->HasTerminated()) caught->ReThrow();
  }
  buffer_ = std::move(delegate.buffer);
  if (!written) return std::nullopt;
  if (size > kRpcBytesMax && (mode == CloneMode::kRpc || mode == CloneMode::kPlain)) {
    if (mode == CloneMode::kRpc) {
      throwError(environment_.isolate(),
                 "Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: " +
                     std::to_string(size) + " bytes.");
    }
    return std::nullopt;
  }
  return BytesView(buffer_.bytes.get(), size);
}

v8::MaybeLocal<v8::Value> Serializer::readPrimitive(BytesView bytes) const {
  v8::Isolate* isolate = environment_.isolate();
  const std::optional<ClonePrimitive> value = readClonePrimitive(bytes);
  if (!value) return {};
  struct Maker {
    v8::Isolate* isolate;
    v8::Local<v8::Value> operator()(CloneUndefined) const { return v8::Undefined(isolate); }
    v8::Local<v8::Value> operator()(CloneNull) const { return v8::Null(isolate); }
    v8::Local<v8::Value> operator()(bool flag) const { return v8::Boolean::New(isolate, flag); }
    v8::Local<v8::Value> operator()(std::int32_t number) const { return v8::Integer::New(isolate, number); }
    v8::Local<v8::Value> operator()(double number) const { return v8::Number::New(isolate, number); }
    v8::Local<v8::Value> operator()(CloneString text) const { return latin1String(isolate, text.latin1); }
  };
  return std::visit(Maker{isolate}, *value);
}

v8::MaybeLocal<v8::Value> Serializer::deserialize(v8::Local<v8::Context> context, BytesView bytes) {
  v8::Isolate* isolate = environment_.isolate();
  v8::Local<v8::Value> value;
  if (readPrimitive(bytes).ToLocal(&value)) return value;
  v8::ValueDeserializer deserializer(isolate, bytes.data(), bytes.size());
  if (deserializer.ReadHeader(context).FromMaybe(false) && deserializer.ReadValue(context).ToLocal(&value)) {
    return value;
  }
  if (!isolate->HasPendingException()) throwError(isolate, "Unable to deserialize cloned data.");
  return {};
}

v8::MaybeLocal<v8::Value> Serializer::clone(v8::Local<v8::Context> context, v8::Local<v8::Value> value,
                                            CloneMode mode) {
  if (!value->IsObject() && !value->IsSymbol()) return value;
  const std::optional<BytesView> bytes = serialize(context, value, mode);
  if (!bytes)
    return mode == CloneMode::kPlain ? v8::MaybeLocal<v8::Value>(v8::Undefined(environment_.isolate()))
                                     : v8::MaybeLocal<v8::Value>();
  return deserialize(context, *bytes);
}

}  // namespace hf::js
