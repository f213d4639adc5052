// Bytes into the HTTP server's connection, whole and in pieces. Beyond not crashing: how the bytes are cut changes
// nothing, every completion runs once, and every answer is HTTP.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "net/memory_transport.h"
#include "net/websocket.h"

namespace hf::net {
namespace {

struct Served {
  std::vector<std::string> requests;
  std::string output;
};

class Handler final : public HttpHandler {
 public:
  Handler(std::uint8_t behaviour, Served& served) : behaviour_(behaviour), served_(served) {}
  ~Handler() override { HF_CHECK(waiting_ == 0, "every completion has run"); }

  void onRequest(std::shared_ptr<Exchange> exchange) override {
    std::string text = exchange->method() + " " + exchange->target();
    for (const Header& header : exchange->headers()) {
      HF_CHECK(isToken(header.name) && isHeaderValue(header.value), "only clean headers come through");
      text += "\n" + header.name + "=" + header.value;
    }
    if (exchange->isWebSocketUpgrade() && (behaviour_ & 1) != 0) {
      exchange->acceptWebSocket({}, {})->close(1000, "");
      served_.requests.push_back(text + " upgraded");
      return;
    }
    if ((behaviour_ & 2) != 0) {  // answers without reading
      served_.requests.push_back(std::move(text));
      if ((behaviour_ & 4) != 0) return;  // forgets it
      exchange->respond({.headers = {{"x", "y"}}}, Bytes(behaviour_, 'b'));
      return;
    }
    if ((behaviour_ & 8) != 0) exchange->startResponse({}, std::nullopt);
    read(std::move(exchange), std::move(text), {});
  }

 private:
  void read(std::shared_ptr<Exchange> exchange, std::string text, std::string body) {
    waiting_++;
    Exchange& source = *exchange;
    source.readBody([this, exchange = std::move(exchange), text = std::move(text),
                     body = std::move(body)](Result<Bytes> chunk) mutable {
      waiting_--;
      if (!chunk) {
        // How much of the body came before depends on the pieces.
        served_.requests.push_back(text + " failed");
        return;
      }
      if (!chunk->empty()) {
        body += asText(*chunk);
        if ((behaviour_ & 8) != 0) {
          waiting_++;
          exchange->write(*std::move(chunk), [this](Result<void>) { waiting_--; });
        }
        read(std::move(exchange), std::move(text), std::move(body));
        return;
      }
      served_.requests.push_back(text + "\n\n" + body);
      if ((behaviour_ & 8) != 0) {
        exchange->finish();
      } else {
        exchange->respond({.status = (behaviour_ & 16) != 0 ? 204 : 200}, Bytes(10, 'b'));
      }
    });
  }

  const std::uint8_t behaviour_;
  Served& served_;
  int waiting_ = 0;
};

Served serve(BytesView data, std::uint8_t behaviour, std::size_t pieceBytes, std::size_t takesAtOnce) {
  Served served;
  HttpServerOptions options;
  options.headerBytesMax = 2048;
  options.headerCountMax = 16;
  options.targetBytesMax = 256;
  Handler handler(behaviour, served);
  {
    MemoryServer server(handler, options, takesAtOnce);
    server.feed(data, pieceBytes);
    served.output = server.transport->output;
  }
  HF_CHECK(served.output.empty() || served.output.starts_with("HTTP/1.1 "), "an answer is HTTP");
  return served;
}

}  // namespace
}  // namespace hf::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 16 * 1024) return 0;
  const hf::BytesView input(data + 2, size - 2);
  const auto whole = hf::net::serve(input, data[0], input.size() + 1, 0);
  const auto pieces = hf::net::serve(input, data[0], 1 + data[1] % 61U, 1 + data[1] % 7U);
  if (whole.requests != pieces.requests) {
    for (const auto* served : {&whole, &pieces}) {
      std::fprintf(stderr, "--- %zu requests\n", served->requests.size());
      for (const std::string& request : served->requests) std::fprintf(stderr, "[%s]\n", request.c_str());
    }
  }
  HF_CHECK(whole.requests == pieces.requests, "how the bytes are cut changes nothing");
  return 0;
}
