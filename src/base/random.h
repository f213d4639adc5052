// Random: the only source of chance, so that a simulator can own it.
#pragma once

#include <cstdint>
#include <span>

namespace hf {

class Random {
 public:
  virtual ~Random() = default;
  // Any thread. Fit for keys and ids.
  virtual void fill(std::span<std::uint8_t> out) = 0;
  [[nodiscard]] std::uint64_t next64();
};

// The kernel's generator. Lives for ever.
Random& systemRandom();

// Repeatable, for simulators and tests; not for keys. One thread at a time.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override;
  // 0 <= result < bound; bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound);

 private:
  std::uint64_t state_;
};

}  // namespace hf
