// HttpConnection: one client's connection while it speaks HTTP. No socket in here: bytes come and go by a Transport.
//
//   kHead ──head complete──► kExchange ──response finished──► kHead          (body read to its end, or none)
//     │                          │            │
//     │ refused, timeout         │            ├──► kDiscard ──rest of the body came──► kHead
//     ▼                          ▼            ▼        │ too much of it, too slow
//   kLinger ◄─────────────── closing ◄────────────────┘
//     │ the client has closed, or lingerTimeout
//     ▼
//   kClosed ◄── abort, broken connection, upgrade to WebSocket, from any state
//
// Invariants
//  1. exchange_ is set exactly while a response is still to be finished; then it is detached and can do nothing here.
//  2. A request is parsed only when the response before it is complete, so responses leave in order.
//  3. Nothing is received while in_ holds a window's worth that nobody has asked for.
//  4. Completions and onClosed are posted, never called from inside.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "net/http_exchange.h"
#include "net/http_head.h"
#include "net/http_parser.h"
#include "net/http_server.h"
#include "net/send_queue.h"
#include "net/transport.h"

namespace hf::net {

class HttpConnection;

// What a connection needs of its server. Not used after onConnectionEnded.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  [[nodiscard]] virtual Executor& executor() = 0;
  [[nodiscard]] virtual HttpHandler& handler() = 0;
  [[nodiscard]] virtual const HttpServerOptions& options() const = 0;
  [[nodiscard]] virtual bool isDraining() const = 0;
  [[nodiscard]] virtual std::string_view date() = 0;
  // Closed, or no longer HTTP. May release the last reference.
  virtual void onConnectionEnded(HttpConnection& connection) = 0;
};

class HttpConnection final : public TransportSink, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(ConnectionHost& host, std::shared_ptr<Transport> transport);

  void start();
  // The server looks at its connections from time to time.
  void checkDeadline(SteadyTime now);
  // Idle: closes. Otherwise: after the exchange under way.
  void drain();
  // The server goes away.
  void cut();

  void onReceive(BytesView data) override;
  void onReceiveEnd() override;
  void onSendReady() override;
  void onBroken() override;

  // --- for HttpExchange, while it is attached
  [[nodiscard]] Executor& executor() { return host_.executor(); }
  void bodyWanted() { advance(); }
  void respond(ResponseHead head, Bytes body);
  void startResponse(ResponseHead head, std::optional<std::uint64_t> length);
  void write(Bytes data, Completion<Result<void>> done);
  void finish();
  void abort();
  std::shared_ptr<WebSocket> acceptWebSocket(HeaderList headers, const WebSocketOptions& options);
  void exchangeDropped();

  // A slot in the server's list.
  std::size_t index = 0;

 private:
  enum class State : std::uint8_t { kHead, kExchange, kDiscard, kLinger, kClosed };

  [[nodiscard]] const std::string& peerAddress();
  [[nodiscard]] BytesView input() const { return BytesView(in_).subspan(inAt_); }
  void consume(std::size_t bytes);

  // Takes steps until one has to wait.
  void advance();
  bool readHead();
  bool serveExchange();
  bool discardBody();
  bool endExchange();
  void deliverBody();
  void badBody();

  [[nodiscard]] bool closesAfter(const HeaderList& headers) const;
  void sendHead(const ResponseHead& head, const ResponseFraming& framing);
  void sendStreamHead(const ResponseHead& head, std::optional<std::uint64_t> length);
  void releaseHead();
  void responseComplete();
  void refuse(HttpRefusal refusal);
  void linger();
  void flush();
  void flushSoon();
  void settle();
  // Ends the exchange without its consent: fails what it waits for, tells onClosed.
  void loseExchange(const Error& why);
  void close(CloseMode mode);

  // Fixed once made
  ConnectionHost& host_;
  // Loop thread only
  std::shared_ptr<Transport> transport_;  // shared with the reactor; null once it is another protocol's
  State state_ = State::kHead;
  Bytes in_;
  std::size_t inAt_ = 0;
  SendQueue out_;
  HeadScanner scanner_;
  RequestParser parser_;
  HttpExchange* exchange_ = nullptr;
  HeadFacts facts_;
  std::string peerAddress_;
  std::uint16_t peerPort_ = 0;
  std::size_t discarded_ = 0;
  unsigned requestsThisTurn_ = 0;
  bool advancing_ = false;
  bool flushPosted_ = false;
  bool blankLineSkipped_ = false;
  bool bodyDone_ = true;
  bool continueSent_ = false;
  bool closeAfter_ = false;
  bool peerEnded_ = false;
  bool sendShut_ = false;
  SteadyTime since_;         // the current state's clock: idle, head begun, last byte of body, lingering
  SteadyTime sendProgress_;  // when out_ last became shorter, or stopped being empty
  SteadyTime deadline_ = SteadyTime::max();
};

}  // namespace hf::net
