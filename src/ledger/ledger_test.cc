#include "ledger/ledger.h"

#include <gtest/gtest.h>

#include <latch>

#include "base/fault_disk.h"
#include "base/sim_disk.h"
#include "ledger/ledger_test_support.h"
#include "ledger/record.h"

namespace hf::ledger {
namespace {

class RecordingListener final : public DurabilityListener {
 public:
  std::vector<std::uint64_t> durable;
  std::vector<Error> poisoned;
  void onDurable(Position position) override {
    EXPECT_TRUE(poisoned.empty());
    durable.push_back(position.value);
  }
  void onPoisoned(const Error& why) override { poisoned.push_back(why); }
};

class LedgerTest : public testing::Test {
 protected:
  std::unique_ptr<Ledger> open(const LedgerOptions& options = smallOptions()) {
    replayed = CollectingReplayer();
    auto ledger = openLedger(disk, options, replayed);
    EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
    if (!ledger) return nullptr;
    awaitSpare(**ledger, options);
    return std::move(*ledger);
  }
  Position append(Ledger& ledger, std::uint8_t object = 1) {
    auto end = ledger.append(commitOf(keyOf(object), ++transaction, pageOf(random)));
    EXPECT_TRUE(end) << (end ? "" : end.error().message);
    return end.value_or(Position{});
  }

  SeededRandom random{1};
  SimDisk sim{1};
  FaultDisk disk{sim};
  CollectingReplayer replayed;
  std::uint64_t transaction = 0;
};

TEST_F(LedgerTest, CommitsMadeDuringASyncShareTheNext) {
  const LedgerOptions options = smallOptions();
  auto ledger = open(options);
  ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
  awaitSpare(*ledger, options);
  disk.holdSyncs("segment");
  const std::uint64_t syncs = ledger->stats().syncs;
  const Position before = ledger->durable();
  append(*ledger);
  disk.awaitHeldSyncs(1);
  Position last;
  for (int i = 0; i < 100; i++) last = append(*ledger);
  EXPECT_EQ(ledger->durable(), before);
  disk.releaseSyncs();
  ASSERT_TRUE(ledger->waitDurable(last));
  EXPECT_EQ(ledger->durable(), last);
  // 100 pages of chance are more than one segment of 64 KiB: a batch ends with its segment.
  EXPECT_LE(ledger->stats().syncs - syncs, 1U + 1U + 100U * kPageBytes / (56U * 1024));
}

TEST_F(LedgerTest, ManyShardsShareSyncs) {
  LedgerOptions options = smallOptions();
  options.segmentBytes = 4 * 1024 * 1024;
  auto ledger = open(options);
  ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
  awaitSpare(*ledger, options);
  disk.holdSyncs("segment");
  const std::uint64_t syncs = ledger->stats().syncs;
  const Position before = ledger->durable();
  append(*ledger);
  disk.awaitHeldSyncs(1);
  std::vector<std::jthread> shards;
  std::latch appended(4);
  for (std::uint8_t shard = 0; shard < 4; shard++) {
    shards.emplace_back([&, shard] {
      SeededRandom chance(shard);
      std::uint64_t newest = 0;
      for (std::uint64_t i = 1; i <= 50; i++) {
        const auto end = ledger->append(commitOf(keyOf(shard), i, pageOf(chance)));
        ASSERT_TRUE(end);
        EXPECT_GT(end->value, newest);
        newest = end->value;
      }
      appended.count_down();
      EXPECT_TRUE(ledger->waitDurable(Position{newest}));
    });
  }
  appended.wait();
  EXPECT_EQ(ledger->stats().syncs, syncs);
  EXPECT_EQ(ledger->durable(), before);
  disk.releaseSyncs();
  shards.clear();
  EXPECT_EQ(ledger->stats().syncs - syncs, 2U);
  EXPECT_EQ(ledger->stats().records, 202U);
}

TEST_F(LedgerTest, AListenerHearsEachAdvanceOnItsExecutorInOrder) {
  auto ledger = open();
  ManualExecutor executor;
  RecordingListener listener;
  ledger->addListener(executor, listener);
  std::vector<std::uint64_t> ends;
  for (int i = 0; i < 5; i++) {
    ends.push_back(append(*ledger).value);
    executor.runOne();
  }
  EXPECT_EQ(listener.durable, ends);
  // One that is behind hears the newest once.
  Position last;
  for (int i = 0; i < 5; i++) {
    last = append(*ledger);
    ASSERT_TRUE(ledger->waitDurable(last));
  }
  while (listener.durable.back() < last.value) executor.runOne();
  EXPECT_EQ(listener.durable.back(), last.value);
  EXPECT_LE(listener.durable.size(), 7U);
  const std::size_t told = listener.durable.size();
  ledger->removeListener(listener);
  ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
  while (executor.waiting() > 0) executor.runOne();
  EXPECT_EQ(listener.durable.size(), told);
}

TEST_F(LedgerTest, WhatWasAppendedIsReplayedInOrder) {
  std::vector<std::uint64_t> ends;
  {
    auto ledger = open();
    for (std::uint8_t i = 0; i < 100; i++) ends.push_back(append(*ledger, i % 3).value);
    NamespaceDeletion deletion;
    deletion.ns.bytes.fill(3);
    ends.push_back(ledger->append(deletion)->value);
    const Bytes page = pageOf(random);
    CommitRecord record = commitOf(keyOf(1), ++transaction, page);
    record.alarm = AlarmChange{.at = 12345, .objectName = "a room"};
    record.reset = true;
    ends.push_back(ledger->append(record)->value);
  }
  auto ledger = open();
  ASSERT_EQ(replayed.commits.size(), 101U);
  for (std::size_t i = 0; i < 100; i++) {
    EXPECT_EQ(replayed.commits[i].end.value, ends[i]);
    EXPECT_EQ(replayed.commits[i].object, keyOf(i % 3));
    EXPECT_EQ(replayed.commits[i].transaction, i + 1);
  }
  ASSERT_EQ(replayed.deletions.size(), 1U);
  EXPECT_EQ(replayed.deletions[0].second.value, ends[100]);
  EXPECT_EQ(replayed.commits[100].alarm, (AlarmChange{.at = 12345, .objectName = "a room"}));
  EXPECT_TRUE(replayed.commits[100].reset);
  EXPECT_EQ(ledger->tail().value, ends.back());
  EXPECT_EQ(ledger->durable().value, ends.back());
  EXPECT_EQ(ledger->recovery().records, 102U);
  EXPECT_EQ(ledger->recovery().droppedBytes, 0U);
}

TEST_F(LedgerTest, ARecordLargerThanASegmentSpansSeveral) {
  CommitRecord record = commitOf(keyOf(1), ++transaction, {});
  record.pages.clear();
  std::vector<Bytes> pages;
  for (std::uint32_t i = 0; i < 100; i++) pages.push_back(pageOf(random));
  for (std::uint32_t i = 0; i < 100; i++) record.pages.push_back({.number = i + 1, .bytes = pages[i], .previous = {}});
  record.pageCount = 100;
  {
    auto ledger = open();
    append(*ledger);
    ASSERT_TRUE(ledger->append(record));
    append(*ledger, 2);
    ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
    EXPECT_GT(ledger->stats().segments, 6U);
  }
  auto ledger = open();
  ASSERT_EQ(replayed.commits.size(), 3U);
  for (std::uint32_t i = 0; i < 100; i++) EXPECT_EQ(replayed.pages[keyOf(1)][i + 1], pages[i]);
}

TEST_F(LedgerTest, RetiredSegmentsAreReusedAndNotReplayed) {
  std::uint64_t most = 0;
  std::uint64_t last = 0;
  {
    auto ledger = open();
    for (int i = 0; i < 400; i++) {
      const Position end = append(*ledger);
      if (i % 10 != 9) continue;
      ASSERT_TRUE(ledger->waitDurable(end));
      ASSERT_TRUE(ledger->retire(end));
      EXPECT_EQ(ledger->bytesSinceRetired(), 0U);
      most = std::max(most, ledger->stats().diskBytes);
    }
    last = append(*ledger).value;
    ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
    EXPECT_EQ(ledger->bytesSinceRetired(), last - ledger->retired().value);
  }
  EXPECT_LE(most, 5U * 64 * 1024);
  auto ledger = open();
  ASSERT_EQ(replayed.commits.size(), 1U);
  EXPECT_EQ(replayed.commits[0].end.value, last);
  ASSERT_TRUE(ledger->retire(ledger->durable()));
  EXPECT_EQ(ledger->stats().segments, 0U);
}

TEST_F(LedgerTest, PositionsGoOnWhenEverythingIsRetired) {
  Position end;
  for (int i = 0; i < 5; i++) {
    auto ledger = open();
    EXPECT_TRUE(replayed.commits.empty());
    EXPECT_EQ(ledger->tail(), end);
    end = append(*ledger);
    ASSERT_TRUE(ledger->waitDurable(end));
    ASSERT_TRUE(ledger->retire(end));
  }
}

TEST_F(LedgerTest, AFullDiskRefusesRecordsUntilThereIsSpaceAndKeepsTheOthers) {
  std::uint64_t accepted = 0;
  {
    auto ledger = open();
    ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
    accepted = 1;
    sim.setCapacity(4 * 64 * 1024 + 8192);
    // Twice: when nothing waits any more, the bound for what waits is tighter.
    for (int round = 0; round < 2; round++) {
      Result<Position> end = Position{};
      while ((end = ledger->append(commitOf(keyOf(1), transaction + 1, pageOf(random))))) {
        transaction++;
        accepted++;
        ASSERT_LT(accepted, 1000U);
      }
      EXPECT_EQ(end.error().code, Errc::kNoSpace);
      // What was accepted is written all the same.
      ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
    }
    EXPECT_GT(accepted, 20U);
    // Refused while nothing waits: there is no spare left either.
    while (ledger->append(commitOf(keyOf(1), transaction + 1, pageOf(random)))) {
      transaction++;
      accepted++;
      ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
    }
    const Result<void> space = ledger->hasSpace();
    ASSERT_FALSE(space);
    EXPECT_EQ(space.error().code, Errc::kNoSpace);
    sim.setCapacity(UINT64_MAX);
    EXPECT_TRUE(ledger->hasSpace()) << "space is back, before anybody has written";
    ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
    accepted++;
  }
  open();
  EXPECT_EQ(replayed.commits.size(), accepted);
}

TEST_F(LedgerTest, RetirementMakesSpaceOnAFullDisk) {
  auto ledger = open();
  ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
  sim.setCapacity(3 * 64 * 1024 + 8192);
  for (int i = 0; i < 200; i++) {
    auto end = ledger->append(commitOf(keyOf(1), transaction + 1, pageOf(random)));
    if (!end) {
      ASSERT_EQ(end.error().code, Errc::kNoSpace);
      ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
      ASSERT_TRUE(ledger->retire(ledger->durable()));
      continue;
    }
    transaction++;
  }
  EXPECT_GT(transaction, 100U);
}

class PoisonTest : public LedgerTest, public testing::WithParamInterface<FaultDisk::Operation> {};

TEST_P(PoisonTest, AFailureEndsAllAcknowledgement) {
  auto ledger = open();
  ManualExecutor executor;
  RecordingListener listener;
  ledger->addListener(executor, listener);
  const Position good = append(*ledger);
  executor.runOne();
  // The pool's thread writes and syncs too: let it finish, so that the failure meets the writer.
  awaitSpare(*ledger, smallOptions());
  disk.holdSyncs("segment");
  const Position held = append(*ledger);
  disk.awaitHeldSyncs(1);
  append(*ledger);
  const std::uint64_t syncs = disk.count(FaultDisk::Operation::kSync);
  disk.failAt(GetParam(), 1, Errc::kIo);
  disk.releaseSyncs();
  const Result<void> waited = ledger->waitDurable(ledger->tail());
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, Errc::kLedgerPoisoned);
  EXPECT_NE(waited.error().message.find("injected"), std::string::npos);
  EXPECT_EQ(ledger->durable(), held);
  while (listener.poisoned.empty()) executor.runOne();
  ASSERT_EQ(listener.poisoned.size(), 1U);
  EXPECT_EQ(listener.poisoned[0].code, Errc::kLedgerPoisoned);
  EXPECT_EQ(listener.durable, (std::vector{good.value, held.value}));
  const auto refused = ledger->append(commitOf(keyOf(1), 9, pageOf(random)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kLedgerPoisoned);
  // A listener that comes later hears it too.
  RecordingListener late;
  ledger->addListener(executor, late);
  executor.runOne();
  EXPECT_EQ(late.poisoned.size(), 1U);
  // And the disk is left alone: a sync that failed is never repeated.
  const std::uint64_t after = disk.count(FaultDisk::Operation::kSync);
  EXPECT_LE(after - syncs, GetParam() == FaultDisk::Operation::kSync ? 1U : 0U);
  ledger.reset();
  EXPECT_EQ(disk.count(FaultDisk::Operation::kSync), after);
}

INSTANTIATE_TEST_SUITE_P(Operations, PoisonTest,
                         testing::Values(FaultDisk::Operation::kWrite, FaultDisk::Operation::kSync));

TEST_F(LedgerTest, WhatIsReplayedAfterAFailedSyncIsMadeDurableFirst) {
  {
    // By steps, so that it is this sync that fails and not that of the mark or of a spare segment.
    LedgerOptions options = smallOptions();
    options.drive = Drive::kSteps;
    auto ledger = *openLedger(disk, options, replayed);
    ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
    while (ledger->step()) {
    }
    sim.failSyncAt(1);
    EXPECT_FALSE(ledger->waitDurable(append(*ledger)));
  }
  // The process is new, the page cache is not: the second record can be read, yet it is not on the disk.
  open();
  ASSERT_EQ(replayed.commits.size(), 2U);
  sim.powerOn(SimDisk::Unsynced::kForgotten);
  open();
  EXPECT_EQ(replayed.commits.size(), 2U);
}

TEST_F(LedgerTest, TheQueueIsBounded) {
  LedgerOptions options = smallOptions();
  options.queueBytesMax = 20'000;
  auto ledger = open(options);
  ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
  awaitSpare(*ledger, options);
  disk.holdSyncs("segment");
  append(*ledger);
  disk.awaitHeldSyncs(1);
  Result<Position> end = Position{};
  for (int i = 0; i < 100 && end; i++) end = ledger->append(commitOf(keyOf(1), ++transaction, pageOf(random)));
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::kOverloaded);
  EXPECT_LT(ledger->stats().queuedBytes, 20'000U + 5'000U);
  disk.releaseSyncs();
  ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
  // What was written leaves the queue, also when it was as much as may wait.
  ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
}

TEST_F(LedgerTest, AFailedRetirementChangesNothing) {
  {
    // By steps, so that no other mark is written meanwhile.
    LedgerOptions options = smallOptions();
    options.drive = Drive::kSteps;
    auto ledger = *openLedger(disk, options, replayed);
    ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
    disk.failAt(FaultDisk::Operation::kRename, 1, Errc::kIo);
    EXPECT_FALSE(ledger->retire(ledger->durable()));
    EXPECT_EQ(ledger->retired(), Position{0});
    ASSERT_TRUE(ledger->waitDurable(append(*ledger)));
  }
  auto ledger = open();
  EXPECT_EQ(replayed.commits.size(), 2U);
  EXPECT_TRUE(ledger->retire(ledger->durable()));
}

TEST_F(LedgerTest, OddSegmentSizesAreRefused) {
  for (const std::uint64_t bytes : {0ULL, 4096ULL, 65'537ULL}) {
    LedgerOptions options = smallOptions();
    options.segmentBytes = bytes;
    const auto ledger = openLedger(disk, options, replayed);
    ASSERT_FALSE(ledger);
    EXPECT_EQ(ledger.error().code, Errc::kInvalidArgument);
  }
}

TEST_F(LedgerTest, TheSegmentSizeMayChangeBetweenRuns) {
  LedgerOptions options = smallOptions();
  for (int run = 0; run < 6; run++) {
    options.segmentBytes = (64 + static_cast<std::uint64_t>(run % 3) * 32) * 1024;
    auto ledger = open(options);
    EXPECT_EQ(replayed.commits.size(), run < 4 ? static_cast<std::size_t>(run) * 40 : 0);
    for (int i = 0; i < 40; i++) append(*ledger);
    ASSERT_TRUE(ledger->waitDurable(ledger->tail()));
    if (run >= 3) ASSERT_TRUE(ledger->retire(ledger->durable()));
  }
}

class CollectingSink final : public RecordSink {
 public:
  std::vector<std::uint64_t> ends;
  std::vector<WallMs> times;
  Result<void> onRecord(BytesView record, Position end, WallMs time) override {
    EXPECT_EQ(objectOf(record), keyOf(1));
    ends.push_back(end.value);
    times.push_back(time);
    return {};
  }
};

TEST_F(LedgerTest, ReadsAnyPartThatIsNotRetiredOrIsHeld) {
  auto ledger = open();
  std::vector<std::uint64_t> ends;
  for (int i = 0; i < 60; i++) ends.push_back(append(*ledger).value);  // over several segments
  ASSERT_TRUE(ledger->waitDurable(Position{ends.back()}));
  const auto part = [&](std::size_t from, std::size_t to) {
    return std::vector<std::uint64_t>(ends.begin() + static_cast<std::ptrdiff_t>(from),
                                      ends.begin() + static_cast<std::ptrdiff_t>(to));
  };
  for (const auto& [from, to] : {std::pair<std::size_t, std::size_t>{0, 60}, {1, 2}, {17, 43}, {59, 60}}) {
    CollectingSink sink;
    const auto read = ledger->read(Position{from == 0 ? 0 : ends[from - 1]}, Position{ends[to - 1]}, sink);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(sink.ends, part(from, to));
    EXPECT_TRUE(std::ranges::is_sorted(sink.times));
    EXPECT_GT(sink.times.front(), 0);
  }
  auto held = ledger->hold();
  EXPECT_EQ(held->from(), Position{0});
  ASSERT_TRUE(ledger->retire(Position{ends[49]}));
  CollectingSink sink;
  ASSERT_TRUE(ledger->read(held->from(), Position{ends[59]}, sink));
  EXPECT_EQ(sink.ends, ends);
  held.reset();
  ASSERT_TRUE(ledger->retire(Position{ends[50]}));
  EXPECT_EQ(ledger->read(Position{0}, Position{ends[59]}, sink).error().code, Errc::kNotFound);
}

TEST_F(LedgerTest, DrivenByStepsDoesNothingByItself) {
  LedgerOptions options = smallOptions();
  options.drive = Drive::kSteps;
  auto ledger = *openLedger(disk, options, replayed);
  const Position end = append(*ledger);
  EXPECT_EQ(ledger->durable(), Position{0});
  // The write, the sync, the spare segment, in whatever order.
  for (int i = 0; i < 3; i++) EXPECT_TRUE(ledger->step());
  EXPECT_EQ(ledger->durable(), end);
  EXPECT_FALSE(ledger->step());
  const Position next = append(*ledger);
  ASSERT_TRUE(ledger->waitDurable(next));
  append(*ledger);
  ledger.reset();
  open();
  EXPECT_EQ(replayed.commits.size(), 3U);
}

TEST_F(LedgerTest, SmallCommitsTakeASectorEach) {
  auto ledger = open();
  Bytes page(kPageBytes, 1);
  ASSERT_TRUE(ledger->waitDurable(*ledger->append(commitOf(keyOf(1), ++transaction, page))));
  const std::uint64_t syncs = ledger->stats().syncs;
  for (int i = 0; i < 90; i++) {
    const Bytes before = page;
    page[100] = static_cast<std::uint8_t>(i);
    CommitRecord record = commitOf(keyOf(1), ++transaction, page);
    record.pages[0].previous = before;
    ASSERT_TRUE(ledger->waitDurable(*ledger->append(record)));
  }
  EXPECT_EQ(ledger->stats().syncs, syncs + 90);
  EXPECT_EQ(ledger->stats().segments, 1U) << "of 64 KiB, 56 KiB of them for batches";
}

}  // namespace
}  // namespace hf::ledger
