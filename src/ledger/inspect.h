// Reads a whole ledger without changing anything: what `holdfast ledger verify` and `dump` stand on.
// Thread:  any; one at a time. Blocks on the disk.
// Errors:  damage is a finding, not an error. kNotFound: there is no ledger. kIo: the disk.
// Nobody may write to the ledger meanwhile: the caller holds the directory's lock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "ledger/segment_scanner.h"

namespace hf::ledger {

// What is wrong in a file, and where.
struct Finding {
  std::string file;
  std::optional<std::uint64_t> offset;  // nullopt: the file as a whole
  std::string what;
};

struct Inspection {
  std::vector<Finding> findings;
  Position retired;
  Position tail;
  RecoveryReport report;  // droppedBytes is no damage: a stop in the middle of a write leaves it
  std::uint64_t segments = 0;
  std::uint64_t spareSegments = 0;
};

// Hands every record that is not retired to `replayer`, whose kCorrupt is a finding at that record's place. Ends at the
// first damage that a recovery would refuse.
Result<Inspection> inspectLedger(Disk& disk, const std::string& directory, Replayer& replayer,
                                 ScanObserver* observer = nullptr);

}  // namespace hf::ledger
