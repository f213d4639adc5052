// The archive in which a backup travels: POSIX ustar, regular files only, so that tar(1) reads it too.
// Thread:  any; values and one reader.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "server/backup_files.h"

namespace hf::server {

inline constexpr std::size_t kTarBlockBytes = 512;

// The header of a file; its bytes follow, then zeros up to a whole block. `name`: at most 255 bytes, relative.
Result<Bytes> tarHeader(const std::string& name, std::uint64_t bytes);
inline std::size_t tarPadding(std::uint64_t bytes) {
  return static_cast<std::size_t>((kTarBlockBytes - (bytes % kTarBlockBytes)) % kTarBlockBytes);
}
// What ends an archive.
inline constexpr std::size_t kTarEndBytes = 2 * kTarBlockBytes;

// Hands the files of an archive that arrives in pieces to a sink.
// Errors:  kCorrupt: not such an archive. What the sink says.
class TarReader final {
 public:
  explicit TarReader(BackupSink& sink) : sink_(sink) {}
  Result<void> feed(BytesView bytes);
  // The end of the archive has been seen.
  [[nodiscard]] bool isComplete() const { return isComplete_; }

 private:
  Result<void> takeHeader();
  BackupSink& sink_;
  Bytes block_;              // of a header that is not whole yet
  std::uint64_t left_ = 0;   // of the file under way
  std::size_t padding_ = 0;  // after it
  bool isInFile_ = false;
  bool isComplete_ = false;
};

}  // namespace hf::server
