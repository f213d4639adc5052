#include "storage/space_reserve.h"

#include <algorithm>
#include <memory>

namespace hf::storage {
namespace {

// Less is not worth a file.
constexpr std::uint64_t kBytesMin = 1024UL * 1024;

}  // namespace

Result<void> SpaceReserve::keep() {
  if (bytes_ == 0 || held_ > 0) return {};
  HF_TRY(const std::uint64_t freeBytes, disk_.freeBytes(directory_));
  HF_TRY(const bool exists, disk_.exists(path()));
  if (exists) {
    // Of an earlier run.
    HF_TRY(const std::unique_ptr<File> file, disk_.open(path(), OpenMode::kReadWrite));
    HF_TRY(const std::uint64_t size, file->size());
    if (size >= kBytesMin) {
      held_ = size;
      return {};
    }
  }
  const std::uint64_t wanted = std::min(bytes_, freeBytes / 8);
  if (wanted < kBytesMin || freeBytes < 4 * wanted) return {};
  HF_TRY(const std::unique_ptr<File> file, disk_.open(path(), OpenMode::kCreate));
  if (Result<void> made = file->allocate(wanted); !made) {
    HF_IGNORE(file->truncate(0), "the next try begins anew");
    return made;
  }
  held_ = wanted;
  return {};
}

bool SpaceReserve::release() {
  if (held_ == 0) return false;
  const Result<std::unique_ptr<File>> file = disk_.open(path(), OpenMode::kReadWrite);
  if (!file || !(*file)->truncate(0)) return false;
  held_ = 0;
  return true;
}

}  // namespace hf::storage
