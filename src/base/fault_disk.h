// A disk around another one that fails or waits at will: by calls from a test in the same process, or by files in a
// control directory, which a test outside creates and removes while the real server runs:
//   hold-sync   syncs of files wait until it is gone
//   eio-sync    syncs of files fail with kIo; nothing is synced
//   eio-write   writes, reservations, truncations fail with kIo; nothing is written
//   eio-read    reads fail with kIo
//   enospc      whatever needs new space fails with kNoSpace: growing a file, making a file or a directory
// A control file may contain text: then it concerns only paths with that text in them.
// Thread:  any.
// Owns:    nothing. Borrows the disk it wraps.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/disk.h"

namespace hf {

class FaultDisk final : public Disk {
 public:
  enum class Operation : std::uint8_t { kRead, kWrite, kAllocate, kSync, kRename, kRemove, kSyncDirectory };
  static constexpr std::size_t kOperations = 7;

  // `controlDirectory`: empty for none. It need not exist.
  explicit FaultDisk(Disk& inner, std::string controlDirectory = "");

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> makeDirectories(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> removeTree(const std::string& path) override;
  Result<void> syncDirectory(const std::string& directory) override;
  Result<std::unique_ptr<FileSystem>> openFileSystem(const std::string& directory) override;
  Result<bool> exists(const std::string& path) override;
  Result<std::uint64_t> freeBytes(const std::string& path) override;

  // Syncs of files whose path contains `part` wait until releaseSyncs().
  void holdSyncs(std::string part = "");
  void releaseSyncs();
  // Blocks until `count` syncs wait because of holdSyncs().
  void awaitHeldSyncs(std::size_t count);

  // The n-th such operation from now (1: the next) fails with `error` and does nothing; the others pass.
  void failAt(Operation operation, std::uint64_t n, Errc error);
  // As enospc above.
  void setFull(bool isFull);
  // Such operations begun so far.
  [[nodiscard]] std::uint64_t count(Operation operation) const;

 private:
  friend class FaultFile;
  friend class FaultFileSystem;
  struct Failure {
    std::uint64_t in = 0;  // 0: none planned
    Errc error = Errc::kIo;
  };

  Result<void> begin(Operation operation, const std::string& path);
  Result<void> needSpace(const std::string& path);
  void waitWhileHeld(const std::string& path);
  [[nodiscard]] bool isFlagged(const char* flag, const std::string& path) const;
  void awaitFlagGone(const char* flag, const std::string& path) const;

  // Fixed once made
  Disk& inner_;
  const std::string control_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_
  std::array<std::uint64_t, kOperations> counts_{};
  std::array<Failure, kOperations> failures_{};
  std::optional<std::string> held_;
  std::size_t waiting_ = 0;
  bool isFull_ = false;
};

}  // namespace hf
