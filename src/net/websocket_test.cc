#include "net/websocket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/test_support.h"
#include "net/websocket_frame.h"

namespace hf::net {
namespace {

using namespace std::string_literals;
using std::chrono::milliseconds;
using testing::StartsWith;

constexpr std::string_view kHandshake =
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

enum class Fin : std::uint8_t { kYes, kNo };

// A client's frame.
std::string frame(Opcode opcode, std::string_view payload, Fin fin = Fin::kYes) {
  Bytes out;
  appendFrameHeader(out, opcode, payload.size());
  if (fin == Fin::kNo) out[0] &= 0x7f;
  out[1] |= 0x80;
  const std::array<std::uint8_t, 4> mask = {0x12, 0x34, 0x56, 0x78};
  out.insert(out.end(), mask.begin(), mask.end());
  Bytes masked = bytesOf(payload);
  unmask(masked, mask, 0);
  out.insert(out.end(), masked.begin(), masked.end());
  return textOf(out);
}

std::string closeFrame(int code, std::string_view reason = "") {
  return frame(Opcode::kClose,
               std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)} + std::string(reason));
}

// A server's frame as "opcode:payload", read from the client.
std::string readFrame(Client& client) {
  const std::string head = client.readExactly(2);
  if (head.size() < 2) return "end";
  EXPECT_EQ(head[0] & 0xf0, 0x80);
  EXPECT_EQ(head[1] & 0x80, 0) << "a server does not mask";
  std::size_t length = static_cast<unsigned char>(head[1]);
  if (length >= 126) {
    const std::string more = client.readExactly(length == 126 ? 2 : 8);
    length = 0;
    for (const char c : more) length = length << 8 | static_cast<unsigned char>(c);
  }
  return std::to_string(head[0] & 0x0f) + ":" + client.readExactly(length);
}

// A close frame as it is read back.
std::string closed(int code, std::string_view reason = "") {
  return "8:" + std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)} + std::string(reason);
}

// Accepts every socket; tells what comes; `flow` says how many messages are allowed at first and after each.
class SocketServer final {
 public:
  struct Flow {
    std::size_t first = 1;
    std::size_t each = 1;
  };

  explicit SocketServer(WebSocketOptions options = {}, HeaderList headers = {})
      : SocketServer(options, std::move(headers), Flow{}) {}
  SocketServer(WebSocketOptions options, HeaderList headers, Flow flow)
      : server([this, options, headers, flow](const std::shared_ptr<Exchange>& exchange) {
          if (!exchange->isWebSocketUpgrade()) return exchange->respond({.status = 426}, {});
          auto sink = std::make_shared<Sink>();
          sink->owner = this;
          sink->each = flow.each;
          socket = exchange->acceptWebSocket(headers, options);
          sink->socket = socket;
          socket->start(sink);
          if (flow.first > 0) socket->next(flow.first);
          events.push("open");
        }) {}

  void on(std::function<void(WebSocket&)> work) {
    server.thread.run([&] { work(*socket); });
  }

  EventQueue<std::string> events;
  bool echo = false;
  std::shared_ptr<WebSocket> socket;

 private:
  struct Sink : WebSocketEvents {
    void onMessage(MessageKind kind, Bytes data) override {
      owner->events.push((kind == MessageKind::kText ? "text " : "binary ") + textOf(data));
      const auto open = socket.lock();
      if (owner->echo) EXPECT_TRUE(kind == MessageKind::kText ? open->sendText(asText(data)) : open->sendBinary(data));
      if (each > 0) open->next(each);
    }
    void onClose(int code, std::string reason) override {
      owner->events.push("close " + std::to_string(code) + " " + reason);
    }
    void onDisconnected() override { owner->events.push("disconnected"); }
    void onError(std::string message) override { owner->events.push("error " + message); }
    void onSent(std::size_t messages) override { sent += messages; }
    SocketServer* owner = nullptr;
    std::weak_ptr<WebSocket> socket;
    std::size_t each = 1;
    std::size_t sent = 0;
  };

 public:
  TestServer server;
};

class Peer final {
 public:
  explicit Peer(SocketServer& server, std::string_view early = "") : client(server.server.port()) {
    client.send(std::string(kHandshake) + std::string(early));
    head = client.readUntil("\r\n\r\n");
    EXPECT_EQ(server.events.next(), "open");
  }
  Client client;
  std::string head;
};

TEST(WebSocket, ShakesHandsWithTheKeysAnswerAndWithoutExtensions) {
  SocketServer server({}, {{"Sec-WebSocket-Protocol", "chat"}, {"Sec-WebSocket-Extensions", "permessage-deflate"}});
  Peer peer(server);
  EXPECT_EQ(peer.head,
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
}

TEST(WebSocket, WhatIsNoHandshakeIsAnOrdinaryRequest) {
  SocketServer server;
  const std::string good(kHandshake);
  const auto without = [&](std::string_view what, std::string_view instead) {
    std::string request = good;
    request.replace(request.find(what), what.size(), instead);
    return request;
  };
  for (const std::string& request :
       {without("GET", "PUT"), without("Version: 13", "Version: 8"), without("dGhl", "dG"), without("dGhl", "d*hl"),
        without("keep-alive, Upgrade", "keep-alive"), without("WebSocket\r\n", "h2c\r\n"),
        without("Sec-WebSocket-Key: ", "Sec-WebSocket-Kay: "), without("HTTP/1.1", "HTTP/1.0")}) {
    Client client(server.server.port());
    client.send(request);
    EXPECT_THAT(client.readUntil("\r\n\r\n"), StartsWith("HTTP/1.1 426 ")) << request;
  }
}

TEST(WebSocket, EchoesTextAndBinaryOfEveryLengthClass) {
  SocketServer server;
  server.echo = true;
  Peer peer(server, frame(Opcode::kText, "early"));  // behind the request, in one piece with it
  EXPECT_EQ(server.events.next(), "text early");
  EXPECT_EQ(readFrame(peer.client), "1:early");
  for (const std::size_t length : {0UZ, 1UZ, 125UZ, 126UZ, 65535UZ, 65536UZ, 1'000'000UZ}) {
    std::string payload(length, 'x');
    for (std::size_t i = 0; i < length; i++) payload[i] = static_cast<char>(i * 7);
    peer.client.send(frame(Opcode::kBinary, payload));
    EXPECT_TRUE(readFrame(peer.client) == "2:" + payload) << length;
    EXPECT_TRUE(server.events.next() == "binary " + payload) << length;
  }
  peer.client.send(frame(Opcode::kText, "gr\xc3\xbc\xc3\x9f"));
  EXPECT_EQ(readFrame(peer.client), "1:gr\xc3\xbc\xc3\x9f");
}

TEST(WebSocket, PutsFragmentsTogetherWithControlFramesInBetween) {
  SocketServer server;
  Peer peer(server);
  // A character is cut in two as well.
  const std::string all = frame(Opcode::kText, "a\xc3", Fin::kNo) + frame(Opcode::kPing, "p1") +
                          frame(Opcode::kContinuation, "", Fin::kNo) +
                          frame(Opcode::kContinuation,
                                "\xa4"
                                "b") +
                          frame(Opcode::kPong, "nobody asked") + frame(Opcode::kBinary, "\xff", Fin::kNo) +
                          frame(Opcode::kContinuation, "\xfe");
  peer.client.send(all);
  EXPECT_EQ(readFrame(peer.client), "10:p1");
  EXPECT_EQ(server.events.next(),
            "text a\xc3\xa4"
            "b");
  EXPECT_EQ(server.events.next(), "binary \xff\xfe");
  for (const char byte : all) {
    peer.client.send({&byte, 1});
    server.on([](WebSocket&) {});
  }
  EXPECT_EQ(readFrame(peer.client), "10:p1");
  EXPECT_EQ(server.events.next(),
            "text a\xc3\xa4"
            "b");
  EXPECT_EQ(server.events.next(), "binary \xff\xfe");
}

TEST(WebSocket, AnswersTheClientsCloseByItself) {
  SocketServer server;
  struct Case {
    std::string sent;
    std::string event;
    std::string answer;
  };
  const std::vector<Case> cases = {{frame(Opcode::kClose, ""), "close 1005 ", "8:"},
                                   {closeFrame(1000), "close 1000 ", closed(1000)},
                                   {closeFrame(1001, "going"), "close 1001 going", closed(1001)},
                                   {closeFrame(3000, "\xc3\xa4"), "close 3000 \xc3\xa4", closed(3000)},
                                   {closeFrame(4999), "close 4999 ", closed(4999)}};
  for (const auto& [sent, event, answer] : cases) {
    Peer peer(server);
    peer.client.send(sent + frame(Opcode::kText, "behind a Close nothing counts"));
    EXPECT_EQ(server.events.next(), event);
    EXPECT_EQ(readFrame(peer.client), answer);
    EXPECT_EQ(readFrame(peer.client), "end");
    peer.client.close();
    server.on([](WebSocket&) {});
    EXPECT_TRUE(server.events.isEmpty());
  }
}

TEST(WebSocket, StaysHalfOpenWhenTheApplicationAnswersTheClose) {
  SocketServer server({.closeReply = CloseReply::kByApplication});
  Peer peer(server);
  peer.client.send(closeFrame(1000, "bye"));
  EXPECT_EQ(server.events.next(), "close 1000 bye");
  server.on([](WebSocket& socket) { EXPECT_TRUE(socket.sendText("one more thing")); });
  EXPECT_EQ(readFrame(peer.client), "1:one more thing");
  server.on([](WebSocket& socket) {
    socket.close(3001, "now");
    const Result<void> late = socket.sendText("too late");
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Errc::kInvalidArgument);
    socket.close(3002, "ignored");
  });
  EXPECT_EQ(readFrame(peer.client), closed(3001, "now"));
  EXPECT_EQ(readFrame(peer.client), "end");
  EXPECT_TRUE(server.events.isEmpty());
}

TEST(WebSocket, AClientThatLeavesBehindItsCloseIsToldOfWhenNobodyAnswers) {
  SocketServer server({.closeReply = CloseReply::kByApplication, .closeTimeout = std::chrono::milliseconds(30)});
  {
    Peer peer(server);
    peer.client.send(closeFrame(1000));
    peer.client.reset();
    EXPECT_EQ(server.events.next(), "close 1000 ");
    EXPECT_EQ(server.events.next(), "disconnected");
  }
  {
    Peer peer(server);
    peer.client.send(closeFrame(1000));
    peer.client.close();
    EXPECT_EQ(server.events.next(), "close 1000 ");
    EXPECT_EQ(server.events.next(), "disconnected");
  }
  EXPECT_TRUE(server.events.isEmpty());
}

TEST(WebSocket, ClosesFirstAndStillHearsWhatTheClientHadToSay) {
  SocketServer server;
  Peer peer(server);
  server.on([](WebSocket& socket) { socket.close(std::nullopt, ""); });
  EXPECT_EQ(readFrame(peer.client), "8:");
  peer.client.send(frame(Opcode::kText, "last") + frame(Opcode::kPing, "no pong behind a Close") + closeFrame(1000));
  EXPECT_EQ(server.events.next(), "text last");
  EXPECT_EQ(server.events.next(), "close 1000 ");
  EXPECT_EQ(readFrame(peer.client), "end");
}

TEST(WebSocket, ClosesWithItsReasonCutBetweenCharacters) {
  SocketServer server;
  Peer peer(server);
  std::string reason(122, 'x');
  server.on([&](WebSocket& socket) { socket.close(1011, reason + "\xc3\xa4"); });
  EXPECT_EQ(readFrame(peer.client), closed(1011, reason));
}

TEST(WebSocket, TellsOnceWhenTheClientVanishes) {
  SocketServer server;
  {
    Peer peer(server);
    peer.client.close();
    EXPECT_EQ(server.events.next(), "disconnected");
    server.on([](WebSocket& socket) { EXPECT_EQ(socket.sendText("x").error().code, Errc::kDisconnected); });
  }
  {
    Peer peer(server);
    peer.client.reset();
    EXPECT_EQ(server.events.next(), "disconnected");
  }
  {
    Peer peer(server);
    peer.client.send(frame(Opcode::kText, "whole") + frame(Opcode::kText, "cut off").substr(0, 8));
    peer.client.close();
    EXPECT_EQ(server.events.next(), "text whole");
    EXPECT_EQ(server.events.next(), "disconnected");
  }
  {  // Our Close is not answered but by the end of TCP.
    Peer peer(server);
    server.on([](WebSocket& socket) { socket.close(1000, ""); });
    peer.client.close();
    EXPECT_EQ(server.events.next(), "disconnected");
  }
  EXPECT_TRUE(server.events.isEmpty());
}

TEST(WebSocket, AnswersViolationsWithTheirCode) {
  SocketServer server({.messageBytesMax = 1000});
  const std::vector<std::pair<std::string, int>> cases = {
      {"\x81\x02hi", 1002},                                                 // not masked
      {"\xc1\x80\x01\x02\x03\x04"s, 1002},                                  // deflated, which was not agreed on
      {"\xa1\x80\x01\x02\x03\x04"s, 1002},                                  // a reserved bit
      {"\x83\x80\x01\x02\x03\x04"s, 1002},                                  // an unknown opcode
      {"\x8b\x80\x01\x02\x03\x04"s, 1002},                                  // an unknown control opcode
      {"\x81\xfe\x00\x05\x01\x02\x03\x04hello"s, 1002},                     // five is short
      {"\x81\xff\x00\x00\x00\x00\x00\x00\x01\x00\x01\x02\x03\x04"s, 1002},  // 256 is not long
      {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04"s, 1002},  // negative
      {frame(Opcode::kPing, "x", Fin::kNo), 1002},
      {frame(Opcode::kPing, std::string(126, 'x')), 1002},
      {frame(Opcode::kContinuation, "of nothing"), 1002},
      {frame(Opcode::kText, "a", Fin::kNo) + frame(Opcode::kText, "b"), 1002},
      {frame(Opcode::kClose, "x"), 1002},
      {closeFrame(999), 1002},
      {closeFrame(1004), 1002},
      {closeFrame(1005), 1002},
      {closeFrame(1006), 1002},
      {closeFrame(1015), 1002},
      {closeFrame(1016), 1002},
      {closeFrame(2999), 1002},
      {closeFrame(5000), 1002},
      {closeFrame(1000, "\xff"), 1007},
      {frame(Opcode::kText, "\xc3"), 1007},                    // unfinished
      {frame(Opcode::kText, "\xc0\xaf"), 1007},                // longer than needed
      {frame(Opcode::kText, "\xed\xa0\x80"), 1007},            // a surrogate
      {frame(Opcode::kText, "\xf4\x90\x80\x80"), 1007},        // above U+10FFFF
      {frame(Opcode::kText, "12345678\xff", Fin::kNo), 1007},  // known before the end
      {frame(Opcode::kBinary, std::string(1001, 'x')), 1009},
      {frame(Opcode::kBinary, std::string(600, 'x'), Fin::kNo) + frame(Opcode::kContinuation, std::string(401, 'x')),
       1009},
      {"\x82\xff\x00\x00\x00\x7f\x00\x00\x00\x00\x01\x02\x03\x04"s, 1009},  // only claimed, never sent
  };
  for (std::size_t i = 0; i < cases.size(); i++) {
    SCOPED_TRACE(i);
    Peer peer(server);
    peer.client.send(cases[i].first);
    EXPECT_THAT(server.events.next(), StartsWith("error "));
    EXPECT_EQ(readFrame(peer.client).substr(0, 4), closed(cases[i].second));
    EXPECT_EQ(readFrame(peer.client), "end");
    peer.client.close();
  }
  EXPECT_TRUE(server.events.isEmpty());
  Peer fits(server);
  fits.client.send(frame(Opcode::kBinary, std::string(600, 'x'), Fin::kNo) +
                   frame(Opcode::kContinuation, std::string(400, 'x')));
  EXPECT_THAT(server.events.next(), StartsWith("binary "));
}

TEST(WebSocket, DeliversOnlyAsManyMessagesAsAreAllowed) {
  SocketServer server({}, {}, {.first = 0, .each = 0});
  Peer peer(server);
  peer.client.send(frame(Opcode::kText, "1") + frame(Opcode::kText, "2") + frame(Opcode::kText, "3"));
  peer.client.send(frame(Opcode::kText, "4"));
  server.on([](WebSocket&) {});
  EXPECT_TRUE(server.events.isEmpty());
  server.on([](WebSocket& socket) { socket.next(); });
  EXPECT_EQ(server.events.next(), "text 1");
  server.on([](WebSocket&) {});
  EXPECT_TRUE(server.events.isEmpty());
  server.on([](WebSocket& socket) { socket.next(2); });
  EXPECT_EQ(server.events.next(), "text 2");
  EXPECT_EQ(server.events.next(), "text 3");
  server.on([](WebSocket&) {});
  EXPECT_TRUE(server.events.isEmpty());
  // What was sent before the end is not lost by it.
  peer.client.close();
  server.on([](WebSocket& socket) { socket.next(2); });
  EXPECT_EQ(server.events.next(), "text 4");
  EXPECT_EQ(server.events.next(), "disconnected");
}

TEST(WebSocket, KeepsTheOrderOfWhatIsSentAndBoundsWhatWaits) {
  SocketServer server({.bufferedBytesMax = 1'000'000});
  Peer peer(server);
  std::size_t queued = 0;
  server.on([&](WebSocket& socket) {
    // Nobody reads: at some point the kernel and then the queue are full.
    for (;; queued++) {
      const Result<void> sent = socket.sendBinary(Bytes(10'000, static_cast<std::uint8_t>(queued)));
      if (sent) continue;
      EXPECT_EQ(sent.error().code, Errc::kOverloaded);
      break;
    }
    EXPECT_GT(socket.bufferedBytes(), 900'000U);
    EXPECT_LE(socket.bufferedBytes(), 1'100'000U);
    socket.close(1000, "");
  });
  for (std::size_t i = 0; i < queued; i++) {
    ASSERT_TRUE(readFrame(peer.client) == "2:" + std::string(10'000, static_cast<char>(i))) << i;
  }
  EXPECT_EQ(readFrame(peer.client), closed(1000));
}

TEST(WebSocket, CutsAClientThatDoesNotReadOrNeverCloses) {
  SocketServer server({.writeTimeout = milliseconds(50), .closeTimeout = milliseconds(50)});
  Peer deaf(server);
  server.on([](WebSocket& socket) { EXPECT_TRUE(socket.sendBinary(Bytes(30'000'000, 'x'))); });
  EXPECT_EQ(server.events.next(), "disconnected");
  Peer mute(server);
  server.on([](WebSocket& socket) { socket.close(1000, ""); });
  EXPECT_EQ(server.events.next(), "disconnected");
}

TEST(WebSocket, PingsASilentClientAndCutsADeadOne) {
  SocketServer server({.pingInterval = milliseconds(40)});
  Peer peer(server);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(readFrame(peer.client), "9:");
    peer.client.send(frame(Opcode::kPong, ""));
  }
  EXPECT_EQ(server.events.next(), "disconnected");
}

TEST(WebSocket, AbortSaysNothingMore) {
  SocketServer server;
  Peer peer(server);
  server.on([](WebSocket& socket) {
    EXPECT_TRUE(socket.sendText("lost"));
    socket.abort();
    socket.abort();
    socket.close(1000, "");
  });
  EXPECT_EQ(readFrame(peer.client), "end");
  EXPECT_TRUE(server.events.isEmpty());
}

TEST(WebSocket, OutlivesItsServerAndEndsWithItsLoop) {
  EventQueue<std::string> events;
  std::shared_ptr<WebSocket> socket;
  struct Sink : WebSocketEvents {
    void onMessage(MessageKind, Bytes data) override { events->push(textOf(data)); }
    void onClose(int, std::string) override {}
    void onDisconnected() override {}
    void onError(std::string) override {}
    EventQueue<std::string>* events = nullptr;
  };
  const auto sink = std::make_shared<Sink>();
  sink->events = &events;
  Client* client = nullptr;
  std::unique_ptr<Client> holder;
  {
    LoopThread thread;
    struct Handler : HttpHandler {
      std::function<void(std::shared_ptr<Exchange>)> run;
      void onRequest(std::shared_ptr<Exchange> exchange) override { run(std::move(exchange)); }
    } handler;
    handler.run = [&](const std::shared_ptr<Exchange>& exchange) {
      socket = exchange->acceptWebSocket({}, {});
      socket->start(sink);
      socket->next(2);
    };
    auto server = HttpServer::create(thread.loop, handler, {});
    ASSERT_TRUE(server);
    holder = std::make_unique<Client>((*server)->port());
    client = holder.get();
    client->send(kHandshake);
    client->readUntil("\r\n\r\n");
    thread.run([&] {
      EXPECT_EQ((*server)->connectionCount(), 0U);
      server->reset();
    });
    client->send(frame(Opcode::kText, "still here"));
    EXPECT_EQ(events.next(), "still here");
    thread.stop();
  }
  EXPECT_EQ(client->readToEnd(), "");
  socket.reset();
  EXPECT_EQ(sink.use_count(), 1);
}

TEST(Utf8Validator, AgreesWithItselfHoweverTextIsCut) {
  const std::string text = "plain text, \xc3\xa4, \xe2\x82\xac, \xf0\x9f\x98\x80, \xf4\x8f\xbf\xbf and more plain text";
  for (std::size_t cut = 0; cut <= text.size(); cut++) {
    Utf8Validator validator;
    EXPECT_TRUE(validator.add(asBytes(std::string_view(text).substr(0, cut))));
    EXPECT_TRUE(validator.add(asBytes(std::string_view(text).substr(cut))));
    EXPECT_TRUE(validator.isComplete());
  }
}

}  // namespace
}  // namespace hf::net
