#include "net/http_connection.h"

#include <array>
#include <charconv>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/http_response.h"
#include "net/websocket_connection.h"

namespace hf::net {
namespace {

// Pipelined requests served before other connections get their turn.
constexpr unsigned kRequestsPerTurn = 32;
// A write completes at once while no more than this waits to be sent.
constexpr std::size_t kRoomBytes = limits::kBodyWindowBytes / 2;
// Larger bodies are sent from where they are.
constexpr std::size_t kCopyBodyBytesMax = 16 * 1024;
// What is read of a body that nobody asked for, to keep the connection.
constexpr std::size_t kDiscardBytesMax = limits::kBodyWindowBytes;
// What is read of a body before its handler asks for it, because only reading tells whether the client is still there.
constexpr std::size_t kReadAheadBytesMax = 16 * 1024;
// A client that has closed its sending side counts as gone when its response has paused for so long.
constexpr std::chrono::milliseconds kHalfOpenPauseMax{5000};
// What is read while lingering.
constexpr std::size_t kLingerBytesMax = 16 * 1024 * 1024;
// How long a response's head waits for its handler to ask for the body that the client holds back.
constexpr std::chrono::milliseconds kHeldHeadMax{1000};
// A buffer above this size is not kept between requests.
constexpr std::size_t kIdleBufferBytesMax = 1024;

SteadyTime steadyNow() { return systemClock().steady(); }

}  // namespace

HttpConnection::HttpConnection(ConnectionHost& host, std::shared_ptr<Transport> transport)
    : host_(host), transport_(std::move(transport)), since_(steadyNow()) {}

void HttpConnection::start() {
  transport_->setSink(shared_from_this());
  advance();
}

const std::string& HttpConnection::peerAddress() {
  if (peerAddress_.empty()) {
    peerAddress_ = transport_->peerAddress();
    peerPort_ = transport_->peerPort();
  }
  return peerAddress_;
}

// --- the transport's calls

void HttpConnection::onReceive(BytesView data) {
  if (state_ == State::kLinger) {
    discarded_ += data.size();
    if (discarded_ > kLingerBytesMax) return close(CloseMode::kGraceful);
    transport_->receive();
    return;
  }
  if (state_ == State::kExchange || (state_ == State::kHead && input().empty())) since_ = steadyNow();
  if (inAt_ > 0) {
    in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(inAt_));
    inAt_ = 0;
  }
  in_.insert(in_.end(), data.begin(), data.end());
  requestsThisTurn_ = 0;
  advance();
}

void HttpConnection::onReceiveEnd() {
  peerEnded_ = true;
  if (state_ == State::kExchange && exchange_ != nullptr) {
    since_ = steadyNow();
    if (!exchange_->started_) exchange_->tellClosed();
  }
  advance();
}

void HttpConnection::onSendReady() {
  requestsThisTurn_ = 0;
  flush();
  advance();
}

void HttpConnection::onBroken() {
  const auto self = shared_from_this();
  loseExchange({Errc::kDisconnected, "the client has closed the connection"});
  close(CloseMode::kReset);
}

// --- reading

void HttpConnection::consume(std::size_t bytes) {
  inAt_ += bytes;
  if (inAt_ < in_.size()) return;
  inAt_ = 0;
  if (in_.capacity() > kIdleBufferBytesMax) {
    in_ = {};
  } else {
    in_.clear();
  }
}

void HttpConnection::advance() {
  if (advancing_ || state_ == State::kClosed) return;
  const auto self = shared_from_this();
  advancing_ = true;
  for (bool more = true; more;) {
    switch (state_) {
      case State::kHead:
        more = readHead();
        break;
      case State::kExchange:
        more = serveExchange();
        break;
      case State::kDiscard:
        more = discardBody();
        break;
      case State::kLinger:
      case State::kClosed:
        more = false;
        break;
    }
  }
  advancing_ = false;
  if (state_ == State::kClosed) return;
  if (!out_.empty() && !flushPosted_) flush();
  settle();
}

bool HttpConnection::readHead() {
  // A client that does not read its answers gets no more of them.
  if (out_.bytes() > kRoomBytes) flush();
  if (out_.bytes() > kRoomBytes || state_ != State::kHead) return false;
  if (requestsThisTurn_ >= kRequestsPerTurn && !input().empty()) {
    host_.executor().post([self = shared_from_this()] {
      self->requestsThisTurn_ = 0;
      self->advance();
    });
    return false;
  }
  if (!blankLineSkipped_ && asText(input()).starts_with("\r\n")) {  // left over by an old client
    blankLineSkipped_ = true;
    scanner_.reset();
    consume(2);
  }
  const std::string_view text = asText(input());
  std::optional<HttpRefusal> refusal;
  const std::size_t end = scanner_.find(text, host_.options(), refusal);
  if (refusal) {
    refuse(*refusal);
    return true;
  }
  if (end == 0) {
    if (peerEnded_ || (host_.isDraining() && text.empty())) {
      linger();
      return true;
    }
    transport_->receive();
    return false;
  }
  refusal = checkHead(text.substr(0, end), host_.options(), facts_);
  RequestParser::Head head;
  if (!refusal && !parser_.parseHead(text.substr(0, end), head))
    refusal = HttpRefusal{400, "The request is malformed."};
  if (refusal) {
    refuse(*refusal);
    return true;
  }
  consume(end);
  scanner_.reset();
  blankLineSkipped_ = false;
  requestsThisTurn_++;
  state_ = State::kExchange;
  bodyDone_ = parser_.isDone();
  continueSent_ = false;
  since_ = steadyNow();
  const auto exchange =
      std::make_shared<HttpExchange>(shared_from_this(), std::move(head), facts_, peerAddress(), peerPort_);
  exchange_ = exchange.get();
  host_.handler().onRequest(exchange);
  return true;
}

bool HttpConnection::serveExchange() {
  if (exchange_ == nullptr) return endExchange();
  if (exchange_->isReading()) {
    deliverBody();
    if (exchange_ == nullptr) return true;
  }
  // Watches for the client's going away, and gathers the next request meanwhile.
  const std::size_t gatheredMax = bodyDone_ ? host_.options().headerBytesMax : kReadAheadBytesMax;
  if (state_ == State::kExchange && !peerEnded_ && input().size() < gatheredMax) {
    transport_->receive();
  }
  return false;
}

void HttpConnection::deliverBody() {
  Bytes chunk;
  while (!bodyDone_ && !input().empty() && chunk.size() < limits::kBodyWindowBytes / 2) {
    const RequestParser::BodyStep step = parser_.parseBody(input(), limits::kBodyWindowBytes / 2, chunk);
    consume(step.consumed);
    if (step.step == RequestParser::Step::kBad) return badBody();
    bodyDone_ = step.step == RequestParser::Step::kDone;
    if (step.consumed == 0) break;
  }
  if (!chunk.empty() || bodyDone_) {
    continueSent_ = true;  // the client has not waited for it
    releaseHead();
    exchange_->finishRead(std::move(chunk));
    return;
  }
  if (peerEnded_) {
    loseExchange({Errc::kDisconnected, "the client has closed the connection before the end of the body"});
    linger();
    return;
  }
  if (facts_.expectsContinue && !continueSent_ && (!exchange_->started_ || exchange_->held_)) {
    continueSent_ = true;
    out_.append(std::string_view("HTTP/1.1 100 Continue\r\n\r\n"));
    releaseHead();
  }
  since_ = steadyNow();
  transport_->receive();
}

void HttpConnection::badBody() {
  const bool started = exchange_->started_;
  loseExchange({Errc::kInvalidArgument, "the request's chunked coding is broken"});
  if (started) {
    close(CloseMode::kReset);
  } else {
    refuse({400, "The chunked coding is broken."});
  }
}

bool HttpConnection::endExchange() {
  if (closeAfter_ || host_.isDraining()) {
    linger();
    return true;
  }
  since_ = steadyNow();
  discarded_ = 0;
  state_ = bodyDone_ ? State::kHead : State::kDiscard;
  return true;
}

bool HttpConnection::discardBody() {
  Bytes rest;
  while (!bodyDone_ && !input().empty()) {
    rest.clear();
    const RequestParser::BodyStep step = parser_.parseBody(input(), limits::kBodyWindowBytes / 2, rest);
    consume(step.consumed);
    discarded_ += step.consumed;
    if (step.step == RequestParser::Step::kBad || discarded_ > kDiscardBytesMax) {
      linger();
      return true;
    }
    bodyDone_ = step.step == RequestParser::Step::kDone;
    if (step.consumed == 0) break;
  }
  if (bodyDone_) {
    state_ = State::kHead;
    since_ = steadyNow();
    return true;
  }
  if (peerEnded_) {
    linger();
    return true;
  }
  transport_->receive();
  return false;
}

// --- answering

bool HttpConnection::closesAfter(const HeaderList& headers) const {
  if (facts_.wantsClose || (facts_.minor == 0 && !facts_.wantsKeepAlive)) return true;
  if (host_.isDraining() || asksForClose(headers)) return true;
  if (bodyDone_) return false;
  // The rest of the body would have to be read and thrown away; or it may come or not, and nobody can tell.
  return facts_.contentLength.value_or(0) > kDiscardBytesMax || (facts_.expectsContinue && !continueSent_);
}

void HttpConnection::sendHead(const ResponseHead& head, const ResponseFraming& framing) {
  Bytes& tail = out_.tail();
  const std::size_t before = tail.size();
  appendResponseHead(tail, head, framing, host_.date());
  out_.grew(tail.size() - before);
}

void HttpConnection::respond(ResponseHead head, Bytes body) {
  HF_CHECK(!exchange_->started_, "one response for each request");
  if (!isSendable(head)) {
    head = {.status = 500, .headers = {{"content-type", "text/plain; charset=utf-8"}}};
    const std::string_view text = "The response's head cannot be sent.\n";
    body.assign(text.begin(), text.end());
  }
  closeAfter_ = closesAfter(head.headers);
  const bool isHead = exchange_->method() == "HEAD";
  const bool bodyless = isHead || head.status == 204 || head.status == 304;
  ResponseFraming framing{.close = closeAfter_, .keepAlive = facts_.minor == 0 && !closeAfter_};
  if (isHead && body.empty()) {
    framing.contentLength = ownContentLength(head.headers);
  } else if (!bodyless || isHead) {
    framing.contentLength = body.size();
  }
  sendHead(head, framing);
  if (!bodyless) {
    if (body.size() <= kCopyBodyBytesMax) {
      out_.append(asText(body));
    } else {
      out_.append(std::move(body));
    }
  }
  responseComplete();
  advance();
}

void HttpConnection::startResponse(ResponseHead head, std::optional<std::uint64_t> length) {
  HF_CHECK(!exchange_->started_, "one response for each request");
  if (!isSendable(head)) {
    respond(std::move(head), {});  // which says so
    return;
  }
  exchange_->started_ = true;
  exchange_->bodyless_ = exchange_->method() == "HEAD" || head.status == 204 || head.status == 304;
  if (facts_.expectsContinue && !continueSent_ && !bodyDone_) {
    // A handler that answers with what it makes of the body starts its response first and reads then. Behind a final
    // status the client would wait in vain for its 100.
    exchange_->held_ = HttpExchange::HeldHead{.head = std::move(head), .length = length};
    since_ = steadyNow();
    if (!advancing_) settle();
    return;
  }
  sendStreamHead(head, length);
}

void HttpConnection::releaseHead() {
  if (!exchange_->held_) return;
  const HttpExchange::HeldHead held = *std::exchange(exchange_->held_, std::nullopt);
  sendStreamHead(held.head, held.length);
}

void HttpConnection::sendStreamHead(const ResponseHead& head, std::optional<std::uint64_t> length) {
  closeAfter_ = closesAfter(head.headers);
  ResponseFraming framing;
  if (exchange_->method() == "HEAD") {
    framing.contentLength = length ? length : ownContentLength(head.headers);
  } else if (!exchange_->bodyless_) {
    framing.contentLength = length;
    exchange_->remaining_ = length;
    framing.chunked = exchange_->chunked_ = !length && facts_.minor == 1;
    exchange_->untilClose_ = !length && facts_.minor == 0;
    closeAfter_ |= exchange_->untilClose_;
  }
  framing.close = closeAfter_;
  framing.keepAlive = facts_.minor == 0 && !closeAfter_;
  sendHead(head, framing);
  flushSoon();
}

void HttpConnection::write(Bytes data, Completion<Result<void>> done) {
  HF_CHECK(exchange_->started_, "startResponse comes before write");
  releaseHead();
  if (peerEnded_) since_ = steadyNow();
  exchange_->writing_.push_back(std::move(done));
  if (exchange_->remaining_ && data.size() > *exchange_->remaining_ && !exchange_->bodyless_) {
    loseExchange({Errc::kInvalidArgument, "the body is longer than its announced length"});
    close(CloseMode::kReset);
    return;
  }
  if (!exchange_->bodyless_ && !data.empty()) {
    if (exchange_->remaining_) *exchange_->remaining_ -= data.size();
    if (exchange_->chunked_) {
      std::array<char, 18> size;
      char* const end = std::to_chars(size.data(), size.data() + 16, data.size(), 16).ptr;
      end[0] = '\r';
      end[1] = '\n';
      out_.append(std::string_view(size.data(), static_cast<std::size_t>(end + 2 - size.data())));
    }
    out_.append(std::move(data));
    if (exchange_->chunked_) out_.append(std::string_view("\r\n"));
  }
  if (out_.bytes() <= kRoomBytes) {
    exchange_->finishWrites({});
    flushSoon();
  } else if (!advancing_) {
    flush();
    settle();
  }
}

void HttpConnection::finish() {
  HF_CHECK(exchange_->started_, "startResponse comes before finish");
  releaseHead();
  if (exchange_->remaining_.value_or(0) > 0 && !exchange_->bodyless_) return abort();
  if (exchange_->chunked_) out_.append(std::string_view("0\r\n\r\n"));
  flushPosted_ = false;  // what still waits to be gathered goes out now; the posted flush will find nothing
  responseComplete();
  advance();
}

void HttpConnection::abort() {
  const auto self = shared_from_this();
  // What was written before is no secret; the missing end shows that something is missing. Where only the connection's
  // end would say so, it has to be an error.
  const bool reset = !exchange_->started_ || exchange_->held_ || exchange_->untilClose_;
  out_.flush(*transport_);
  exchange_->detach({Errc::kCancelled, "the response was aborted"});
  exchange_ = nullptr;
  close(reset ? CloseMode::kReset : CloseMode::kGraceful);
}

void HttpConnection::responseComplete() {
  exchange_->finishWrites({});
  exchange_->detach({Errc::kCancelled, "the response is complete"});
  exchange_ = nullptr;
}

void HttpConnection::exchangeDropped() {
  if (exchange_->started_) return abort();
  if (peerEnded_) return abort();
  const std::string_view text = "The request was not answered.\n";
  respond({.status = 500, .headers = {{"content-type", "text/plain; charset=utf-8"}}}, Bytes(text.begin(), text.end()));
}

void HttpConnection::refuse(HttpRefusal refusal) {
  HF_CHECK(exchange_ == nullptr, "a refusal is the connection's own answer");
  const std::string text = std::string(refusal.text) + "\n";
  sendHead({.status = refusal.status, .headers = {{"content-type", "text/plain; charset=utf-8"}}},
           {.close = true, .contentLength = text.size()});
  out_.append(std::string_view(text));
  linger();
}

std::shared_ptr<WebSocket> HttpConnection::acceptWebSocket(HeaderList headers, const WebSocketOptions& options) {
  HF_CHECK(!exchange_->started_, "a WebSocket is the response");
  const ResponseHead head{.headers = std::move(headers)};
  if (!isSendable(head)) {
    respond(head, {});  // which says so
    return nullptr;
  }
  const auto self = shared_from_this();
  Bytes& tail = out_.tail();
  const std::size_t before = tail.size();
  WebSocketOptions settled = options;
  std::string extensions;
  if (options.deflate && host_.options().webSocketDeflate) {
    settled.deflate = negotiateDeflate(facts_.webSocketExtensions);
    if (settled.deflate) extensions = deflateAnswer(*settled.deflate);
  } else {
    settled.deflate.reset();
  }
  appendUpgradeHead(tail, head, facts_.webSocketKey, extensions);
  out_.grew(tail.size() - before);
  responseComplete();
  state_ = State::kClosed;
  Bytes early(input().begin(), input().end());
  in_ = {};
  inAt_ = 0;
  auto socket = WebSocketConnection::create(host_.executor(), std::exchange(transport_, nullptr), std::move(early),
                                            peerEnded_, std::move(out_), settled);
  host_.onConnectionEnded(*this);
  return socket;
}

// --- ending

void HttpConnection::loseExchange(const Error& why) {
  if (exchange_ == nullptr) return;
  HttpExchange& exchange = *std::exchange(exchange_, nullptr);
  exchange.tellClosed();
  exchange.detach(why);
}

void HttpConnection::linger() {
  state_ = State::kLinger;
  since_ = steadyNow();
  discarded_ = 0;
  in_ = {};
  inAt_ = 0;
  if (!peerEnded_) transport_->receive();
}

void HttpConnection::flush() {
  if (state_ == State::kClosed || out_.empty()) return;
  const std::uint64_t before = out_.sentTotal();
  const bool waited = sendProgress_ != SteadyTime();
  if (out_.flush(*transport_)) {
    sendProgress_ = {};
  } else if (!waited || out_.sentTotal() != before) {
    sendProgress_ = steadyNow();
  }
  if (exchange_ != nullptr && out_.bytes() <= kRoomBytes) exchange_->finishWrites({});
}

void HttpConnection::flushSoon() {
  if (flushPosted_) return;
  flushPosted_ = true;
  host_.executor().post([self = shared_from_this()] {
    self->flushPosted_ = false;
    self->flush();
    self->settle();
  });
}

// After every change: what to wait for, and how long.
void HttpConnection::settle() {
  if (state_ == State::kClosed) return;
  const HttpServerOptions& options = host_.options();
  if (!out_.empty()) {
    deadline_ = sendProgress_ == SteadyTime() ? SteadyTime::max() : sendProgress_ + options.writeTimeout;
    return;
  }
  switch (state_) {
    case State::kHead:
      deadline_ = since_ + (input().empty() ? options.idleTimeout : options.headerTimeout);
      break;
    case State::kExchange:
      deadline_ = SteadyTime::max();
      if (exchange_ == nullptr) break;
      if (exchange_->held_) {
        deadline_ = since_ + kHeldHeadMax;
      } else if (exchange_->isReading()) {
        deadline_ = since_ + options.bodyTimeout;
      } else if (peerEnded_ && exchange_->started_) {
        deadline_ = since_ + kHalfOpenPauseMax;
      }
      break;
    case State::kLinger:
      if (!std::exchange(sendShut_, true)) transport_->shutdownSend();
      if (peerEnded_) return close(CloseMode::kGraceful);
      [[fallthrough]];
    case State::kDiscard:
      deadline_ = since_ + options.lingerTimeout;
      break;
    case State::kClosed:
      break;
  }
}

void HttpConnection::checkDeadline(SteadyTime now) {
  if (now < deadline_) return;
  const auto self = shared_from_this();
  const Error tooSlow{Errc::kTimeout, "the client was too slow"};
  if (!out_.empty() || state_ == State::kLinger) {
    loseExchange(tooSlow);
    close(state_ == State::kLinger && out_.empty() ? CloseMode::kGraceful : CloseMode::kReset);
    return;
  }
  if (state_ == State::kExchange && exchange_->held_) {
    releaseHead();
  } else if (state_ == State::kHead && !input().empty()) {
    refuse({408, "The request did not arrive in time."});
  } else if (state_ == State::kExchange) {
    const bool started = exchange_->started_;
    loseExchange(tooSlow);
    if (started) return close(CloseMode::kReset);
    refuse({408, "The request's body did not arrive in time."});
  } else if (state_ == State::kDiscard) {
    linger();
  } else {
    return close(CloseMode::kGraceful);
  }
  flush();
  settle();
}

void HttpConnection::drain() {
  if (state_ == State::kHead && input().empty() && out_.empty()) close(CloseMode::kGraceful);
}

void HttpConnection::cut() {
  const auto self = shared_from_this();
  loseExchange({Errc::kDisconnected, "the server is stopping"});
  close(CloseMode::kReset);
}

void HttpConnection::close(CloseMode mode) {
  if (state_ == State::kClosed) return;
  HF_CHECK(exchange_ == nullptr, "an exchange is told before its connection closes");
  const auto self = shared_from_this();
  state_ = State::kClosed;
  deadline_ = SteadyTime::max();
  transport_->close(mode);
  out_.clear();
  in_ = {};
  host_.onConnectionEnded(*this);
}

}  // namespace hf::net
