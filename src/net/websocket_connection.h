// WebSocketConnection: a WebSocket on a Transport. The frame codec is our own and not Beast's, because Beast answers a
// Close frame by itself (an application could not finish the handshake, spec durable-objects 7.2) and keeps several
// kilobytes for each open socket.
//
// Invariants
//  1. in_ holds input only while it is less than a frame's header, or while no message is allowed.
//  2. Our Close frame is the last frame we send.
//  3. events_ is null once nothing may be reported any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "net/send_queue.h"
#include "net/transport.h"
#include "net/websocket.h"
#include "net/websocket_frame.h"

namespace hf::net {

class WebSocketConnection final : public WebSocket,
                                  public TransportSink,
                                  public std::enable_shared_from_this<WebSocketConnection> {
 public:
  // Behind a handshake whose answer is the last thing in `out`. `early`: what the client sent behind its request.
  static std::shared_ptr<WebSocket> create(Executor& executor, std::shared_ptr<Transport> transport, Bytes early,
                                           bool peerEnded, SendQueue out, const WebSocketOptions& options);

  WebSocketConnection(Executor& executor, std::shared_ptr<Transport> transport, Bytes early, bool peerEnded,
                      SendQueue out, const WebSocketOptions& options);

  void start(std::shared_ptr<WebSocketEvents> events) override;
  void next(std::size_t messages) override;
  Result<void> sendText(std::string_view text) override { return send(Opcode::kText, asBytes(text)); }
  Result<void> sendBinary(BytesView data) override { return send(Opcode::kBinary, data); }
  void close(std::optional<int> code, std::string_view reason) override;
  void abort() override;
  [[nodiscard]] std::size_t bufferedBytes() const override { return out_.bytes(); }

  void onReceive(BytesView data) override;
  void onReceiveEnd() override;
  void onSendReady() override;
  void onBroken() override;

 private:
  Result<void> send(Opcode opcode, BytesView data);
  void sendFrame(Opcode opcode, BytesView payload, bool isDeflated = false);
  void sendClose(std::optional<int> code, std::string_view reason);

  // Handles `fresh` behind what is left from before, as far as messages are allowed.
  void pump(BytesView fresh);
  void pumpSoon();
  // True: progress was made. Takes from the front of `input`.
  bool step(BytesView& input);
  bool stepPayload(BytesView& input);
  bool stepControl(BytesView& input, const FrameHeader& header);
  bool beginDataFrame(const FrameHeader& header);
  void endDataFrame();
  // False: the message cannot be inflated, and the connection has failed.
  bool inflate();
  void receivedClose(BytesView payload);
  void failProtocol(int code, std::string_view why);

  void flush();
  void flushSoon();
  void settle();
  void reportSent();
  void disconnect(CloseMode mode);
  void end(CloseMode mode);
  void armTimer(SteadyTime when);
  void onTimer();
  [[nodiscard]] bool isClosing() const { return closeSent_ && (closeReceived_ || failed_); }

  // Fixed once made
  Executor& executor_;
  const WebSocketOptions options_;
  // Loop thread only
  const std::shared_ptr<Transport> transport_;  // shared with the reactor
  std::shared_ptr<WebSocketEvents> events_;     // shared with the application
  Bytes in_;
  SendQueue out_;
  std::vector<std::uint64_t> messageEnds_;  // in out_'s count, of messages not yet sent
  std::size_t allowed_ = 0;
  // The message under way
  Bytes message_;
  FrameHeader frame_;
  std::uint64_t frameLeft_ = 0;
  bool inMessage_ = false;
  bool isText_ = false;
  bool isDeflated_ = false;
  Utf8Validator utf8_;
  // The connection
  bool pumping_ = false;
  bool pumpPosted_ = false;
  bool flushPosted_ = false;
  bool closeSent_ = false;
  bool closeReceived_ = false;
  bool failed_ = false;
  bool peerEnded_ = false;
  bool sendShut_ = false;
  bool ended_ = false;
  bool pinged_ = false;
  std::uint64_t timer_ = 0;
  SteadyTime timerAt_;
  SteadyTime closeSentAt_;
  SteadyTime peerEndedAt_;  // TCP ended behind the client's Close, which waits for the application's
  SteadyTime sendProgress_;
  SteadyTime lastReceived_;
};

}  // namespace hf::net
