// DIR of a node: who holds it, its token, and what its last start listened on.
// Thread: control.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "server/options.h"

namespace hf::server {

// Holds DIR for this process until destroyed; the kernel lets go of it when the process dies.
class DirectoryLock final {
 public:
  // Makes DIR if need be. kAlreadyExists with the holder's process id when another server has it.
  static Result<std::unique_ptr<DirectoryLock>> take(const std::string& directory);
  // For commands that only read: changes nothing on disk, shares DIR with others of its kind, keeps servers out.
  // kNotFound when DIR is no directory that a server has used.
  static Result<std::unique_ptr<DirectoryLock>> takeForReading(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  const int fd_;
};

// The token in DIR/token (mode 0600); makes a random one when there is none.
Result<std::string> readOrMakeToken(const std::string& directory);

// DIR/node.json: what `holdfast env` tells.
struct NodeInfo {
  std::string api;  // HOST:PORT
  std::string listen;
  std::string accountId;
  std::string token;
};
// kNotFound when no server has run with this DIR yet.
Result<NodeInfo> readNodeInfo(const std::string& directory);
Result<void> writeNodeInfo(const std::string& directory, const NodeInfo& info);

// The lines that `holdfast env` prints. kNotFound when no server has run with this DIR yet.
Result<std::string> environmentLines(const std::string& directory);

}  // namespace hf::server
