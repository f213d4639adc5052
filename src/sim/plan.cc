#include "sim/plan.h"

#include <array>

namespace hf::sim {

Plan planOf(SeededRandom& random) {
  constexpr std::uint64_t kKiB = 1024;
  const auto oneOf = [&](const auto& values) { return values[random.below(values.size())]; };
  Plan plan;
  plan.namespaces = 1 + random.below(3);
  plan.objectsPerNamespace = 1 + random.below(plan.namespaces == 1 ? 5 : 3);
  plan.lives = 2 + static_cast<int>(random.below(4));
  plan.stepsPerLife = oneOf(std::array{15, 40, 90});
  plan.segmentBytes = oneOf(std::array{64 * kKiB, 64 * kKiB, 128 * kKiB, 256 * kKiB});
  plan.spareSegments = 1 + random.below(2);
  plan.queueBytesMax = oneOf(std::array{12 * kKiB, 48 * kKiB, 1024 * kKiB});
  plan.overlayBytesMax = oneOf(std::array{40 * kKiB, 200 * kKiB, 4096 * kKiB});
  plan.ledgerBytesMax = oneOf(std::array{8 * kKiB, 60 * kKiB, 1024 * kKiB});
  plan.directories = random.below(2) == 0 ? SimDisk::Directories::kInOrder : SimDisk::Directories::kAnyOrder;
  plan.historyMs = oneOf(std::array<std::int64_t, 4>{0, 0, 30LL * 24 * 3600 * 1000, 30LL * 24 * 3600 * 1000});
  if (plan.historyMs > 0 && random.below(6) == 0) plan.historyMs = 5000;
  plan.hasLargeValues = random.below(6) == 0;
  plan.hasFullDisk = random.below(4) == 0;
  plan.hasFailures = random.below(3) == 0;
  plan.hasDamage = random.below(5) == 0;
  return plan;
}

}  // namespace hf::sim
