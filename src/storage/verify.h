// Looks for damage in objects' files without opening them as databases: what `holdfast ledger verify` does.
// Thread:  any. Blocks on the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/inspect.h"
#include "storage/read_only_store.h"

namespace hf::storage {

// Length, SQLite header, and the checksum of every page where the header says that there are checksums. A page that
// `isReplayed` names is not looked at: recovery replaces it, and a crash may have left it torn.
Result<std::vector<ledger::Finding>> verifyObjectFile(Disk& disk, const std::string& path,
                                                      const std::function<bool(std::uint32_t)>& isReplayed = {});

struct ObjectsReport {
  std::vector<ledger::Finding> findings;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t unknown = 0;  // entries that are not ours
};
// Every file under DIR/objects. `progress`: bytes so far; an error ends it.
Result<ObjectsReport> verifyObjects(Disk& disk, const std::string& directory, ReadOnlyStore& store,
                                    const ObjectImage::Progress& progress);

}  // namespace hf::storage
