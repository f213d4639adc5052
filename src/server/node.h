// A node: every room built and connected, started and stopped in order.
// Thread:  its control thread, which it makes; signal() from any thread.
//
//   starting ──► serving ──signal──► draining ──all done, or 30 s──► stopping ──► finished
//                                        └──second signal──► the process exits at once
#pragma once

#include <functional>
#include <memory>

#include "server/options.h"

namespace hf::js {
class Platform;
}

namespace hf::server {

// Exit codes beside js/exit_codes.h.
inline constexpr int kExitOk = 0;
inline constexpr int kExitStartFailed = 1;
inline constexpr int kExitStorageFailed = 74;  // a write or sync failed: nothing is acknowledged any more

class Node {
 public:
  virtual ~Node() = default;
  // Any thread. The first begins the drain, the second ends the process.
  virtual void signal() = 0;
};

// Starts; `finished` is called once, on the control thread, with the exit code. The Node must outlive that call.
std::unique_ptr<Node> startNode(js::Platform& platform, const Log& log, ServeOptions options,
                                std::function<void(int exitCode)> finished);

}  // namespace hf::server
