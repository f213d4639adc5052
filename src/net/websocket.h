// WebSocket: the server's end of an accepted connection (RFC 6455).
//
//   open ──close()──► closing ──Close received──► closed         onClose
//   open ──Close received──► half-open ──close(), or at once if CloseReply::kAutomatic──► closed
//   any  ──TCP ends──► closed                                    onDisconnected, unless onClose was called
//   any  ──violation, message too big, text not UTF-8──► Close 1002/1009/1007 is sent, closed    onError
//
// Pings are answered here. While half-open, sending is still allowed.
// Thread:  the loop's. No event is delivered inside a call of WebSocket's.
// Owns:    itself, until the connection has ended: dropping the last reference does not end it, abort() does.
// Memory:  an open socket with nothing under way keeps no buffer.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/result.h"
#include "net/permessage_deflate.h"

namespace hf::net {

enum class MessageKind : std::uint8_t { kText, kBinary };
// Who answers the client's Close frame.
enum class CloseReply : std::uint8_t { kAutomatic, kByApplication };

// The code of a Close frame without one.
inline constexpr int kCloseNoStatus = 1005;

struct WebSocketOptions {
  CloseReply closeReply = CloseReply::kAutomatic;
  // Set: permessage-deflate if the client offers it and the server's options allow. What was agreed on replaces it.
  std::optional<DeflateAgreement> deflate;
  std::size_t messageBytesMax = limits::kWebSocketMessageBytesMax;
  std::size_t bufferedBytesMax = limits::kPipeWaitingBytesMax;
  // 0: never. Otherwise: after so long without a byte a ping is sent; after as long again the client counts as gone.
  std::chrono::milliseconds pingInterval{0};
  std::chrono::milliseconds writeTimeout = limits::kWriteTimeout;  // without progress, while there is something to send
  // From our Close to the client's, and from the end of TCP behind the client's Close to ours.
  std::chrono::milliseconds closeTimeout{10'000};
};

class WebSocketEvents {
 public:
  virtual ~WebSocketEvents() = default;
  // Text is valid UTF-8.
  virtual void onMessage(MessageKind kind, Bytes data) = 0;
  // The client's Close frame; no message follows. The last event but onSent, and onDisconnected if the client goes away
  // before it has been answered.
  virtual void onClose(int code, std::string reason) = 0;
  // The connection ended without the client's Close frame. The last event.
  virtual void onDisconnected() = 0;
  // The client broke the protocol. The last event.
  virtual void onError(std::string message) = 0;
  // So many messages, the oldest first, were handed to the kernel.
  virtual void onSent(std::size_t messages) {}
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;

  // Once. `events` is kept until its last event, and kept alive that long.
  virtual void start(std::shared_ptr<WebSocketEvents> events) = 0;
  // Flow control: allows `messages` more onMessage. Without any allowed nothing is read, not even control frames.
  virtual void next(std::size_t messages = 1) = 0;

  // Ordered; what is sent in one round of the loop leaves together. `text` must be UTF-8. May be used before start().
  // kOverloaded: bufferedBytesMax would be passed; nothing was queued. kInvalidArgument: after close().
  // kDisconnected: the client is gone.
  virtual Result<void> sendText(std::string_view text) = 0;
  virtual Result<void> sendBinary(BytesView data) = 0;
  // Sends a Close frame after what is queued. Without a code: a frame without one. `reason`: at most 123 bytes.
  // A second call does nothing.
  virtual void close(std::optional<int> code, std::string_view reason) = 0;
  // Cuts the connection: no further event.
  virtual void abort() = 0;

  // Queued and not yet handed to the kernel.
  [[nodiscard]] virtual std::size_t bufferedBytes() const = 0;
};

}  // namespace hf::net
