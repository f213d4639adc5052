// Random: the only way to chance, so that a simulator can own it and replay it.
#pragma once

#include <cstdint>
#include <span>

namespace hf {

class Random {
 public:
  virtual ~Random() = default;
  // Any thread. Cryptographic quality from systemRandom().
  virtual void fill(std::span<std::uint8_t> out) = 0;
};

// The machine's source. Lives for ever.
Random& systemRandom();

}  // namespace hf
