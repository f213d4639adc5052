#include "net/socket_transport.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>

#include "base/check.h"

namespace hf::net {
namespace {

constexpr std::size_t kPartsPerSend = 16;

boost::asio::ip::tcp::endpoint peerOf(const SocketTransport::Socket& socket) {
  boost::system::error_code error;
  return socket.remote_endpoint(error);  // the unspecified endpoint when the client has gone already
}

}  // namespace

SocketTransport::SocketTransport(EventLoopImpl& loop, Socket socket) : loop_(loop), socket_(std::move(socket)) {
  loop_.add(*this);
}

void SocketTransport::receive() {
  if (receiving_ || !socket_.is_open()) return;
  receiving_ = true;
  awaitReceive();
}

void SocketTransport::awaitReceive() {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;  // closed meanwhile
    self->loop_.countHandler();
    if (self->sink_ != nullptr) self->onReceivable();
  });
}

void SocketTransport::onReceivable() {
  const std::span<std::uint8_t> buffer = loop_.scratch();
  ssize_t got = 0;
  do {
    got = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    awaitReceive();
    return;
  }
  receiving_ = false;
  if (got < 0) {
    broken();
    return;
  }
  const std::shared_ptr<TransportSink> sink = sink_;
  if (got == 0) {
    sink->onReceiveEnd();
  } else {
    sink->onReceive(buffer.first(static_cast<std::size_t>(got)));
  }
}

std::size_t SocketTransport::send(std::span<const BytesView> parts) {
  if (!socket_.is_open() || isBroken_) return 0;
  std::array<iovec, kPartsPerSend> vectors{};
  std::size_t total = 0;
  std::size_t count = 0;
  for (const BytesView part : parts.first(std::min(parts.size(), kPartsPerSend))) {
    vectors[count++] = {.iov_base = const_cast<std::uint8_t*>(part.data()), .iov_len = part.size()};
    total += part.size();
  }
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = count;
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    isBroken_ = true;
    sent = 0;
  }
  const auto taken = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  if (taken < total || parts.size() > kPartsPerSend) awaitSend();
  return taken;
}

void SocketTransport::awaitSend() {
  if (sending_) return;
  sending_ = true;
  // A broken socket counts as writable: its onBroken comes from there, not from inside send().
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;
    self->loop_.countHandler();
    self->sending_ = false;
    if (self->isBroken_) {
      self->broken();
    } else if (const std::shared_ptr<TransportSink> sink = self->sink_) {
      sink->onSendReady();
    }
  });
}

void SocketTransport::broken() {
  const std::shared_ptr<TransportSink> sink = sink_;
  close(CloseMode::kReset);
  if (sink != nullptr) sink->onBroken();
}

void SocketTransport::shutdownSend() {
  boost::system::error_code ignored;  // a client that has gone already
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void SocketTransport::close(CloseMode mode) {
  boost::system::error_code ignored;  // nothing can be done about a socket that does not close
  if (mode == CloseMode::kReset && socket_.is_open())
    socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  sink_.reset();
}

std::string SocketTransport::peerAddress() const {
  const boost::asio::ip::address address = peerOf(socket_).address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

std::uint16_t SocketTransport::peerPort() const { return peerOf(socket_).port(); }

void SocketTransport::onLoopGone() {
  const std::shared_ptr<SocketTransport> keep = weak_from_this().lock();
  close(CloseMode::kGraceful);
}

}  // namespace hf::net
