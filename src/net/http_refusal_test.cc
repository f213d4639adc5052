// What the server does not take: limits, malformed requests, and whatever two parsers could read in two ways.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "net/http_head.h"
#include "net/test_support.h"

namespace hf::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Case {
  std::string_view name;
  std::string request;
  int status;
};

std::string get(std::string_view headers) { return "GET / HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n"; }

const std::vector<Case>& refused() {
  using namespace std::string_literals;
  static const std::vector<Case> cases = {
      {"both framings", get("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
      {"both framings, turned round", get("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "0\r\n\r\n", 400},
      {"two lengths", get("Content-Length: 3\r\nContent-Length: 4\r\n"), 400},
      {"two equal lengths", get("Content-Length: 3\r\ncontent-length: 3\r\n"), 400},
      {"a list of lengths", get("Content-Length: 3, 3\r\n"), 400},
      {"a signed length", get("Content-Length: +3\r\n"), 400},
      {"a negative length", get("Content-Length: -1\r\n"), 400},
      {"a hexadecimal length", get("Content-Length: 0x3\r\n"), 400},
      {"an empty length", get("Content-Length:\r\n"), 400},
      {"a length that overflows", get("Content-Length: 18446744073709551616\r\n"), 400},
      {"an unknown coding", get("Transfer-Encoding: gzip\r\n"), 501},
      {"chunked is not last", get("Transfer-Encoding: chunked, gzip\r\n"), 501},
      {"chunked twice", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"chunked in disguise",
       get("Transfer-Encoding: \x0b"
           "chunked\r\n"),
       400},
      {"chunked with a blank before the colon", get("Transfer-Encoding : chunked\r\n"), 400},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"a chunk size that is none", get("Transfer-Encoding: chunked\r\n") + "xyz\r\n", 400},
      {"a signed chunk size", get("Transfer-Encoding: chunked\r\n") + "+1\r\na\r\n", 400},
      {"a chunk size that overflows", get("Transfer-Encoding: chunked\r\n") + "11111111111111111\r\n", 400},
      {"a chunk without its end", get("Transfer-Encoding: chunked\r\n") + "1\r\nabcd\r\n", 400},
      {"a chunk size with a bare line feed", get("Transfer-Encoding: chunked\r\n") + "1\na\r\n0\r\n\r\n", 400},
      {"a chunk extension without end", get("Transfer-Encoding: chunked\r\n") + "1;" + std::string(40'000, 'x'), 400},
      {"a folded header", get("X: a\r\n b\r\n"), 400},
      {"a header that begins folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {"a bare line feed", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"a bare line feed in a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
      {"a bare carriage return", get("X: a\rY: b\r\n"), 400},
      {"a NUL in a value", get("X: a\0b\r\n"s), 400},
      {"a control character in a value", get("X: \x01\r\n"), 400},
      {"a header without a colon", get("X\r\n"), 400},
      {"a header without a name", get(": x\r\n"), 400},
      {"a blank in a name", get("X Y: z\r\n"), 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", get("Host: b\r\n"), 400},
      {"a host that is a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"an unknown expectation", get("Expect: 200-ok\r\n"), 417},
      {"nothing before the target", " / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a method with a delimiter", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a very long method", std::string(40, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"no version", "GET /\r\nHost: a\r\n\r\n", 400},
      {"a lowercase version", "GET / http/1.1\r\nHost: a\r\n\r\n", 400},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", 505},
      {"TLS", "\x16\x03\x01\x02\n\x01\r\n\r\n"s, 400},
      {"only empty lines", "\r\n\r\n\r\n", 400},
      {"too many headers", get([] {
         std::string many;
         for (std::size_t i = 0; i < limits::kHeaderCountMax + 1; i++) many += "X: y\r\n";
         return many;
       }()),
       431},
      {"headers too large", get("X: " + std::string(limits::kHeaderBytesMax, 'x') + "\r\n"), 431},
      {"a header without end", "GET / HTTP/1.1\r\nX: " + std::string(limits::kHeaderBytesMax + 1000, 'x'), 431},
      {"a target too long", "GET /" + std::string(limits::kTargetBytesMax, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"a target without end", "GET /" + std::string(limits::kTargetBytesMax + 1000, 'x'), 414},
  };
  return cases;
}

TEST(HttpRefusal, RefusesAndClosesAndNeverReadsOn) {
  std::atomic<int> smuggled = 0;
  TestServer server([&](const std::shared_ptr<Exchange>& exchange) {
    if (exchange->target() == "/smuggled") smuggled++;
    echoBody(exchange);
  });
  for (const Case& c : refused()) {
    SCOPED_TRACE(c.name);
    Client client(server.port());
    client.send(c.request + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string answer = client.readToEnd();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(c.status) + " "));
    EXPECT_THAT(answer, HasSubstr("\r\nconnection: close\r\n"));
    EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos) << answer;
  }
  EXPECT_EQ(smuggled, 0);
}

TEST(HttpRefusal, RefusesTheSameWhenItComesByteByByte) {
  TestServer server(echoBody);
  for (const Case& c : refused()) {
    if (c.request.size() > 300) continue;
    SCOPED_TRACE(c.name);
    Client client(server.port());
    for (const char byte : c.request) {
      client.send({&byte, 1});
      server.thread.run([] {});
    }
    client.shutdownSend();
    EXPECT_THAT(client.readToEnd(), StartsWith("HTTP/1.1 " + std::to_string(c.status) + " "));
  }
}

TEST(HttpRefusal, TakesWhatIsOnlyUnusual) {
  TestServer server([](const std::shared_ptr<Exchange>& exchange) { exchange->respond({}, {}); });
  for (const std::string& request :
       {std::string("GET /a|b{}^`\"<>?x[]=\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nHost:\r\n\r\n"), std::string("OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
        std::string("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n"), std::string("GET / HTTP/1.0\r\n\r\n"),
        get("!#$%&'*+-.^_`|~09azAZ: x\r\n"), get("X:\t\"quoted, \\\" and \xff\" \r\n"),
        get("Content-Length: 00\r\n")}) {
    SCOPED_TRACE(request);
    Client client(server.port());
    client.send(request);
    EXPECT_THAT(client.readResponse(), StartsWith("HTTP/1.1 200 "));
  }
}

TEST(HttpRefusal, TheScannerFindsTheSameEndInWhateverPieces) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: yz\r\n\r\nbody\n";
  const std::size_t end = text.find("body");
  for (std::size_t first = 0; first < text.size(); first++) {
    HeadScanner scanner;
    std::optional<HttpRefusal> refusal;
    std::size_t found = scanner.find(std::string_view(text).substr(0, first), {}, refusal);
    if (found == 0) found = scanner.find(text, {}, refusal);
    EXPECT_EQ(found, end) << first;
    EXPECT_FALSE(refusal) << first;
  }
}

}  // namespace
}  // namespace hf::net
