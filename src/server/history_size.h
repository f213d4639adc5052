// What the history of a directory's objects (DIR/history) takes on disk.
// Thread:  any. Blocks on the disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/disk.h"
#include "base/result.h"

namespace hf::server {

struct HistorySize {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

// Files that vanish meanwhile count as nothing.
Result<HistorySize> historySize(Disk& disk, const std::string& directory);

}  // namespace hf::server
