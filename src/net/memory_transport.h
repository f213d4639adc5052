// For the fuzz targets and benches of this room: the protocols without a network. A transport in memory, an executor
// that runs when told to.
#pragma once

#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/executor.h"
#include "net/http_connection.h"
#include "net/transport.h"

namespace hf::net {

class ManualExecutor final : public Executor {
 public:
  void post(Task task) override { tasks_.push_back(std::move(task)); }
  [[nodiscard]] bool isCurrent() const override { return true; }
  std::uint64_t addTimer(SteadyTime when, Task task) override {
    timers_.emplace(++last_, std::move(task));
    return last_;
  }
  void cancelTimer(std::uint64_t id) override { timers_.erase(id); }

  void runAll() {
    while (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<Task> tasks_;
  std::map<std::uint64_t, Task> timers_;
  std::uint64_t last_ = 0;
};

class MemoryTransport final : public Transport {
 public:
  // `takesAtOnce`: how much one send() takes; 0: everything.
  explicit MemoryTransport(std::size_t takesAtOnce) : takesAtOnce_(takesAtOnce) {}

  void setSink(std::shared_ptr<TransportSink> sink) override { sink_ = std::move(sink); }
  void receive() override { wanted_ = true; }
  std::size_t send(std::span<const BytesView> parts) override {
    HF_CHECK(!closed_ && !sendShut_, "nothing is sent on what is closed");
    std::size_t room = takesAtOnce_ == 0 ? ~std::size_t{0} : takesAtOnce_;
    std::size_t taken = 0;
    for (const BytesView part : parts) {
      const std::size_t now = std::min(room, part.size());
      output.append(asText(part.first(now)));
      taken += now;
      room -= now;
      if (now < part.size()) {
        blocked_ = true;
        break;
      }
    }
    return taken;
  }
  void shutdownSend() override { sendShut_ = true; }
  void close(CloseMode /*mode*/) override {
    closed_ = true;
    sink_.reset();
  }
  [[nodiscard]] std::string peerAddress() const override { return "192.0.2.1"; }
  [[nodiscard]] std::uint16_t peerPort() const override { return 1; }

  // The network's side. False: the protocol does not want to receive now.
  bool deliver(BytesView data) {
    unblock();
    if (closed_ || !wanted_) return false;
    wanted_ = false;
    const auto sink = sink_;
    sink->onReceive(data);
    return true;
  }
  bool deliverEnd() {
    unblock();
    if (closed_ || !wanted_) return false;
    wanted_ = false;
    const auto sink = sink_;
    sink->onReceiveEnd();
    return true;
  }
  void deliverBroken() {
    if (closed_) return;
    closed_ = true;
    const auto sink = std::exchange(sink_, nullptr);
    sink->onBroken();
  }
  void unblock() {
    while (blocked_ && !closed_) {
      blocked_ = false;
      const auto sink = sink_;
      sink->onSendReady();
    }
  }
  [[nodiscard]] bool isClosed() const { return closed_; }

  std::string output;

 private:
  const std::size_t takesAtOnce_;
  std::shared_ptr<TransportSink> sink_;
  bool wanted_ = false;
  bool blocked_ = false;
  bool closed_ = false;
  bool sendShut_ = false;
};

// A server of one connection.
class MemoryServer final : public ConnectionHost {
 public:
  MemoryServer(HttpHandler& handler, HttpServerOptions options, std::size_t takesAtOnce)
      : transport(std::make_shared<MemoryTransport>(takesAtOnce)), handler_(handler), options_(std::move(options)) {
    connection_ = std::make_shared<HttpConnection>(*this, transport);
    connection_->start();
  }
  ~MemoryServer() override {
    if (connection_ != nullptr) connection_->cut();
    tasks.runAll();
    transport->deliverBroken();  // a WebSocket may still be there
    tasks.runAll();
  }

  Executor& executor() override { return tasks; }
  HttpHandler& handler() override { return handler_; }
  [[nodiscard]] const HttpServerOptions& options() const override { return options_; }
  [[nodiscard]] bool isDraining() const override { return false; }
  std::string_view date() override { return "now"; }
  void onConnectionEnded(HttpConnection& connection) override {
    HF_CHECK(&connection == connection_.get(), "it ends once");
    connection_.reset();
  }

  // Delivers `data` in pieces of the given size, then the end.
  void feed(BytesView data, std::size_t pieceBytes) {
    while (!data.empty()) {
      const std::size_t now = std::min(pieceBytes, data.size());
      if (!transport->deliver(data.first(now))) {
        tasks.runAll();
        if (!transport->deliver(data.first(now))) return;
      }
      data = data.subspan(now);
      tasks.runAll();
    }
    transport->deliverEnd();
    tasks.runAll();
    transport->unblock();
    tasks.runAll();
  }

  ManualExecutor tasks;
  const std::shared_ptr<MemoryTransport> transport;

 private:
  HttpHandler& handler_;
  const HttpServerOptions options_;
  std::shared_ptr<HttpConnection> connection_;
};

}  // namespace hf::net
