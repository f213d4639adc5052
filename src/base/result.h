// Result<T>: a value, or what went wrong and what the caller may do about it.
// We never throw: V8 calls us and we call V8, and no C++ exception may cross a V8 frame.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace hf {

enum class Errc : std::uint8_t {
#define HF_ERRC(name, jsClass, httpStatus) name,
#include "base/errc.def"
#undef HF_ERRC
};

// "kNoSpace" and the like, for logs.
std::string_view errcName(Errc code);
// The JavaScript class that user code sees for this error.
std::string_view errcJsClass(Errc code);
// The HTTP status that a client sees for this error.
int errcHttpStatus(Errc code);

struct Error {
  Errc code = Errc::kInternal;
  // A sentence for a person: what was expected and what came.
  std::string message;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, std::string message) {
  return std::unexpected<Error>(Error{code, std::move(message)});
}

}  // namespace hf

#define HF_CONCAT_INNER(a, b) a##b
#define HF_CONCAT(a, b) HF_CONCAT_INNER(a, b)

// HF_TRY(const Position end, ledger.append(record)); passes an error up, otherwise binds the value.
#define HF_TRY(declaration, ...)                                                           \
  auto HF_CONCAT(hfResult, __LINE__) = (__VA_ARGS__);                                      \
  if (!HF_CONCAT(hfResult, __LINE__)) [[unlikely]] {                                       \
    return std::unexpected<::hf::Error>(std::move(HF_CONCAT(hfResult, __LINE__)).error()); \
  }                                                                                        \
  declaration = *std::move(HF_CONCAT(hfResult, __LINE__))

// HF_TRY_VOID(disk.sync()); for a Result<void>.
#define HF_TRY_VOID(...)                                                \
  do {                                                                  \
    if (auto hfResult = (__VA_ARGS__); !hfResult) [[unlikely]] {        \
      return std::unexpected<::hf::Error>(std::move(hfResult).error()); \
    }                                                                   \
  } while (false)

// HF_IGNORE(call, "why it does not matter").
#define HF_IGNORE(call, why)                   \
  do {                                         \
    static_assert(sizeof(why) > 1, "say why"); \
    [[maybe_unused]] auto hfIgnored = (call);  \
  } while (false)
