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
#include "base/sabotage.h"
#include "storage/overlay.h"

namespace hf::storage {

class ObjectFiles final {
 public:
  ObjectFiles(Disk& disk, std::string directory, std::size_t openFilesMax)
      : disk_(disk), directory_(std::move(directory)), openFilesMax_(openFilesMax) {}

  void sabotage(Sabotage which) { sabotage_ = which; }

  // Pages in an object's file; nullopt if it has none. kCorrupt if its length is not a number of pages, unless it may
  // be incomplete: a checkpoint that failed or did not end leaves it at any length.
  enum class Completeness : bool { kComplete, kUnknown };
  Result<std::optional<std::uint32_t>> pageCount(const ObjectKey& object, Completeness completeness);
  // Fills `out` with a page, with zeroes beyond the end. kCorrupt, with file and offset, if it is not as it was
  // written.
  Result<void> readPage(const ObjectKey& object, std::uint32_t number, std::span<std::uint8_t, kPageBytes> out);
  // The same, whatever it holds.
  Result<void> readDamagedPage(const ObjectKey& object, std::uint32_t number, std::span<std::uint8_t, kPageBytes> out);

  // Writes snapshots into files. The writing thread only. After an error, and until sync() has returned, any of the
  // files may hold anything between old and new.
  class Writer final {
   public:
    // The snapshot's pages with their checksums; the file becomes exactly as long as its database. One without pages
    // has no file.
    Result<void> write(const ObjectKey& object, const OverlaySnapshot& snapshot);
    // Everything written is durable when it returns.
    Result<void> sync();

   private:
    friend class ObjectFiles;
    explicit Writer(ObjectFiles& files) : files_(files) {}
    Result<void> writePages(File& file, const OverlaySnapshot& snapshot);
    Result<void> makeDirectory(const std::string& path);

    ObjectFiles& files_;
    std::unique_ptr<FileSystem> fileSystem_;  // nullptr: few enough to be synced one by one
    std::vector<std::unique_ptr<File>> unsynced_;
    std::vector<std::string> made_;
    Bytes buffer_;
  };
  // For so many snapshots.
  Result<std::unique_ptr<Writer>> writer(std::size_t snapshots);

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
  [[nodiscard]] std::string namespacePath(const NamespaceId& ns) const;
  [[nodiscard]] std::string folderPath(const ObjectKey& object) const;
  [[nodiscard]] std::string filePath(const ObjectKey& object) const;

  // Fixed once made
  Disk& disk_;
  const std::string directory_;
  const std::size_t openFilesMax_;
  Sabotage sabotage_ = Sabotage::kNone;

  // The writing thread only
  std::set<std::string> madeDirectories_;      // durable
  std::set<std::string> unsyncedDirectories_;  // changed since they were synced, by rounds that failed too

  mutable std::mutex mutex_;
  // Guarded by mutex_. Newest use in front.
  std::list<Open> open_;
  std::unordered_map<ObjectKey, std::list<Open>::iterator> byObject_;
};

}  // namespace hf::storage
