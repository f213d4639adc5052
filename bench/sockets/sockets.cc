// bench_sockets: the load generator for WebSockets. One thread, plain epoll, no buffer for each connection: it must
// cost less than the servers that it measures, with which it shares the machine.
//
//   bench_sockets echo|broadcast|hold --port N --host NAME --path /a/b [--connections N] [--objects N] [--seconds N]
//                 [--speakers N] [--bytes N]
//
// Connection i asks for PATH followed by i modulo the objects. A message names its sender and counts:
//   echo       each connection has one message under way, and must get it back.
//   broadcast  each speaker has one message under way, until it has reached every connection.
//   hold       each connection gets one message back, then READY is printed. For each line on the standard input the
//              same again, then SPOKEN. Ends with the input.
// Whatever is lost, doubled, changed or out of order ends it with 1, as does a connection that ends. What is under way
// at the end of the time is waited for. The last line of output is RESULT and JSON, as load.lua prints it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t kHandshakesAtOnce = 64;
constexpr std::size_t kNumberBytes = 10;
constexpr std::chrono::seconds kSilenceMax{30};
constexpr std::array<char, 4> kMask{0x5a, 0x13, 0x77, 0x2e};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "bench_sockets: %s\n", what.c_str());
  std::exit(1);
}

[[noreturn]] void failSystem(const std::string& call) { fail(call + ": " + std::strerror(errno)); }

struct Options {
  std::string mode;
  std::string host;
  std::string path;
  std::size_t port = 0;
  std::size_t connections = 1;
  std::size_t objects = 1;
  std::size_t seconds = 3;
  std::size_t speakers = 1;
  std::size_t bytes = 32;
};

Options parseOptions(int argc, char** argv) {
  Options options;
  const std::map<std::string_view, std::string*> texts{{"--host", &options.host}, {"--path", &options.path}};
  const std::map<std::string_view, std::size_t*> numbers{
      {"--port", &options.port},       {"--connections", &options.connections}, {"--objects", &options.objects},
      {"--seconds", &options.seconds}, {"--speakers", &options.speakers},       {"--bytes", &options.bytes},
  };
  if (argc < 2 || argc % 2 != 0) fail("usage: bench_sockets echo|broadcast|hold --port N --host NAME --path /a ...");
  options.mode = argv[1];
  for (int i = 2; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view value = argv[i + 1];
    if (const auto text = texts.find(name); text != texts.end()) {
      *text->second = value;
    } else if (const auto number = numbers.find(name); number != numbers.end()) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), *number->second);
      if (error != std::errc() || end != value.data() + value.size()) fail(std::string(name) + ": not a number");
    } else {
      fail("unknown option " + std::string(name));
    }
  }
  if (options.mode != "echo" && options.mode != "broadcast" && options.mode != "hold") fail("unknown mode");
  if (options.bytes < 2 * kNumberBytes || options.bytes > 60'000) fail("--bytes: 20 to 60000");
  if (options.connections < 1 || options.objects < 1) fail("there must be connections and objects");
  if (options.speakers < 1 || options.speakers > options.connections) fail("--speakers: 1 to the connections");
  return options;
}

struct Connection {
  int fd = -1;
  bool isOpen = false;
  std::string rest;                  // the begin of what has not come whole
  std::vector<std::uint32_t> heard;  // of each sender that it hears, the count of its last message
};

struct Sender {
  std::uint32_t count = 0;      // of its messages; the last is under way
  std::size_t outstanding = 0;  // connections that it has not reached
  Clock::time_point sentAt;
};

class Load final {
 public:
  explicit Load(Options options)
      : options_(std::move(options)),
        toAll_(options_.mode == "broadcast"),
        senders_(toAll_ ? options_.speakers : options_.connections),
        connections_(options_.connections),
        message_(options_.bytes, 'x'),
        input_(std::size_t{256} * 1024) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) failSystem("epoll_create1");
  }

  void run() {
    openAll();
    if (options_.mode == "hold") {
      hold();
    } else {
      measure();
    }
  }

 private:
  // --- what is measured

  void measure() {
    speak();
    const auto begin = Clock::now();
    const Seconds warmUp(std::max(0.2, 0.2 * static_cast<double>(options_.seconds)));
    runUntil([&] { return now_ - begin >= warmUp; });
    delivered_ = 0;
    latencies_.clear();
    const auto start = now_;
    runUntil([&] { return now_ - start >= std::chrono::seconds(options_.seconds); });
    const Seconds time = now_ - start;
    const std::uint64_t counted = delivered_;
    finish();
    std::ranges::sort(latencies_);
    const auto at = [&](double part) {
      return latencies_.empty() ? 0U : latencies_[static_cast<std::size_t>(part * double(latencies_.size() - 1))];
    };
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const double cpu = double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    std::printf("RESULT {\"messages\":%llu,\"seconds\":%f,\"p50us\":%u,\"p99us\":%u,\"cpuSeconds\":%f}\n",
                static_cast<unsigned long long>(counted), time.count(), at(0.5), at(0.99), cpu);
  }

  void hold() {
    speak();
    finish();
    std::puts("READY");
    std::fflush(stdout);
    watch(STDIN_FILENO, kStandardInput);
    while (!inputEnded_) {
      pollOnce(std::chrono::hours(24));
      if (!wasAsked_) continue;
      wasAsked_ = false;
      going_ = true;
      speak();
      finish();
      std::puts("SPOKEN");
      std::fflush(stdout);
    }
  }

  void speak() {
    for (std::uint32_t i = 0; i < senders_.size(); i++) send(i);
  }

  // Nothing new is sent; all that is under way has to come.
  void finish() {
    going_ = false;
    runUntil([&] { return underWay_ == 0; });
  }

  template <class Done>
  void runUntil(const Done& done) {
    while (!done()) {
      pollOnce(kSilenceMax);
      now_ = Clock::now();
    }
  }

  // --- connections

  void openAll() {
    std::size_t begun = 0;
    while (opened_ < connections_.size()) {
      while (begun < connections_.size() && begun - opened_ < kHandshakesAtOnce) open(begun++);
      pollOnce(kSilenceMax);
    }
  }

  void open(std::size_t index) {
    Connection& connection = connections_[index];
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) failSystem("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(options_.port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the interface of sockets
    if (connect(connection.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) failSystem("connect");
    const int one = 1;
    if (setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) failSystem("setsockopt");
    connection.heard.resize(toAll_ ? senders_.size() : 1);
    watch(connection.fd, index);
    write(connection, "GET " + options_.path + std::to_string(index % options_.objects) +
                          " HTTP/1.1\r\nHost: " + options_.host +
                          "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  }

  void watch(int fd, std::uint64_t data) const {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = data}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) failSystem("epoll_ctl");
  }

  // One small message under way always finds room in the kernel.
  static void write(const Connection& connection, std::string_view data) {
    if (::send(connection.fd, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(data.size())) {
      failSystem("send");
    }
  }

  void pollOnce(std::chrono::milliseconds atMost) {
    const int count =
        epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), static_cast<int>(atMost.count()));
    if (count < 0 && errno != EINTR) failSystem("epoll_wait");
    if (count == 0) fail("nothing comes any more, " + std::to_string(underWay_) + " are under way");
    for (int i = 0; i < count; i++) {
      const std::uint64_t who = events_[static_cast<std::size_t>(i)].data.u64;
      if (who == kStandardInput) {
        readInput();
      } else {
        receive(static_cast<std::uint32_t>(who));
      }
    }
  }

  void readInput() {
    const ssize_t got = read(STDIN_FILENO, input_.data(), input_.size());
    if (got <= 0) inputEnded_ = true;
    if (got > 0) wasAsked_ = true;
  }

  void receive(std::uint32_t index) {
    Connection& connection = connections_[index];
    std::memcpy(input_.data(), connection.rest.data(), connection.rest.size());
    const std::size_t before = connection.rest.size();
    const ssize_t got = recv(connection.fd, input_.data() + before, input_.size() - before, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got < 0) failSystem("recv");
    if (got == 0) fail("connection " + std::to_string(index) + " was ended");
    std::string_view data(input_.data(), before + static_cast<std::size_t>(got));
    while (!data.empty()) {
      const std::size_t used = connection.isOpen ? frame(index, data) : handshake(connection, data);
      if (used == 0) break;
      data.remove_prefix(used);
    }
    connection.rest.assign(data);
  }

  std::size_t handshake(Connection& connection, std::string_view data) {
    const std::size_t end = data.find("\r\n\r\n");
    if (end == std::string_view::npos) return 0;
    if (!data.starts_with("HTTP/1.1 101")) fail("no WebSocket: " + std::string(data.substr(0, 300)));
    connection.isOpen = true;
    opened_++;
    return end + 4;
  }

  // 0: it has not come whole.
  std::size_t frame(std::uint32_t index, std::string_view data) {
    if (data.size() < 2) return 0;
    const auto first = static_cast<std::uint8_t>(data[0]);
    std::size_t header = 2;
    std::size_t size = static_cast<std::uint8_t>(data[1]);
    if (size > 126) fail("a frame is masked, or too long for what was sent");
    if (size == 126) {
      header = 4;
      if (data.size() < header) return 0;
      size = (std::size_t{static_cast<std::uint8_t>(data[2])} << 8) | static_cast<std::uint8_t>(data[3]);
    }
    if (data.size() < header + size) return 0;
    const std::string_view payload = data.substr(header, size);
    if (first == 0x89) {
      write(connections_[index], clientFrame(0x8a, payload));
    } else if (first == 0x81) {
      heard(index, payload);
    } else {
      fail("an unexpected frame, first byte " + std::to_string(first));
    }
    return header + size;
  }

  // --- messages

  void fill(std::uint32_t sender, std::uint32_t count) {
    number(0, sender);
    number(kNumberBytes, count);
  }

  void number(std::size_t at, std::uint32_t value) {
    for (std::size_t i = kNumberBytes; i-- > 0; value /= 10) message_[at + i] = static_cast<char>('0' + value % 10);
  }

  void send(std::uint32_t sender) {
    Sender& from = senders_[sender];
    fill(sender, ++from.count);
    from.outstanding = toAll_ ? connections_.size() : 1;
    underWay_++;
    from.sentAt = Clock::now();
    write(connections_[sender], clientFrame(0x81, message_));
  }

  std::string_view clientFrame(std::uint8_t first, std::string_view payload) {
    frame_.clear();
    frame_.push_back(static_cast<char>(first));
    if (payload.size() < 126) {
      frame_.push_back(static_cast<char>(0x80 | payload.size()));
    } else {
      frame_.push_back(static_cast<char>(0x80 | 126));
      frame_.push_back(static_cast<char>(payload.size() >> 8));
      frame_.push_back(static_cast<char>(payload.size()));
    }
    frame_.append(kMask.data(), kMask.size());
    for (std::size_t i = 0; i < payload.size(); i++) frame_.push_back(static_cast<char>(payload[i] ^ kMask[i % 4]));
    return frame_;
  }

  void heard(std::uint32_t index, std::string_view text) {
    std::uint32_t sender = index;
    if (toAll_) {
      const auto [end, error] = std::from_chars(text.data(), text.data() + std::min(text.size(), kNumberBytes), sender);
      if (error != std::errc() || sender >= senders_.size()) fail("a message without a sender: " + std::string(text));
    }
    Sender& from = senders_[sender];
    std::uint32_t& last = connections_[index].heard[toAll_ ? sender : 0];
    fill(sender, last + 1);
    if (text != message_ || last >= from.count) {
      fail("connection " + std::to_string(index) + " got \"" + std::string(text) + "\" and should get \"" + message_ +
           "\"");
    }
    last++;
    delivered_++;
    if (--from.outstanding > 0) return;
    underWay_--;
    latencies_.push_back(static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - from.sentAt).count()));
    if (going_) send(sender);
  }

  static constexpr std::uint64_t kStandardInput = UINT64_MAX;

  const Options options_;
  const bool toAll_;
  int epoll_ = -1;
  std::array<epoll_event, 256> events_{};
  std::vector<Sender> senders_;  // the first connections
  std::vector<Connection> connections_;
  std::string message_;
  std::string frame_;
  std::vector<char> input_;
  std::vector<std::uint32_t> latencies_;
  std::size_t opened_ = 0;
  std::size_t underWay_ = 0;
  std::uint64_t delivered_ = 0;
  Clock::time_point now_;
  bool going_ = true;
  bool inputEnded_ = false;
  bool wasAsked_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) failSystem("getrlimit");
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) failSystem("setrlimit");
  Load(parseOptions(argc, argv)).run();
  return 0;
}
