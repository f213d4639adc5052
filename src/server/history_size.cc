#include "server/history_size.h"

#include "server/backup_files.h"

namespace hf::server {
namespace {

Result<void> add(Disk& disk, const std::string& path, HistorySize& size) {
  const Result<std::vector<std::string>> names = disk.list(path);
  if (!names) return names.error().code == Errc::kNotFound ? Result<void>() : std::unexpected(names.error());
  for (const std::string& name : *names) {
    const std::string at = path + "/" + name;
    if (isDirectory(at)) {
      HF_TRY_VOID(add(disk, at, size));
      continue;
    }
    const Result<std::unique_ptr<File>> file = disk.open(at, OpenMode::kRead);
    if (!file && file.error().code == Errc::kNotFound) continue;
    if (!file) return std::unexpected(file.error());
    HF_TRY(const std::uint64_t bytes, (*file)->size());
    size.files++;
    size.bytes += bytes;
  }
  return {};
}

}  // namespace

Result<HistorySize> historySize(Disk& disk, const std::string& directory) {
  HistorySize size;
  HF_TRY_VOID(add(disk, directory + "/history", size));
  return size;
}

}  // namespace hf::server
