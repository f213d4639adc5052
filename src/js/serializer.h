// Structured clone to bytes and back, in V8's own format (version 15, which workerd's storage uses as well).
// What cannot be cloned throws a DOMException named DataCloneError into the isolate.
// Thread: the environment's. One buffer is kept between calls, so that a small value costs no allocation.
#pragma once

#include <v8.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "js/environment.h"

namespace hf::js {

enum class CloneMode : std::uint8_t {
  kStorage,  // instances of classes become plain objects; of the runtime's own classes they are refused
  // Instances of classes, null-prototype objects, functions and errors are refused. No user code runs: where a getter
  // would have to, it throws. More than kRpcBytesMax is refused with an Error.
  kRpc,
  kPlain,    // as kRpc, but what is refused is not worth an exception: `clone` gives `undefined`
  kMessage,  // as kRpc without a limit: what isolates say to each other
};

// Cloudflare's limit of arguments, and of a result.
inline constexpr std::size_t kRpcBytesMax = 32 * 1024 * 1024;

class Serializer final {
 public:
  // `environment` outlives it.
  explicit Serializer(Environment& environment);
  ~Serializer();
  Serializer(const Serializer&) = delete;
  Serializer& operator=(const Serializer&) = delete;

  // Inside the environment. Empty: an exception is pending. The view holds until the next call of this Serializer
  // (user code may run in getters while a value is written; a nested call works, but ends the view).
  std::optional<BytesView> serialize(v8::Local<v8::Context> context, v8::Local<v8::Value> value, CloneMode mode);
  // Empty: an exception is pending (the bytes are broken). `bytes` are not kept.
  v8::MaybeLocal<v8::Value> deserialize(v8::Local<v8::Context> context, BytesView bytes);
  // Both in one: for what stays in this isolate. Primitives come back as they are.
  v8::MaybeLocal<v8::Value> clone(v8::Local<v8::Context> context, v8::Local<v8::Value> value, CloneMode mode);

 private:
  class Delegate;
  struct Buffer {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t capacity = 0;
  };
  // Bytes written to the start of buffer_; 0: V8 must do it.
  std::size_t writePrimitive(v8::Local<v8::Value> value);
  // Empty, with nothing thrown: V8 must do it.
  [[nodiscard]] v8::MaybeLocal<v8::Value> readPrimitive(BytesView bytes) const;

  Environment& environment_;
  Buffer buffer_;
};

}  // namespace hf::js
