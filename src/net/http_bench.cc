// What a request and a message cost in our code alone: no sockets, no kernel.
#include <benchmark/benchmark.h>

#include <string>

#include "net/memory_transport.h"
#include "net/websocket_connection.h"

namespace hf::net {
namespace {

class Hello final : public HttpHandler {
 public:
  void onRequest(std::shared_ptr<Exchange> exchange) override {
    static constexpr std::string_view kText = "Hello, world!\n";
    exchange->respond({.headers = {{"content-type", "text/plain"}}}, Bytes(kText.begin(), kText.end()));
  }
};

void serve(benchmark::State& state, const std::string& request) {
  Hello handler;
  MemoryServer server(handler, {}, 0);
  for (auto _ : state) {
    HF_CHECK(server.transport->deliver(asBytes(request)), "the connection is kept");
    server.tasks.runAll();
    server.transport->output.clear();
  }
  state.SetItemsProcessed(state.iterations());
}

void httpShortRequest(benchmark::State& state) { serve(state, "GET / HTTP/1.1\r\nHost: localhost:8787\r\n\r\n"); }
BENCHMARK(httpShortRequest);

void httpBrowserRequest(benchmark::State& state) {
  serve(state,
        "GET /path/of/a/page?with=query HTTP/1.1\r\nHost: chat.localhost:8787\r\nConnection: keep-alive\r\n"
        "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n"
        "sec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
        "Safari/537.36\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
        "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: "
        "session=0123456789abcdef\r\n\r\n");
}
BENCHMARK(httpBrowserRequest);

class Echo final : public WebSocketEvents {
 public:
  void onMessage(MessageKind /*kind*/, Bytes data) override {
    HF_CHECK(socket->sendText(asText(data)), "the queue is empty");
    socket->next();
  }
  void onClose(int /*code*/, std::string /*reason*/) override {}
  void onDisconnected() override {}
  void onError(std::string /*message*/) override {}
  std::shared_ptr<WebSocket> socket;
};

void webSocketEcho(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  Bytes frame;
  appendFrameHeader(frame, Opcode::kText, bytes);
  frame[1] |= 0x80;
  frame.insert(frame.end(), {0, 0, 0, 0});
  frame.insert(frame.end(), bytes, 'x');
  ManualExecutor tasks;
  const auto transport = std::make_shared<MemoryTransport>(0);
  const auto echo = std::make_shared<Echo>();
  echo->socket = WebSocketConnection::create(tasks, transport, {}, false, {}, {});
  echo->socket->start(echo);
  echo->socket->next();
  tasks.runAll();
  for (auto _ : state) {
    HF_CHECK(transport->deliver(frame), "the socket reads");
    tasks.runAll();
    transport->output.clear();
  }
  echo->socket->abort();
  echo->socket.reset();
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(webSocketEcho)->Arg(16)->Arg(1024)->Arg(64 * 1024);

}  // namespace
}  // namespace hf::net
