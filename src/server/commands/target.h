// Whom a command works on: a directory whose server has stopped, or a server, reached through its admin API.
// Thread:  one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/object_id.h"
#include "base/result.h"
#include "catalog/snapshot.h"
#include "server/directory.h"
#include "server/options.h"

namespace hf::server {

struct LocalTarget {
  std::string directory;
  std::unique_ptr<DirectoryLock> lock;  // nobody else changes it
};

struct RemoteTarget {
  Endpoint endpoint;
  std::string accountId;
  std::string token;
};

using Target = std::variant<LocalTarget, RemoteTarget>;

enum class Access : std::uint8_t { kRead, kWrite };

// What the command line and the environment say about a server.
struct ServerOptions {
  std::string token;
  std::string accountId;
};

// `where`: a directory, or http://HOST:PORT of a server's admin API. A directory with a running server is that server:
// DIR/node.json says where it listens.
Result<Target> findTarget(const std::string& where, const ServerOptions& options, Access access);
// A directory, and nothing else.
Result<LocalTarget> findDirectory(const std::string& directory, Access access);

// A directory for copies that nobody else may read; gone, with what is in it, when this goes.
class ScratchDirectory final {
 public:
  static Result<std::unique_ptr<ScratchDirectory>> make();
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

// Copies DIR/catalog.sqlite with its log to `scratch`: opening it would change it. The copy's path; empty if there is
// none.
Result<std::string> copyCatalog(const std::string& directory, const ScratchDirectory& scratch);
// What is deployed in a stopped server's directory. Nothing if it has no catalog.
Result<std::map<NamespaceId, catalog::Namespace>> readNamespaces(const std::string& directory);

// How NAME|ID is to be read.
enum class ObjectNaming : std::uint8_t { kEither, kName, kId };
// 64 hex digits are an id, anything else is a name.
Result<ObjectId> parseObject(const NamespaceId& ns, const std::string& text, ObjectNaming naming);

// Copies a file's bytes, as many as it has now. Made readable by the owner only.
Result<void> copyFile(const std::string& from, const std::string& to);

}  // namespace hf::server
