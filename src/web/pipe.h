// WebSocket pipes: what is sent into one end comes out of the other, in order, whichever shards the ends live on.
// An end is attached to one sink: an isolate's JavaScript or a client's connection. Until then its messages wait.
//
// A pipe has a home, the shard that made it; its state is touched by the home's thread only. An end may be attached on
// another shard: then messages for it are posted there. So a message crosses at most two shards and no lock.
// Thread:  every method on the thread of the shard whose PipeTable it is.
// Limits:  messages that wait for attachment are bounded by limits::kPipeWaitingBytesMax: past that the pipe is cut.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/executor.h"

namespace hf::web {

// Never 0, below 2^53, so that JavaScript holds it as a number. Holds home shard and side.
using PipeEnd = std::uint64_t;

enum class PipeKind : std::uint8_t { kText, kBinary, kClose, kGone, kError };

struct PipeMessage {
  PipeKind kind = PipeKind::kText;
  Bytes data;          // kText (UTF-8), kBinary
  int code = 0;        // kClose
  std::string reason;  // kClose, kError
};

class PipeSink {
 public:
  virtual ~PipeSink() = default;
  virtual void onPipeMessage(PipeEnd end, PipeMessage message) = 0;
  // The other side has handled the oldest unacknowledged message that this end sent.
  virtual void onPipeAck(PipeEnd end) = 0;
};

struct AutoResponse {
  std::string request;
  std::string response;
};

class PipeTable;

// Finds the table and the executor of another shard. Implemented by the shard group.
class PipeRoutes {
 public:
  virtual ~PipeRoutes() = default;
  [[nodiscard]] virtual Executor& executorOf(unsigned shard) = 0;
  [[nodiscard]] virtual PipeTable& pipesOf(unsigned shard) = 0;
};

class PipeTable final {
 public:
  PipeTable(unsigned shard, PipeRoutes& routes, const Clock& clock) : shard_(shard), routes_(routes), clock_(clock) {}

  // A new pipe with its home here.
  std::pair<PipeEnd, PipeEnd> create();

  // `sink` gets what comes out of `end`, from now on and what has waited; it outlives the attachment.
  void attach(PipeEnd end, PipeSink& sink);
  // The sink goes away and another one will come, on this shard: what comes out of `end` waits for it.
  void hold(PipeEnd end);
  // A message that a sink was given and has not taken, for whoever is the sink now.
  void redeliver(PipeEnd end, PipeMessage message) { deliver(end, std::move(message)); }
  // The sink goes away without a word to the other side (used after kClose/kGone were exchanged).
  void detach(PipeEnd end);

  // False: the end is known to be dead here; the message was dropped.
  bool send(PipeEnd end, PipeMessage message);
  // Cuts the pipe: the other side gets kGone. The end is dead afterwards.
  void abort(PipeEnd end);
  void ack(PipeEnd end);

  // Home shard only: exact matches of text messages that arrive for `end` are answered without its sink, as soon as it
  // has handled (ack) what came before them.
  void setAutoResponse(PipeEnd end, std::unique_ptr<AutoResponse> pair);
  [[nodiscard]] WallMs autoResponseTime(PipeEnd end) const;

  [[nodiscard]] std::size_t pipeCount() const { return pipes_.size(); }

 private:
  struct DueAnswer {
    std::uint64_t behind = 0;
    std::string response;
  };
  struct Side {
    std::optional<unsigned> attachedAt;  // shard
    bool dead = false;
    std::vector<PipeMessage> waiting;
    std::size_t waitingBytes = 0;
    std::size_t acksWaiting = 0;
    std::unique_ptr<AutoResponse> autoResponse;  // few sockets have one, and each would pay for the room
    WallMs autoResponseAt = 0;
    // Messages for this side, and those of them that it has handled.
    std::uint64_t routed = 0;
    std::uint64_t handled = 0;
    // Automatic answers to what came behind messages that are not handled yet.
    std::vector<DueAnswer> due;
  };
  struct Pipe {
    Side sides[2];
  };

  [[nodiscard]] static unsigned homeOf(PipeEnd end) { return static_cast<unsigned>(end & 0xff); }
  [[nodiscard]] static unsigned sideOf(PipeEnd end) { return static_cast<unsigned>((end >> 8) & 1); }
  [[nodiscard]] static PipeEnd peerOf(PipeEnd end) { return end ^ 0x100; }
  [[nodiscard]] static std::uint64_t pipeOf(PipeEnd end) { return end >> 9; }

  void onHome(PipeEnd end, std::move_only_function<void(PipeTable&)> work);
  Pipe* find(PipeEnd end);
  // Home: a message that `from` sent.
  void route(PipeEnd from, PipeMessage message);
  void routeAck(PipeEnd from);
  void passAck(PipeEnd from);
  void answer(PipeEnd end, std::string_view response);
  void attachAtHome(PipeEnd end, unsigned shard);
  void abortAtHome(PipeEnd end);
  void forgetIfDead(PipeEnd end);
  // Any shard: hands a message to the sink attached here.
  void deliver(PipeEnd end, PipeMessage message);
  void deliverAt(unsigned shard, PipeEnd end, PipeMessage message);
  void deliverAck(PipeEnd end);

  // Fixed
  const unsigned shard_;
  PipeRoutes& routes_;
  const Clock& clock_;
  // Shard thread only
  std::uint64_t next_ = 1;
  std::unordered_map<std::uint64_t, Pipe> pipes_;  // whose home is here
  std::unordered_map<PipeEnd, PipeSink*> sinks_;   // attached here
  std::unordered_map<PipeEnd, std::vector<PipeMessage>> held_;
};

}  // namespace hf::web
