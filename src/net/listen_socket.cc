#include "net/listen_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace hf::net {
namespace {

class Descriptor final {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Where {
  sockaddr_storage address{};
  socklen_t size = 0;
  std::string text;
};

Result<Where> resolve(const std::string& host, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port);
  if (const int error = ::getaddrinfo(host.c_str(), service.c_str(), &wanted, &found); error != 0) {
    return fail(Errc::kInvalidArgument, "cannot listen on '" + host + "': " + ::gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, &::freeaddrinfo);
  Where where;
  std::memcpy(&where.address, list->ai_addr, list->ai_addrlen);
  where.size = list->ai_addrlen;
  where.text = (list->ai_family == AF_INET6 ? "[" + host + "]" : host) + ":" + service;
  return where;
}

Error systemError(const Where& where, int error) {
  const Errc code = error == EADDRINUSE                 ? Errc::kAlreadyExists
                    : error == EACCES || error == EPERM ? Errc::kPermission
                    : error == EADDRNOTAVAIL            ? Errc::kInvalidArgument
                                                        : Errc::kIo;
  return {code, "cannot listen on " + where.text + ": " + std::strerror(error)};
}

enum class ReusePort : std::uint8_t { kNo, kYes };

Result<int> bindSocket(const Where& where, ReusePort reuse) {
  Descriptor socket(::socket(where.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (socket.get() < 0 || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (reuse == ReusePort::kYes && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where.address), where.size) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    return std::unexpected(systemError(where, errno));
  }
  return socket.release();
}

}  // namespace

Result<ListenSocket> openListenSocket(const std::string& host, std::uint16_t port, PortSharing sharing) {
  HF_TRY(const Where where, resolve(host, port));
  if (sharing == PortSharing::kFirst && port != 0) {
    // Two processes of one user could share the port without noticing: a socket that shares with nobody notices.
    HF_TRY(const int probe, bindSocket(where, ReusePort::kNo));
    ::close(probe);
  }
  HF_TRY(const int fd, bindSocket(where, sharing == PortSharing::kAlone ? ReusePort::kNo : ReusePort::kYes));
  Descriptor socket(fd);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    return std::unexpected(systemError(where, errno));
  }
  const bool isV6 = bound.ss_family == AF_INET6;
  const std::uint16_t portBound = ntohs(isV6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  return ListenSocket{.fd = socket.release(), .isV6 = isV6, .port = portBound};
}

}  // namespace hf::net
