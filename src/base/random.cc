#include "base/random.h"

#include <openssl/rand.h>

#include "base/check.h"

namespace hf {
namespace {

class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    HF_CHECK(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1, "the host's random source works");
  }
};

}  // namespace

Random& systemRandom() {
  static SystemRandom random;
  return random;
}

}  // namespace hf
