// HF_CHECK: states a fact that only a bug of ours can make false. On in every build; aborts with the reason.
#pragma once

namespace hf {
// Prints where and why to stderr, then aborts. Any thread.
[[noreturn]] void checkFailed(const char* file, int line, const char* condition, const char* why);
}  // namespace hf

#define HF_CHECK(condition, why)                              \
  do {                                                        \
    if (!(condition)) [[unlikely]] {                          \
      ::hf::checkFailed(__FILE__, __LINE__, #condition, why); \
    }                                                         \
  } while (false)

#ifdef NDEBUG
#define HF_DCHECK(condition, why) \
  do {                            \
  } while (false)
#else
#define HF_DCHECK(condition, why) HF_CHECK(condition, why)
#endif
