#include "server/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/random.h"
#include "server/options.h"

namespace hf::server {
namespace {

std::string errnoText(const std::string& what, const std::string& path) {
  return what + " " + path + ": " + std::strerror(errno);
}

Result<std::string> readSmallFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(errno == ENOENT ? Errc::kNotFound : Errc::kIo, errnoText("cannot open", path));
  char buffer[4096];
  const ssize_t size = ::read(fd, buffer, sizeof buffer);
  ::close(fd);
  if (size < 0) return fail(Errc::kIo, errnoText("cannot read", path));
  return std::string(buffer, static_cast<std::size_t>(size));
}

// Whole or not at all, readable by the owner only.
Result<void> writeSecretFile(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errc::kIo, errnoText("cannot create", temporary));
  const bool good = ::fchmod(fd, 0600) == 0 &&
                    ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!good || ::rename(temporary.c_str(), path.c_str()) != 0) return fail(Errc::kIo, errnoText("cannot write", path));
  return {};
}

std::unexpected<Error> inUse(const std::string& directory) {
  const auto holder = readSmallFile(directory + "/lock");
  std::string who = holder ? *holder : "";
  while (!who.empty() && who.back() == '\n') who.pop_back();
  return fail(Errc::kAlreadyExists, "another Holdfast (" + (who.empty() ? "its process id is not known" : who) +
                                        ") is using the directory " + directory);
}

}  // namespace

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::takeForReading(const std::string& directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(directory + "/ledger", error)) {
    return fail(Errc::kNotFound, directory + " is not a directory that a Holdfast server has used: it has no ledger");
  }
  int fd = ::open((directory + "/lock").c_str(), O_RDONLY | O_CLOEXEC);
  // A backup has none. The directory itself is then as good among readers.
  if (fd < 0 && errno == ENOENT) fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail(Errc::kIo, errnoText("cannot open", directory + "/lock"));
  if (::flock(fd, LOCK_SH | LOCK_NB) != 0) {
    ::close(fd);
    return inUse(directory);
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

Result<std::unique_ptr<DirectoryLock>> DirectoryLock::take(const std::string& directory) {
  std::error_code error;
  const bool isNew = std::filesystem::create_directories(directory, error);
  if (error) return fail(Errc::kIo, "cannot create " + directory + ": " + error.message());
  if (isNew) {
    // Otherwise all that is in it could be gone after a power loss, for want of its own name or of one above it.
    for (std::filesystem::path at = std::filesystem::absolute(directory); at.has_relative_path();
         at = at.parent_path()) {
      HF_IGNORE(systemDisk().syncDirectory(at.parent_path().string()), "one that we may not read was there before us");
    }
  }
  const std::string path = directory + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errc::kIo, errnoText("cannot open", path));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return inUse(directory);
  }
  const std::string text = "process " + std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    ::close(fd);
    return fail(Errc::kIo, errnoText("cannot write", path));
  }
  return std::unique_ptr<DirectoryLock>(new DirectoryLock(fd));
}

DirectoryLock::~DirectoryLock() { ::close(fd_); }

Result<std::string> readOrMakeToken(const std::string& directory) {
  const std::string path = directory + "/token";
  auto stored = readSmallFile(path);
  if (stored) {
    while (!stored->empty() && (stored->back() == '\n' || stored->back() == '\r')) stored->pop_back();
    if (stored->empty()) return fail(Errc::kCorrupt, path + " is empty: delete it to have a new token made");
    if (!isToken(*stored)) {
      return fail(Errc::kCorrupt,
                  path + " must hold one line of letters, digits and -._~+/=; delete it to have a new token made");
    }
    return *stored;
  }
  if (stored.error().code != Errc::kNotFound) return std::unexpected(stored.error());
  std::uint8_t random[20];
  systemRandom().fill(random);
  std::string token = toHex(random);
  HF_TRY_VOID(writeSecretFile(path, token + "\n"));
  return token;
}

Result<void> writeNodeInfo(const std::string& directory, const NodeInfo& info) {
  const nlohmann::json json = {
      {"api", info.api}, {"listen", info.listen}, {"account_id", info.accountId}, {"token", info.token}};
  return writeSecretFile(directory + "/node.json", json.dump(2) + "\n");
}

Result<NodeInfo> readNodeInfo(const std::string& directory) {
  auto text = readSmallFile(directory + "/node.json");
  if (!text) {
    return fail(text.error().code, "no server has run with --dir " + directory + " yet (" + text.error().message + ")");
  }
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("api") || !json.contains("token") || !json.contains("account_id")) {
    return fail(Errc::kCorrupt, directory + "/node.json is not what a server writes: start the server once more");
  }
  return NodeInfo{.api = json["api"].get<std::string>(),
                  .listen = json.value("listen", ""),
                  .accountId = json["account_id"].get<std::string>(),
                  .token = json["token"].get<std::string>()};
}

Result<std::string> environmentLines(const std::string& directory) {
  HF_TRY(const NodeInfo info, readNodeInfo(directory));
  const std::string base = "http://" + info.api + "/client/v4";
  return "export CLOUDFLARE_API_BASE_URL=" + base + "\nexport CLOUDFLARE_API_TOKEN=" + info.token +
         "\nexport CLOUDFLARE_ACCOUNT_ID=" + info.accountId + "\nexport CLOUDFLARE_BASE_URL=" + base + "\n";
}

}  // namespace hf::server
