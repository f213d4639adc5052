// Transport: a byte stream to one client, seen from the protocols. The real one is a socket (socket_transport.h); the
// tests and fuzz targets bring their own, so that HTTP and WebSocket run without a network.
// Thread:  the loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"

namespace hf::net {

class TransportSink {
 public:
  virtual ~TransportSink() = default;
  // What came, never empty. The view is valid during the call.
  virtual void onReceive(BytesView data) = 0;
  // The client has closed its sending side; nothing will be received any more.
  virtual void onReceiveEnd() = 0;
  // There is room after a send() that took less than it was given.
  virtual void onSendReady() = 0;
  // The connection is broken in both directions. The transport has closed itself; no further call.
  virtual void onBroken() = 0;
};

// kGraceful: what was sent still arrives. kReset: the client gets an error.
enum class CloseMode : std::uint8_t { kGraceful, kReset };

class Transport {
 public:
  virtual ~Transport() = default;
  // Who gets the calls; kept alive until close() or onBroken().
  virtual void setSink(std::shared_ptr<TransportSink> sink) = 0;
  // Asks for one onReceive or onReceiveEnd, never from inside this call. Does nothing when already asked.
  virtual void receive() = 0;
  // Takes what it can now and says how much. If that was not all: one onSendReady follows. A broken connection takes
  // nothing; onBroken follows.
  virtual std::size_t send(std::span<const BytesView> parts) = 0;
  virtual void shutdownSend() = 0;
  // Lets go of the sink; no further call.
  virtual void close(CloseMode mode) = 0;
  [[nodiscard]] virtual std::string peerAddress() const = 0;
  [[nodiscard]] virtual std::uint16_t peerPort() const = 0;
};

}  // namespace hf::net
