// Keep-alive, framing, streaming and the ways a connection ends. What is refused: http_refusal_test.cc.
#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "net/test_support.h"

namespace hf::net {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string plain(std::string_view body, std::string_view extra = "") {
  return "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " + std::to_string(body.size()) + "\r\n" +
         std::string(extra) + "\r\n" + std::string(body);
}

TEST(HttpServer, KeepsAnHttp11ConnectionAndSaysSoTo10) {
  TestServer server(answerWithTarget);
  Client client(server.port());
  client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.readResponse(), plain("GET /1"));
  client.send("\r\nDELETE /2?q HTTP/1.1\r\nHost: a\r\n\r\n");  // an old client's empty line
  EXPECT_EQ(client.readResponse(), plain("DELETE /2?q"));
  client.send("GET /3 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
  EXPECT_EQ(client.readResponse(), plain("GET /3", "connection: keep-alive\r\n"));
  client.send("GET /4 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(Client::withoutDate(client.readToEnd()), plain("GET /4", "connection: close\r\n"));
}

TEST(HttpServer, ClosesWhenEitherSideAsksForIt) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.headers = {{"Connection", exchange->target() == "/x" ? "x, Close" : "x"}}}, {});
  });
  Client asks(server.port());
  asks.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, CLOSE\r\n\r\n");
  EXPECT_THAT(asks.readToEnd(), HasSubstr("connection: close\r\n"));
  Client told(server.port());
  told.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(told.readResponse(), Not(HasSubstr("connection:")));
  told.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(told.readToEnd(), HasSubstr("connection: close\r\n"));
}

TEST(HttpServer, HandsTheRequestOverAsItWasSent) {
  EventQueue<std::shared_ptr<Exchange>> seen;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    exchange->respond({}, {});
    seen.push(std::move(exchange));
  });
  Client client(server.port());
  client.send(
      "PUT http://h/p?q=1 HTTP/1.1\r\nhOsT:h\r\nX-Two: a\r\nx-two: \t b \t\r\nEmpty:\r\nLatin: \xe4\r\nContent-Length: "
      "0\r\n\r\n");
  client.readResponse();
  const std::shared_ptr<Exchange> exchange = seen.next();
  EXPECT_EQ(exchange->method(), "PUT");
  EXPECT_EQ(exchange->target(), "http://h/p?q=1");
  EXPECT_EQ(exchange->httpMinor(), 1);
  EXPECT_EQ(exchange->peerAddress(), "127.0.0.1");
  EXPECT_NE(exchange->peerPort(), 0);
  EXPECT_EQ(exchange->contentLength(), 0U);
  EXPECT_FALSE(exchange->hasBody());
  const HeaderList expected = {{"hOsT", "h"}, {"X-Two", "a"},    {"x-two", "b"},
                               {"Empty", ""}, {"Latin", "\xe4"}, {"Content-Length", "0"}};
  EXPECT_EQ(*findHeader(exchange->headers(), "X-TWO"), "a");
  EXPECT_EQ(exchange->takeHeaders(), expected);
  EXPECT_TRUE(exchange->headers().empty());
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  // The first is answered last, so order is not an accident.
  std::shared_ptr<Exchange> first;
  std::atomic<int> started = 0;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    started++;
    if (exchange->target() == "/1") {
      first = std::move(exchange);
      return;
    }
    answerWithTarget(exchange);
  });
  Client client(server.port());
  client.send(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 "
      "HTTP/1.1\r\nHost: a\r\n\r\n");
  while (started == 0) server.thread.run([] {});
  EXPECT_EQ(started, 1);
  server.thread.run([&] { answerWithTarget(std::exchange(first, nullptr)); });
  EXPECT_EQ(client.readResponse(), plain("GET /1"));
  EXPECT_EQ(client.readResponse(), plain("POST /2"));
  EXPECT_EQ(client.readResponse(), plain("GET /3"));
}

TEST(HttpServer, ServesALongPipelineOfAClientThatReadsLate) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) { exchange->respond({}, Bytes(20'000, 'x')); });
  Client client(server.port(), 4096);
  constexpr int kRequests = 400;
  std::string all;
  for (int i = 0; i < kRequests; i++) all += kGet;
  client.send(all);
  for (int i = 0; i < kRequests; i++) ASSERT_EQ(client.readResponse().size(), plain("").size() - 26 + 4 + 20'000) << i;
}

TEST(HttpServer, ReadsBodiesHoweverTheyArrive) {
  TestServer server(echoBody);
  const std::string counted = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world";
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;a=b;c=\"d e\"\r\n "
      "world\r\n000\r\nTrailer: x\r\n\r\n";
  for (const std::string& request : {counted, chunked}) {
    Client client(server.port());
    client.send(request + request);
    EXPECT_THAT(client.readResponse(), testing::EndsWith("\r\n\r\nhello world"));
    EXPECT_THAT(client.readResponse(), testing::EndsWith("\r\n\r\nhello world"));
    for (const char c : request) {
      client.send({&c, 1});
      server.thread.run([] {});
    }
    EXPECT_THAT(client.readResponse(), testing::EndsWith("\r\n\r\nhello world"));
  }
}

TEST(HttpServer, EchoesALargeBodyInBothCodings) {
  TestServer server(echoBody);
  std::string body;
  for (std::size_t i = 0; i < 3'000'000; i++) body.push_back(static_cast<char>('a' + i % 23));
  Client client(server.port());
  std::thread sender([&] {
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + body +
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2dc6c0\r\n" + body + "\r\n0\r\n\r\n");
  });
  for (int i = 0; i < 2; i++) {
    client.readUntil("\r\n\r\n");
    EXPECT_TRUE(client.readExactly(body.size()) == body);
  }
  sender.join();
}

TEST(HttpServer, AsksForABodyThatTheClientHoldsBackOnlyWhenItIsWanted) {
  std::vector<std::shared_ptr<Exchange>> open;
  TestServer server([&](const std::shared_ptr<Exchange>& exchange) {
    if (exchange->target() == "/no") return exchange->respond({.status = 403}, {});
    if (exchange->target() == "/unread") {
      exchange->startResponse({}, std::nullopt);
      open.push_back(exchange);
      return;
    }
    if (exchange->target() == "/stream") {
      exchange->startResponse({}, std::nullopt);
      collectBody(exchange, [exchange](Result<Bytes> body) {
        exchange->write(body ? *std::move(body) : Bytes(), [](Result<void>) {});
        exchange->finish();
      });
      return;
    }
    echoBody(exchange);
  });
  Client wanted(server.port());
  wanted.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(wanted.readUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  wanted.send("hi");
  EXPECT_THAT(wanted.readResponse(), testing::EndsWith("hi"));
  wanted.send(kGet);  // the connection lives on
  EXPECT_THAT(wanted.readResponse(), StartsWith("HTTP/1.1 200"));
  Client streamed(server.port());  // answered while it is read
  streamed.send("POST /stream HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(streamed.readUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  streamed.send("hi");
  EXPECT_THAT(streamed.readUntil("0\r\n\r\n"),
              testing::AllOf(HasSubstr("hi"), testing::Not(HasSubstr("connection: close"))));
  Client unread(server.port());  // answered, never read, and in no hurry to end
  unread.send("POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(unread.readUntil("\r\n\r\n"), testing::AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("connection: close")));
  Client refused(server.port());
  refused.send("POST /no HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  const std::string answer = refused.readToEnd();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(answer, HasSubstr("connection: close"));
}

TEST(HttpServer, SendsNoBodyForHeadAndForStatusesWithoutOne) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) {
    const std::string& t = exchange->target();
    if (t == "/204") return exchange->respond({.status = 204, .headers = {{"content-length", "5"}}}, bytesOf("wrong"));
    if (t == "/304") return exchange->respond({.status = 304}, bytesOf("wrong"));
    if (t == "/own") return exchange->respond({.headers = {{"Content-Length", "77"}}}, {});
    if (t == "/stream") {
      exchange->startResponse({}, 9);
      exchange->write(bytesOf("ignored"), [](Result<void> done) { EXPECT_TRUE(done); });
      return exchange->finish();
    }
    exchange->respond({}, bytesOf("four"));
  });
  Client client(server.port());
  const auto head = [&](std::string_view request) {
    client.send(std::string(request) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    return Client::withoutDate(client.readUntil("\r\n\r\n"));
  };
  EXPECT_EQ(head("HEAD /"), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
  EXPECT_EQ(head("HEAD /own"), "HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n");
  EXPECT_EQ(head("HEAD /stream"), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
  EXPECT_EQ(head("GET /204"), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(head("GET /304"), "HTTP/1.1 304 Not Modified\r\n\r\n");
  client.send(kGet);
  EXPECT_EQ(client.readResponse(), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour");
}

TEST(HttpServer, StreamsChunkedWithALengthOrUntilTheEnd) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) {
    std::optional<std::uint64_t> length;
    if (exchange->target() == "/9") length = 9;
    exchange->startResponse({}, length);
    exchange->write(bytesOf("abcd"), [](Result<void> done) { EXPECT_TRUE(done); });
    exchange->write({}, [](Result<void> done) { EXPECT_TRUE(done); });
    exchange->write(bytesOf("efghi"), [exchange](Result<void> done) {
      EXPECT_TRUE(done);
      exchange->finish();
    });
  });
  Client client(server.port());
  client.send(kGet);
  EXPECT_EQ(client.readChunked(),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n5\r\nefghi\r\n0\r\n\r\n");
  client.send("GET /9 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.readResponse(), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcdefghi");
  client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(Client::withoutDate(client.readToEnd()), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcdefghi");
  EXPECT_FALSE(client.wasReset());
}

TEST(HttpServer, AWriterWaitsForAReaderThatDoesNotRead) {
  constexpr std::size_t kPieceBytes = 64 * 1024;
  constexpr std::size_t kPieces = 512;  // 32 MiB: more than the kernel buffers
  std::atomic<std::size_t> completed = 0;
  struct Writer : std::enable_shared_from_this<Writer> {
    std::shared_ptr<Exchange> exchange;
    std::atomic<std::size_t>* completed = nullptr;
    std::size_t written = 0;
    void run() {
      if (written++ == kPieces) return exchange->finish();
      exchange->write(Bytes(kPieceBytes, 'w'), [self = shared_from_this()](Result<void> done) {
        ASSERT_TRUE(done);
        (*self->completed)++;
        self->run();
      });
    }
  };
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    exchange->startResponse({}, kPieceBytes * kPieces);
    auto writer = std::make_shared<Writer>();
    writer->exchange = std::move(exchange);
    writer->completed = &completed;
    writer->run();
  });
  Client client(server.port(), 16 * 1024);
  client.send(kGet);
  client.readUntil("\r\n\r\n");
  // Stuck when nothing changes over many rounds of an otherwise idle loop.
  std::size_t before = 0;
  for (int quiet = 0; quiet < 50;) {
    server.thread.run([] {});
    const std::size_t now = completed;
    quiet = now == before ? quiet + 1 : 0;
    before = now;
  }
  EXPECT_LT(completed, kPieces / 2);
  EXPECT_EQ(client.readExactly(kPieceBytes * kPieces).size(), kPieceBytes * kPieces);
  while (completed < kPieces) server.thread.run([] {});
}

TEST(HttpServer, AReaderPullsTheBodyAndNothingIsReadAhead) {
  EventQueue<std::size_t> got;
  std::shared_ptr<Exchange> open;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    open = std::move(exchange);
    got.push(0);
  });
  Client client(server.port());
  const std::size_t total = 32 * 1024 * 1024;
  std::atomic<std::size_t> sent = 0;
  std::thread sender([&] {
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
    const std::string piece(64 * 1024, 'p');
    while (sent < total) {
      client.send(piece);
      sent += piece.size();
    }
  });
  got.next();
  std::size_t before = 1;
  for (int quiet = 0; quiet < 50;) {
    server.thread.run([] {});
    const std::size_t now = sent;
    quiet = now == before ? quiet + 1 : 0;
    before = now;
  }
  EXPECT_LT(sent, total);  // the kernel's buffers are full, and nobody pulls
  std::size_t received = 0;
  while (received < total) {
    server.thread.run([&] {
      open->readBody([&](Result<Bytes> chunk) {
        ASSERT_TRUE(chunk);
        EXPECT_LE(chunk->size(), limits::kBodyWindowBytes);
        got.push(chunk->size());
      });
    });
    const std::size_t bytes = got.next();
    ASSERT_NE(bytes, 0U);
    received += bytes;
  }
  sender.join();
  server.thread.run([&] { open->readBody([&](Result<Bytes> chunk) { got.push(chunk && chunk->empty() ? 1 : 2); }); });
  EXPECT_EQ(got.next(), 1U);
  server.thread.run([&] { std::exchange(open, nullptr)->respond({}, {}); });
  EXPECT_THAT(client.readResponse(), StartsWith("HTTP/1.1 200"));
}

TEST(HttpServer, SkipsASmallUnreadBodyAndClosesBehindALargeOne) {
  TestServer server(answerWithTarget);
  Client small(server.port());
  small.send("POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
  EXPECT_EQ(small.readResponse(), plain("POST /s"));
  small.send(std::string(1000, 'x') + std::string(kGet));
  EXPECT_EQ(small.readResponse(), plain("GET /"));
  Client large(server.port());
  large.send("POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc");
  EXPECT_EQ(Client::withoutDate(large.readToEnd()), plain("POST /l", "connection: close\r\n"));
  EXPECT_FALSE(large.wasReset());
  Client endless(server.port());
  endless.send("POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(endless.readResponse(), plain("POST /e"));
  endless.send("200000\r\n" + std::string(2 * 1024 * 1024, 'x'));
  EXPECT_EQ(endless.readToEnd(), "");
}

TEST(HttpServer, AnAbortedResponseIsVisiblyIncomplete) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) {
    if (exchange->target() == "/now") return exchange->abort();
    exchange->startResponse({}, exchange->target() == "/length" ? std::optional<std::uint64_t>(100) : std::nullopt);
    exchange->write(bytesOf("begin"), [exchange](Result<void>) { exchange->abort(); });
  });
  Client chunked(server.port());
  chunked.send(kGet);
  EXPECT_THAT(chunked.readToEnd(), testing::EndsWith("5\r\nbegin\r\n"));
  Client counted(server.port());
  counted.send("GET /length HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(counted.readToEnd(), testing::EndsWith("content-length: 100\r\n\r\nbegin"));
  Client old(server.port());
  old.send("GET / HTTP/1.0\r\n\r\n");
  old.readToEnd();
  EXPECT_TRUE(old.wasReset());  // nothing else would say that this is not all
  Client now(server.port());
  now.send("GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(now.readToEnd(), "");
}

TEST(HttpServer, ALengthThatIsNotKeptAborts) {
  EventQueue<Errc> errors;
  TestServer server([&](const std::shared_ptr<Exchange>& exchange) {
    exchange->startResponse({}, 4);
    exchange->write(bytesOf(exchange->target() == "/more" ? "12345" : "123"), [&, exchange](Result<void> done) {
      if (!done) return errors.push(done.error().code);
      exchange->finish();
    });
  });
  Client more(server.port());
  more.send("GET /more HTTP/1.1\r\nHost: a\r\n\r\n");
  more.readToEnd();
  EXPECT_EQ(errors.next(), Errc::kInvalidArgument);
  Client less(server.port());
  less.send(kGet);
  EXPECT_THAT(less.readToEnd(), testing::EndsWith("\r\n\r\n123"));
}

TEST(HttpServer, TellsWhenTheClientGoesAway) {
  EventQueue<std::string> events;
  std::shared_ptr<Exchange> open;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    exchange->onClosed([&] { events.push("closed"); });
    open = std::move(exchange);
    if (open->target() == "/body") {
      open->readBody(
          [&](Result<Bytes> chunk) { events.push(chunk ? "chunk" : std::string(errcName(chunk.error().code))); });
    }
    events.push("request");
  });
  const auto forget = [&] { server.thread.run([&] { open.reset(); }); };
  {
    Client client(server.port());
    client.send(kGet);
    EXPECT_EQ(events.next(), "request");
    client.close();
    EXPECT_EQ(events.next(), "closed");
    forget();
  }
  {
    Client client(server.port());
    client.send(kGet);
    EXPECT_EQ(events.next(), "request");
    client.reset();
    EXPECT_EQ(events.next(), "closed");
    server.thread.run(
        [&] { open->write(bytesOf("x"), [&](Result<void> done) { events.push(done ? "written" : "lost"); }); });
    EXPECT_EQ(events.next(), "lost");
    forget();
  }
  {
    Client client(server.port());
    client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    EXPECT_EQ(events.next(), "request");
    client.close();
    EXPECT_EQ(events.next(), "closed");
    EXPECT_EQ(events.next(), "kDisconnected");
    forget();
  }
  {  // Only its sending side is closed: what is answered all the same arrives.
    Client client(server.port());
    client.send(kGet);
    client.shutdownSend();
    EXPECT_EQ(events.next(), "request");
    EXPECT_EQ(events.next(), "closed");
    server.thread.run([&] { std::exchange(open, nullptr)->respond({}, bytesOf("late")); });
    EXPECT_THAT(client.readToEnd(), testing::EndsWith("late"));
  }
  {  // A body that nobody reads hides neither.
    Client client(server.port());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(events.next(), "request");
    client.close();
    EXPECT_EQ(events.next(), "closed");
    forget();
  }
  {  // It had only finished sending; then it goes away in the middle of the response.
    Client client(server.port());
    client.send(kGet);
    client.shutdownSend();
    EXPECT_EQ(events.next(), "request");
    EXPECT_EQ(events.next(), "closed");
    server.thread.run([&] { open->startResponse({}, std::nullopt); });
    client.readUntil("\r\n\r\n");
    client.reset();
    const auto writeOn = [&] {
      open->write(bytesOf("x"), [&](Result<void> done) { events.push(done ? "written" : "lost"); });
    };
    std::string event = "written";
    while (event == "written") {
      server.thread.run(writeOn);
      event = events.next();
    }
    EXPECT_THAT((std::vector{event, events.next()}), testing::UnorderedElementsAre("closed", "lost"));
    forget();
  }
}

TEST(HttpServer, AForgottenExchangeIsAnswered) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) {
    if (exchange->target() == "/started") exchange->startResponse({}, std::nullopt);
  });
  Client client(server.port());
  client.send(kGet);
  EXPECT_THAT(client.readResponse(), StartsWith("HTTP/1.1 500 "));
  client.send("GET /started HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(client.readToEnd(), Not(HasSubstr("0\r\n\r\n")));
}

TEST(HttpServer, RefusesToSendAHeadThatWouldSplitTheResponse) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) {
    exchange->respond({.headers = {{"x", exchange->target() == "/bad" ? "a\r\nset-cookie: b" : "fine"},
                                   {"transfer-encoding", "gzip"},
                                   {"content-length", "999"}}},
                      bytesOf("12"));
  });
  Client client(server.port());
  client.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answer = client.readResponse();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(answer, Not(HasSubstr("set-cookie")));
  client.send(kGet);
  EXPECT_EQ(client.readResponse(), "HTTP/1.1 200 OK\r\nx: fine\r\ncontent-length: 2\r\n\r\n12");
}

TEST(HttpServer, CutsClientsThatAreTooSlow) {
  EventQueue<std::string> events;
  HttpServerOptions options;
  options.headerTimeout = options.bodyTimeout = options.writeTimeout = milliseconds(60);
  options.idleTimeout = milliseconds(120);
  TestServer server(
      [&](const std::shared_ptr<Exchange>& exchange) {
        if (exchange->target() == "/big") {
          exchange->onClosed([&] { events.push("closed"); });
          exchange->startResponse({}, std::nullopt);
          exchange->write(Bytes(32 * 1024 * 1024, 'x'), [&, exchange](Result<void> done) {
            events.push(done ? "written" : std::string(errcName(done.error().code)));
          });
        } else if (exchange->hasBody()) {
          exchange->onClosed([&] { events.push("closed"); });
          collectBody(exchange, [&, exchange](Result<Bytes> body) {
            events.push(body ? "body" : std::string(errcName(body.error().code)));
          });
        } else {
          exchange->respond({}, {});
        }
      },
      options);
  Client head(server.port());
  head.send("GET / HTTP/1.1\r\nHost");
  EXPECT_THAT(head.readToEnd(), StartsWith("HTTP/1.1 408 "));
  Client idle(server.port());
  idle.send(kGet);
  EXPECT_THAT(idle.readResponse(), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(idle.readToEnd(), "");
  Client body(server.port());
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_THAT(body.readToEnd(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(events.next(), "closed");
  EXPECT_EQ(events.next(), "kTimeout");
  Client reader(server.port(), 4096);
  reader.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(events.next(), "closed");
  EXPECT_EQ(events.next(), "kTimeout");
}

TEST(HttpServer, DrainsIdleConnectionsAtOnceAndBusyOnesWhenTheyAreDone) {
  std::shared_ptr<Exchange> open;
  EventQueue<std::string> events;
  TestServer server([&](std::shared_ptr<Exchange> exchange) {
    if (exchange->target() != "/slow") return answerWithTarget(exchange);
    open = std::move(exchange);
    events.push("request");
  });
  Client idle(server.port());
  idle.send("GET /i HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(idle.readResponse(), plain("GET /i"));
  Client busy(server.port());
  busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(events.next(), "request");
  server.thread.run([&] { server.server->drain([&] { events.push("drained"); }); });
  EXPECT_EQ(idle.readToEnd(), "");
  EXPECT_FALSE(Client(server.port()).isConnected());
  EXPECT_TRUE(events.isEmpty());
  server.thread.run([&] { answerWithTarget(std::exchange(open, nullptr)); });
  EXPECT_EQ(Client::withoutDate(busy.readToEnd()), plain("GET /slow", "connection: close\r\n"));
  busy.close();
  EXPECT_EQ(events.next(), "drained");
}

TEST(HttpServer, TurnsAwayWhatIsTooMuch) {
  HttpServerOptions options;
  options.connectionsMax = 1;
  TestServer server(answerWithTarget, options);
  Client first(server.port());
  first.send(kGet);
  EXPECT_EQ(first.readResponse(), plain("GET /"));
  Client second(server.port());
  EXPECT_THAT(second.readToEnd(), StartsWith("HTTP/1.1 503 "));
  first.send(kGet);
  EXPECT_EQ(first.readResponse(), plain("GET /"));
}

TEST(HttpServer, SharesAPortAmongLoopsButNotWithStrangers) {
  LoopThread one;
  LoopThread two;
  struct Counter : HttpHandler {
    std::atomic<int> requests = 0;
    void onRequest(std::shared_ptr<Exchange> exchange) override {
      requests++;
      exchange->respond({}, {});
    }
  };
  Counter a;
  Counter b;
  auto first = HttpServer::create(one.loop, a, {.sharing = PortSharing::kFirst});
  ASSERT_TRUE(first);
  auto second = HttpServer::create(two.loop, b, {.port = (*first)->port(), .sharing = PortSharing::kJoin});
  ASSERT_TRUE(second) << second.error().message;
  for (int i = 0; i < 200 && (a.requests == 0 || b.requests == 0); i++) {
    Client client((*first)->port());
    client.send(kGet);
    EXPECT_THAT(client.readResponse(), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_GT(a.requests, 0);
  EXPECT_GT(b.requests, 0);
  for (const PortSharing sharing : {PortSharing::kAlone, PortSharing::kFirst}) {
    const auto stranger = HttpServer::create(one.loop, a, {.port = (*first)->port(), .sharing = sharing});
    ASSERT_FALSE(stranger);
    EXPECT_EQ(stranger.error().code, Errc::kAlreadyExists);
  }
  const auto nowhere = HttpServer::create(one.loop, a, {.host = "256.1.1.1.invalid"});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::kInvalidArgument);
  one.run([&] { first->reset(); });
  two.run([&] { second->reset(); });
}

TEST(HttpServer, IsDestroyedInTheMiddleOfEverything) {
  EventQueue<std::string> events;
  std::vector<std::shared_ptr<Exchange>> open;
  LoopThread thread;
  struct Handler : HttpHandler {
    std::function<void(std::shared_ptr<Exchange>)> run;
    void onRequest(std::shared_ptr<Exchange> exchange) override { run(std::move(exchange)); }
  } handler;
  handler.run = [&](std::shared_ptr<Exchange> exchange) {
    exchange->onClosed([&] { events.push("closed"); });
    if (exchange->hasBody()) exchange->readBody([&](Result<Bytes> chunk) { events.push(chunk ? "chunk" : "lost"); });
    open.push_back(std::move(exchange));
    events.push("request");
  };
  auto server = HttpServer::create(thread.loop, handler, {});
  ASSERT_TRUE(server);
  Client reading((*server)->port());
  reading.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(events.next(), "request");
  thread.run([&] { server->reset(); });
  EXPECT_EQ(events.next(), "closed");
  EXPECT_EQ(events.next(), "lost");
  thread.run([&] {
    open[0]->respond({}, {});
    open[0]->onClosed([&] { events.push("told late"); });
    open.clear();
  });
  EXPECT_EQ(events.next(), "told late");
  EXPECT_EQ(reading.readToEnd(), "");
}

}  // namespace
}  // namespace hf::net
