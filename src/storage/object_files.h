// The objects' database files: DIR/objects/<32 hex namespace>/<2 hex>/<64 hex>.sqlite. Layout and what a crash may
// leave: docs/formats/objects.md.
// Thread:  any. One thread at a time writes (the checkpointer); any may read pages meanwhile, if not those being
//          written.
// Owns:    at most `openFilesMax` open files. Borrows the Disk.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "storage/overlay.h"

namespace hf::storage {

class ObjectFiles final {
 public:
  ObjectFiles(Disk& disk, std::string directory, std::size_t openFilesMax)
      : disk_(disk), directory_(std::move(directory)), openFilesMax_(openFilesMax) {}

  // Pages in an object's file; nullopt if it has none. kCorrupt if its length is not a number of pages, unless it is not
  // complete: a checkpoint that failed or did not end may leave it at any length.
  enum class Completeness : bool { kComplete, kUnknown };
  Result<std::optional<std::uint32_t>> pageCount(const ObjectKey& object, Completeness completeness);
  // Fills `out` with a page, with zeroes beyond the end.
  Result<void> readPage(const ObjectKey& object, std::uint32_t number, std::span<std::uint8_t, kPageBytes> out);

  // Writes every snapshot's pages, makes each file exactly as long as its database (one without pages has no file),
  // and syncs files and directories. After an error any of them may hold anything between old and new.
  struct Copy {
    ObjectKey object;
    const OverlaySnapshot* snapshot = nullptr;
  };
  Result<void> write(std::span<const Copy> copies);

  // Ids that have a file, in order, after `after`, at most `limit`.
  Result<std::vector<ObjectId>> list(const NamespaceId& ns, const std::optional<ObjectId>& after, std::size_t limit);
  // Durable when it returns.
  Result<void> removeNamespace(const NamespaceId& ns);
  [[nodiscard]] std::size_t openCount() const;

 private:
  struct Open {
    ObjectKey object;
    // Two owners: this cache, and a read under way on another thread.
    std::shared_ptr<File> file;
  };
  Result<std::shared_ptr<File>> openForRead(const ObjectKey& object);
  void closeFile(const ObjectKey& object);
  Result<std::unique_ptr<File>> writeOne(const Copy& copy, std::set<std::string>& changedDirectories);
  Result<void> makeDirectory(const std::string& path, std::set<std::string>& changedDirectories);
  [[nodiscard]] std::string namespacePath(const NamespaceId& ns) const;
  [[nodiscard]] std::string folderPath(const ObjectKey& object) const;
  [[nodiscard]] std::string filePath(const ObjectKey& object) const;

  // Fixed once made
  Disk& disk_;
  const std::string directory_;
  const std::size_t openFilesMax_;

  // The writing thread only
  std::set<std::string> madeDirectories_;  // durable

  mutable std::mutex mutex_;
  // Guarded by mutex_. Newest use in front.
  std::list<Open> open_;
  std::unordered_map<ObjectKey, std::list<Open>::iterator> byObject_;
};

}  // namespace hf::storage
