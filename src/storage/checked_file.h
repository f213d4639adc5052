// Small files that are replaced whole: magic, content, checksum (docs/formats/objects.md).
// Thread: any; one writer of a path at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/result.h"

namespace hf::storage {

// The content; nullopt if there is no such file. kCorrupt if it is damaged or not of this kind.
Result<std::optional<Bytes>> readCheckedFile(Disk& disk, const std::string& path, std::string_view magic);
// Durable when it returns. After an error the old content is there, or the new one.
Result<void> writeCheckedFile(Disk& disk, const std::string& directory, const std::string& name, std::string_view magic,
                              BytesView content);

}  // namespace hf::storage
