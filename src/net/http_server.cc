#include "net/http_server.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "net/event_loop.h"
#include "net/event_loop_impl.h"
#include "net/http_connection.h"
#include "net/http_response.h"
#include "net/listen_socket.h"
#include "net/socket_transport.h"

namespace hf::net {
namespace {

using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

// Connections accepted before others get their turn.
constexpr unsigned kAcceptsPerTurn = 64;
// No descriptor or memory left: try again then.
constexpr std::chrono::milliseconds kAcceptRetry{100};

}  // namespace

class HttpServer::Impl final : public ConnectionHost, public LoopResource, public std::enable_shared_from_this<Impl> {
 public:
  Impl(EventLoop& loop, HttpHandler& handler, HttpServerOptions options, const ListenSocket& socket)
      : loop_(loop),
        handler_(handler),
        options_(std::move(options)),
        port_(socket.port),
        isV6_(socket.isV6),
        listenFd_(socket.fd) {
    const auto shortest = std::min({options_.headerTimeout, options_.idleTimeout, options_.bodyTimeout,
                                    options_.writeTimeout, options_.lingerTimeout});
    sweepInterval_ = std::clamp<std::chrono::milliseconds>(shortest / 4, std::chrono::milliseconds(5),
                                                           std::chrono::milliseconds(1000));
  }
  ~Impl() override {
    if (listenFd_ >= 0) ::close(listenFd_);
  }

  // Loop thread.
  void start() {
    if (stopped_) return;
    loop_.impl().add(*this);
    boost::system::error_code error;
    acceptor_.emplace(loop_.impl().context());
    acceptor_->assign(isV6_ ? boost::asio::ip::tcp::v6() : boost::asio::ip::tcp::v4(), std::exchange(listenFd_, -1),
                      error);
    HF_CHECK(!error, "a listening socket can be watched");
    awaitAccept();
  }

  void stop() {
    if (std::exchange(stopped_, true)) return;
    stopListening();
    if (sweepTimer_ != 0) loop_.cancelTimer(std::exchange(sweepTimer_, 0));
    while (!connections_.empty()) {
      const std::shared_ptr<HttpConnection> connection = connections_.back();
      connection->cut();
    }
    drained_ = nullptr;
  }

  void drain(Task done) {
    HF_CHECK(!draining_, "a server drains once");
    draining_ = true;
    drained_ = std::move(done);
    stopListening();
    const std::vector<std::shared_ptr<HttpConnection>> present = connections_;
    for (const std::shared_ptr<HttpConnection>& connection : present) connection->drain();
    tellDrained();
  }

  void onLoopGone() override {
    const auto self = shared_from_this();
    stopped_ = true;
    stopListening();
    connections_.clear();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::size_t connectionCount() const { return connections_.size(); }

  // --- ConnectionHost
  Executor& executor() override { return loop_; }
  HttpHandler& handler() override { return handler_; }
  const HttpServerOptions& options() const override { return options_; }
  bool isDraining() const override { return draining_; }
  std::string_view date() override { return date_.now(); }
  void onConnectionEnded(HttpConnection& connection) override {
    const std::size_t index = connection.index;
    HF_CHECK(index < connections_.size() && connections_[index].get() == &connection, "a connection ends once");
    if (index + 1 != connections_.size()) {
      connections_[index] = std::move(connections_.back());
      connections_[index]->index = index;
    }
    connections_.pop_back();
    if (draining_) tellDrained();
  }

 private:
  void awaitAccept() {
    acceptor_->async_wait(Acceptor::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
      if (error || self->stopped_ || !self->acceptor_->is_open()) return;
      self->loop_.impl().countHandler();
      self->accept();
    });
  }

  void accept() {
    for (unsigned i = 0; i < kAcceptsPerTurn; i++) {
      const int fd = ::accept4(acceptor_->native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        open(fd);
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // Waiting for readiness would spin: the connection is still there and cannot be taken.
        loop_.addTimer(systemClock().steady() + kAcceptRetry, [self = shared_from_this()] {
          if (!self->stopped_ && self->acceptor_->is_open()) self->accept();
        });
        return;
      }
      // The rest concern that one connection, which is gone.
    }
    awaitAccept();
  }

  void open(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connections_.size() >= options_.connectionsMax) {
      static constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
      HF_IGNORE(::send(fd, kFull.data(), kFull.size(), MSG_DONTWAIT | MSG_NOSIGNAL),
                "the client is turned away anyhow");
      ::close(fd);
      return;
    }
    SocketTransport::Socket socket(loop_.impl().context());
    boost::system::error_code error;
    socket.assign(isV6_ ? boost::asio::ip::tcp::v6() : boost::asio::ip::tcp::v4(), fd, error);
    if (error) {  // the kernel cannot watch one more descriptor
      ::close(fd);
      return;
    }
    auto connection =
        std::make_shared<HttpConnection>(*this, std::make_shared<SocketTransport>(loop_.impl(), std::move(socket)));
    connection->index = connections_.size();
    connections_.push_back(connection);
    if (sweepTimer_ == 0) armSweep();
    connection->start();
  }

  void stopListening() {
    boost::system::error_code ignored;  // it is going away
    if (acceptor_) acceptor_->close(ignored);
    if (listenFd_ >= 0) ::close(std::exchange(listenFd_, -1));
  }

  void armSweep() {
    sweepTimer_ = loop_.addTimer(systemClock().steady() + sweepInterval_, [self = shared_from_this()] {
      self->sweepTimer_ = 0;
      self->sweep();
    });
  }

  // One look at every connection now and then costs less than a timer moved at every step of every request.
  void sweep() {
    const SteadyTime now = systemClock().steady();
    for (std::size_t i = connections_.size(); i-- > 0;) {
      // One that ends is replaced by the last, which has been looked at.
      if (i < connections_.size()) connections_[i]->checkDeadline(now);
    }
    if (!connections_.empty() && !stopped_) armSweep();
  }

  void tellDrained() {
    if (connections_.empty() && drained_ != nullptr) loop_.post(std::exchange(drained_, nullptr));
  }

  // Fixed once made
  EventLoop& loop_;
  HttpHandler& handler_;
  const HttpServerOptions options_;
  const std::uint16_t port_;
  const bool isV6_;
  std::chrono::milliseconds sweepInterval_{0};
  // Loop thread only
  int listenFd_;  // until the acceptor has it
  std::optional<Acceptor> acceptor_;
  std::vector<std::shared_ptr<HttpConnection>> connections_;  // shared with their transports
  DateCache date_;
  std::uint64_t sweepTimer_ = 0;
  Task drained_;
  bool draining_ = false;
  bool stopped_ = false;
};

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { impl_->stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::create(EventLoop& loop, HttpHandler& handler,
                                                       HttpServerOptions options) {
  HF_TRY(const ListenSocket socket, openListenSocket(options.host, options.port, options.sharing));
  // The loop's context belongs to its thread, so everything of it is made and used there.
  auto impl = std::make_shared<Impl>(loop, handler, std::move(options), socket);
  loop.post([impl] { impl->start(); });
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const { return impl_->port(); }

std::size_t HttpServer::connectionCount() const { return impl_->connectionCount(); }

void HttpServer::drain(Task done) { impl_->drain(std::move(done)); }

}  // namespace hf::net
