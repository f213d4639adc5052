#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace hf {

void checkFailed(const char* file, int line, const char* condition, const char* why) {
  std::fprintf(stderr, "holdfast: %s:%d: check failed: %s (%s)\n", file, line, condition, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace hf
