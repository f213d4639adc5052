#include "base/clock.h"

namespace hf {
namespace {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallMs wallMs() const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace

const Clock& systemClock() {
  static const SystemClock kClock;
  return kClock;
}

}  // namespace hf
