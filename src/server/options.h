// The command line and the environment variables: what was asked for, or what to print and the exit code.
// No V8 here. Thread: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"

namespace hf::server {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  // "127.0.0.1:8787", "[::1]:8787"
  [[nodiscard]] std::string text() const;
};

struct ServeOptions {
  std::string directory = "./holdfast-data";
  Endpoint listen{"127.0.0.1", 8787};
  Endpoint api{"127.0.0.1", 8788};
  std::string domain = "localhost";
  unsigned shards = 1;  // the number of cores unless given
  std::string token;    // empty: kept in DIR/token, made at the first start
  std::string accountId = "local";
  std::string defaultScript;
  // permessage-deflate for the WebSockets of clients that offer it: less traffic, more CPU.
  bool webSocketCompression = false;
  // How long an object can be taken back to what it was; 0: not at all.
  std::chrono::seconds historyRetention = std::chrono::days(30);
  // What a start after a crash may have to do again.
  std::chrono::seconds recoveryTime{10};
  // Pages in memory that are newer than the objects' files.
  std::uint64_t overlayBytesMax = 256ULL * 1024 * 1024;
  // Disk space kept for checkpoints when everything else is full.
  std::uint64_t reserveBytes = 160ULL * 1024 * 1024;
  // When V8 cannot be stopped or fails: start anew in place (restart.h), or leave with a code of js/exit_codes.h.
  bool restarts = true;
  // Before it starts.
  std::chrono::milliseconds wait{0};
  LogFormat logFormat = LogFormat::kText;
  LogLevel logLevel = LogLevel::kInfo;
};

struct EnvOptions {
  std::string directory = "./holdfast-data";
};

// Print and leave: --help and --version (code 0, stdout), what is not understood (code 2, stderr).
struct Leave {
  int code = 0;
  std::string text;
};

// Another command (commands/): runs it, on this thread, and gives the exit code.
using RunTool = std::function<int()>;

using Command = std::variant<ServeOptions, EnvOptions, Leave, RunTool>;

// `arguments`: without the program's name. Each option of `serve` may also come from HOLDFAST_<NAME>.
Command parseCommandLine(const std::vector<std::string>& arguments);

// "127.0.0.1:8787", "[::1]:0", ":8787" (every address). nullopt when it is not HOST:PORT.
std::optional<Endpoint> parseEndpoint(const std::string& text);

// What may be an API token: letters, digits and -._~+/= (the token68 of HTTP).
bool isToken(const std::string& text);

inline constexpr const char* kVersion = "0.1.0";

}  // namespace hf::server
