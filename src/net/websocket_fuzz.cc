// Bytes into a WebSocket, whole and in pieces: the same events in the same order, at most one last event.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "net/memory_transport.h"
#include "net/websocket_connection.h"

namespace hf::net {
namespace {

constexpr std::size_t kMessageBytesMax = 4096;

class Events final : public WebSocketEvents {
 public:
  explicit Events(std::uint8_t behaviour) : behaviour_(behaviour) {}

  void onMessage(MessageKind kind, Bytes data) override {
    HF_CHECK(!ended_, "no message behind the last event");
    HF_CHECK(data.size() <= kMessageBytesMax, "a message keeps its limit");
    if (kind == MessageKind::kText) {
      Utf8Validator utf8;
      HF_CHECK(utf8.add(data) && utf8.isComplete(), "text is UTF-8");
    }
    const auto socket = socket_.lock();
    if ((behaviour_ & 1) != 0) HF_IGNORE(socket->sendBinary(data), "an echo may be too late");
    if ((behaviour_ & 2) != 0 && seen.size() == 3) socket->close(1000, "enough");
    if ((behaviour_ & 4) != 0 && seen.size() == 5) {
      ended_ = true;
      socket->abort();
    }
    seen.push_back(std::string(kind == MessageKind::kText ? "t" : "b") + std::string(asText(data)));
    socket->next();
  }
  void onClose(int code, std::string reason) override { last("close " + std::to_string(code) + reason); }
  void onDisconnected() override { last("disconnected"); }
  void onError(std::string message) override { last("error " + message); }

  std::weak_ptr<WebSocket> socket_;
  std::vector<std::string> seen;

 private:
  void last(std::string event) {
    HF_CHECK(!ended_, "there is one last event");
    ended_ = true;
    seen.push_back(std::move(event));
    if ((behaviour_ & 8) != 0) {
      if (const auto socket = socket_.lock()) socket->close(1000, "");
    }
  }

  const std::uint8_t behaviour_;
  bool ended_ = false;
};

std::vector<std::string> run(BytesView data, std::uint8_t behaviour, std::size_t pieceBytes, std::size_t takesAtOnce) {
  ManualExecutor tasks;
  const auto transport = std::make_shared<MemoryTransport>(takesAtOnce);
  const auto events = std::make_shared<Events>(behaviour);
  WebSocketOptions options;
  options.messageBytesMax = kMessageBytesMax;
  if ((behaviour & 8) != 0) options.closeReply = CloseReply::kByApplication;
  if ((behaviour & 16) != 0) options.deflate.emplace();
  const auto early = data.first(std::min<std::size_t>(data.size(), behaviour >> 5));
  const auto socket =
      WebSocketConnection::create(tasks, transport, Bytes(early.begin(), early.end()), false, {}, options);
  events->socket_ = socket;
  socket->start(events);
  socket->next();
  tasks.runAll();
  data = data.subspan(early.size());
  while (!data.empty()) {
    const std::size_t now = std::min(pieceBytes, data.size());
    if (!transport->deliver(data.first(now))) break;
    tasks.runAll();
    data = data.subspan(now);
  }
  transport->deliverEnd();
  tasks.runAll();
  transport->deliverBroken();
  tasks.runAll();
  return events->seen;
}

}  // namespace
}  // namespace hf::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 64 * 1024) return 0;
  const hf::BytesView input(data + 2, size - 2);
  const auto whole = hf::net::run(input, data[0], input.size() + 1, 0);
  const auto pieces = hf::net::run(input, data[0], 1 + data[1] % 61U, 1 + data[1] % 7U);
  HF_CHECK(whole == pieces, "how the bytes are cut changes nothing");
  return 0;
}
