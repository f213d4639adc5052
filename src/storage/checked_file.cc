#include "storage/checked_file.h"

#include <array>
#include <cstring>

#include "ledger/checksum.h"
#include "ledger/format.h"

namespace hf::storage {

Result<std::optional<Bytes>> readCheckedFile(Disk& disk, const std::string& path, std::string_view magic) {
  HF_TRY(const bool exists, disk.exists(path));
  if (!exists) return std::nullopt;
  HF_TRY(const std::unique_ptr<File> file, disk.open(path, OpenMode::kRead));
  HF_TRY(const std::uint64_t size, file->size());
  Bytes bytes(size);
  HF_TRY(const std::size_t read, file->readAt(0, bytes));
  const auto corrupt = [&](std::uint64_t offset, const char* why) {
    return fail(Errc::kCorrupt, path + ": damaged at offset " + std::to_string(offset) + ": " + why);
  };
  std::uint64_t check = 0;
  if (read != size || size < magic.size() + sizeof check) return corrupt(read, "it is too short");
  const BytesView content = BytesView(bytes).subspan(magic.size(), size - magic.size() - sizeof check);
  std::memcpy(&check, bytes.data() + size - sizeof check, sizeof check);
  if (check != ledger::checksum(content, 0)) return corrupt(magic.size(), "the checksum of what follows is wrong");
  if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) return corrupt(0, "another kind of file");
  return Bytes(content.begin(), content.end());
}

Result<void> writeCheckedFile(Disk& disk, const std::string& directory, const std::string& name, std::string_view magic,
                              BytesView content) {
  const std::string path = directory + "/" + name;
  const std::string next = path + ".new";
  {
    HF_TRY(const std::unique_ptr<File> file, disk.open(next, OpenMode::kCreate));
    HF_TRY_VOID(file->truncate(0));
    const std::uint64_t check = ledger::checksum(content, 0);
    const std::array<BytesView, 3> parts = {asBytes(magic), content, ledger::objectBytes(check)};
    HF_TRY_VOID(file->writeAt(0, parts));
    HF_TRY_VOID(file->sync());
  }
  HF_TRY_VOID(disk.rename(next, path));
  return disk.syncDirectory(directory);
}

}  // namespace hf::storage
