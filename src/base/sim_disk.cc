#include "base/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace hf {
namespace {

std::string parentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
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
    if (inode_->now.size() < end) inode_->now.resize(end);
    for (const BytesView part : parts) {
      std::ranges::copy(part, inode_->now.begin() + static_cast<std::ptrdiff_t>(offset));
      offset += part.size();
    }
    for (const BytesView part : parts) offset -= part.size();
    markDirty(offset, end);
    return disk_.step();
  }

  Result<void> sync() override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.step());
    if (disk_.syncFailsIn_ && --*disk_.syncFailsIn_ == 0) {
      disk_.syncFailsIn_.reset();
      inode_->dirty.clear();
      return fail(Errc::kIo, "fdatasync " + path_ + ": simulated failure");
    }
    makeDurable();
    return {};
  }

  Result<void> allocate(std::uint64_t bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.fits(*inode_, bytes));
    if (inode_->now.size() < bytes) inode_->now.resize(bytes);
    return disk_.step();
  }

  Result<void> truncate(std::uint64_t bytes) override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    HF_TRY_VOID(disk_.fits(*inode_, bytes));
    const std::uint64_t before = inode_->now.size();
    inode_->now.resize(bytes);
    markDirty(std::min(before, bytes), std::max(before, bytes));
    return disk_.step();
  }

  Result<std::uint64_t> size() override {
    const std::scoped_lock lock(disk_.mutex_);
    HF_TRY_VOID(alive());
    return static_cast<std::uint64_t>(inode_->now.size());
  }

  // With the disk's lock held.
  void makeDurable() {
    inode_->durable.resize(inode_->now.size());
    for (const std::uint64_t sector : inode_->dirty) copySector(sector);
    inode_->dirty.clear();
  }

 private:
  [[nodiscard]] Result<void> alive() const {
    if (life_ != disk_.life_) return fail(Errc::kIo, path_ + ": opened before the power was lost");
    return disk_.alive();
  }
  void markDirty(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t at = from / SimDisk::kSectorBytes; at * SimDisk::kSectorBytes < to; at++)
      inode_->dirty.insert(at);
  }
  void copySector(std::uint64_t sector) {
    const std::size_t from = std::min<std::size_t>(sector * SimDisk::kSectorBytes, inode_->now.size());
    const std::size_t to = std::min<std::size_t>(from + SimDisk::kSectorBytes, inode_->now.size());
    std::copy(inode_->now.begin() + static_cast<std::ptrdiff_t>(from),
              inode_->now.begin() + static_cast<std::ptrdiff_t>(to),
              inode_->durable.begin() + static_cast<std::ptrdiff_t>(from));
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
    if (life_ != disk_.life_) return fail(Errc::kIo, "file system: opened before the power was lost");
    HF_TRY_VOID(disk_.alive());
    HF_TRY_VOID(disk_.step());
    const bool fails = disk_.syncFailsIn_ && --*disk_.syncFailsIn_ == 0;
    for (const auto& [path, inode] : disk_.now_) {
      if (inode == nullptr) continue;
      if (!fails) SimFile(disk_, inode, path).makeDurable();
      inode->dirty.clear();
    }
    if (fails) {
      disk_.syncFailsIn_.reset();
      return fail(Errc::kIo, "syncfs: simulated failure");
    }
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

Result<void> SimDisk::step() {
  operations_++;
  if (powerLossAt_ && operations_ >= *powerLossAt_) hasPower_ = false;
  return alive();
}

std::uint64_t SimDisk::usedBytes() const {
  std::uint64_t used = 0;
  for (const auto& [path, inode] : now_) used += inode ? inode->now.size() : 0;
  return used;
}

Result<void> SimDisk::fits(const Inode& inode, std::uint64_t bytes) const {
  if (bytes <= inode.now.size() || capacity_ == UINT64_MAX) return {};
  if (usedBytes() + (bytes - inode.now.size()) <= capacity_) return {};
  return fail(Errc::kNoSpace, "the simulated disk is full");
}

void SimDisk::apply(const Change& made, Entries& entries) {
  if (!made.remove.empty()) entries.erase(made.remove);
  if (!made.add.empty()) entries[made.add] = made.inode;
}

void SimDisk::change(Change made) {
  apply(made, now_);
  journal_.push_back(std::move(made));
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
  const std::string parent = parentOf(path);
  if (!parent.empty() && !now_.contains(parent)) return fail(Errc::kNotFound, "open " + path + ": no such directory");
  auto inode = std::make_shared<Inode>();
  change({.remove = "", .add = path, .inode = inode});
  HF_TRY_VOID(step());
  return std::make_unique<SimFile>(*this, std::move(inode), path);
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  if (!now_.contains(directory)) return fail(Errc::kNotFound, "list " + directory + ": no such directory");
  std::vector<std::string> names;
  for (const auto& [path, inode] : now_) {
    if (parentOf(path) == directory) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

Result<void> SimDisk::makeDirectories(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const auto found = now_.find(part);
    if (found == now_.end()) {
      change({.remove = "", .add = part, .inode = nullptr});
    } else if (found->second) {
      return fail(Errc::kIo, "make directory " + part + ": it is a file");
    }
    if (slash == std::string::npos) break;
  }
  return step();
}

Result<void> SimDisk::rename(const std::string& from, const std::string& to) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  const auto found = now_.find(from);
  if (found == now_.end()) return fail(Errc::kNotFound, "rename " + from + ": no such file");
  HF_CHECK(found->second != nullptr, "the simulated disk renames files only");
  change({.remove = from, .add = to, .inode = found->second});
  return step();
}

Result<void> SimDisk::remove(const std::string& path) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  if (!now_.contains(path)) return fail(Errc::kNotFound, "remove " + path + ": no such file");
  change({.remove = path, .add = "", .inode = nullptr});
  return step();
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
    change({.remove = *entry, .add = "", .inode = nullptr});
    HF_TRY_VOID(step());
  }
  return {};
}

Result<void> SimDisk::syncDirectory(const std::string& directory) {
  const std::scoped_lock lock(mutex_);
  HF_TRY_VOID(alive());
  HF_TRY_VOID(step());
  // The journal keeps its order: what was done before the last change of this directory becomes durable with it.
  std::size_t count = 0;
  for (std::size_t i = 0; i < journal_.size(); i++) {
    if (parentOf(journal_[i].remove) == directory || parentOf(journal_[i].add) == directory) count = i + 1;
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
  const std::uint64_t used = usedBytes();
  return capacity_ > used ? capacity_ - used : 0;
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
  const bool keepSize = unsynced == Unsynced::kKept ||
                        (unsynced == Unsynced::kByChance && inode.now.size() > inode.durable.size() && chance());
  // All, none, or some of the sectors: tearing shows at its edges too.
  const std::uint64_t mood = unsynced == Unsynced::kByChance ? random_.below(4) : 0;
  if (keepSize) inode.durable.resize(inode.now.size());
  for (const std::uint64_t sector : inode.dirty) {
    if (unsynced == Unsynced::kForgotten || (unsynced == Unsynced::kByChance && mood == 0)) break;
    if (unsynced == Unsynced::kByChance && mood != 1 && chance()) continue;
    const std::size_t limit = std::min(inode.now.size(), inode.durable.size());
    const std::size_t from = std::min<std::size_t>(sector * kSectorBytes, limit);
    const std::size_t to = std::min<std::size_t>(from + kSectorBytes, limit);
    std::copy(inode.now.begin() + static_cast<std::ptrdiff_t>(from),
              inode.now.begin() + static_cast<std::ptrdiff_t>(to),
              inode.durable.begin() + static_cast<std::ptrdiff_t>(from));
  }
  inode.now = inode.durable;
  inode.dirty.clear();
}

void SimDisk::powerOn(Unsynced unsynced) {
  const std::scoped_lock lock(mutex_);
  std::size_t kept = 0;
  if (unsynced == Unsynced::kKept) kept = journal_.size();
  if (unsynced == Unsynced::kByChance) kept = random_.below(journal_.size() + 1);
  for (std::size_t i = 0; i < kept; i++) apply(journal_[i], durable_);
  journal_.clear();
  now_ = durable_;
  for (const auto& [path, inode] : now_) {
    if (inode) settle(*inode, unsynced);
  }
  life_++;
  powerLossAt_.reset();
  syncFailsIn_.reset();
  hasPower_ = true;
}

std::uint64_t SimDisk::operations() const {
  const std::scoped_lock lock(mutex_);
  return operations_;
}

void SimDisk::failSyncAt(std::uint64_t n) {
  const std::scoped_lock lock(mutex_);
  HF_CHECK(n > 0, "the next sync is number 1");
  syncFailsIn_ = n;
}

void SimDisk::setCapacity(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  capacity_ = bytes;
}

void SimDisk::damage(const std::string& path, std::uint64_t offset, std::uint8_t mask) {
  const std::scoped_lock lock(mutex_);
  const auto found = now_.find(path);
  HF_CHECK(found != now_.end() && found->second && offset < found->second->now.size(), "a test damages what is there");
  found->second->now[offset] ^= mask;
  if (offset < found->second->durable.size()) found->second->durable[offset] ^= mask;
}

}  // namespace hf
