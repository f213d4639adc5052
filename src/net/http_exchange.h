// HttpExchange: the handler's side of one request on a connection. Keeps the request and what the handler waits for;
// everything that touches the connection is HttpConnection's.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/http_head.h"
#include "net/http_parser.h"
#include "net/http_response.h"
#include "net/http_server.h"

namespace hf::net {

class HttpConnection;

class HttpExchange final : public Exchange, public std::enable_shared_from_this<HttpExchange> {
 public:
  HttpExchange(std::shared_ptr<HttpConnection> connection, RequestParser::Head head, const HeadFacts& facts,
               const std::string& peerAddress, std::uint16_t peerPort);
  ~HttpExchange() override;

  [[nodiscard]] const std::string& method() const override { return head_.method; }
  [[nodiscard]] const std::string& target() const override { return head_.target; }
  [[nodiscard]] int httpMinor() const override { return minor_; }
  [[nodiscard]] const HeaderList& headers() const override { return head_.headers; }
  [[nodiscard]] HeaderList takeHeaders() override { return std::exchange(head_.headers, {}); }
  [[nodiscard]] const std::string& peerAddress() const override { return peerAddress_; }
  [[nodiscard]] std::uint16_t peerPort() const override { return peerPort_; }
  [[nodiscard]] std::optional<std::uint64_t> contentLength() const override { return contentLength_; }
  [[nodiscard]] bool hasBody() const override { return hasBody_; }
  [[nodiscard]] bool isWebSocketUpgrade() const override { return isWebSocketUpgrade_; }

  void readBody(Completion<Result<Bytes>> done) override;
  void respond(ResponseHead head, Bytes body) override;
  void startResponse(ResponseHead head, std::optional<std::uint64_t> length) override;
  void write(Bytes data, Completion<Result<void>> done) override;
  void finish() override;
  void abort() override;
  std::shared_ptr<WebSocket> acceptWebSocket(HeaderList headers, WebSocketOptions options) override;
  void onClosed(Task callback) override;

 private:
  friend class HttpConnection;

  // --- for HttpConnection
  [[nodiscard]] bool isReading() const { return reading_ != nullptr; }
  void finishRead(Result<Bytes> chunk);
  void finishWrites(const Result<void>& result);
  // The response is complete or lost: from now on this is a record of the request and no more.
  void detach(const Error& why);
  void tellClosed();

  // Fixed once made
  Executor& executor_;
  RequestParser::Head head_;
  const std::string peerAddress_;
  const std::uint16_t peerPort_;
  const int minor_;
  const std::optional<std::uint64_t> contentLength_;
  const bool hasBody_;
  const bool isWebSocketUpgrade_;
  // Loop thread only
  std::shared_ptr<HttpConnection> connection_;                   // shared with the transport; null when detached
  Error lost_{Errc::kDisconnected, "the response is complete"};  // what calls get once detached
  Completion<Result<Bytes>> reading_;
  std::vector<Completion<Result<void>>> writing_;
  std::shared_ptr<Task> closed_;  // shared with calls under way
  bool isLost_ = false;
  // The response
  bool started_ = false;
  bool bodyless_ = false;  // HEAD, 204, 304
  bool chunked_ = false;
  bool untilClose_ = false;
  std::optional<std::uint64_t> remaining_;
  // Started, but its head waits: see HttpConnection::startResponse.
  struct HeldHead {
    ResponseHead head;
    std::optional<std::uint64_t> length;
  };
  std::optional<HeldHead> held_;
};

}  // namespace hf::net
