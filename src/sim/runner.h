// Many seeds, in processes of their own: a seed that makes the code abort, hang or crash is a finding like any other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/sabotage.h"

namespace hf::sim {

struct RunOptions {
  std::uint64_t firstSeed = 1;
  std::uint64_t seeds = 1;
  int processes = 1;
  std::uint64_t secondsMax = 0;  // 0: until all seeds are done
  Sabotage sabotage = Sabotage::kNone;
  bool isQuiet = false;
};

struct RunOutcome {
  std::uint64_t seedsRun = 0;
  // The first that failed, and how.
  std::optional<std::uint64_t> failedSeed;
  std::string failure;
  std::string coverage;
  double seconds = 0;
};

RunOutcome runSeeds(const RunOptions& options);

}  // namespace hf::sim
