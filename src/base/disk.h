// Disk: the only way to files for what must survive a crash, so that a simulator can own, tear and fail them.
// Real implementation: systemDisk(). Failing at will: base/fault_disk.h. Simulated: base/sim_disk.h.
// Thread:  any; one File is used by one thread at a time unless a method says otherwise.
// Errors:  kNoSpace (ENOSPC, EDQUOT), kNotFound (ENOENT), kAlreadyExists (EEXIST), kIo (the rest); all with path and
//          errno text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace hf {

class File {
 public:
  virtual ~File() = default;
  // Reads up to out.size() bytes at `offset`; fewer only at the end of the file. Any thread.
  virtual Result<std::size_t> readAt(std::uint64_t offset, std::span<std::uint8_t> out) = 0;
  // Writes all parts one after another from `offset`, or fails.
  virtual Result<void> writeAt(std::uint64_t offset, std::span<const BytesView> parts) = 0;
  // fdatasync. After a failure nothing may be assumed about what was written since the last success.
  virtual Result<void> sync() = 0;
  // Reserves `bytes` from the start, so that later writes inside cannot run out of space.
  virtual Result<void> allocate(std::uint64_t bytes) = 0;
  virtual Result<void> truncate(std::uint64_t bytes) = 0;
  virtual Result<std::uint64_t> size() = 0;
};

// The file system that a directory lies on.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Everything that was written, made, renamed or removed on it before, by whomever, becomes durable: for many files
  // one wait of the disk instead of many. Reports whatever failed since openFileSystem; then nothing may be assumed
  // about what was written since the last success.
  virtual Result<void> sync() = 0;
};

// kRead and kReadWrite: the file must be there. kCreate: made if missing. kCreateNew: must not be there. Files that are
// made are the owner's only.
enum class OpenMode : std::uint8_t { kRead, kReadWrite, kCreate, kCreateNew };

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  // Names (not paths) of the entries of a directory, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  // mkdir -p.
  virtual Result<void> makeDirectories(const std::string& path) = 0;
  // Atomic replace.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
  // Removes a directory with everything in it. Not there is success.
  virtual Result<void> removeTree(const std::string& path) = 0;
  // Makes creations, renames and removals in `directory` durable.
  virtual Result<void> syncDirectory(const std::string& directory) = 0;
  // Open it before writing what its sync() shall cover. The directory must be there.
  virtual Result<std::unique_ptr<FileSystem>> openFileSystem(const std::string& directory) = 0;
  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Result<std::uint64_t> freeBytes(const std::string& path) = 0;
};

// The machine's file system. Lives for ever.
Disk& systemDisk();

}  // namespace hf
