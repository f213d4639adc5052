#include "net/http_client.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "net/event_loop.h"

namespace hf::net {
namespace {

// A server on a thread of its own, that answers as it is told.
class Served final : public HttpHandler {
 public:
  using Answer = std::function<void(const std::shared_ptr<Exchange>&)>;
  explicit Served(Answer answer) : answer_(std::move(answer)) {
    auto server = HttpServer::create(loop_, *this, {});
    EXPECT_TRUE(server);
    server_ = std::move(*server);
    thread_ = std::jthread([this] { loop_.run(); });
  }
  ~Served() override {
    loop_.stop();
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

 private:
  void onRequest(std::shared_ptr<Exchange> exchange) override { answer_(exchange); }
  Answer answer_;
  EventLoop loop_;
  std::unique_ptr<HttpServer> server_;
  std::jthread thread_;
};

Bytes bytesOf(std::string_view text) { return {text.begin(), text.end()}; }

void collect(const std::shared_ptr<Exchange>& exchange, const std::shared_ptr<Bytes>& body) {
  exchange->readBody([exchange, body](Result<Bytes> piece) {
    if (!piece) return;
    if (piece->empty()) return exchange->respond({.status = 200, .reason = {}, .headers = {}}, *body);
    body->insert(body->end(), piece->begin(), piece->end());
    collect(exchange, body);
  });
}

TEST(HttpClient, SendsABodyInPiecesAndReadsTheAnswer) {
  const Served served([](const auto& exchange) { collect(exchange, std::make_shared<Bytes>()); });
  const auto client = HttpClient::connect("127.0.0.1", served.port());
  ASSERT_TRUE(client);
  Bytes body(1'000'000);
  for (std::size_t i = 0; i < body.size(); i++) body[i] = static_cast<std::uint8_t>(i * 7);
  std::size_t at = 0;
  const auto response =
      (*client)->send({.method = "PUT", .target = "/x?y=1", .headers = {{"x-a", "b"}}, .bodyBytes = body.size()},
                      [&](std::span<std::uint8_t> out) -> Result<std::size_t> {
                        const std::size_t count = std::min(out.size(), body.size() - at);
                        std::ranges::copy(std::span(body).subspan(at, count), out.begin());
                        at += count;
                        return count;
                      });
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  const auto answer = (*client)->readAll(2'000'000);
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, body);
}

TEST(HttpClient, AnAnswerThatIsCutIsNoAnswer) {
  const Served served([](const auto& exchange) {
    exchange->startResponse({.status = 200, .reason = {}, .headers = {}}, std::nullopt);
    exchange->write(bytesOf("half"), [exchange](Result<void>) { exchange->abort(); });
  });
  const auto client = HttpClient::connect("127.0.0.1", served.port());
  ASSERT_TRUE(client);
  ASSERT_TRUE((*client)->send({.method = "GET", .target = "/"}));
  EXPECT_EQ((*client)->readAll(100).error().code, Errc::kDisconnected);
}

TEST(HttpClient, AnAnswerWithoutABodyAndOneThatIsTooLong) {
  const Served served([](const auto& exchange) {
    exchange->respond({.status = 404, .reason = {}, .headers = {{"x-why", "no"}}},
                      exchange->target() == "/long" ? Bytes(1000) : Bytes());
  });
  const auto empty = HttpClient::connect("localhost", served.port());
  ASSERT_TRUE(empty);
  const auto response = (*empty)->send({.method = "GET", .target = "/"});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  ASSERT_NE(findHeader(response->headers, "X-Why"), nullptr);
  EXPECT_EQ((*empty)->readAll(10)->size(), 0U);
  const auto full = HttpClient::connect("127.0.0.1", served.port());
  ASSERT_TRUE(full);
  ASSERT_TRUE((*full)->send({.method = "GET", .target = "/long"}));
  EXPECT_EQ((*full)->readAll(999).error().code, Errc::kLimit);
}

TEST(HttpClient, NobodyThereIsSaid) {
  std::uint16_t port = 0;
  {
    const Served served([](const auto&) {});
    port = served.port();
  }
  EXPECT_EQ(HttpClient::connect("127.0.0.1", port).error().code, Errc::kDisconnected);
}

}  // namespace
}  // namespace hf::net
