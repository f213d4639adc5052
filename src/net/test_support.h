// For the tests of this room: a server on a loop of its own thread, and a client that speaks raw bytes.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "net/event_loop.h"
#include "net/http_server.h"

namespace hf::net {

// Bounds a test that hangs; nothing waits for it otherwise.
inline constexpr std::chrono::seconds kTestPatience{20};

inline Bytes bytesOf(std::string_view text) { return {text.begin(), text.end()}; }
inline std::string textOf(BytesView bytes) { return std::string(asText(bytes)); }

// A loop and the thread that runs it.
class LoopThread final {
 public:
  LoopThread() : thread_([this] { loop.run(); }) {}
  ~LoopThread() { stop(); }
  void stop() {
    loop.stop();
    if (thread_.joinable()) thread_.join();
  }
  // Runs `work` on the loop and waits for it.
  void run(std::function<void()> work) {
    std::promise<void> done;
    loop.post([&] {
      work();
      done.set_value();
    });
    ASSERT_EQ(done.get_future().wait_for(kTestPatience), std::future_status::ready);
  }

  EventLoop loop;

 private:
  std::thread thread_;
};

// What happened, in order; the test waits for the next.
template <class T>
class EventQueue final {
 public:
  void push(T event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    arrived_.notify_one();
  }
  T next() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, kTestPatience, [this] { return !events_.empty(); })) {
      ADD_FAILURE() << "the event did not come";
      return T{};
    }
    T event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  bool isEmpty() {
    const std::lock_guard lock(mutex_);
    return events_.empty();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<T> events_;
};

class Client final {
 public:
  explicit Client(std::uint16_t port, int receiveBufferBytes = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{.tv_sec = kTestPatience.count(), .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receiveBufferBytes > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receiveBufferBytes, sizeof receiveBufferBytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] bool isConnected() const { return connected_; }
  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server has gone; the test sees what it answered
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Until `end` has come; what comes behind it is kept.
  std::string readUntil(std::string_view end) {
    for (;;) {
      if (const std::size_t at = buffer_.find(end); at != std::string::npos) return take(at + end.size());
      if (!more()) return take(buffer_.size());
    }
  }
  std::string readExactly(std::size_t bytes) {
    while (buffer_.size() < bytes && more()) {
    }
    return take(std::min(bytes, buffer_.size()));
  }
  // Until the server closes.
  std::string readToEnd() {
    while (more()) {
    }
    return take(buffer_.size());
  }
  // A response with a content-length.
  std::string readResponse() {
    std::string head = readUntil("\r\n\r\n");
    std::size_t length = 0;
    if (const std::size_t at = head.find("content-length: "); at != std::string::npos)
      length = std::stoul(head.substr(at + 16));
    return withoutDate(head + readExactly(length));
  }
  // A response whose body ends with the last chunk.
  std::string readChunked() {
    const std::string head = readUntil("\r\n\r\n");
    return withoutDate(head + readUntil("0\r\n\r\n"));
  }
  // The last read failed, so the connection was reset (and not just closed).
  [[nodiscard]] bool wasReset() const { return reset_; }
  void shutdownSend() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  static std::string withoutDate(std::string text) {
    if (const std::size_t at = text.find("date: "); at != std::string::npos)
      text.erase(at, text.find("\r\n", at) + 2 - at);
    return text;
  }

 private:
  bool more() {
    char piece[16384];
    const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
    if (got < 0) {
      if (errno == ECONNRESET) {
        reset_ = true;
      } else {
        ADD_FAILURE() << "the server neither answers nor closes";
      }
    }
    if (got <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(got));
    return true;
  }
  std::string take(std::size_t bytes) {
    std::string taken = buffer_.substr(0, bytes);
    buffer_.erase(0, bytes);
    return taken;
  }

  int fd_;
  bool connected_ = false;
  bool reset_ = false;
  std::string buffer_;
};

// A server whose handler is a function.
class TestServer final : public HttpHandler {
 public:
  using Function = std::function<void(std::shared_ptr<Exchange>)>;

  explicit TestServer(Function onRequest, HttpServerOptions options = {}) : onRequest_(std::move(onRequest)) {
    auto made = HttpServer::create(thread.loop, *this, options);
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return;
    }
    server = *std::move(made);
  }
  ~TestServer() override {
    thread.run([this] { server.reset(); });
  }

  void onRequest(std::shared_ptr<Exchange> exchange) override { onRequest_(std::move(exchange)); }
  [[nodiscard]] std::uint16_t port() const { return server->port(); }

  LoopThread thread;
  std::unique_ptr<HttpServer> server;

 private:
  Function onRequest_;
};

// "METHOD TARGET" as text/plain.
inline void answerWithTarget(const std::shared_ptr<Exchange>& exchange) {
  exchange->respond({.headers = {{"content-type", "text/plain"}}},
                    bytesOf(exchange->method() + " " + exchange->target()));
}

// Reads the whole body, then hands it over.
inline void collectBody(const std::shared_ptr<Exchange>& exchange, std::function<void(Result<Bytes>)> done,
                        Bytes sofar = {}) {
  exchange->readBody([exchange, done = std::move(done), sofar = std::move(sofar)](Result<Bytes> chunk) mutable {
    if (!chunk || chunk->empty()) return done(chunk ? Result<Bytes>(std::move(sofar)) : std::move(chunk));
    sofar.insert(sofar.end(), chunk->begin(), chunk->end());
    collectBody(exchange, std::move(done), std::move(sofar));
  });
}

inline void echoBody(const std::shared_ptr<Exchange>& exchange) {
  collectBody(exchange, [exchange](Result<Bytes> body) {
    exchange->respond({.status = body ? 200 : 400}, body ? *std::move(body) : bytesOf(body.error().message));
  });
}

inline constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace hf::net
