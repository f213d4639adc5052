#include "web/pipe.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "base/limits.h"

namespace hf::web {
namespace {

// Runs posted tasks when told, so that a test decides when a message crosses between shards.
class ManualExecutor final : public Executor {
 public:
  void post(Task task) override { tasks_.push_back(std::move(task)); }
  [[nodiscard]] bool isCurrent() const override { return true; }
  std::uint64_t addTimer(SteadyTime, Task) override { return 1; }
  void cancelTimer(std::uint64_t) override {}
  void run() {
    while (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<Task> tasks_;
};

struct Seen final : PipeSink {
  void onPipeMessage(PipeEnd, PipeMessage message) override { messages.push_back(std::move(message)); }
  void onPipeAck(PipeEnd) override { acks++; }
  std::vector<PipeMessage> messages;
  int acks = 0;
};

struct TwoShards final : PipeRoutes {
  Executor& executorOf(unsigned shard) override { return executors[shard]; }
  PipeTable& pipesOf(unsigned shard) override { return shard == 0 ? zero : one; }
  void run() {
    for (int i = 0; i < 4; i++) {
      executors[0].run();
      executors[1].run();
    }
  }
  ManualExecutor executors[2];
  PipeTable zero{0, *this, systemClock()};
  PipeTable one{1, *this, systemClock()};
};

PipeMessage text(std::string_view value) {
  const BytesView bytes = asBytes(value);
  return {.kind = PipeKind::kText, .data = Bytes(bytes.begin(), bytes.end())};
}

TEST(PipeTable, MessagesWaitForTheirEndAndArriveInOrderOnAnotherShard) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  EXPECT_TRUE(shards.zero.send(server, text("a")));
  EXPECT_TRUE(shards.zero.send(server, text("b")));
  Seen seen;
  shards.one.attach(client, seen);
  EXPECT_TRUE(shards.zero.send(server, text("c")));
  shards.run();
  ASSERT_EQ(seen.messages.size(), 3U);
  EXPECT_EQ(asText(seen.messages[0].data), "a");
  EXPECT_EQ(asText(seen.messages[1].data), "b");
  EXPECT_EQ(asText(seen.messages[2].data), "c");
}

TEST(PipeTable, AHeldEndKeepsItsMessagesForTheNextSinkInOrder) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  Seen first;
  shards.one.attach(client, first);
  EXPECT_TRUE(shards.zero.send(server, text("a")));
  shards.run();
  EXPECT_TRUE(shards.zero.send(server, text("b")));  // on its way when the end is let go
  shards.one.hold(client);
  shards.run();
  EXPECT_TRUE(shards.zero.send(server, text("c")));
  shards.run();
  EXPECT_EQ(first.messages.size(), 1U);
  Seen second;
  shards.one.attach(client, second);
  EXPECT_TRUE(shards.zero.send(server, text("d")));
  shards.run();
  ASSERT_EQ(second.messages.size(), 3U);
  EXPECT_EQ(asText(second.messages[0].data), "b");
  EXPECT_EQ(asText(second.messages[1].data), "c");
  EXPECT_EQ(asText(second.messages[2].data), "d");
}

TEST(PipeTable, AHeldEndThatNobodyTakesIsCut) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  Seen seen;
  Seen mine;
  shards.zero.attach(server, mine);
  shards.one.attach(client, seen);
  shards.one.hold(client);
  EXPECT_TRUE(shards.zero.send(server, text("a")));
  shards.run();
  shards.one.abort(client);
  shards.run();
  ASSERT_EQ(mine.messages.size(), 1U);
  EXPECT_EQ(mine.messages[0].kind, PipeKind::kGone);
  EXPECT_TRUE(seen.messages.empty());
}

TEST(PipeTable, AbortTellsTheOtherSideOnceAndForgetsThePipe) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  Seen seen;
  shards.one.attach(client, seen);
  shards.run();
  shards.zero.abort(server);
  shards.run();
  ASSERT_EQ(seen.messages.size(), 1U);
  EXPECT_EQ(seen.messages[0].kind, PipeKind::kGone);
  EXPECT_EQ(shards.zero.pipeCount(), 0U);
  EXPECT_FALSE(shards.zero.send(server, text("late")));
}

TEST(PipeTable, AnEndThatAttachesAfterTheCutGetsWhatWasSentBeforeAndThenGone) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  shards.zero.send(server, text("last words"));
  shards.zero.abort(server);
  Seen seen;
  shards.one.attach(client, seen);
  shards.run();
  ASSERT_EQ(seen.messages.size(), 2U);
  EXPECT_EQ(asText(seen.messages[0].data), "last words");
  EXPECT_EQ(seen.messages[1].kind, PipeKind::kGone);
  EXPECT_EQ(shards.zero.pipeCount(), 0U);
}

TEST(PipeTable, AutoResponseAnswersWithoutTheSink) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  Seen object;
  Seen network;
  shards.zero.attach(server, object);
  shards.one.attach(client, network);
  shards.zero.setAutoResponse(server, std::make_unique<AutoResponse>("ping", "pong"));
  shards.run();
  shards.one.send(client, text("ping"));
  shards.one.send(client, text("pinG"));
  shards.run();
  ASSERT_EQ(network.messages.size(), 1U);
  EXPECT_EQ(asText(network.messages[0].data), "pong");
  EXPECT_EQ(network.acks, 1);
  ASSERT_EQ(object.messages.size(), 1U);
  EXPECT_EQ(asText(object.messages[0].data), "pinG");
  EXPECT_GT(shards.zero.autoResponseTime(server), 0);
}

TEST(PipeTable, AutoResponseWaitsForTheMessagesBeforeIt) {
  TwoShards shards;
  const auto [server, client] = shards.zero.create();
  Seen object;
  Seen network;
  shards.zero.attach(server, object);
  shards.one.attach(client, network);
  shards.zero.setAutoResponse(server, std::make_unique<AutoResponse>("ping", "pong"));
  shards.run();
  for (const char* word : {"one", "ping", "two", "ping"}) shards.one.send(client, text(word));
  shards.run();
  EXPECT_EQ(object.messages.size(), 2U);
  EXPECT_TRUE(network.messages.empty());
  EXPECT_EQ(network.acks, 0);
  shards.zero.send(server, text("re one"));
  shards.zero.ack(server);
  shards.run();
  ASSERT_EQ(network.messages.size(), 2U);
  EXPECT_EQ(asText(network.messages[0].data), "re one");
  EXPECT_EQ(asText(network.messages[1].data), "pong");
  EXPECT_EQ(network.acks, 2);
  shards.zero.ack(server);
  shards.run();
  EXPECT_EQ(network.messages.size(), 3U);
  EXPECT_EQ(network.acks, 4);
  shards.one.send(client, text("ping"));
  shards.run();
  EXPECT_EQ(network.messages.size(), 4U);
}

TEST(PipeTable, WhatWaitsIsBounded) {
  TwoShards shards;
  const PipeEnd server = shards.zero.create().first;
  Seen sender;
  shards.zero.attach(server, sender);
  const PipeMessage big{.kind = PipeKind::kBinary, .data = Bytes(limits::kPipeWaitingBytesMax / 2)};
  shards.zero.send(server, big);
  EXPECT_TRUE(sender.messages.empty());
  shards.zero.send(server, big);
  ASSERT_EQ(sender.messages.size(), 1U);
  EXPECT_EQ(sender.messages[0].kind, PipeKind::kGone);
  EXPECT_FALSE(shards.zero.send(server, text("x")));
}

}  // namespace
}  // namespace hf::web
