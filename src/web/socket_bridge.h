// Joins a client's WebSocket connection to an end of a pipe.
// Thread:  the connection's shard.
// Flow:    at most limits::kSocketUnackedMessagesMax messages of the client are on their way to JavaScript; the socket
// is
//          not read further until some have been handled. A client that does not read what is sent to it is cut when
//          limits::kPipeWaitingBytesMax wait for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/http_server.h"
#include "net/websocket.h"
#include "web/pipe.h"

namespace hf::web {

class SocketBridge final : public PipeSink, public net::WebSocketEvents {
 public:
  // Answers the exchange with 101 and couples the connection to `end`. Lives until the connection has ended.
  // `deflate`: the Worker allows permessage-deflate.
  static void join(net::Exchange& exchange, net::HeaderList headers, PipeTable& pipes, PipeEnd end, bool deflate);

  SocketBridge(PipeTable& pipes, PipeEnd end) : pipes_(pipes), end_(end) {}

  // PipeSink: from JavaScript to the client
  void onPipeMessage(PipeEnd end, PipeMessage message) override;
  void onPipeAck(PipeEnd end) override;

  // net::WebSocketEvents: from the client to JavaScript
  void onMessage(net::MessageKind kind, Bytes message) override;
  void onClose(int code, std::string reason) override;
  void onDisconnected() override;
  void onError(std::string message) override;

 private:
  void finish();
  void release();
  void readOn();

  PipeTable& pipes_;
  const PipeEnd end_;
  std::shared_ptr<net::WebSocket> socket_;
  std::shared_ptr<SocketBridge> self_;  // until the connection has ended
  std::vector<std::uint32_t> unacked_;  // sizes, oldest first; a few, so that taking the first is cheap
  std::size_t unackedBytes_ = 0;
  bool reading_ = true;
  bool ended_ = false;
  bool closeSent_ = false;
  bool closeReceived_ = false;
};

}  // namespace hf::web
