#include "net/websocket_connection.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"

namespace hf::net {
namespace {

// While more than this waits to be sent, pings go unanswered: a client that does not read has no use for pongs.
constexpr std::size_t kPongQueueBytesMax = 64 * 1024;
// What a frame may claim as its length before its bytes are there, as far as memory is concerned.
constexpr std::size_t kReserveBytesMax = 256 * 1024;
constexpr std::size_t kReasonBytesMax = 123;
// Shorter messages are not worth deflating.
constexpr std::size_t kDeflateBytesMin = 256;

SteadyTime steadyNow() { return systemClock().steady(); }

}  // namespace

std::shared_ptr<WebSocket> WebSocketConnection::create(Executor& executor, std::shared_ptr<Transport> transport,
                                                       Bytes early, bool peerEnded, SendQueue out,
                                                       const WebSocketOptions& options) {
  auto socket = std::make_shared<WebSocketConnection>(executor, std::move(transport), std::move(early), peerEnded,
                                                      std::move(out), options);
  socket->transport_->setSink(socket);
  socket->flush();
  socket->settle();
  return socket;
}

WebSocketConnection::WebSocketConnection(Executor& executor, std::shared_ptr<Transport> transport, Bytes early,
                                         bool peerEnded, SendQueue out, const WebSocketOptions& options)
    : executor_(executor),
      options_(options),
      transport_(std::move(transport)),
      in_(std::move(early)),
      out_(std::move(out)),
      peerEnded_(peerEnded),
      lastReceived_(steadyNow()) {}

// --- the application's calls

void WebSocketConnection::start(std::shared_ptr<WebSocketEvents> events) {
  HF_CHECK(events_ == nullptr, "a WebSocket is started once");
  events_ = std::move(events);
  if (options_.pingInterval.count() > 0) armTimer(lastReceived_ + options_.pingInterval);
  pumpSoon();
}

void WebSocketConnection::next(std::size_t messages) {
  allowed_ += messages;
  if (!pumping_) pumpSoon();
}

Result<void> WebSocketConnection::send(Opcode opcode, BytesView data) {
  if (ended_ || failed_) return fail(Errc::kDisconnected, "the client is gone");
  if (closeSent_) return fail(Errc::kInvalidArgument, "the WebSocket has been closed");
  if (out_.bytes() + data.size() > options_.bufferedBytesMax) flush();
  if (out_.bytes() + data.size() > options_.bufferedBytesMax) {
    return fail(Errc::kOverloaded, "the client does not read what is sent to it");
  }
  Bytes deflated;
  if (options_.deflate && data.size() >= kDeflateBytesMin && deflateMessage(data, *options_.deflate, deflated)) {
    sendFrame(opcode, deflated, true);
  } else {
    sendFrame(opcode, data);
  }
  messageEnds_.push_back(out_.sentTotal() + out_.bytes());
  flushSoon();
  return {};
}

void WebSocketConnection::close(std::optional<int> code, std::string_view reason) {
  if (ended_ || closeSent_) return;
  sendClose(code, reason);
  flushSoon();
}

void WebSocketConnection::abort() {
  events_.reset();
  end(CloseMode::kReset);
}

void WebSocketConnection::sendFrame(Opcode opcode, BytesView payload, bool isDeflated) {
  Bytes header;
  header.reserve(10 + (payload.size() <= 4096 ? payload.size() : 0));
  appendFrameHeader(header, opcode, payload.size(), isDeflated);
  if (payload.size() <= 4096) {
    header.insert(header.end(), payload.begin(), payload.end());
    out_.append(std::move(header));
  } else {
    out_.append(std::move(header));
    out_.append(Bytes(payload.begin(), payload.end()));
  }
}

void WebSocketConnection::sendClose(std::optional<int> code, std::string_view reason) {
  Bytes payload;
  // 1005 and the like have no form on the wire.
  if (code && isCloseCode(*code)) {
    payload.push_back(static_cast<std::uint8_t>(*code >> 8));
    payload.push_back(static_cast<std::uint8_t>(*code & 0xff));
    std::size_t length = std::min(reason.size(), kReasonBytesMax);
    // Not in the middle of a character.
    while (length > 0 && length < reason.size() && (static_cast<std::uint8_t>(reason[length]) & 0xc0) == 0x80) length--;
    payload.insert(payload.end(), reason.begin(), reason.begin() + static_cast<std::ptrdiff_t>(length));
  }
  sendFrame(Opcode::kClose, payload);
  closeSent_ = true;
  closeSentAt_ = steadyNow();
  armTimer(closeSentAt_ + options_.closeTimeout);
}

// --- the transport's calls

void WebSocketConnection::onReceive(BytesView data) {
  if (options_.pingInterval.count() > 0) lastReceived_ = steadyNow();
  pinged_ = false;
  pump(data);
}

void WebSocketConnection::onReceiveEnd() {
  peerEnded_ = true;
  pump({});
}

void WebSocketConnection::onSendReady() {
  const auto self = shared_from_this();
  flush();
  settle();
}

void WebSocketConnection::onBroken() { disconnect(CloseMode::kReset); }

// --- reading

void WebSocketConnection::pumpSoon() {
  if (pumpPosted_ || ended_) return;
  pumpPosted_ = true;
  executor_.post([self = shared_from_this()] {
    self->pumpPosted_ = false;
    self->pump({});
  });
}

void WebSocketConnection::pump(BytesView fresh) {
  if (ended_ || pumping_) return;
  const auto self = shared_from_this();
  pumping_ = true;
  Bytes held;
  BytesView input = fresh;
  if (!in_.empty()) {
    held = std::exchange(in_, {});
    held.insert(held.end(), fresh.begin(), fresh.end());
    input = held;
  }
  while (!ended_ && !closeReceived_ && !failed_ && allowed_ > 0 && events_ != nullptr && step(input)) {
  }
  pumping_ = false;
  if (ended_) return;
  if (closeReceived_ || failed_) {
    input = {};  // nothing counts behind a Close
    if (peerEnded_ && !closeSent_ && peerEndedAt_ == SteadyTime()) {
      // The client may still read, or be gone altogether.
      peerEndedAt_ = steadyNow();
      armTimer(peerEndedAt_ + options_.closeTimeout);
    }
  } else if (peerEnded_ && allowed_ > 0 && events_ != nullptr) {
    disconnect(CloseMode::kGraceful);
    return;
  }
  if (!input.empty()) in_.assign(input.begin(), input.end());
  flush();
  settle();
}

bool WebSocketConnection::step(BytesView& input) {
  if (frameLeft_ > 0) return stepPayload(input);
  FrameHeader header;
  std::string_view why;
  switch (parseFrameHeader(input, options_.deflate ? Deflated::kAllowed : Deflated::kNever, header, why)) {
    case FrameParse::kMore:
      return false;
    case FrameParse::kBad:
      failProtocol(1002, why);
      return false;
    case FrameParse::kOk:
      break;
  }
  if (header.opcode >= Opcode::kClose) return stepControl(input, header);
  input = input.subspan(header.headerBytes);
  return beginDataFrame(header);
}

bool WebSocketConnection::stepControl(BytesView& input, const FrameHeader& header) {
  if (input.size() < header.headerBytes + header.payloadBytes) return false;
  const BytesView masked = input.subspan(header.headerBytes, header.payloadBytes);
  input = input.subspan(header.headerBytes + header.payloadBytes);
  Bytes payload(masked.begin(), masked.end());
  unmask(payload, header.mask, 0);
  if (header.opcode == Opcode::kClose) {
    receivedClose(payload);
  } else if (header.opcode == Opcode::kPing && !closeSent_ && out_.bytes() <= kPongQueueBytesMax) {
    sendFrame(Opcode::kPong, payload);
  }
  return true;
}

bool WebSocketConnection::beginDataFrame(const FrameHeader& header) {
  if ((header.opcode == Opcode::kContinuation) != inMessage_) {
    failProtocol(1002, inMessage_ ? "Missing continuation frame" : "Unexpected continuation frame");
    return false;
  }
  if (header.payloadBytes > options_.messageBytesMax ||
      message_.size() + header.payloadBytes > options_.messageBytesMax) {
    failProtocol(1009, "Message is too large");
    return false;
  }
  if (!inMessage_) {
    inMessage_ = true;
    isText_ = header.opcode == Opcode::kText;
    isDeflated_ = header.isDeflated;
    utf8_ = {};
  }
  frame_ = header;
  frameLeft_ = header.payloadBytes;
  message_.reserve(
      std::max(message_.capacity(), message_.size() + std::min<std::size_t>(frameLeft_, kReserveBytesMax)));
  if (frameLeft_ == 0) endDataFrame();
  return true;
}

bool WebSocketConnection::stepPayload(BytesView& input) {
  if (input.empty()) return false;
  const std::size_t count = std::min<std::uint64_t>(input.size(), frameLeft_);
  const std::size_t begin = message_.size();
  message_.insert(message_.end(), input.begin(), input.begin() + static_cast<std::ptrdiff_t>(count));
  const std::span<std::uint8_t> added(message_.data() + begin, count);
  unmask(added, frame_.mask, frame_.payloadBytes - frameLeft_);
  input = input.subspan(count);
  frameLeft_ -= count;
  if (isText_ && !isDeflated_ && !utf8_.add(added)) {
    failProtocol(1007, "Received text that is not valid UTF-8");
    return false;
  }
  if (frameLeft_ == 0) endDataFrame();
  return true;
}

void WebSocketConnection::endDataFrame() {
  if (!frame_.final) return;
  if (isDeflated_ && !inflate()) return;
  if (isText_ && ((isDeflated_ && !utf8_.add(message_)) || !utf8_.isComplete())) {
    failProtocol(1007, "Received text that is not valid UTF-8");
    return;
  }
  inMessage_ = false;
  allowed_--;
  const std::shared_ptr<WebSocketEvents> events = events_;
  events->onMessage(isText_ ? MessageKind::kText : MessageKind::kBinary, std::exchange(message_, {}));
}

bool WebSocketConnection::inflate() {
  Bytes message;
  switch (inflateMessage(message_, options_.messageBytesMax, message)) {
    case Inflate::kOk:
      message_ = std::move(message);
      return true;
    case Inflate::kTooLarge:
      failProtocol(1009, "Message is too large");
      return false;
    case Inflate::kCorrupt:
      break;
  }
  failProtocol(1007, "Received compressed data that is not valid");
  return false;
}

void WebSocketConnection::receivedClose(BytesView payload) {
  int code = kCloseNoStatus;
  const std::string_view reason = asText(payload.subspan(std::min<std::size_t>(2, payload.size())));
  if (payload.size() == 1) return failProtocol(1002, "Received close frame with half a status code");
  if (payload.size() >= 2) {
    code = payload[0] << 8 | payload[1];
    if (!isCloseCode(code)) return failProtocol(1002, "Received close frame with an invalid status code");
    Utf8Validator utf8;
    if (!utf8.add(asBytes(reason)) || !utf8.isComplete())
      return failProtocol(1007, "Received close frame with a reason that is not valid UTF-8");
  }
  closeReceived_ = true;
  message_ = {};
  if (!closeSent_ && options_.closeReply == CloseReply::kAutomatic) {
    sendClose(code == kCloseNoStatus ? std::nullopt : std::optional(code), "");
  }
  const std::shared_ptr<WebSocketEvents> events = events_;
  events->onClose(code, std::string(reason));
}

void WebSocketConnection::failProtocol(int code, std::string_view why) {
  failed_ = true;
  message_ = {};
  if (!closeSent_) sendClose(code, why);
  const std::shared_ptr<WebSocketEvents> events = std::exchange(events_, nullptr);
  events->onError("WebSocket protocol error; protocolError.statusCode = " + std::to_string(code) +
                  "; protocolError.description = " + std::string(why));
}

// --- sending and ending

void WebSocketConnection::flush() {
  if (ended_ || out_.empty()) return;
  const std::uint64_t before = out_.sentTotal();
  const bool waited = sendProgress_ != SteadyTime();
  if (out_.flush(*transport_)) {
    sendProgress_ = {};
  } else if (!waited || out_.sentTotal() != before) {
    sendProgress_ = steadyNow();
    armTimer(sendProgress_ + options_.writeTimeout);
  }
}

void WebSocketConnection::flushSoon() {
  // Inside pump() the flush comes at its end. Otherwise: everything that is sent in one round leaves together.
  if (pumping_ || flushPosted_) return;
  flushPosted_ = true;
  executor_.post([self = shared_from_this()] {
    self->flushPosted_ = false;
    self->flush();
    self->settle();
  });
}

void WebSocketConnection::reportSent() {
  std::size_t sent = 0;
  while (sent < messageEnds_.size() && messageEnds_[sent] <= out_.sentTotal()) sent++;
  if (sent == 0) return;
  if (sent == messageEnds_.size()) {
    messageEnds_ = {};
  } else {
    messageEnds_.erase(messageEnds_.begin(), messageEnds_.begin() + static_cast<std::ptrdiff_t>(sent));
  }
  if (const std::shared_ptr<WebSocketEvents> events = events_) events->onSent(sent);
}

void WebSocketConnection::settle() {
  if (ended_) return;
  const auto self = shared_from_this();
  reportSent();
  if (ended_) return;
  if (isClosing() && out_.empty()) {
    if (!std::exchange(sendShut_, true)) transport_->shutdownSend();
    if (peerEnded_) return end(CloseMode::kGraceful);
  }
  if (!peerEnded_ && (allowed_ > 0 || closeReceived_ || failed_)) transport_->receive();
}

void WebSocketConnection::disconnect(CloseMode mode) {
  const auto self = shared_from_this();
  const std::shared_ptr<WebSocketEvents> events = std::exchange(events_, nullptr);
  end(mode);
  if (events != nullptr && !(closeReceived_ && closeSent_)) events->onDisconnected();
}

void WebSocketConnection::end(CloseMode mode) {
  if (std::exchange(ended_, true)) return;
  const auto self = shared_from_this();
  if (timer_ != 0) executor_.cancelTimer(std::exchange(timer_, 0));
  events_.reset();
  out_.clear();
  in_ = {};
  message_ = {};
  messageEnds_ = {};
  transport_->close(mode);
}

// One timer for all limits. It is not put off when something happens, but looks what is due when it fires.
void WebSocketConnection::armTimer(SteadyTime when) {
  if (ended_ || (timer_ != 0 && timerAt_ <= when)) return;
  if (timer_ != 0) executor_.cancelTimer(timer_);
  timerAt_ = when;
  timer_ = executor_.addTimer(when, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->onTimer();
  });
}

void WebSocketConnection::onTimer() {
  timer_ = 0;
  const SteadyTime now = steadyNow();
  SteadyTime next = SteadyTime::max();
  if (sendProgress_ != SteadyTime()) {
    if (now >= sendProgress_ + options_.writeTimeout) return disconnect(CloseMode::kReset);
    next = std::min(next, sendProgress_ + options_.writeTimeout);
  }
  if (closeSent_) {
    // Also bounds how long the client may keep TCP open after both Close frames.
    if (now >= closeSentAt_ + options_.closeTimeout) return disconnect(CloseMode::kReset);
    next = std::min(next, closeSentAt_ + options_.closeTimeout);
  } else if (peerEndedAt_ != SteadyTime()) {
    if (now >= peerEndedAt_ + options_.closeTimeout) return disconnect(CloseMode::kGraceful);
    next = std::min(next, peerEndedAt_ + options_.closeTimeout);
  } else if (options_.pingInterval.count() > 0 && !closeReceived_) {
    if (allowed_ == 0) lastReceived_ = now;  // we do not read, so silence says nothing
    SteadyTime due = lastReceived_ + options_.pingInterval;
    if (pinged_ && now >= due + options_.pingInterval) return disconnect(CloseMode::kReset);
    if (!pinged_ && now >= due) {
      pinged_ = true;
      sendFrame(Opcode::kPing, {});
      flushSoon();
    }
    if (pinged_) due += options_.pingInterval;
    next = std::min(next, due);
  }
  if (next != SteadyTime::max()) armTimer(next);
}

}  // namespace hf::net
