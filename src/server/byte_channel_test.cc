#include "server/byte_channel.h"

#include <gtest/gtest.h>

#include <thread>

#include "net/event_loop.h"

namespace hf::server {
namespace {

Bytes piece(std::uint8_t value) { return Bytes(3, value); }

// Reads until the end, on the loop; then stops it.
void readAll(net::EventLoop& loop, const api::Maintenance::StreamPtr& stream, std::vector<Result<Bytes>>& seen) {
  stream->read([&loop, stream, &seen](Result<Bytes> bytes) {
    const bool ends = !bytes || bytes->empty();
    seen.push_back(std::move(bytes));
    if (ends) return loop.stop();
    readAll(loop, stream, seen);
  });
}

TEST(ByteChannel, PiecesArriveInOrderHoweverFarTheMakerIsAhead) {
  net::EventLoop loop;
  const auto channel = std::make_shared<ByteChannel>(loop);
  auto stream = ByteChannel::readerOf(channel);
  std::jthread maker([channel] {
    for (std::uint8_t i = 0; i < 100; i++) EXPECT_TRUE(channel->push(piece(i)));
    channel->close({});
  });
  std::vector<Result<Bytes>> seen;
  loop.post([&] { readAll(loop, stream, seen); });
  loop.run();
  ASSERT_EQ(seen.size(), 101U);
  for (std::uint8_t i = 0; i < 100; i++) EXPECT_EQ(*seen[i], piece(i));
}

TEST(ByteChannel, AFailureIsTheEndAndLeavesNothingBehindItToRead) {
  net::EventLoop loop;
  const auto channel = std::make_shared<ByteChannel>(loop);
  auto stream = ByteChannel::readerOf(channel);
  EXPECT_TRUE(channel->push(piece(1)));
  channel->close(fail(Errc::kIo, "no disk"));
  std::vector<Result<Bytes>> seen;
  loop.post([&] { readAll(loop, stream, seen); });
  loop.run();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].error().message, "no disk");
}

TEST(ByteChannel, AMakerThatWaitsIsToldWhenNobodyReadsAnyMore) {
  net::EventLoop loop;
  const auto channel = std::make_shared<ByteChannel>(loop);
  auto stream = ByteChannel::readerOf(channel);
  std::jthread maker([channel] {
    Result<void> pushed;
    while (pushed) pushed = channel->push(piece(1));
    EXPECT_EQ(pushed.error().code, Errc::kCancelled);
  });
  stream.reset();
  maker.join();
  EXPECT_TRUE(channel->isCancelled());
}

}  // namespace
}  // namespace hf::server
