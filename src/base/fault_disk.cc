#include "base/fault_disk.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace hf {

class FaultFile final : public File {
 public:
  using Operation = FaultDisk::Operation;

  FaultFile(FaultDisk& disk, std::unique_ptr<File> inner, std::string path)
      : disk_(disk), inner_(std::move(inner)), path_(std::move(path)) {}

  Result<std::size_t> readAt(std::uint64_t offset, std::span<std::uint8_t> out) override {
    HF_TRY_VOID(disk_.begin(Operation::kRead, path_));
    return inner_->readAt(offset, out);
  }
  Result<void> writeAt(std::uint64_t offset, std::span<const BytesView> parts) override {
    HF_TRY_VOID(disk_.begin(Operation::kWrite, path_));
    std::uint64_t end = offset;
    for (const BytesView part : parts) end += part.size();
    HF_TRY_VOID(grow(end));
    return inner_->writeAt(offset, parts);
  }
  Result<void> sync() override {
    HF_TRY_VOID(disk_.begin(Operation::kSync, path_));
    disk_.waitWhileHeld(path_);
    return inner_->sync();
  }
  Result<void> allocate(std::uint64_t bytes) override {
    HF_TRY_VOID(disk_.begin(Operation::kAllocate, path_));
    HF_TRY_VOID(grow(bytes));
    return inner_->allocate(bytes);
  }
  Result<void> truncate(std::uint64_t bytes) override {
    HF_TRY_VOID(disk_.begin(Operation::kWrite, path_));
    return inner_->truncate(bytes);
  }
  Result<std::uint64_t> size() override { return inner_->size(); }

 private:
  Result<void> grow(std::uint64_t end) {
    HF_TRY(const std::uint64_t size, inner_->size());
    if (end <= size) return {};
    return disk_.needSpace(path_);
  }

  // Fixed once made
  FaultDisk& disk_;
  const std::unique_ptr<File> inner_;
  const std::string path_;
};

class FaultFileSystem final : public FileSystem {
 public:
  FaultFileSystem(FaultDisk& disk, std::unique_ptr<FileSystem> inner, std::string directory)
      : disk_(disk), inner_(std::move(inner)), directory_(std::move(directory)) {}

  Result<void> sync() override {
    HF_TRY_VOID(disk_.begin(FaultDisk::Operation::kSync, directory_));
    disk_.waitWhileHeld(directory_);
    return inner_->sync();
  }

 private:
  // Fixed once made
  FaultDisk& disk_;
  const std::unique_ptr<FileSystem> inner_;
  const std::string directory_;
};

Result<std::unique_ptr<FileSystem>> FaultDisk::openFileSystem(const std::string& directory) {
  HF_TRY(std::unique_ptr<FileSystem> inner, inner_.openFileSystem(directory));
  return std::make_unique<FaultFileSystem>(*this, std::move(inner), directory);
}

FaultDisk::FaultDisk(Disk& inner, std::string controlDirectory)
    : inner_(inner), control_(std::move(controlDirectory)) {}

bool FaultDisk::isFlagged(const char* flag, const std::string& path) const {
  if (control_.empty()) return false;
  std::ifstream file(control_ + "/" + flag);
  if (!file) return false;
  std::string part((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  while (!part.empty() && part.back() == '\n') part.pop_back();
  return path.find(part) != std::string::npos;
}

void FaultDisk::awaitFlagGone(const char* flag, const std::string& path) const {
  if (!isFlagged(flag, path)) return;
  const int watcher = inotify_init1(IN_CLOEXEC);
  HF_CHECK(watcher >= 0, "a machine that runs fault tests has inotify");
  // If the directory is gone by now, so is the flag. The watch is set before the flag is looked at again, so that its
  // removal cannot be missed.
  const int watch = inotify_add_watch(watcher, control_.c_str(),
                                      IN_DELETE | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF);
  while (watch >= 0 && isFlagged(flag, path)) {
    alignas(inotify_event) std::array<char, 4096> events;
    const ssize_t got = ::read(watcher, events.data(), events.size());
    HF_CHECK(got > 0 || errno == EINTR, "inotify is readable");
  }
  ::close(watcher);
}

Result<void> FaultDisk::begin(Operation operation, const std::string& path) {
  {
    const std::scoped_lock lock(mutex_);
    const auto index = static_cast<std::size_t>(operation);
    counts_[index]++;
    Failure& failure = failures_[index];
    if (failure.in > 0) {
      failure.in--;
      if (failure.in == 0) return fail(failure.error, "injected failure: " + path);
    }
  }
  const char* flag = nullptr;
  if (operation == Operation::kRead) flag = "eio-read";
  if (operation == Operation::kWrite || operation == Operation::kAllocate) flag = "eio-write";
  if (operation == Operation::kSync) flag = "eio-sync";
  if (flag != nullptr && isFlagged(flag, path)) {
    return fail(Errc::kIo, "injected failure (" + std::string(flag) + "): " + path + ": Input/output error");
  }
  return {};
}

Result<void> FaultDisk::needSpace(const std::string& path) {
  bool isFull = false;
  {
    const std::scoped_lock lock(mutex_);
    isFull = isFull_;
  }
  if (isFull || isFlagged("enospc", path)) {
    return fail(Errc::kNoSpace, "injected failure (enospc): " + path + ": No space left on device");
  }
  return {};
}

void FaultDisk::waitWhileHeld(const std::string& path) {
  {
    std::unique_lock lock(mutex_);
    const auto isHeld = [&] { return held_ && path.find(*held_) != std::string::npos; };
    if (isHeld()) {
      waiting_++;
      changed_.notify_all();
      changed_.wait(lock, [&] { return !isHeld(); });
      waiting_--;
    }
  }
  awaitFlagGone("hold-sync", path);
}

void FaultDisk::holdSyncs(std::string part) {
  const std::scoped_lock lock(mutex_);
  held_ = std::move(part);
}

void FaultDisk::releaseSyncs() {
  {
    const std::scoped_lock lock(mutex_);
    held_.reset();
  }
  changed_.notify_all();
}

void FaultDisk::awaitHeldSyncs(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_ >= count; });
}

void FaultDisk::failAt(Operation operation, std::uint64_t n, Errc error) {
  HF_CHECK(n > 0, "the next operation is number 1");
  const std::scoped_lock lock(mutex_);
  failures_[static_cast<std::size_t>(operation)] = {.in = n, .error = error};
}

void FaultDisk::setFull(bool isFull) {
  const std::scoped_lock lock(mutex_);
  isFull_ = isFull;
}

std::uint64_t FaultDisk::count(Operation operation) const {
  const std::scoped_lock lock(mutex_);
  return counts_[static_cast<std::size_t>(operation)];
}

Result<std::unique_ptr<File>> FaultDisk::open(const std::string& path, OpenMode mode) {
  if (mode == OpenMode::kCreate || mode == OpenMode::kCreateNew) {
    HF_TRY(const bool isThere, inner_.exists(path));
    if (!isThere) HF_TRY_VOID(needSpace(path));
  }
  HF_TRY(auto file, inner_.open(path, mode));
  return std::make_unique<FaultFile>(*this, std::move(file), path);
}

Result<std::vector<std::string>> FaultDisk::list(const std::string& directory) { return inner_.list(directory); }

Result<void> FaultDisk::makeDirectories(const std::string& path) {
  HF_TRY(const bool isThere, inner_.exists(path));
  if (!isThere) HF_TRY_VOID(needSpace(path));
  return inner_.makeDirectories(path);
}

Result<void> FaultDisk::rename(const std::string& from, const std::string& to) {
  HF_TRY_VOID(begin(Operation::kRename, from));
  return inner_.rename(from, to);
}

Result<void> FaultDisk::remove(const std::string& path) {
  HF_TRY_VOID(begin(Operation::kRemove, path));
  return inner_.remove(path);
}

Result<void> FaultDisk::removeTree(const std::string& path) {
  HF_TRY_VOID(begin(Operation::kRemove, path));
  return inner_.removeTree(path);
}

Result<void> FaultDisk::syncDirectory(const std::string& directory) {
  HF_TRY_VOID(begin(Operation::kSyncDirectory, directory));
  return inner_.syncDirectory(directory);
}

Result<bool> FaultDisk::exists(const std::string& path) { return inner_.exists(path); }

Result<std::uint64_t> FaultDisk::freeBytes(const std::string& path) {
  {
    const std::scoped_lock lock(mutex_);
    if (isFull_) return std::uint64_t{0};
  }
  if (isFlagged("enospc", path)) return std::uint64_t{0};
  return inner_.freeBytes(path);
}

}  // namespace hf
