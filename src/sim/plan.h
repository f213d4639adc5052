// What a seed decides before anything runs: how large the world is, which limits are shrunk, what goes wrong. Limits
// are far below those of production, so that tens of turns reach what takes a day there: full segments, full queues,
// checkpoints one after another.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/random.h"
#include "base/sim_disk.h"

namespace hf::sim {

struct Plan {
  std::size_t namespaces = 1;
  std::size_t objectsPerNamespace = 1;
  int lives = 1;
  int stepsPerLife = 10;

  std::uint64_t segmentBytes = 0;
  std::size_t spareSegments = 1;
  std::uint64_t queueBytesMax = 0;
  std::uint64_t overlayBytesMax = 0;
  std::uint64_t ledgerBytesMax = 0;
  SimDisk::Directories directories = SimDisk::Directories::kInOrder;

  std::int64_t historyMs = 0;  // how long history is kept; 0: there is none
  [[nodiscard]] bool isHistoryShort() const { return historyMs < 60'000; }  // some of it goes in the meantime
  bool hasLargeValues = false;                                              // now and then a turn of several segments
  bool hasFullDisk = false;                                                 // space ends and comes back
  bool hasFailures = false;                                                 // single operations of the disk fail
  bool hasDamage = false;                                                   // bits change while the machine is off
};

Plan planOf(SeededRandom& random);

}  // namespace hf::sim
