#include "net/http_exchange.h"

#include "base/check.h"
#include "net/http_connection.h"
#include "net/websocket.h"

namespace hf::net {
namespace {

template <class T>
void postResult(Executor& executor, Completion<T> done, T result) {
  executor.post([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
}

}  // namespace

HttpExchange::HttpExchange(std::shared_ptr<HttpConnection> connection, RequestParser::Head head, const HeadFacts& facts,
                           const std::string& peerAddress, std::uint16_t peerPort)
    : executor_(connection->executor()),
      head_(std::move(head)),
      peerAddress_(peerAddress),
      peerPort_(peerPort),
      minor_(facts.minor),
      contentLength_(facts.contentLength),
      hasBody_(facts.chunked || facts.contentLength.value_or(0) > 0),
      isWebSocketUpgrade_(head_.method == "GET" && minor_ == 1 && facts.connectionUpgrade && facts.upgradeWebSocket &&
                          facts.webSocketVersion13 && !facts.webSocketKey.empty() && !hasBody_),
      connection_(std::move(connection)) {}

HttpExchange::~HttpExchange() {
  if (const std::shared_ptr<HttpConnection> connection = connection_) connection->exchangeDropped();
}

void HttpExchange::readBody(Completion<Result<Bytes>> done) {
  HF_CHECK(!isReading(), "one read at a time");
  if (connection_ == nullptr) {
    postResult<Result<Bytes>>(executor_, std::move(done), std::unexpected(lost_));
    return;
  }
  reading_ = std::move(done);
  const std::shared_ptr<HttpConnection> connection = connection_;
  connection->bodyWanted();
}

void HttpExchange::respond(ResponseHead head, Bytes body) {
  if (const auto connection = connection_) connection->respond(std::move(head), std::move(body));
}

void HttpExchange::startResponse(ResponseHead head, std::optional<std::uint64_t> length) {
  if (const auto connection = connection_) connection->startResponse(std::move(head), length);
}

void HttpExchange::write(Bytes data, Completion<Result<void>> done) {
  if (const auto connection = connection_) {
    connection->write(std::move(data), std::move(done));
  } else {
    postResult<Result<void>>(executor_, std::move(done), std::unexpected(lost_));
  }
}

void HttpExchange::finish() {
  if (const auto connection = connection_) connection->finish();
}

void HttpExchange::abort() {
  if (const auto connection = connection_) connection->abort();
}

std::shared_ptr<WebSocket> HttpExchange::acceptWebSocket(HeaderList headers, WebSocketOptions options) {
  HF_CHECK(isWebSocketUpgrade_, "only a handshake is accepted as a WebSocket");
  const auto connection = connection_;
  return connection == nullptr ? nullptr : connection->acceptWebSocket(std::move(headers), options);
}

void HttpExchange::onClosed(Task callback) {
  closed_ = std::make_shared<Task>(std::move(callback));
  if (std::exchange(isLost_, false)) tellClosed();
}

void HttpExchange::finishRead(Result<Bytes> chunk) {
  if (isReading()) postResult(executor_, std::exchange(reading_, nullptr), std::move(chunk));
}

void HttpExchange::finishWrites(const Result<void>& result) {
  for (Completion<Result<void>>& done : std::exchange(writing_, {})) postResult(executor_, std::move(done), result);
}

void HttpExchange::detach(const Error& why) {
  lost_ = why;
  finishRead(std::unexpected(why));
  finishWrites(std::unexpected(why));
  connection_.reset();
}

void HttpExchange::tellClosed() {
  if (std::exchange(isLost_, true) && !started_) return;
  if (closed_ == nullptr) return;
  executor_.post([closed = closed_, wasStarted = started_, exchange = weak_from_this()] {
    // Begun meanwhile, and the client still reads: it had only finished sending.
    if (const auto it = exchange.lock(); it != nullptr && !wasStarted && it->started_ && it->connection_ != nullptr)
      return;
    (*closed)();
  });
}

}  // namespace hf::net
