// HTTP/1.1 server: connections on one event loop, one exchange at a time on each.
//
// Everything here happens on the loop's thread. Completions and callbacks are never run inside the call that takes
// them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/executor.h"
#include "base/limits.h"
#include "base/result.h"

namespace hf::net {

class EventLoop;
class WebSocket;
struct WebSocketOptions;

struct Header {
  std::string name;
  std::string value;

  friend bool operator==(const Header&, const Header&) = default;
};
// In the order sent, names as sent, repeated names apart.
using HeaderList = std::vector<Header>;

// The first header of that name, whatever its case; nullptr if none.
const std::string* findHeader(const HeaderList& headers, std::string_view name);

// The net room sets content-length, transfer-encoding, connection and keep-alive itself and ignores those given here,
// with two exceptions: `connection: close` closes, and the content-length of an answer to HEAD without body is kept.
// `date` is added unless given.
struct ResponseHead {
  int status = 200;    // 200 to 599
  std::string reason;  // empty: the usual phrase
  HeaderList headers;
};

// One request and its response. Held by the handler until it has answered.
// Ends:    with respond(), finish(), abort() or acceptWebSocket(). Dropping the last reference earlier answers 500 if
// no
//          response was started, otherwise aborts.
// Errors:  once the client is gone, completions carry kDisconnected (kTimeout when it was too slow) and the other calls
//          do nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // --- the request
  [[nodiscard]] virtual const std::string& method() const = 0;
  // As sent: origin form ("/a?b"), absolute form, authority form (CONNECT) or "*".
  [[nodiscard]] virtual const std::string& target() const = 0;
  [[nodiscard]] virtual int httpMinor() const = 0;  // 0 or 1
  [[nodiscard]] virtual const HeaderList& headers() const = 0;
  // Hands the headers over; headers() is empty afterwards.
  [[nodiscard]] virtual HeaderList takeHeaders() = 0;
  [[nodiscard]] virtual const std::string& peerAddress() const = 0;  // "127.0.0.1", "::1"
  [[nodiscard]] virtual std::uint16_t peerPort() const = 0;
  [[nodiscard]] virtual std::optional<std::uint64_t> contentLength() const = 0;
  // A body follows, perhaps an empty one: content-length above 0, or chunked.
  [[nodiscard]] virtual bool hasBody() const = 0;
  // A correct WebSocket handshake (GET, HTTP/1.1, version 13, key). Answer with acceptWebSocket() or any response.
  [[nodiscard]] virtual bool isWebSocketUpgrade() const = 0;

  // The next piece of the body, at most limits::kBodyWindowBytes; empty: the end, again and again. No more is read from
  // the client ahead of this than shows whether it is still there. One at a time. kInvalidArgument: the chunked coding
  // is broken (the client gets a 400).
  virtual void readBody(Completion<Result<Bytes>> done) = 0;

  // --- the response: respond, or startResponse + write... + finish
  virtual void respond(ResponseHead head, Bytes body) = 0;
  // Without a length: chunked for HTTP/1.1, until close for 1.0. No body goes out for HEAD, 204 and 304.
  virtual void startResponse(ResponseHead head, std::optional<std::uint64_t> length) = 0;
  // `done` when there is room for more: stop writing until then. Writes keep their order.
  // kInvalidArgument: more than the announced length; the response is aborted.
  virtual void write(Bytes data, Completion<Result<void>> done) = 0;
  // Less than the announced length was written: the response is aborted.
  virtual void finish() = 0;
  // Cuts the connection, so that the client can tell that the response is incomplete.
  virtual void abort() = 0;

  // Answers 101. Only when isWebSocketUpgrade(). `headers`: more for the response (sec-websocket-protocol).
  // Nothing is read from the socket before WebSocket::start().
  virtual std::shared_ptr<WebSocket> acceptWebSocket(HeaderList headers, WebSocketOptions options) = 0;

  // Called if the client goes away (or is cut off for slowness) before the response is finished. A client that has only
  // closed its sending side counts as gone before the response is started, but still gets a response that is made all
  // the same; if it then turns out to be gone, the callback is called again.
  virtual void onClosed(Task callback) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // A request's head has arrived.
  virtual void onRequest(std::shared_ptr<Exchange> exchange) = 0;
};

// kAlone: nobody else may listen on the port. kFirst: later servers of this process may join; an unrelated listener is
// an error. kJoin: shares the port of a kFirst server; the kernel spreads connections over all of them.
enum class PortSharing : std::uint8_t { kAlone, kFirst, kJoin };

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: a free one, see port()
  PortSharing sharing = PortSharing::kAlone;
  std::size_t connectionsMax = limits::kConnectionsMax;  // more are answered 503
  std::size_t headerBytesMax = limits::kHeaderBytesMax;
  std::size_t headerCountMax = limits::kHeaderCountMax;
  std::size_t targetBytesMax = limits::kTargetBytesMax;
  std::chrono::milliseconds headerTimeout = limits::kHeaderTimeout;  // first byte to end of head
  std::chrono::milliseconds idleTimeout = limits::kIdleTimeout;      // between requests
  std::chrono::milliseconds bodyTimeout = limits::kBodyTimeout;      // without a byte, while the handler waits for some
  std::chrono::milliseconds writeTimeout = limits::kWriteTimeout;  // without progress, while there is something to send
  bool webSocketDeflate = false;  // permessage-deflate for the WebSockets that ask for it on both sides
  std::chrono::milliseconds lingerTimeout{2'000};  // how long a closed connection is read, so that the answer arrives
};

// Thread:  create: any. All else, and destruction: the loop's thread, or any while the loop does not run.
// Borrows: the loop and the handler, which must outlive it.
// Errors:  kAlreadyExists: the port is taken. kPermission, kIo, kInvalidArgument (host).
class HttpServer final {
 public:
  // Listens from now on; accepts as soon as the loop runs.
  static Result<std::unique_ptr<HttpServer>> create(EventLoop& loop, HttpHandler& handler, HttpServerOptions options);
  // Cuts what is still open, except WebSockets, which belong to who accepted them.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::uint16_t port() const;  // any thread
  // Accepted and not yet closed, without WebSockets.
  [[nodiscard]] std::size_t connectionCount() const;

  // Stops accepting and closes idle connections; running exchanges finish with `connection: close`. `done` runs when no
  // connection is left (WebSockets do not count). Once.
  void drain(Task done);

 private:
  class Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  const std::shared_ptr<Impl> impl_;  // shared with what runs on the loop
};

}  // namespace hf::net
