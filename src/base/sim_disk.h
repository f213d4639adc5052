// A disk in memory that loses power at will and then has forgotten or torn what was not synced.
// Model: a file's bytes are durable by sectors once sync() has returned; creations, renames and removals once
// syncDirectory() has, in the order in which they were made. Everything else may or may not survive, each sector on
// its own. A failed sync leaves its sectors looking clean and undurable, as Linux does.
// Thread:  any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/random.h"

namespace hf {

class SimDisk final : public Disk {
 public:
  static constexpr std::uint64_t kSectorBytes = 512;
  // What becomes of everything that is not durable.
  enum class Unsynced : std::uint8_t { kForgotten, kKept, kByChance };

  explicit SimDisk(std::uint64_t seed) : random_(seed) {}

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

  // Power goes with the n-th changing operation from now (1: the next), which still leaves its traces among what is
  // not durable. From then on everything fails with kIo until powerOn().
  void losePowerAt(std::uint64_t n);
  [[nodiscard]] bool hasPower() const;
  // Loses power, if it is not gone yet, and comes back. Files that were open fail for ever.
  void powerOn(Unsynced unsynced);
  // Changing operations so far: writes, reservations, syncs, changes of directories.
  [[nodiscard]] std::uint64_t operations() const;

  // The n-th file sync from now fails with kIo (1: the next); those after it do not.
  void failSyncAt(std::uint64_t n);
  // Bytes of all files together; what would exceed it fails with kNoSpace.
  void setCapacity(std::uint64_t bytes);
  // Changes one byte of a file, durably, as decay does. The file must be there and reach so far.
  void damage(const std::string& path, std::uint64_t offset, std::uint8_t mask);

 private:
  friend class SimFile;
  friend class SimFileSystem;
  struct Inode {
    Bytes now;
    Bytes durable;
    std::set<std::uint64_t> dirty;  // sectors that a sync would make durable
  };
  using InodePtr = std::shared_ptr<Inode>;          // owned by the maps below and by open files
  using Entries = std::map<std::string, InodePtr>;  // nullptr: a directory
  // One change of a directory, as the file system's journal has it.
  struct Change {
    std::string remove;  // empty: nothing
    std::string add;     // empty: nothing
    InodePtr inode;
  };

  // All with mutex_ held.
  Result<void> step();
  Result<void> alive() const;
  [[nodiscard]] std::uint64_t usedBytes() const;
  Result<void> fits(const Inode& inode, std::uint64_t bytes) const;
  void change(Change made);
  static void apply(const Change& made, Entries& entries);
  void settle(Inode& inode, Unsynced unsynced);
  bool chance();

  mutable std::mutex mutex_;
  // Guarded by mutex_
  SeededRandom random_;
  Entries now_;
  Entries durable_;
  std::vector<Change> journal_;
  std::uint64_t life_ = 0;  // counts powerOn(); open files of an earlier life are dead
  std::uint64_t operations_ = 0;
  std::optional<std::uint64_t> powerLossAt_;
  std::optional<std::uint64_t> syncFailsIn_;
  std::uint64_t capacity_ = UINT64_MAX;
  bool hasPower_ = true;
};

}  // namespace hf
