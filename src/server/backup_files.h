// The files of a backup: where they come from and where they go. A backup is a directory that a server starts on, and
// backup.json, which is written last and says what must be there (docs/operations.md).
// Thread:  one each.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::server {

inline constexpr const char* kManifestName = "backup.json";
inline constexpr const char* kTokenName = "token";

// False also when nothing is there.
bool isDirectory(const std::string& path);

class BackupSink {
 public:
  virtual ~BackupSink() = default;
  // Exactly `bytes` follow by write(), then end(). Names are relative to the backup.
  virtual Result<void> begin(const std::string& name, std::uint64_t bytes) = 0;
  virtual Result<void> write(BytesView bytes) = 0;
  virtual Result<void> end() = 0;
};

// Relative, below the backup's directory, of harmless characters.
bool isBackupName(const std::string& name);

// Counts what passes.
class CountingSink final : public BackupSink {
 public:
  explicit CountingSink(BackupSink& inner) : inner_(inner) {}
  Result<void> begin(const std::string& name, std::uint64_t size) override;
  Result<void> write(BytesView data) override { return inner_.write(data); }
  Result<void> end() override { return inner_.end(); }
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;

 private:
  BackupSink& inner_;
};

// kAtPages: a file that is caught growing is filled up to a whole page of a database.
enum class FileEnds : std::uint8_t { kAsTheyAre, kAtPages };

// A file as it is now: a file that is being written comes as any mixture of old and new, one that shrinks meanwhile
// with zeros at its end. `usedBytes`: what is behind is sent as zeros. kNotFound: it is gone; nothing was sent.
Result<void> sendFile(Disk& disk, BackupSink& sink, const std::string& path, const std::string& name,
                      std::optional<std::uint64_t> fileBytes = std::nullopt,
                      std::optional<std::uint64_t> usedBytes = std::nullopt, FileEnds ends = FileEnds::kAsTheyAre);
// Every file below `path`, as `name`/... (or just as it is called, if `name` is empty); those that vanish meanwhile are
// left out, and so is what belongs to one directory only: its lock, its manifest. Not there is success.
Result<void> sendTree(Disk& disk, BackupSink& sink, const std::string& path, const std::string& name,
                      FileEnds ends = FileEnds::kAsTheyAre);
Result<void> sendBytes(BackupSink& sink, const std::string& name, BytesView bytes);

struct Manifest {
  int format = 1;
  std::string version;  // of Holdfast
  std::string created;  // RFC 3339
  std::uint64_t retired = 0;
  std::uint64_t end = 0;  // the ledger's position that the backup is consistent as of
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  bool withToken = false;
};
std::string manifestText(const Manifest& manifest);
// kCorrupt: not one. kUnsupported: of a later format.
Result<Manifest> parseManifest(const std::string& text, const std::string& path);
// kNotFound: `directory` is no backup, or one that is not complete.
Result<Manifest> readManifest(const std::string& directory);

// A directory that appears whole and durable, or not at all.
class NewDirectory final : public BackupSink {
 public:
  // kAlreadyExists when `path` is there and not empty. What an earlier attempt that was killed left beside it
  // (PATH.partial) is removed.
  static Result<std::unique_ptr<NewDirectory>> create(Disk& disk, const std::string& path);
  ~NewDirectory() override;

  Result<void> begin(const std::string& name, std::uint64_t size) override;
  Result<void> write(BytesView data) override;
  Result<void> end() override;

  // Syncs everything and gives the directory its name.
  Result<void> commit();

  std::uint64_t files = 0;  // without backup.json
  std::uint64_t bytes = 0;
  std::string manifest;  // backup.json, once it has come

 private:
  NewDirectory(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)), partial_(path_ + ".partial") {}
  Result<void> make();

  Disk& disk_;
  const std::string path_;
  const std::string partial_;
  std::string lastFolder_;
  std::string name_;
  std::unique_ptr<FileSystem> fileSystem_;
  std::unique_ptr<File> file_;
  std::uint64_t at_ = 0;
  std::uint64_t size_ = 0;
  bool committed_ = false;
};

}  // namespace hf::server
