// Clock: the only way to ask what time it is, so that a simulator can own time.
#pragma once

#include <chrono>
#include <cstdint>

namespace hf {

// Milliseconds since the Unix epoch.
using WallMs = std::int64_t;

class Clock {
 public:
  virtual ~Clock() = default;
  // Any thread.
  [[nodiscard]] virtual WallMs wallMs() const = 0;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point steady() const = 0;
};

// The machine's clock. Lives for ever.
const Clock& systemClock();

}  // namespace hf
