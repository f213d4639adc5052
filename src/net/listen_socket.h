// A listening TCP socket, as a bare descriptor: made on any thread, before a loop gets it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "net/http_server.h"

namespace hf::net {

struct ListenSocket {
  int fd = -1;  // the caller's to close
  bool isV6 = false;
  std::uint16_t port = 0;
};

// `host`: an address, or a name of which the first address is taken.
Result<ListenSocket> openListenSocket(const std::string& host, std::uint16_t port, PortSharing sharing);

}  // namespace hf::net
