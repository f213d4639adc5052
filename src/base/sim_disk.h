// A disk in memory that loses power at will and then has forgotten or torn what was not synced.
// Model: a file's bytes are durable by sectors once sync() has returned; creations, renames and removals once
// syncDirectory() has. Everything else may or may not survive, each sector on its own; changes of directories in the
// order in which they were made, or each on its own as well (Directories). An entry whose directory did not survive is
// lost. A failed sync leaves its sectors looking clean and undurable, as Linux does; a failed write may have written a
// part.
// Thread:  any.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/disk.h"
#include "base/random.h"

namespace hf {

class SimDisk final : public Disk {
 public:
  static constexpr std::uint64_t kSectorBytes = 512;
  // In the error of a file's sync that a failed sync of the file system has left behind.
  static constexpr std::string_view kOwedError = "the file system failed to write some of it earlier";
  // What becomes of everything that is not durable.
  enum class Unsynced : std::uint8_t { kForgotten, kKept, kByChance };
  // What becomes of changes of directories that are not durable, when it is by chance.
  enum class Directories : std::uint8_t { kInOrder, kAnyOrder };
  enum class Operation : std::uint8_t { kRead, kWrite, kAllocate, kSync, kDirectory, kSyncDirectory };
  static constexpr std::size_t kOperations = 6;

  explicit SimDisk(std::uint64_t seed, Directories directories = Directories::kInOrder)
      : directories_(directories), random_(seed) {}

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
  // The process ends, the machine does not: open files fail for ever, everything that was written can be read, and is
  // as durable as it was. Not while the power is gone.
  void endProcess();
  // Changing operations so far: writes, reservations, syncs, changes of directories.
  [[nodiscard]] std::uint64_t operations() const;

  // The n-th such operation from now (1: the next) fails with `error`; those after it do not. kDirectory: making a file
  // or directory, rename, remove.
  void failAt(Operation operation, std::uint64_t n, Errc error);
  void failSyncAt(std::uint64_t n) { failAt(Operation::kSync, n, Errc::kIo); }
  // No failure is planned any more. True: all that were have happened.
  bool clearFailures();
  // Bytes of all files together; what would exceed it fails with kNoSpace.
  void setCapacity(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t usedBytes() const;

  // Changes one byte of a file, durably, as decay does. The file must be there and reach so far.
  void damage(const std::string& path, std::uint64_t offset, std::uint8_t mask);
  // What is there at present: whole path and size; and what one holds.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> files() const;
  [[nodiscard]] std::optional<Bytes> content(const std::string& path) const;
  // Is told of every changing operation, on the thread that does it.
  using Observer = std::function<void(std::string_view operation, const std::string& path)>;
  void observe(Observer observer) { observer_ = std::move(observer); }

 private:
  friend class SimFile;
  friend class SimFileSystem;
  using Sector = std::array<std::uint8_t, kSectorBytes>;
  // A sector whose bytes are not durable.
  struct Unsure {
    std::unique_ptr<Sector> durable;  // what is; nullptr: zeros
    bool isLost = false;              // a sync failed: no later one writes it
  };
  struct Inode {
    Bytes now;
    std::uint64_t durableSize = 0;
    std::map<std::uint64_t, Unsure> unsure;
    // A sync of the file system lost sectors of it: the next sync of the file says so, as Linux keeps errors by file.
    bool owesError = false;
  };
  using InodePtr = std::shared_ptr<Inode>;          // owned by the maps below and by open files
  using Entries = std::map<std::string, InodePtr>;  // nullptr: a directory
  // One change of a directory, as the file system's journal has it.
  struct Change {
    std::string remove;  // empty: nothing
    std::string add;     // empty: nothing
    InodePtr inode;
  };
  struct Failure {
    std::uint64_t in = 0;  // 0: none planned
    Errc error = Errc::kIo;
  };

  // All with mutex_ held.
  Result<void> step(std::string_view operation, const std::string& path);
  Result<void> alive() const;
  Result<void> failure(Operation operation, const std::string& path);
  [[nodiscard]] std::uint64_t used() const;
  Result<void> fits(const Inode& inode, std::uint64_t bytes) const;
  void change(Change made);
  static void apply(const Change& made, Entries& entries);
  static void markUnsure(Inode& inode, std::uint64_t from, std::uint64_t to);
  static void makeDurable(Inode& inode);
  static void lose(Inode& inode);
  void settle(Inode& inode, Unsynced unsynced);
  void settleDirectories(Unsynced unsynced);
  bool chance();

  const Directories directories_;
  Observer observer_;

  mutable std::mutex mutex_;
  // Guarded by mutex_
  SeededRandom random_;
  Entries now_;
  Entries durable_;
  std::vector<Change> journal_;
  std::uint64_t life_ = 0;  // counts powerOn() and endProcess(); open files of an earlier life are dead
  std::uint64_t operations_ = 0;
  std::optional<std::uint64_t> powerLossAt_;
  std::array<Failure, kOperations> failures_{};
  std::uint64_t capacity_ = UINT64_MAX;
  bool hasPower_ = true;
};

}  // namespace hf
