#include "web/socket_bridge.h"

#include <utility>

#include "base/limits.h"

namespace hf::web {
namespace {

constexpr int kNoStatus = net::kCloseNoStatus;
constexpr std::size_t kUnackedKept = 4;

}  // namespace

void SocketBridge::join(net::Exchange& exchange, net::HeaderList headers, PipeTable& pipes, PipeEnd end, bool deflate) {
  auto bridge = std::make_shared<SocketBridge>(pipes, end);
  net::WebSocketOptions options;
  // JavaScript decides when a client's Close is answered (spec durable-objects 7.2).
  options.closeReply = net::CloseReply::kByApplication;
  if (deflate) options.deflate.emplace();
  bridge->self_ = bridge;
  bridge->socket_ = exchange.acceptWebSocket(std::move(headers), options);
  if (bridge->socket_ == nullptr) {  // the client has gone meanwhile
    bridge->self_.reset();
    pipes.abort(end);
    return;
  }
  bridge->socket_->start(bridge);
  bridge->socket_->next();
  pipes.attach(end, *bridge);
}

void SocketBridge::onPipeMessage(PipeEnd /*end*/, PipeMessage message) {
  const std::shared_ptr<SocketBridge> keep = self_;
  if (ended_) return;
  Result<void> sent;
  switch (message.kind) {
    case PipeKind::kText:
      sent = socket_->sendText(asText(message.data));
      break;
    case PipeKind::kBinary:
      sent = socket_->sendBinary(message.data);
      break;
    case PipeKind::kClose:
      if (message.code == kNoStatus) {
        socket_->close(std::nullopt, "");
      } else {
        socket_->close(message.code, message.reason);
      }
      closeSent_ = true;
      if (closeReceived_) finish();
      return;
    case PipeKind::kGone:
    case PipeKind::kError:
      ended_ = true;
      socket_->abort();
      self_.reset();
      return;
  }
  // A client that does not read costs a bounded amount of memory and is then cut.
  if (!sent && sent.error().code == Errc::kOverloaded) {
    socket_->abort();
    finish();
  }
}

void SocketBridge::onPipeAck(PipeEnd /*end*/) {
  if (unacked_.empty()) return;
  unackedBytes_ -= unacked_.front();
  unacked_.erase(unacked_.begin());
  // A socket that sleeps keeps no buffer.
  if (unacked_.empty() && unacked_.capacity() > kUnackedKept) unacked_ = {};
  readOn();
}

void SocketBridge::readOn() {
  if (reading_ || ended_) return;
  if (unacked_.size() >= limits::kSocketUnackedMessagesMax || unackedBytes_ >= limits::kSocketUnackedBytesMax) return;
  reading_ = true;
  socket_->next();
}

void SocketBridge::onMessage(net::MessageKind kind, Bytes message) {
  const std::shared_ptr<SocketBridge> keep = self_;
  reading_ = false;
  unacked_.push_back(static_cast<std::uint32_t>(message.size()));
  unackedBytes_ += message.size();
  const bool sent = pipes_.send(end_, {.kind = kind == net::MessageKind::kText ? PipeKind::kText : PipeKind::kBinary,
                                       .data = std::move(message)});
  if (!sent && !ended_) {
    socket_->abort();
    finish();
    return;
  }
  readOn();
}

void SocketBridge::onClose(int code, std::string reason) {
  const std::shared_ptr<SocketBridge> keep = self_;
  if (ended_) return;
  closeReceived_ = true;
  // What JavaScript does about the event must not cut a connection whose last frames are still on their way.
  const bool isLast = closeSent_;
  ended_ = isLast;
  pipes_.send(end_, {.kind = PipeKind::kClose, .code = code, .reason = std::move(reason)});
  if (isLast) release();
}

void SocketBridge::onDisconnected() { finish(); }

void SocketBridge::onError(std::string message) {
  if (std::exchange(ended_, true)) return;  // before JavaScript hears of it, as above
  pipes_.send(end_, {.kind = PipeKind::kError, .reason = std::move(message)});
  release();
}

void SocketBridge::finish() {
  if (!std::exchange(ended_, true)) release();
}

void SocketBridge::release() {
  const std::shared_ptr<SocketBridge> keep = std::move(self_);
  pipes_.abort(end_);
}

}  // namespace hf::web
