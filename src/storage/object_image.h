// One object's database at one moment: pages that its file does not hold yet, and its file for the rest. Copied out, it
// is a plain SQLite file.
// Thread:  one at a time. Blocks on the disk: not on a shard.
// Borrows: the ObjectFiles, whose file of this object nobody writes meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "storage/object_files.h"
#include "storage/overlay.h"

namespace hf::storage {

class ObjectImage final {
 public:
  // What an overlay holds over a file.
  ObjectImage(ObjectFiles& files, const ObjectKey& object, OverlaySnapshot snapshot)
      : files_(files), object_(object), snapshot_(std::move(snapshot)) {}
  // A file that is complete.
  ObjectImage(ObjectFiles& files, const ObjectKey& object, std::uint32_t pageCount)
      : files_(files), object_(object), snapshot_{.pages = {}, .pageCount = pageCount, .fileCounts = true} {}

  [[nodiscard]] std::uint32_t pageCount() const { return snapshot_.pageCount; }
  [[nodiscard]] std::uint64_t bytes() const { return std::uint64_t{snapshot_.pageCount} * kPageBytes; }

  Result<void> readPage(std::uint32_t number, std::span<std::uint8_t, kPageBytes> out) const;

  // Called now and then with the bytes written so far; an error ends the copy with that error.
  using Progress = std::function<Result<void>(std::uint64_t bytes)>;
  // Into an empty file, not synced. kCorrupt, with the file and the offset, if a page fails its checksum.
  Result<void> copyTo(File& out, const Progress& progress = {}) const;

 private:
  ObjectFiles& files_;
  const ObjectKey object_;
  const OverlaySnapshot snapshot_;
};

}  // namespace hf::storage
