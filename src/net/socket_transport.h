// A TCP connection on an event loop. Holds no buffer: it receives into the loop's own and sends what it is shown.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>

#include "net/event_loop_impl.h"
#include "net/transport.h"

namespace hf::net {

class SocketTransport final : public Transport,
                              public LoopResource,
                              public std::enable_shared_from_this<SocketTransport> {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

  // `socket` is non-blocking.
  SocketTransport(EventLoopImpl& loop, Socket socket);
  ~SocketTransport() override = default;

  void setSink(std::shared_ptr<TransportSink> sink) override { sink_ = std::move(sink); }
  void receive() override;
  std::size_t send(std::span<const BytesView> parts) override;
  void shutdownSend() override;
  void close(CloseMode mode) override;
  [[nodiscard]] std::string peerAddress() const override;
  [[nodiscard]] std::uint16_t peerPort() const override;
  void onLoopGone() override;

 private:
  void awaitReceive();
  void onReceivable();
  void awaitSend();
  void broken();

  EventLoopImpl& loop_;
  Socket socket_;
  std::shared_ptr<TransportSink> sink_;  // shared with whoever holds the protocol's end
  bool receiving_ = false;
  bool sending_ = false;
  bool isBroken_ = false;
};

}  // namespace hf::net
