#include "server/backup_files.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"

namespace hf::server {
namespace {

constexpr std::size_t kPieceBytes = 256UL * 1024;
// So much of zeros is left out of a file that is written: it becomes a hole.
constexpr std::size_t kHoleBytes = 64UL * 1024;
// In a directory in the making: it may be removed by the next attempt.
constexpr const char* kInProgressName = "holdfast-in-progress";

std::string parentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

bool isZero(BytesView bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

bool isDirectory(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

bool isBackupName(const std::string& name) {
  if (name.empty() || name.front() == '/' || name.back() == '/' || name.size() > 255) return false;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = name.find('/', start);
    const std::string part = name.substr(start, end == std::string::npos ? end : end - start);
    if (part.empty() || part == "." || part == "..") return false;
    if (end == std::string::npos) break;
    start = end + 1;
  }
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") ==
         std::string::npos;
}

Result<void> CountingSink::begin(const std::string& name, std::uint64_t size) {
  files++;
  bytes += size;
  return inner_.begin(name, size);
}

Result<void> sendFile(Disk& disk, BackupSink& sink, const std::string& path, const std::string& name,
                      std::optional<std::uint64_t> fileBytes, std::optional<std::uint64_t> usedBytes, FileEnds ends) {
  HF_TRY(const auto file, disk.open(path, OpenMode::kRead));
  HF_TRY(const std::uint64_t size, file->size());
  std::uint64_t total = fileBytes.value_or(size);
  if (ends == FileEnds::kAtPages) total = (total + ledger::kPageBytes - 1) / ledger::kPageBytes * ledger::kPageBytes;
  const std::uint64_t used = std::min(total, usedBytes.value_or(total));
  HF_TRY_VOID(sink.begin(name, total));
  Bytes piece(kPieceBytes);
  for (std::uint64_t at = 0; at < total;) {
    const std::size_t count = std::min<std::uint64_t>(piece.size(), total - at);
    const std::size_t wanted = at < used ? std::min<std::uint64_t>(count, used - at) : 0;
    std::size_t got = 0;
    if (wanted > 0) {
      HF_TRY(got, file->readAt(at, std::span(piece).first(wanted)));
    }
    std::memset(piece.data() + got, 0, count - got);
    HF_TRY_VOID(sink.write(BytesView(piece).first(count)));
    at += count;
  }
  return sink.end();
}

Result<void> sendTree(Disk& disk, BackupSink& sink, const std::string& path, const std::string& name, FileEnds ends) {
  const Result<std::vector<std::string>> names = disk.list(path);
  if (!names) return names.error().code == Errc::kNotFound ? Result<void>() : std::unexpected(names.error());
  for (const std::string& entry : *names) {
    const std::string at = path + "/" + entry;
    const std::string as = name.empty() ? entry : name + "/" + entry;
    if (as == kManifestName || as == kInProgressName || as == "lock") continue;
    if (isDirectory(at)) {
      HF_TRY_VOID(sendTree(disk, sink, at, as, ends));
      continue;
    }
    if (Result<void> sent = sendFile(disk, sink, at, as, std::nullopt, std::nullopt, ends); !sent) {
      if (sent.error().code != Errc::kNotFound) return sent;
    }
  }
  return {};
}

Result<void> sendBytes(BackupSink& sink, const std::string& name, BytesView bytes) {
  HF_TRY_VOID(sink.begin(name, bytes.size()));
  HF_TRY_VOID(sink.write(bytes));
  return sink.end();
}

std::string manifestText(const Manifest& manifest) {
  const nlohmann::ordered_json json{
      {"format", manifest.format},       {"holdfast", manifest.version},
      {"created", manifest.created},     {"ledger", {{"retired", manifest.retired}, {"end", manifest.end}}},
      {"files", manifest.files},         {"bytes", manifest.bytes},
      {"with_token", manifest.withToken}};
  return json.dump(2) + "\n";
}

Result<Manifest> parseManifest(const std::string& text, const std::string& path) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto number = [](const nlohmann::json& object, const char* key) -> std::optional<std::uint64_t> {
    if (!object.is_object() || !object.contains(key) || !object[key].is_number_unsigned()) return std::nullopt;
    return object[key].get<std::uint64_t>();
  };
  const auto format = number(json, "format");
  if (!format) return fail(Errc::kCorrupt, path + " is not what a backup writes");
  if (*format != 1) {
    return fail(Errc::kUnsupported, path + " is of format " + std::to_string(*format) +
                                        ": a newer release of Holdfast has made this backup, and restores it");
  }
  const auto ledger = json.contains("ledger") ? json["ledger"] : nlohmann::json();
  const auto files = number(json, "files");
  const auto bytes = number(json, "bytes");
  const auto retired = number(ledger, "retired");
  const auto end = number(ledger, "end");
  if (!files || !bytes || !retired || !end) return fail(Errc::kCorrupt, path + " is not what a backup writes");
  const auto textOf = [&](const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : std::string();
  };
  return Manifest{.format = 1,
                  .version = textOf("holdfast"),
                  .created = textOf("created"),
                  .retired = *retired,
                  .end = *end,
                  .files = *files,
                  .bytes = *bytes,
                  .withToken = json.contains("with_token") && json["with_token"] == true};
}

Result<Manifest> readManifest(const std::string& directory) {
  const std::string path = directory + "/" + kManifestName;
  HF_TRY(const bool exists, systemDisk().exists(path));
  if (!exists) {
    return fail(Errc::kNotFound, directory + " is not a backup, or not a complete one: it has no " + kManifestName);
  }
  HF_TRY(const auto file, systemDisk().open(path, OpenMode::kRead));
  Bytes bytes(kPieceBytes);
  HF_TRY(const std::size_t got, file->readAt(0, bytes));
  return parseManifest(std::string(asText(BytesView(bytes).first(got))), path);
}

Result<std::unique_ptr<NewDirectory>> NewDirectory::create(Disk& disk, const std::string& path) {
  std::string clean = path;
  while (clean.size() > 1 && clean.ends_with('/')) clean.pop_back();
  std::unique_ptr<NewDirectory> made(new NewDirectory(disk, clean));
  HF_TRY_VOID(made->make());
  return made;
}

Result<void> NewDirectory::make() {
  HF_TRY(const bool exists, disk_.exists(path_));
  if (exists) {
    if (!isDirectory(path_)) {
      committed_ = true;  // nothing of ours to remove
      return fail(Errc::kAlreadyExists, path_ + " is there already, and is not a directory");
    }
    HF_TRY(const std::vector<std::string> names, disk_.list(path_));
    if (!names.empty()) {
      committed_ = true;
      return fail(Errc::kAlreadyExists, path_ + " is there already and not empty: give a directory that is not there");
    }
  }
  HF_TRY(const bool hasPartial, disk_.exists(partial_));
  if (hasPartial) {
    HF_TRY(const bool isOurs, disk_.exists(partial_ + "/" + kInProgressName));
    if (!isOurs) {
      committed_ = true;
      return fail(Errc::kAlreadyExists, partial_ + " is in the way, and not what an earlier attempt has left");
    }
    HF_TRY_VOID(disk_.removeTree(partial_));
  }
  HF_TRY_VOID(disk_.makeDirectories(partial_));
  HF_TRY(const auto marker, disk_.open(partial_ + "/" + kInProgressName, OpenMode::kCreate));
  HF_TRY(fileSystem_, disk_.openFileSystem(partial_));
  return {};
}

NewDirectory::~NewDirectory() {
  if (committed_) return;
  file_.reset();
  HF_IGNORE(disk_.removeTree(partial_), "its name says what it is, and the next attempt removes it");
}

Result<void> NewDirectory::begin(const std::string& name, std::uint64_t size) {
  HF_CHECK(file_ == nullptr, "one file after another");
  if (!isBackupName(name)) return fail(Errc::kCorrupt, "a backup holds no file '" + name + "'");
  name_ = name;
  const std::string path = partial_ + "/" + name;
  const std::string folder = parentOf(path);
  if (folder != lastFolder_) {
    HF_TRY_VOID(disk_.makeDirectories(folder));
    lastFolder_ = folder;
  }
  HF_TRY(file_, disk_.open(path, OpenMode::kCreateNew));
  at_ = 0;
  size_ = size;
  if (name != kManifestName) {
    files++;
    bytes += size;
  }
  return {};
}

Result<void> NewDirectory::write(BytesView data) {
  HF_CHECK(file_ != nullptr, "what is written belongs to a file");
  if (name_ == kManifestName) manifest += asText(data);
  while (!data.empty()) {
    const BytesView part = data.first(std::min(kHoleBytes, data.size()));
    if (part.size() < kHoleBytes || !isZero(part)) HF_TRY_VOID(file_->writeAt(at_, std::span(&part, 1)));
    at_ += part.size();
    data = data.subspan(part.size());
  }
  return {};
}

Result<void> NewDirectory::end() {
  HF_TRY(const std::uint64_t size, file_->size());
  if (size != size_) HF_TRY_VOID(file_->truncate(size_));
  file_.reset();
  return {};
}

Result<void> NewDirectory::commit() {
  HF_CHECK(file_ == nullptr && !committed_, "every file has ended");
  HF_TRY_VOID(fileSystem_->sync());
  HF_TRY_VOID(disk_.rename(partial_, path_));
  committed_ = true;
  HF_TRY_VOID(disk_.syncDirectory(parentOf(path_)));
  // Last: before it the directory has its name only if all of it is on disk.
  HF_TRY_VOID(disk_.remove(path_ + "/" + kInProgressName));
  return disk_.syncDirectory(path_);
}

}  // namespace hf::server
