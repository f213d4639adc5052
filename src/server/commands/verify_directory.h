// Everything that a directory's files must be, whoever made it: a server or a backup.
// Thread:  one. Changes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/result.h"
#include "server/commands/output.h"

namespace hf::server {

struct DirectoryReport {
  std::vector<ledger::Finding> findings;
  ledger::Inspection ledger;
  std::size_t replayedObjects = 0;
  std::size_t alarms = 0;
  std::uint64_t objectFiles = 0;
  std::uint64_t objectBytes = 0;
  std::uint64_t unknownEntries = 0;
  bool hasCatalog = false;
};

// The caller holds the directory's lock. An error: it could not be looked at.
Result<DirectoryReport> verifyDirectory(Disk& disk, const std::string& directory, Progress& progress);

OutputJson reportJson(const DirectoryReport& report);
std::string reportText(const DirectoryReport& report);

}  // namespace hf::server
