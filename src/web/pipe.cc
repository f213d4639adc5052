#include "web/pipe.h"

#include <utility>

#include "base/check.h"
#include "base/limits.h"

namespace hf::web {

std::pair<PipeEnd, PipeEnd> PipeTable::create() {
  const std::uint64_t pipe = next_++;
  pipes_.try_emplace(pipe);
  const PipeEnd first = (pipe << 9) | shard_;
  return {first, peerOf(first)};
}

void PipeTable::onHome(PipeEnd end, std::move_only_function<void(PipeTable&)> work) {
  const unsigned home = homeOf(end);
  if (home == shard_) {
    work(*this);
    return;
  }
  PipeTable* table = &routes_.pipesOf(home);
  routes_.executorOf(home).post([table, work = std::move(work)]() mutable { work(*table); });
}

PipeTable::Pipe* PipeTable::find(PipeEnd end) {
  const auto it = pipes_.find(pipeOf(end));
  return it == pipes_.end() ? nullptr : &it->second;
}

void PipeTable::attach(PipeEnd end, PipeSink& sink) {
  const bool inserted = sinks_.emplace(end, &sink).second;
  HF_CHECK(inserted, "an end is attached once");
  if (auto held = held_.extract(end)) {
    for (PipeMessage& message : held.mapped()) deliver(end, std::move(message));
    return;
  }
  onHome(end, [end, shard = shard_](PipeTable& home) { home.attachAtHome(end, shard); });
}

void PipeTable::hold(PipeEnd end) {
  sinks_.erase(end);
  held_.try_emplace(end);
}

void PipeTable::detach(PipeEnd end) { sinks_.erase(end); }

void PipeTable::attachAtHome(PipeEnd end, unsigned shard) {
  Pipe* pipe = find(end);
  if (pipe == nullptr) {
    deliverAt(shard, end, PipeMessage{.kind = PipeKind::kGone});
    return;
  }
  Side& side = pipe->sides[sideOf(end)];
  side.attachedAt = shard;
  std::vector<PipeMessage> waiting = std::exchange(side.waiting, {});
  side.waitingBytes = 0;
  const std::size_t acks = std::exchange(side.acksWaiting, 0);
  for (std::size_t i = 0; i < acks; i++) passAck(peerOf(end));
  pipe = find(end);
  if (pipe == nullptr) return;
  if (pipe->sides[sideOf(end) ^ 1].dead) {
    side.dead = true;
    forgetIfDead(end);
  }
  // Last, because a sink may do anything to this table.
  for (PipeMessage& message : waiting) deliverAt(shard, end, std::move(message));
}

bool PipeTable::send(PipeEnd end, PipeMessage message) {
  if (homeOf(end) == shard_) {
    const Pipe* pipe = find(end);
    if (pipe == nullptr || pipe->sides[sideOf(end)].dead) return false;
  }
  onHome(end, [end, message = std::move(message)](PipeTable& home) mutable { home.route(end, std::move(message)); });
  return true;
}

void PipeTable::route(PipeEnd from, PipeMessage message) {
  Pipe* pipe = find(from);
  if (pipe == nullptr) return;
  const PipeEnd to = peerOf(from);
  Side& target = pipe->sides[sideOf(to)];
  if (target.dead) return;
  if (message.kind == PipeKind::kText && target.autoResponse != nullptr &&
      asText(message.data) == target.autoResponse->request) {
    if (target.handled < target.routed) {
      target.due.push_back({.behind = target.routed, .response = target.autoResponse->response});
    } else {
      answer(to, target.autoResponse->response);
    }
    return;
  }
  if (message.kind == PipeKind::kText || message.kind == PipeKind::kBinary) target.routed++;
  if (target.attachedAt) {
    deliverAt(*target.attachedAt, to, std::move(message));
    return;
  }
  target.waitingBytes += message.data.size() + sizeof(PipeMessage);
  if (target.waitingBytes > limits::kPipeWaitingBytesMax) {
    abortAtHome(to);
    return;
  }
  target.waiting.push_back(std::move(message));
}

void PipeTable::ack(PipeEnd end) {
  onHome(end, [end](PipeTable& home) { home.routeAck(end); });
}

void PipeTable::answer(PipeEnd end, std::string_view response) {
  find(end)->sides[sideOf(end)].autoResponseAt = clock_.wallMs();
  const BytesView bytes = asBytes(response);
  passAck(end);
  route(end, PipeMessage{.kind = PipeKind::kText, .data = Bytes(bytes.begin(), bytes.end())});
}

void PipeTable::routeAck(PipeEnd from) {
  Pipe* pipe = find(from);
  if (pipe == nullptr) return;
  pipe->sides[sideOf(from)].handled++;
  passAck(from);
  // Each answer may end the pipe.
  for (pipe = find(from); pipe != nullptr; pipe = find(from)) {
    Side& side = pipe->sides[sideOf(from)];
    if (side.due.empty() || side.due.front().behind > side.handled) return;
    const std::string response = std::move(side.due.front().response);
    side.due.erase(side.due.begin());
    if (side.due.empty()) side.due = {};
    answer(from, response);
  }
}

void PipeTable::passAck(PipeEnd from) {
  Pipe* pipe = find(from);
  if (pipe == nullptr) return;
  const PipeEnd to = peerOf(from);
  Side& target = pipe->sides[sideOf(to)];
  if (!target.attachedAt) {
    target.acksWaiting++;
    return;
  }
  const unsigned shard = *target.attachedAt;
  if (shard == shard_) {
    deliverAck(to);
    return;
  }
  PipeTable* table = &routes_.pipesOf(shard);
  routes_.executorOf(shard).post([table, to] { table->deliverAck(to); });
}

void PipeTable::abort(PipeEnd end) {
  sinks_.erase(end);
  held_.erase(end);
  onHome(end, [end](PipeTable& home) { home.abortAtHome(end); });
}

void PipeTable::abortAtHome(PipeEnd end) {
  Pipe* pipe = find(end);
  if (pipe == nullptr) return;
  Side& side = pipe->sides[sideOf(end)];
  if (side.dead) return;
  side.dead = true;
  side.waiting = {};
  const PipeEnd peer = peerOf(end);
  Side& other = pipe->sides[sideOf(peer)];
  if (!other.dead) {
    if (other.attachedAt) {
      const unsigned shard = *other.attachedAt;
      other.dead = true;
      deliverAt(shard, peer, PipeMessage{.kind = PipeKind::kGone});
    } else {
      other.waiting.push_back(PipeMessage{.kind = PipeKind::kGone});
    }
  }
  forgetIfDead(end);
}

void PipeTable::forgetIfDead(PipeEnd end) {
  const auto it = pipes_.find(pipeOf(end));
  if (it != pipes_.end() && it->second.sides[0].dead && it->second.sides[1].dead) pipes_.erase(it);
}

void PipeTable::deliverAt(unsigned shard, PipeEnd end, PipeMessage message) {
  if (shard == shard_) {
    deliver(end, std::move(message));
    return;
  }
  PipeTable* table = &routes_.pipesOf(shard);
  routes_.executorOf(shard).post(
      [table, end, message = std::move(message)]() mutable { table->deliver(end, std::move(message)); });
}

void PipeTable::deliver(PipeEnd end, PipeMessage message) {
  const auto it = sinks_.find(end);
  if (it == sinks_.end()) {
    // Otherwise it was detached meanwhile: nobody is interested any more.
    if (const auto held = held_.find(end); held != held_.end()) held->second.push_back(std::move(message));
    return;
  }
  PipeSink* sink = it->second;
  if (message.kind == PipeKind::kGone) sinks_.erase(it);
  sink->onPipeMessage(end, std::move(message));
}

void PipeTable::deliverAck(PipeEnd end) {
  const auto it = sinks_.find(end);
  if (it != sinks_.end()) it->second->onPipeAck(end);
}

void PipeTable::setAutoResponse(PipeEnd end, std::unique_ptr<AutoResponse> pair) {
  Pipe* pipe = homeOf(end) == shard_ ? find(end) : nullptr;
  if (pipe != nullptr) pipe->sides[sideOf(end)].autoResponse = std::move(pair);
}

WallMs PipeTable::autoResponseTime(PipeEnd end) const {
  if (homeOf(end) != shard_) return 0;
  const auto it = pipes_.find(pipeOf(end));
  return it == pipes_.end() ? 0 : it->second.sides[sideOf(end)].autoResponseAt;
}

}  // namespace hf::web
