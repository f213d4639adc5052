#include "storage/object_files.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/page_checksum.h"

namespace hf::storage {
namespace {

constexpr std::string_view kSuffix = ".sqlite";
// From so many files on, one sync of the file system is cheaper than one for each.
constexpr std::size_t kFilesSyncedOneByOne = 4;
// Of pages that lie one after another, so much at a time.
constexpr std::size_t kWriteBytesMax = 256UL * 1024;

}  // namespace

std::string ObjectFiles::namespacePath(const NamespaceId& ns) const { return directory_ + "/" + ns.hex(); }

std::string ObjectFiles::folderPath(const ObjectKey& object) const {
  return namespacePath(object.ns) + "/" + object.id.hex().substr(0, 2);
}

std::string ObjectFiles::filePath(const ObjectKey& object) const {
  return folderPath(object) + "/" + object.id.hex() + std::string(kSuffix);
}

Result<std::shared_ptr<File>> ObjectFiles::openForRead(const ObjectKey& object) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = byObject_.find(object); it != byObject_.end()) {
      open_.splice(open_.begin(), open_, it->second);
      return it->second->file;
    }
  }
  HF_TRY(std::shared_ptr<File> file, disk_.open(filePath(object), OpenMode::kRead));
  const std::lock_guard lock(mutex_);
  if (byObject_.contains(object)) return file;
  open_.push_front({.object = object, .file = file});
  byObject_[object] = open_.begin();
  if (open_.size() > openFilesMax_) {
    byObject_.erase(open_.back().object);
    open_.pop_back();
  }
  return file;
}

void ObjectFiles::closeFile(const ObjectKey& object) {
  const std::lock_guard lock(mutex_);
  const auto it = byObject_.find(object);
  if (it == byObject_.end()) return;
  open_.erase(it->second);
  byObject_.erase(it);
}

std::size_t ObjectFiles::openCount() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

Result<std::optional<std::uint32_t>> ObjectFiles::pageCount(const ObjectKey& object, Completeness completeness) {
  const std::string path = filePath(object);
  // Not asked whether it exists first: a checkpoint may remove it in between.
  const Result<std::shared_ptr<File>> file = openForRead(object);
  if (!file && file.error().code == Errc::kNotFound) return std::nullopt;
  if (!file) return std::unexpected(file.error());
  HF_TRY(const std::uint64_t size, (*file)->size());
  if (size % kPageBytes != 0 && completeness == Completeness::kComplete) {
    return fail(Errc::kCorrupt, path + ": its length, " + std::to_string(size) + ", is not a number of pages");
  }
  return static_cast<std::uint32_t>(size / kPageBytes);
}

Result<void> ObjectFiles::readDamagedPage(const ObjectKey& object, std::uint32_t number,
                                          std::span<std::uint8_t, kPageBytes> out) {
  HF_CHECK(number >= 1, "pages are counted from 1");
  HF_TRY(const std::shared_ptr<File> file, openForRead(object));
  HF_TRY(const std::size_t read, file->readAt(std::uint64_t{number - 1} * kPageBytes, out));
  std::memset(out.data() + read, 0, out.size() - read);
  return {};
}

Result<void> ObjectFiles::readPage(const ObjectKey& object, std::uint32_t number,
                                   std::span<std::uint8_t, kPageBytes> out) {
  HF_TRY_VOID(readDamagedPage(object, number, out));
  if (sabotage_ == Sabotage::kPageUnchecked) return {};
  const std::uint64_t offset = std::uint64_t{number - 1} * kPageBytes;
  if (!pageChecksumFits(out)) {
    return fail(Errc::kCorrupt, filePath(object) + ": damaged at offset " + std::to_string(offset) + ": page " +
                                    std::to_string(number) + " does not fit its checksum");
  }
  if (number == 1 && out[kReservedBytesOffset] != kPageChecksumBytes) {
    return fail(Errc::kCorrupt, filePath(object) + ": damaged at offset " + std::to_string(kReservedBytesOffset) +
                                    ": a database with checksums reserves 8 bytes of each page");
  }
  return {};
}

Result<std::unique_ptr<ObjectFiles::Writer>> ObjectFiles::writer(std::size_t snapshots) {
  std::unique_ptr<Writer> writer(new Writer(*this));
  if (snapshots > kFilesSyncedOneByOne) {
    HF_TRY(writer->fileSystem_, disk_.openFileSystem(directory_.substr(0, directory_.rfind('/'))));
  }
  return writer;
}

Result<void> ObjectFiles::Writer::makeDirectory(const std::string& path) {
  if (files_.madeDirectories_.contains(path)) return {};
  HF_TRY_VOID(files_.disk_.makeDirectories(path));
  made_.push_back(path);
  // Every directory from ours down may be new, and so may the names in it: a round before this one, or a process
  // before this one, may have made them and ended before it synced them.
  files_.unsyncedDirectories_.insert(path);
  std::string parent = path;
  while (parent.size() >= files_.directory_.size()) {
    parent.resize(parent.rfind('/'));
    files_.unsyncedDirectories_.insert(parent);
  }
  return {};
}

Result<void> ObjectFiles::Writer::writePages(File& file, const OverlaySnapshot& snapshot) {
  for (std::size_t i = 0; i < snapshot.pages.size();) {
    const std::uint32_t first = snapshot.pages[i].first;
    buffer_.clear();
    do {
      const Page& page = *snapshot.pages[i].second;
      buffer_.insert(buffer_.end(), page.begin(), page.end());
      stampPageChecksum(std::span(buffer_).last(kPageBytes));
      i++;
    } while (i < snapshot.pages.size() && snapshot.pages[i].first == first + (buffer_.size() / kPageBytes) &&
             buffer_.size() < kWriteBytesMax);
    const BytesView part = buffer_;
    HF_TRY_VOID(file.writeAt(std::uint64_t{first - 1} * kPageBytes, std::span(&part, 1)));
  }
  const std::uint64_t size = std::uint64_t{snapshot.pageCount} * kPageBytes;
  HF_TRY(const std::uint64_t sizeNow, file.size());
  if (sizeNow != size) HF_TRY_VOID(file.truncate(size));
  return {};
}

Result<void> ObjectFiles::Writer::write(const ObjectKey& object, const OverlaySnapshot& snapshot) {
  const std::string path = files_.filePath(object);
  const std::string folder = files_.folderPath(object);
  HF_TRY(const bool existed, files_.disk_.exists(path));
  if (snapshot.pageCount == 0) {
    files_.closeFile(object);
    if (!existed) return {};
    HF_TRY_VOID(files_.disk_.remove(path));
    files_.unsyncedDirectories_.insert(folder);
    return {};
  }
  HF_TRY_VOID(makeDirectory(folder));
  HF_TRY(std::unique_ptr<File> file, files_.disk_.open(path, OpenMode::kCreate));
  if (!existed) files_.unsyncedDirectories_.insert(folder);
  if (!snapshot.fileCounts) HF_TRY_VOID(file->truncate(0));
  HF_TRY_VOID(writePages(*file, snapshot));
  if (fileSystem_ == nullptr) unsynced_.push_back(std::move(file));
  return {};
}

Result<void> ObjectFiles::Writer::sync() {
  if (files_.sabotage_ == Sabotage::kFilesNotSynced) return {};
  if (fileSystem_ != nullptr) {
    HF_TRY_VOID(fileSystem_->sync());
  } else {
    for (const std::unique_ptr<File>& file : unsynced_) HF_TRY_VOID(file->sync());
    if (files_.sabotage_ == Sabotage::kFileDirectoriesNotSynced) return {};
    for (const std::string& directory : files_.unsyncedDirectories_) HF_TRY_VOID(files_.disk_.syncDirectory(directory));
  }
  files_.unsyncedDirectories_.clear();
  files_.madeDirectories_.insert(made_.begin(), made_.end());
  return {};
}

Result<std::vector<ObjectId>> ObjectFiles::list(const NamespaceId& ns, const std::optional<ObjectId>& after,
                                                std::size_t limit) {
  std::vector<ObjectId> ids;
  HF_TRY(const bool exists, disk_.exists(namespacePath(ns)));
  if (!exists) return ids;
  HF_TRY(const std::vector<std::string> folders, disk_.list(namespacePath(ns)));
  const std::string firstFolder = after ? after->hex().substr(0, 2) : "";
  for (const std::string& folder : folders) {
    if (folder < firstFolder) continue;
    HF_TRY(const std::vector<std::string> names, disk_.list(namespacePath(ns) + "/" + folder));
    for (const std::string& name : names) {
      if (ids.size() == limit) return ids;
      ObjectId id;
      if (!name.ends_with(kSuffix) ||
          !fromHex(std::string_view(name).substr(0, name.size() - kSuffix.size()), id.bytes)) {
        continue;  // not ours
      }
      if (!after || id > *after) ids.push_back(id);
    }
  }
  return ids;
}

Result<void> ObjectFiles::removeNamespace(const NamespaceId& ns) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(open_, [&](const Open& open) {
      if (open.object.ns != ns) return false;
      byObject_.erase(open.object);
      return true;
    });
  }
  const std::string path = namespacePath(ns);
  std::erase_if(madeDirectories_, [&](const std::string& made) { return made.starts_with(path); });
  std::erase_if(unsyncedDirectories_, [&](const std::string& changed) { return changed.starts_with(path); });
  HF_TRY(const bool exists, disk_.exists(path));
  if (!exists) return {};
  HF_TRY_VOID(disk_.removeTree(path));
  return disk_.syncDirectory(directory_);
}

}  // namespace hf::storage
