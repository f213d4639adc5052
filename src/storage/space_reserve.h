// A file that holds disk space and nothing else, so that a checkpoint can end when everybody else has filled the disk
// (architecture 5): it is given up when space runs out, and taken again when there is plenty.
// Thread:  the checkpoints' thread, except heldBytes: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/disk.h"
#include "base/result.h"

namespace hf::storage {

class SpaceReserve final {
 public:
  // `bytes` 0: none is held. Less is held on a disk that is small.
  SpaceReserve(Disk& disk, std::string directory, std::uint64_t bytes)
      : disk_(disk), directory_(std::move(directory)), bytes_(bytes) {}

  // Takes the space if it is not held and the disk has four times as much. An error: it holds none, which is no harm
  // yet.
  Result<void> keep();
  // True: there was some.
  bool release();
  [[nodiscard]] std::uint64_t heldBytes() const { return held_; }

 private:
  [[nodiscard]] std::string path() const { return directory_ + "/reserve"; }

  Disk& disk_;
  const std::string directory_;
  const std::uint64_t bytes_;
  std::atomic<std::uint64_t> held_ = 0;
};

}  // namespace hf::storage
