// Turns somebody's SQLite file into what an object's database is: our page size, one file, our own tables as we make
// them. Borrowed from by `holdfast object import`, on both sides of the admin API.
// Thread:  any. Blocks on the disk: not on a shard.
// Files:   by SQLite itself, not by base/disk.h: the file is the user's, and what is made is a copy that nobody misses.
// Errors:  kInvalidArgument: the file is not one that an object could have, with the reason. kLimit: it is larger than
//          limits::kImportBytesMax. kIo, kNoSpace.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/result.h"
#include "storage/overlay.h"

namespace hf::storage {

// Checks `source`, which is opened read-only, and writes a clean copy to `target`, which must not be there.
Result<void> normaliseDatabase(const std::string& source, const std::string& target);

struct ImportedDatabase {
  std::vector<NumberedPage> pages;
  std::optional<WallMs> alarm;
};
// Of a file that normaliseDatabase has made.
Result<ImportedDatabase> readImport(Disk& disk, const std::string& path);

}  // namespace hf::storage
