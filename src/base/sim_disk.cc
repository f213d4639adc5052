#include "base/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace hf {
namespace {

std::string_view parentOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool isInside(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() + 1 && path.starts_with(directory) && path[directory.size()] == '/';
}

}  // namespace

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, SimDisk::InodePtr inode, std::string path)
      : disk_(disk), inode_(std::move(inode)), path_(std::move(path)), life_(disk.life_) {}

  Result<std::size_t> readAt(std::uint64_t offset, std::span<std::uint8_t> out) override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.failure(SimDisk::Operation::kRead, path_));
    if (offset >= inode_->now.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(out.size(), inode_->now.size() - offset);
    if (count > 0) std::memcpy(out.data(), inode_->now.data() + offset, count);
    return count;
  }

  Result<void> writeAt(std::uint64_t offset, std::span<const BytesView> parts) override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    std::uint64_t end = offset;
    for (const BytesView part : parts) end += part.size();
    HF_TRY_VOID(disk_.fits(*inode_, end));
    const Result<void> failed = disk_.failure(SimDisk::Operation::kWrite, path_);
    // What fails may have written a part.
    if (!failed) end = offset + disk_.random_.below(end - offset + 1);
    SimDisk::markUnsure(*inode_, offset, end);
    if (inode_->now.size() < end) inode_->now.resize(end);
    for (const BytesView part : parts) {
      const std::uint64_t count = std::min<std::uint64_t>(part.size(), end - offset);
      if (count > 0) std::memcpy(inode_->now.data() + offset, part.data(), count);
      offset += count;
    }
    HF_TRY_VOID(disk_.step("write", path_));
    return failed;
  }

  Result<void> sync() override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.step("sync", path_));
    if (Result<void> failed = disk_.failure(SimDisk::Operation::kSync, path_); !failed) {
      SimDisk::lose(*inode_);
      return failed;
    }
    if (std::exchange(inode_->owesError, false)) {
      SimDisk::lose(*inode_);
      return fail(Errc::kIo, "sync " + path_ + ": " + std::string(SimDisk::kOwedError));
    }
    SimDisk::makeDurable(*inode_);
    return {};
  }

  Result<void> allocate(std::uint64_t bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.fits(*inode_, bytes));
    HF_TRY_VOID(disk_.failure(SimDisk::Operation::kAllocate, path_));
    if (inode_->now.size() < bytes) inode_->now.resize(bytes);
    return disk_.step("allocate", path_);
  }

  Result<void> truncate(std::uint64_t bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.fits(*inode_, bytes));
    HF_TRY_VOID(disk_.failure(SimDisk::Operation::kWrite, path_));
    const std::uint64_t before = inode_->now.size();
    SimDisk::markUnsure(*inode_, std::min(before, bytes), std::max(before, bytes));
    inode_->now.resize(bytes);
    return disk_.step("truncate", path_);
  }

  Result<std::uint64_t> size() override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    return static_cast<std::uint64_t>(inode_->now.size());
  }

 private:
  [[nodiscard]] Result<void> alive() const {
    if (life_ != disk_.life_) return fail(Errc::kIo, path_ + ": opened before the machine or the process ended");
    return disk_.alive();
  }

  // Fixed once made
  SimDisk& disk_;
  const SimDisk::InodePtr inode_;
  const std::string path_;
  const std::uint64_t life_;
};

class SimFileSystem final : public FileSystem {
 public:
  explicit SimFileSystem(SimDisk& disk) : disk_(disk), life_(disk.life_) {}

  Result<void> sync() override {
    const std::scoped_lock lock(disk_.mutex_);
    if (life_ != disk_.life_) return fail(Errc::kIo, "file system: opened before the machine or the process ended");
    HF_TRY_VOID(disk_.alive());
    HF_TRY_VOID(disk_.step("sync", "the file system"));
    const Result<void> failed = disk_.failure(SimDisk::Operation::kSync, "the file system");
    for (const auto& [path, inode] : disk_.now_) {
      if (inode == nullptr) continue;
      if (failed) {
        SimDisk::makeDurable(*inode);
      } else {
        inode->owesError = inode->owesError || !inode->unsure.empty();
        SimDisk::lose(*inode);
      }
    }
    HF_TRY_VOID(failed);
    for (const SimDisk::Change& change : disk_.journal_) SimDisk::apply(change, disk_.durable_);
    disk_.journal_.clear();
    return {};
  }

 private:
  // Fixed once made
  SimDisk& disk_;
  const std::uint64_t life_;
};

Result<std::unique_ptr<FileSystem>> SimDisk::openFileSystem(const std::string& directory) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  return std::make_unique<SimFileSystem>(*this);
}

Result<void> SimDisk::alive() const {
  if (!hasPower_) return fail(Errc::kIo, "the simulated machine has no power");
  return {};
}

Result<void> SimDisk::step(std::string_view operation, const std::string& path) {
  if (observer_) observer_(operation, path);
  operations_++;
  if (powerLossAt_ && operations_ >= *powerLossAt_) hasPower_ = false;
  return alive();
}

Result<void> SimDisk::failure(Operation operation, const std::string& path) {
  Failure& planned = failures_[static_cast<std::size_t>(operation)];
  if (planned.in == 0) return {};
  planned.in--;
  if (planned.in > 0) return {};
  return fail(planned.error, path + ": a simulated failure");
}

std::uint64_t SimDisk::used() const {
  std::uint64_t bytes = 0;
  for (const auto& [path, inode] : now_) bytes += inode ? inode->now.size() : 0;
  return bytes;
}

Result<void> SimDisk::fits(const Inode& inode, std::uint64_t bytes) const {
  if (bytes <= inode.now.size() || capacity_ == UINT64_MAX) return {};
  if (used() + (bytes - inode.now.size()) <= capacity_) return {};
  return fail(Errc::kNoSpace, "the simulated disk is full");
}

void SimDisk::apply(const Change& made, Entries& entries) {
  if (!made.remove.empty()) {
    entries.erase(made.remove);
    // A directory that is made again is another one: nothing of the old one comes back in it.
    if (made.add.empty()) {
      const std::string below = made.remove + "/";
      for (auto it = entries.lower_bound(below); it != entries.end() && it->first.starts_with(below);) {
        it = entries.erase(it);
      }
    }
  }
  if (!made.add.empty()) entries[made.add] = made.inode;
}

void SimDisk::change(Change made) {
  apply(made, now_);
  journal_.push_back(std::move(made));
}

// Before the bytes change: what is durable of their sectors is kept.
void SimDisk::markUnsure(Inode& inode, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t sector = from / kSectorBytes; sector * kSectorBytes < to; sector++) {
    const auto [it, isNew] = inode.unsure.try_emplace(sector);
    it->second.isLost = false;
    const std::uint64_t at = sector * kSectorBytes;
    if (!isNew || at >= inode.durableSize || at >= inode.now.size()) continue;
    it->second.durable = std::make_unique<Sector>();
    std::memcpy(it->second.durable->data(), inode.now.data() + at,
                std::min<std::uint64_t>(kSectorBytes, inode.now.size() - at));
  }
}

void SimDisk::makeDurable(Inode& inode) {
  inode.durableSize = inode.now.size();
  std::erase_if(inode.unsure, [](const auto& sector) { return !sector.second.isLost; });
}

void SimDisk::lose(Inode& inode) {
  for (auto& [sector, unsure] : inode.unsure) unsure.isLost = true;
}

Result<std::unique_ptr<File>> SimDisk::open(const std::string& path, OpenMode mode) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  const auto found = now_.find(path);
  if (found != now_.end()) {
    if (mode == OpenMode::kCreateNew) return fail(Errc::kAlreadyExists, "open " + path + ": it exists");
    if (!found->second) return fail(Errc::kIo, "open " + path + ": it is a directory");
    return std::make_unique<SimFile>(*this, found->second, path);
  }
  if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) {
    return fail(Errc::kNotFound, "open " + path + ": no such file");
  }
  const std::string parent(parentOf(path));
  if (!parent.empty() && !now_.contains(parent)) return fail(Errc::kNotFound, "open " + path + ": no such directory");
  HF_TRY_VOID(failure(Operation::kDirectory, path));
  auto inode = std::make_shared<Inode>();
  change({.remove = "", .add = path, .inode = inode});
  HF_TRY_VOID(step("make", path));
  return std::make_unique<SimFile>(*this, std::move(inode), path);
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  if (!now_.contains(directory)) return fail(Errc::kNotFound, "list " + directory + ": no such directory");
  std::vector<std::string> names;
  for (auto it = now_.upper_bound(directory); it != now_.end() && it->first.starts_with(directory); ++it) {
    if (parentOf(it->first) == directory) names.push_back(it->first.substr(directory.size() + 1));
  }
  return names;
}

Result<void> SimDisk::makeDirectories(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const auto found = now_.find(part);
    if (found != now_.end() && found->second) return fail(Errc::kIo, "make directory " + part + ": it is a file");
    if (found == now_.end()) {
      HF_TRY_VOID(failure(Operation::kDirectory, part));
      change({.remove = "", .add = part, .inode = nullptr});
      HF_TRY_VOID(step("make directory", part));
    }
    if (slash == std::string::npos) return {};
  }
}

Result<void> SimDisk::rename(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  const auto found = now_.find(from);
  if (found == now_.end()) return fail(Errc::kNotFound, "rename " + from + ": no such file");
  HF_CHECK(found->second != nullptr, "the simulated disk renames files only");
  HF_TRY_VOID(failure(Operation::kDirectory, from));
  change({.remove = from, .add = to, .inode = found->second});
  return step("rename", from);
}

Result<void> SimDisk::remove(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  if (!now_.contains(path)) return fail(Errc::kNotFound, "remove " + path + ": no such file");
  HF_TRY_VOID(failure(Operation::kDirectory, path));
  change({.remove = path, .add = "", .inode = nullptr});
  return step("remove", path);
}

Result<void> SimDisk::removeTree(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  std::vector<std::string> paths;
  for (const auto& [entry, inode] : now_) {
    if (entry == path || isInside(entry, path)) paths.push_back(entry);
  }
  // What is inside goes first.
  for (auto entry = paths.rbegin(); entry != paths.rend(); ++entry) {
    HF_TRY_VOID(failure(Operation::kDirectory, *entry));
    change({.remove = *entry, .add = "", .inode = nullptr});
    HF_TRY_VOID(step("remove", *entry));
  }
  return {};
}

Result<void> SimDisk::syncDirectory(const std::string& directory) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  HF_TRY_VOID(step("sync directory", directory));
  HF_TRY_VOID(failure(Operation::kSyncDirectory, directory));
  const auto isOfIt = [&](const Change& change) {
    return parentOf(change.remove) == directory || parentOf(change.add) == directory;
  };
  if (directories_ == Directories::kAnyOrder) {
    std::erase_if(journal_, [&](const Change& change) {
      if (!isOfIt(change)) return false;
      apply(change, durable_);
      return true;
    });
    return {};
  }
  // The journal keeps its order: what was done before the last change of this directory becomes durable with it.
  std::size_t count = 0;
  for (std::size_t i = 0; i < journal_.size(); i++) {
    if (isOfIt(journal_[i])) count = i + 1;
  }
  for (std::size_t i = 0; i < count; i++) apply(journal_[i], durable_);
  journal_.erase(journal_.begin(), journal_.begin() + static_cast<std::ptrdiff_t>(count));
  return {};
}

Result<bool> SimDisk::exists(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  return now_.contains(path);
}

Result<std::uint64_t> SimDisk::freeBytes(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  if (capacity_ == UINT64_MAX) return std::uint64_t{UINT64_MAX / 2};
  const std::uint64_t bytes = used();
  return capacity_ > bytes ? capacity_ - bytes : 0;
}

void SimDisk::losePowerAt(std::uint64_t n) {
  const std::scoped_lock lock(mutex_);
  powerLossAt_ = operations_ + n;
}

bool SimDisk::hasPower() const {
  const std::scoped_lock lock(mutex_);
  return hasPower_;
}

bool SimDisk::chance() { return random_.below(2) == 0; }

void SimDisk::settle(Inode& inode, Unsynced unsynced) {
  const std::uint64_t sizeNow = inode.now.size();
  std::uint64_t size = unsynced == Unsynced::kKept ? sizeNow : inode.durableSize;
  if (unsynced == Unsynced::kByChance && sizeNow != inode.durableSize && chance()) size = sizeNow;
  if (inode.unsure.empty() && size == sizeNow) {
    inode.durableSize = size;
    return;
  }
  // All, none, or some of the sectors: tearing shows at its edges too.
  const std::uint64_t mood = unsynced == Unsynced::kByChance ? random_.below(4) : 0;
  inode.now.resize(std::max(size, sizeNow));
  for (const auto& [sector, unsure] : inode.unsure) {
    const std::uint64_t at = sector * kSectorBytes;
    bool kept = unsynced == Unsynced::kKept;
    if (unsynced == Unsynced::kByChance && mood > 0) kept = mood == 1 || chance();
    if (unsure.isLost || at + kSectorBytes > sizeNow) kept = kept && !unsure.isLost && size <= sizeNow;
    if (kept || at >= size) continue;
    const std::uint64_t count = std::min(kSectorBytes, size - at);
    if (unsure.durable) {
      std::memcpy(inode.now.data() + at, unsure.durable->data(), count);
    } else {
      std::memset(inode.now.data() + at, 0, count);
    }
  }
  inode.now.resize(size);
  inode.durableSize = size;
  inode.unsure.clear();
  inode.owesError = false;
}

void SimDisk::settleDirectories(Unsynced unsynced) {
  const bool byChance = unsynced == Unsynced::kByChance;
  if (byChance && directories_ == Directories::kAnyOrder) {
    for (const Change& change : journal_) {
      if (chance()) apply(change, durable_);
    }
  } else {
    std::size_t kept = unsynced == Unsynced::kKept ? journal_.size() : 0;
    if (byChance) kept = random_.below(journal_.size() + 1);
    for (std::size_t i = 0; i < kept; i++) apply(journal_[i], durable_);
  }
  journal_.clear();
  // In order of path: a directory comes before what is in it.
  for (auto it = durable_.begin(); it != durable_.end();) {
    const std::string_view parent = parentOf(it->first);
    it = parent.empty() || durable_.contains(std::string(parent)) ? std::next(it) : durable_.erase(it);
  }
}

void SimDisk::powerOn(Unsynced unsynced) {
  const std::scoped_lock lock(mutex_);
  settleDirectories(unsynced);
  now_ = durable_;
  for (const auto& [path, inode] : now_) {
    if (inode) settle(*inode, unsynced);
  }
  life_++;
  powerLossAt_.reset();
  failures_ = {};
  hasPower_ = true;
}

void SimDisk::endProcess() {
  const std::scoped_lock lock(mutex_);
  HF_CHECK(hasPower_, "without power nothing is left of what was written");
  life_++;
}

std::uint64_t SimDisk::operations() const {
  const std::scoped_lock lock(mutex_);
  return operations_;
}

void SimDisk::failAt(Operation operation, std::uint64_t n, Errc error) {
  const std::scoped_lock lock(mutex_);
  HF_CHECK(n > 0, "the next one is number 1");
  failures_[static_cast<std::size_t>(operation)] = {.in = n, .error = error};
}

bool SimDisk::clearFailures() {
  const std::scoped_lock lock(mutex_);
  const bool happened = std::ranges::all_of(failures_, [](const Failure& failure) { return failure.in == 0; });
  failures_ = {};
  return happened;
}

void SimDisk::setCapacity(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  capacity_ = bytes;
}

std::uint64_t SimDisk::usedBytes() const {
  const std::scoped_lock lock(mutex_);
  return used();
}

void SimDisk::damage(const std::string& path, std::uint64_t offset, std::uint8_t mask) {
  const std::scoped_lock lock(mutex_);
  const auto found = now_.find(path);
  HF_CHECK(found != now_.end() && found->second && offset < found->second->now.size(), "a test damages what is there");
  Inode& inode = *found->second;
  inode.now[offset] ^= mask;
  const auto unsure = inode.unsure.find(offset / kSectorBytes);
  if (unsure == inode.unsure.end()) return;
  if (!unsure->second.durable) unsure->second.durable = std::make_unique<Sector>();
  (*unsure->second.durable)[offset % kSectorBytes] ^= mask;
}

std::vector<std::pair<std::string, std::uint64_t>> SimDisk::files() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> all;
  for (const auto& [path, inode] : now_) {
    if (inode) all.emplace_back(path, inode->now.size());
  }
  return all;
}

std::optional<Bytes> SimDisk::content(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto found = now_.find(path);
  if (found == now_.end() || !found->second) return std::nullopt;
  return found->second->now;
}

}  // namespace hf
