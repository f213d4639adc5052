#include "server/commands/target.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/disk.h"
#include "catalog/namespaces.h"

namespace hf::server {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::size_t kCopyBytes = 1024UL * 1024;

Result<Target> remoteOf(std::string_view url, const ServerOptions& options) {
  std::string authority(url.substr(kHttp.size()));
  // What `holdfast env` prints as CLOUDFLARE_API_BASE_URL is as good.
  constexpr std::string_view kPath = "/client/v4";
  while (authority.ends_with('/')) authority.pop_back();
  if (authority.ends_with(kPath)) authority.resize(authority.size() - kPath.size());
  const std::optional<Endpoint> endpoint = parseEndpoint(authority);
  if (!endpoint) {
    return fail(Errc::kInvalidArgument,
                "expected http://HOST:PORT of a server's admin API, got '" + std::string(url) + "'");
  }
  if (options.token.empty()) {
    return fail(Errc::kPermission, "a token is needed for " + std::string(url) +
                                       ": give it with --token, HOLDFAST_TOKEN or CLOUDFLARE_API_TOKEN");
  }
  return RemoteTarget{.endpoint = *endpoint, .accountId = options.accountId, .token = options.token};
}

}  // namespace

Result<LocalTarget> findDirectory(const std::string& directory, Access access) {
  HF_TRY(std::unique_ptr<DirectoryLock> lock, DirectoryLock::takeForReading(directory));
  if (access == Access::kWrite) {
    lock.reset();  // an exclusive lock is another one; whoever comes between is noticed by it
    HF_TRY(lock, DirectoryLock::take(directory));
  }
  return LocalTarget{.directory = directory, .lock = std::move(lock)};
}

Result<Target> findTarget(const std::string& where, const ServerOptions& options, Access access) {
  if (where.starts_with(kHttp)) return remoteOf(where, options);
  if (where.find("://") != std::string::npos) {
    return fail(Errc::kInvalidArgument, "only http:// is spoken, got '" + where +
                                            "': reach a distant server through a tunnel (ssh -L 8788:localhost:8788)");
  }
  Result<LocalTarget> local = findDirectory(where, access);
  if (local) return *std::move(local);
  if (local.error().code != Errc::kAlreadyExists) return std::unexpected(std::move(local).error());
  const Result<NodeInfo> info = readNodeInfo(where);
  const std::optional<Endpoint> endpoint = info ? parseEndpoint(info->api) : std::nullopt;
  if (!endpoint) return std::unexpected(std::move(local).error());
  return RemoteTarget{.endpoint = *endpoint,
                      .accountId = info->accountId,
                      .token = options.token.empty() ? info->token : options.token};
}

Result<std::unique_ptr<ScratchDirectory>> ScratchDirectory::make() {
  std::error_code error;
  std::string path = (std::filesystem::temp_directory_path(error) / "holdfast-XXXXXX").string();
  if (error || ::mkdtemp(path.data()) == nullptr) {
    return fail(Errc::kIo, "cannot make a directory for temporary files (" + path + "): " + std::strerror(errno));
  }
  return std::unique_ptr<ScratchDirectory>(new ScratchDirectory(path));
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

Result<void> copyFile(const std::string& from, const std::string& to) {
  HF_TRY(const auto source, systemDisk().open(from, OpenMode::kRead));
  HF_TRY(const auto target, systemDisk().open(to, OpenMode::kCreateNew));
  Bytes bytes(kCopyBytes);
  for (std::uint64_t at = 0;;) {
    HF_TRY(const std::size_t got, source->readAt(at, bytes));
    if (got == 0) return {};
    const BytesView part = BytesView(bytes).first(got);
    HF_TRY_VOID(target->writeAt(at, std::span(&part, 1)));
    at += got;
  }
}

Result<std::string> copyCatalog(const std::string& directory, const ScratchDirectory& scratch) {
  const std::string file = directory + "/catalog.sqlite";
  HF_TRY(const bool exists, systemDisk().exists(file));
  if (!exists) return std::string();
  std::string copy = scratch.path() + "/catalog.sqlite";
  HF_TRY_VOID(copyFile(file, copy));
  for (const char* suffix : {"-wal", "-journal"}) {
    HF_TRY(const bool hasLog, systemDisk().exists(file + suffix));
    if (hasLog) HF_TRY_VOID(copyFile(file + suffix, copy + suffix));
  }
  return copy;
}

Result<std::map<NamespaceId, catalog::Namespace>> readNamespaces(const std::string& directory) {
  HF_TRY(const auto scratch, ScratchDirectory::make());
  HF_TRY(const std::string copy, copyCatalog(directory, *scratch));
  if (copy.empty()) return std::map<NamespaceId, catalog::Namespace>();
  return catalog::readNamespaces(copy);
}

Result<ObjectId> parseObject(const NamespaceId& ns, const std::string& text, ObjectNaming naming) {
  const bool looksLikeId = text.size() == 64 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  const NamespaceIds ids(ns.hex());
  if (naming == ObjectNaming::kName || (naming == ObjectNaming::kEither && !looksLikeId)) {
    return ids.of(Jurisdiction::kNone).fromName(text);
  }
  if (!looksLikeId) {
    return fail(Errc::kInvalidArgument, "an object's id is 64 hexadecimal digits, got '" + text + "'");
  }
  const auto parsed = ids.parse(text);
  if (!parsed) return fail(Errc::kInvalidArgument, "'" + text + "' is not the id of an object of this namespace");
  return parsed->id;
}

}  // namespace hf::server
