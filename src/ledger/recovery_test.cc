// Power goes at any moment, bytes decay: what must survive does, what cannot be trusted is refused.
#include "ledger/recovery.h"

#include <gtest/gtest.h>

#include <deque>
#include <span>

#include "base/sim_disk.h"
#include "ledger/ledger_test_support.h"

namespace hf::ledger {
namespace {

// Objects with pages, a ledger that records their commits, and a model of both. Lives through many power losses.
class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), disk_(seed) {}

  SimDisk& disk() { return disk_; }

  // Opens, checks what survived against the model, works until something fails or `steps` are done. False: power went.
  bool live(int steps) {
    CollectingReplayer replayer;
    replayer.pages = {};
    // The object files are what the mark says they are; the test reads the mark through a ledger opened for nothing.
    auto opened = openWithBase(replayer);
    if (!opened) {
      EXPECT_EQ(opened.error().code, Errc::kIo) << opened.error().message;
      EXPECT_FALSE(disk_.hasPower());
      return false;
    }
    ledger_ = std::move(*opened);
    check(replayer);
    if (testing::Test::HasFailure()) return true;
    bool well = true;
    for (int i = 0; i < steps && well; i++) well = step();
    acknowledged_ = std::max(acknowledged_, ledger_->durable().value);
    ledger_.reset();
    if (disk_.hasPower()) acknowledged_ = std::max(acknowledged_, history_.back().end);
    return disk_.hasPower();
  }

 private:
  using State = std::map<ObjectKey, Pages>;
  struct Past {
    std::uint64_t end = 0;
    State state;
  };

  // The base is the state at the mark. Which mark survived is known only after reading it, so the base is handed over
  // when the first record arrives.
  class LateBase final : public Replayer {
   public:
    LateBase(World& world, CollectingReplayer& inner) : world_(world), inner_(inner) {}
    Result<void> onCommit(const RecoveredCommit& commit) override {
      HF_TRY_VOID(begin());
      return inner_.onCommit(commit);
    }
    Result<void> onNamespaceDeleted(const NamespaceDeletion& deletion, Position end) override {
      HF_TRY_VOID(begin());
      return inner_.onNamespaceDeleted(deletion, end);
    }
    Result<void> begin() {
      if (std::exchange(begun_, true)) return {};
      HF_TRY(const auto file, world_.disk_.open("/ledger/mark", OpenMode::kRead));
      Bytes bytes(sizeof(Mark));
      HF_TRY(const std::size_t got, file->readAt(0, bytes));
      const auto mark = unseal<Mark>(BytesView(bytes).first(got));
      EXPECT_TRUE(mark);
      for (const Past& past : world_.history_) {
        if (mark && past.end == mark->retired) inner_.pages = past.state;
      }
      return {};
    }

   private:
    World& world_;
    CollectingReplayer& inner_;
    bool begun_ = false;
  };

  Result<std::unique_ptr<Ledger>> openWithBase(CollectingReplayer& replayer) {
    LateBase late(*this, replayer);
    HF_TRY(auto ledger, openLedger(disk_, smallOptions(), late));
    if (const auto begun = late.begin(); !begun && disk_.hasPower()) return std::unexpected(begun.error());
    return ledger;
  }

  void check(const CollectingReplayer& replayer) {
    const std::uint64_t tail = ledger_->tail().value;
    EXPECT_GE(tail, acknowledged_) << "an acknowledged commit is gone";
    EXPECT_LE(ledger_->retired().value, acknowledged_);
    const auto survived = std::ranges::find(history_, tail, &Past::end);
    ASSERT_NE(survived, history_.end()) << "the end is not the end of a record";
    if (!disk_.hasPower()) return;  // it went right after the opening; the base may be unread
    EXPECT_EQ(replayer.pages, survived->state) << "the pages are not as they were at position " << tail;
    history_.erase(survived + 1, history_.end());
    state_ = history_.back().state;
    // Whatever survived is durable from now on.
    acknowledged_ = tail;
    lastWhole_.clear();
  }

  bool step() {
    const std::uint64_t dice = random_.below(20);
    if (dice == 0) {
      acknowledged_ = std::max(acknowledged_, ledger_->durable().value);
      // A checkpoint: from here on the first image of every page is a whole one.
      lastWhole_.clear();
      return ledger_->retire(Position{acknowledged_}).has_value();
    }
    if (dice < 5) {
      const Position tail = ledger_->tail();
      if (!ledger_->waitDurable(tail)) return false;
      acknowledged_ = tail.value;
      return true;
    }
    if (dice == 5) {
      state_.clear();
      NamespaceDeletion deletion;
      deletion.ns = keyOf(0).ns;
      return accepted(ledger_->append(deletion));
    }
    return commit(random_.below(12) == 0 ? 30 : 3);
  }

  bool commit(std::uint32_t pagesMax) {
    const auto first = static_cast<std::uint8_t>(random_.below(3));
    if (random_.below(4) > 0) return accepted(ledger_->append(recordOf(keyOf(first), pagesMax)));
    // All of a group or nothing of it: the model has one state for it.
    std::vector<CommitRecord> group;
    for (std::uint8_t i = 0; i <= random_.below(3); i++) {
      group.push_back(recordOf(keyOf(static_cast<std::uint8_t>((first + i) % 3)), pagesMax));
    }
    return accepted(ledger_->append(std::span<const CommitRecord>(group)));
  }

  CommitRecord recordOf(const ObjectKey& key, std::uint32_t pagesMax) {
    Pages& of = state_[key];
    CommitRecord record;
    record.object = key;
    record.transaction = ++transaction_;
    record.reset = random_.below(15) == 0;
    if (record.reset) of.clear();
    const Pages before = of;
    const std::uint32_t count = 1 + static_cast<std::uint32_t>(random_.below(pagesMax));
    for (std::uint32_t number = 1; number <= count; number++) {
      Bytes& page = of[number];
      page = page.empty() ? pageOf(random_) : changedPage(page, random_);
    }
    record.pageCount = static_cast<std::uint32_t>(of.rbegin()->first);
    for (std::uint32_t number = 1; number <= count; number++) {
      PageImage& image = record.pages.emplace_back();
      image.number = number;
      image.bytes = of[number];
      const auto previous = before.find(number);
      if (previous != before.end() && lastWhole_.contains({key, number})) image.previous = previous->second;
      lastWhole_.insert({key, number});
    }
    for (PageImage& image : record.pages) {
      if (!image.previous.empty()) image.previous = kept(Bytes(image.previous.begin(), image.previous.end()));
    }
    return record;
  }

  // Until the record has been appended.
  BytesView kept(Bytes bytes) { return previous_.emplace_back(std::move(bytes)); }

  bool accepted(const Result<Position>& end) {
    previous_.clear();
    if (!end) {
      state_ = history_.back().state;
      return false;
    }
    history_.push_back({.end = end->value, .state = state_});
    return true;
  }

  SeededRandom random_;
  SimDisk disk_;
  std::unique_ptr<Ledger> ledger_;
  State state_;
  std::deque<Bytes> previous_;
  std::vector<Past> history_ = {Past{}};
  std::set<std::pair<ObjectKey, std::uint32_t>> lastWhole_;  // have an image since the last checkpoint
  std::uint64_t acknowledged_ = 0;
  std::uint64_t transaction_ = 0;
};

TEST(Recovery, AcknowledgedCommitsSurvivePowerLossAtEveryOperation) {
  for (std::uint64_t n = 1;; n++) {
    World world(n);
    world.disk().losePowerAt(n);
    const bool clean = world.live(60);
    world.disk().powerOn(SimDisk::Unsynced::kByChance);
    world.live(20);
    world.disk().powerOn(SimDisk::Unsynced::kForgotten);
    world.live(0);
    if (HasFailure()) {
      FAIL() << "power lost at operation " << n;
    }
    if (clean) break;
    ASSERT_LT(n, 2000U);
  }
}

TEST(Recovery, AcknowledgedCommitsSurviveManyPowerLosses) {
  for (std::uint64_t seed = 1; seed <= 20; seed++) {
    World world(seed * 1000);
    SeededRandom random(seed);
    for (int life = 0; life < 30; life++) {
      world.disk().losePowerAt(1 + random.below(60));
      world.live(100);
      world.disk().powerOn(static_cast<SimDisk::Unsynced>(random.below(3)));
      ASSERT_FALSE(HasFailure()) << "seed " << seed << ", life " << life;
    }
    world.live(50);
    world.live(0);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

// The new use of a file is torn so that the header of the old use is left before the first batch of the new one.
TEST(Recovery, ATornReuseOfASegmentIsNoDamageWhenAllBeforeItIsRetired) {
  LedgerOptions options = smallOptions();
  options.drive = Drive::kSteps;
  for (std::uint64_t seed = 1; seed <= 300; seed++) {
    SimDisk disk(seed);
    SeededRandom random(seed);
    options.random = &random;
    for (int life = 0; life < 4; life++) {
      CollectingReplayer replayer;
      auto ledger = openLedger(disk, options, replayer);
      ASSERT_TRUE(ledger) << "seed " << seed << ", life " << life << ": " << ledger.error().message;
      ASSERT_TRUE((*ledger)->retire((*ledger)->tail()));
      while ((*ledger)->stats().spareSegments == 0 && (*ledger)->step()) continue;
      if (life > 1) disk.losePowerAt(1);
      for (std::uint64_t i = 1; i <= 3; i++) {
        const auto end = (*ledger)->append(commitOf(keyOf(1), i, pageOf(random)));
        if (!end || !(*ledger)->waitDurable(*end)) break;
      }
      if (life > 1) disk.powerOn(SimDisk::Unsynced::kByChance);
    }
  }
}

// A record over two segments that was never finished: what is written after it begins before the second of them.
TEST(Recovery, WhatFollowsADroppedRecordCanBeReadAndRetired) {
  SimDisk disk(1);
  SeededRandom random(1);
  LedgerOptions options = smallOptions();
  options.drive = Drive::kSteps;
  options.random = &random;
  CommitRecord large = commitOf(keyOf(1), 2, pageOf(random));
  std::vector<Bytes> pages;
  for (std::uint32_t i = 0; i < 60; i++) pages.push_back(pageOf(random));
  for (std::uint32_t i = 0; i < 60; i++) large.pages.push_back({.number = i + 2, .bytes = pages[i], .previous = {}});
  large.pageCount = 61;
  Position first;
  {
    CollectingReplayer replayer;
    auto ledger = *openLedger(disk, options, replayer);
    first = *ledger->append(commitOf(keyOf(1), 1, pageOf(random)));
    ASSERT_TRUE(ledger->waitDurable(first));
    ASSERT_TRUE(ledger->append(large));
    while (ledger->stats().segments < 3) ASSERT_TRUE(ledger->step());
    disk.losePowerAt(1);
    while (ledger->step()) continue;
    disk.powerOn(SimDisk::Unsynced::kForgotten);
  }
  class Counter final : public RecordSink {
   public:
    int records = 0;
    Result<void> onRecord(BytesView, Position, WallMs) override {
      records++;
      return {};
    }
  };
  for (int life = 1; life <= 2; life++) {
    CollectingReplayer replayer;
    auto ledger = *openLedger(disk, options, replayer);
    ASSERT_EQ(replayer.commits.size(), static_cast<std::size_t>(life));
    const Position end = *ledger->append(commitOf(keyOf(1), 1 + static_cast<std::uint64_t>(life), pageOf(random)));
    ASSERT_TRUE(ledger->waitDurable(end));
    Counter counter;
    const auto read = ledger->read(Position{}, end, counter);
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_EQ(counter.records, life + 1);
    if (life == 2) {
      ASSERT_TRUE(ledger->retire(end));
      EXPECT_EQ(ledger->stats().segments, 1U) << "what was dropped holds nothing back";
    }
  }
}

class DamageTest : public testing::Test {
 protected:
  std::unique_ptr<Ledger> open() {
    replayed = CollectingReplayer();
    auto ledger = openLedger(disk, smallOptions(), replayed);
    EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
    if (!ledger) return nullptr;
    awaitSpare(**ledger, smallOptions());
    return std::move(*ledger);
  }
  // One batch of two blocks per record: the pages are chance, hence a little more than one block each.
  void write(int records) {
    auto ledger = open();
    for (int i = 0; i < records; i++) {
      ASSERT_TRUE(ledger->waitDurable(*ledger->append(commitOf(keyOf(1), ++transaction, pageOf(random)))));
    }
  }
  Error refusal() {
    replayed = CollectingReplayer();
    const auto ledger = openLedger(disk, smallOptions(), replayed);
    EXPECT_FALSE(ledger);
    return ledger ? Error{} : ledger.error();
  }
  // Each has one record with one page that cannot be compressed.
  static std::uint64_t batch(std::uint64_t index) { return kSegmentDataStart + (index * alignUp(kPageBytes + 120)); }

  SimDisk disk{1};
  SeededRandom random{1};
  CollectingReplayer replayed;
  std::uint64_t transaction = 0;
  const std::string first = "/ledger/segment-000001";
  const std::string second = "/ledger/segment-000002";
};

TEST_F(DamageTest, InTheMiddleOfASegmentIsRefusedWithFileAndOffset) {
  write(5);
  // Every byte of one header and some of its payload.
  for (std::uint64_t at = 0; at < sizeof(BatchHeader) + 100; at++) {
    disk.damage(first, batch(2) + at, 0x10);
    const Error why = refusal();
    EXPECT_EQ(why.code, Errc::kCorrupt) << at;
    EXPECT_NE(why.message.find(first + " at offset " + std::to_string(batch(2))), std::string::npos) << why.message;
    disk.damage(first, batch(2) + at, 0x10);
  }
  open();
  EXPECT_EQ(replayed.commits.size(), 5U);
}

TEST_F(DamageTest, AtTheEndOfASegmentWithAnotherBehindItIsRefused) {
  write(20);
  disk.damage(first, batch(12) + 50, 1);
  const Error why = refusal();
  EXPECT_EQ(why.code, Errc::kCorrupt);
  EXPECT_NE(why.message.find(first + " at offset " + std::to_string(batch(12))), std::string::npos) << why.message;
}

TEST_F(DamageTest, OfTheLastBatchLooksLikeATornWriteAndEndsTheLog) {
  write(5);
  // More than one byte: as if a sector had not been written.
  for (std::uint64_t at = 50; at < 300; at++) disk.damage(first, batch(4) + at, 0xff);
  {
    auto ledger = open();
    EXPECT_EQ(replayed.commits.size(), 4U);
    EXPECT_GT(ledger->recovery().droppedBytes, 4000U);
    EXPECT_EQ(ledger->recovery().droppedAt, first + " at offset " + std::to_string(batch(4)));
    ASSERT_TRUE(ledger->waitDurable(*ledger->append(commitOf(keyOf(2), 1, pageOf(random)))));
  }
  // What was dropped stays dropped.
  open();
  ASSERT_EQ(replayed.commits.size(), 5U);
  EXPECT_EQ(replayed.commits[4].object, keyOf(2));
}

TEST_F(DamageTest, OfOneByteOfTheLastBatchIsRefusedWithItsOffset) {
  write(5);
  for (const std::uint64_t at : {std::uint64_t{3}, std::uint64_t{20}, sizeof(BatchHeader) + 50, std::uint64_t{4000}}) {
    disk.damage(first, batch(4) + at, 4);
    const Error why = refusal();
    EXPECT_EQ(why.code, Errc::kCorrupt);
    EXPECT_NE(why.message.find("byte at offset " + std::to_string(batch(4) + at)), std::string::npos) << why.message;
    disk.damage(first, batch(4) + at, 4);
  }
  open();
  EXPECT_EQ(replayed.commits.size(), 5U);
}

TEST_F(DamageTest, ASegmentThatIsGoneIsMissed) {
  write(30);
  for (const std::string& gone : {first, second, std::string("/ledger/segment-000003")}) {
    SCOPED_TRACE(gone);
    if (!disk.exists(gone).value()) continue;
    ASSERT_TRUE(disk.rename(gone, "/elsewhere"));
    EXPECT_EQ(refusal().code, Errc::kCorrupt);
    ASSERT_TRUE(disk.rename("/elsewhere", gone));
  }
  open();
  EXPECT_EQ(replayed.commits.size(), 30U);
}

TEST_F(DamageTest, OfOneHeaderCopyDoesNoHarm) {
  write(5);
  for (const std::uint64_t copy : {std::uint64_t{0}, kBlockBytes}) {
    disk.damage(first, copy + 20, 1);
    open();
    EXPECT_EQ(replayed.commits.size(), 5U);
  }
}

TEST_F(DamageTest, OfBothHeadersOfASegmentInTheMiddleIsRefused) {
  write(30);
  for (const std::uint64_t copy : {std::uint64_t{0}, kBlockBytes}) disk.damage(second, copy + 20, 1);
  const Error why = refusal();
  EXPECT_EQ(why.code, Errc::kCorrupt);
}

TEST_F(DamageTest, OfTheFirstSegmentsHeadersIsRefused) {
  write(30);
  for (const std::uint64_t copy : {std::uint64_t{0}, kBlockBytes}) disk.damage(first, copy + 20, 1);
  EXPECT_EQ(refusal().code, Errc::kCorrupt);
}

TEST_F(DamageTest, OfTheMarkIsRefused) {
  write(3);
  disk.damage("/ledger/mark", 40, 1);
  const Error why = refusal();
  EXPECT_EQ(why.code, Errc::kCorrupt);
  EXPECT_NE(why.message.find("/ledger/mark"), std::string::npos);
}

TEST_F(DamageTest, AMissingMarkOrSegmentIsRefused) {
  write(30);
  ASSERT_TRUE(disk.rename(second, "/ledger/away"));
  EXPECT_EQ(refusal().code, Errc::kCorrupt);
  ASSERT_TRUE(disk.rename("/ledger/away", second));
  ASSERT_TRUE(disk.rename("/ledger/mark", "/ledger/away"));
  EXPECT_EQ(refusal().code, Errc::kCorrupt);
}

TEST_F(DamageTest, ASegmentOfAnotherLedgerIsRefused) {
  write(3);
  Bytes foreign(64 * 1024);
  ASSERT_TRUE((*disk.open(first, OpenMode::kRead))->readAt(0, foreign));
  ASSERT_TRUE(disk.removeTree("/ledger"));
  write(1);
  auto file = disk.open("/ledger/segment-000099", OpenMode::kCreateNew);
  const std::array<BytesView, 1> parts = {foreign};
  ASSERT_TRUE((*file)->writeAt(0, parts));
  EXPECT_EQ(refusal().code, Errc::kCorrupt);
}

TEST_F(DamageTest, AShortenedSegmentIsRefused) {
  write(30);
  ASSERT_TRUE((*disk.open(first, OpenMode::kReadWrite))->truncate(20'000));
  const Error why = refusal();
  EXPECT_EQ(why.code, Errc::kCorrupt);
  EXPECT_NE(why.message.find(first), std::string::npos);
}

TEST_F(DamageTest, ARefusedLedgerIsNotTouched) {
  write(5);
  disk.damage(first, batch(2), 0x10);
  const std::uint64_t before = disk.operations();
  EXPECT_NE(refusal().message, "");
  EXPECT_EQ(disk.operations(), before + 1);  // the directory's sync
}

TEST_F(DamageTest, StaleBatchesOfASegmentUsedBeforeAreNotRead) {
  {
    auto ledger = open();
    for (int i = 0; i < 200; i++) {
      ASSERT_TRUE(ledger->waitDurable(*ledger->append(commitOf(keyOf(1), ++transaction, pageOf(random)))));
      if (i % 5 == 4) ASSERT_TRUE(ledger->retire(ledger->durable()));
    }
    ASSERT_TRUE(ledger->waitDurable(*ledger->append(commitOf(keyOf(7), 1, pageOf(random)))));
  }
  // Both segments in use have whole batches of earlier uses behind their ends.
  for (int i = 0; i < 5; i++) open();
  ASSERT_EQ(replayed.commits.size(), 1U);
  EXPECT_EQ(replayed.commits[0].object, keyOf(7));
}

}  // namespace
}  // namespace hf::ledger
