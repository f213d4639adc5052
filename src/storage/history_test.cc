// Objects are taken back to what they were: through checkpoints, restarts, resets, power losses.
#include "storage/history.h"

#include <gtest/gtest.h>

#include <map>

#include "base/sim_disk.h"
#include "storage/bookmark.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

using Content = std::map<std::string, std::string>;

class ImmediateExecutor final : public Executor {
 public:
  void post(Task task) override { task(); }
  [[nodiscard]] bool isCurrent() const override { return true; }
  std::uint64_t addTimer(SteadyTime, Task) override { return 1; }
  void cancelTimer(std::uint64_t) override {}
};

class TestClock final : public Clock {
 public:
  [[nodiscard]] WallMs wallMs() const override { return now; }
  [[nodiscard]] std::chrono::steady_clock::time_point steady() const override {
    return SteadyTime(std::chrono::milliseconds(now));
  }
  WallMs now = 1'000'000'000;
};

class HistoryTest : public ::testing::Test {
 protected:
  void start(std::chrono::milliseconds retention = std::chrono::hours(24)) {
    store = must(openStoreOn(
        disk(), clock, testLog(),
        {.directory = "data", .ledgerBytesMax = 200'000, .historyRetention = retention, .drive = ledger::Drive::kSteps},
        [&](ledger::Replayer& replayer) {
          ledger::LedgerOptions options;
          options.directory = "data/ledger";
          options.segmentBytes = 128 * 1024;
          options.clock = &clock;
          options.drive = ledger::Drive::kSteps;
          return ledger::openLedger(disk(), options, replayer);
        }));
  }
  static std::vector<std::unique_ptr<SimDisk>> makeDisks() {
    std::vector<std::unique_ptr<SimDisk>> made;
    made.push_back(std::make_unique<SimDisk>(1));
    return made;
  }
  SimDisk& disk() { return *disks.back(); }
  void stop() {
    database.reset();
    must(store->close());
    store.reset();
  }
  Database& open() {
    if (database == nullptr) database = must(store->open(key, "name"));
    return *database;
  }
  void put(const std::string& name, const std::string& value) { must(open().put(name, asBytes(value))); }
  // Ends the turn; the bookmark of what is there now.
  std::string commit() {
    must(open().endTurn());
    return must(store->bookmark(key, open().version()));
  }
  std::string putNow(const std::string& name, const std::string& value) {
    put(name, value);
    return commit();
  }
  Content content() {
    Content all;
    for (const ListEntry& entry : must(open().list({}))) all[entry.key] = std::string(asText(entry.value));
    return all;
  }
  // Goes back as an object does: asks, ends, and is opened again. The undo bookmark.
  std::string goBack(const std::string& bookmark) {
    const RestoreRequested requested = must(store->requestRestore(key, bookmark));
    database.reset();
    must(carryOut());
    return requested.undo;
  }
  Result<void> carryOut() {
    EXPECT_TRUE(store->hasRestoreRequest(key));
    std::optional<Result<void>> done;
    store->restore(key, "name", executor, [&](Result<std::optional<WallMs>> result) {
      done = result ? Result<void>() : std::unexpected(result.error());
    });
    while (!done && store->step()) {
    }
    EXPECT_TRUE(done);
    EXPECT_FALSE(store->hasRestoreRequest(key));
    return done.value_or(Result<void>());
  }
  std::string bookmarkFor(WallMs time) {
    std::optional<Result<std::string>> done;
    store->bookmarkForTime(key, time, executor, [&](Result<std::string> result) { done = std::move(result); });
    while (!done && store->step()) {
    }
    return must(std::move(*done));
  }

  const ObjectKey key = objectKey(1);
  // The last one is in use.
  std::vector<std::unique_ptr<SimDisk>> disks = makeDisks();
  TestClock clock;
  ImmediateExecutor executor;
  std::unique_ptr<Store> store;
  std::unique_ptr<Database> database;
};

TEST_F(HistoryTest, AnObjectIsWhatItWasAtTheBookmark) {
  start();
  const std::string first = putNow("a", "1");
  putNow("a", "2");
  must(store->checkpoint());
  const std::string second = putNow("a", "3");
  must(store->checkpoint());
  putNow("b", "4");
  const std::string undo = goBack(first);
  EXPECT_EQ(content(), (Content{{"a", "1"}}));
  // On from there, and back to what was before.
  putNow("c", "5");
  must(store->checkpoint());
  goBack(second);
  EXPECT_EQ(content(), (Content{{"a", "3"}}));
  goBack(undo);
  EXPECT_EQ(content(), (Content{{"a", "3"}, {"b", "4"}}));
  stop();
  EXPECT_LT(first, second);
  EXPECT_LT(second, undo);
}

TEST_F(HistoryTest, ResetsAlarmsAndTablesComeBack) {
  start();
  sql(open(), "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
  must(open().setAlarm(5'000'000));
  const std::string before = commit();
  must(store->checkpoint());
  must(open().deleteAll(DeleteAlarm::kYes));
  const std::string empty = commit();
  putNow("only", "this");
  must(store->checkpoint());
  EXPECT_TRUE(store->recoveredAlarms().empty());
  goBack(before);
  EXPECT_EQ(sql(open(), "SELECT sum(x) FROM t"), "3");
  EXPECT_EQ(must(open().alarm()), 5'000'000);
  ASSERT_EQ(store->recoveredAlarms().size(), 1U);
  EXPECT_EQ(store->recoveredAlarms()[0].objectName, "name");
  goBack(empty);
  EXPECT_EQ(content(), Content());
  EXPECT_EQ(sql(open(), "SELECT count(*) FROM sqlite_schema"), "0");
  EXPECT_TRUE(store->recoveredAlarms().empty());
  stop();
}

TEST_F(HistoryTest, ARequestSurvivesARestart) {
  start();
  const std::string first = putNow("a", "1");
  putNow("a", "2");
  must(store->requestRestore(key, first));
  stop();
  start();
  ASSERT_TRUE(store->hasRestoreRequest(key));
  EXPECT_EQ(content(), (Content{{"a", "2"}})) << "until the next session begins";
  database.reset();
  must(carryOut());
  EXPECT_EQ(content(), (Content{{"a", "1"}}));
  stop();
  start();
  EXPECT_FALSE(store->hasRestoreRequest(key));
  EXPECT_EQ(content(), (Content{{"a", "1"}}));
  stop();
}

TEST_F(HistoryTest, TimesLeadToWhatWasThen) {
  start();
  putNow("a", "1");
  must(store->ledger().waitDurable(store->ledger().tail()));
  clock.now += 1000;
  const WallMs between = clock.now;
  clock.now += 1000;
  putNow("a", "2");
  must(store->ledger().waitDurable(store->ledger().tail()));
  for (int i = 0; i < 3; i++) {
    SCOPED_TRACE(i);
    goBack(bookmarkFor(between));
    EXPECT_EQ(content(), (Content{{"a", "1"}}));
    clock.now += 1000;
    putNow("a", "2");
    must(store->checkpoint());  // the next time it comes from the files of history
  }
  stop();
}

TEST_F(HistoryTest, BookmarksOfOthersAndOfTheFutureAreRefused) {
  start();
  const std::string mine = putNow("a", "1");
  EXPECT_EQ(store->requestRestore(objectKey(2), mine).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(store->requestRestore(key, "").error().code, Errc::kInvalidArgument);
  EXPECT_EQ(store->requestRestore(key, mine + "0").error().code, Errc::kInvalidArgument);
  std::string changed = mine;
  changed[16] = changed[16] == '0' ? '1' : '0';
  EXPECT_EQ(store->requestRestore(key, changed).error().code, Errc::kInvalidArgument);
  const std::string future = formatBookmark({.position = {1ULL << 40}}, key, store->ledger().id());
  EXPECT_EQ(store->requestRestore(key, future).error().code, Errc::kInvalidArgument);
  EXPECT_FALSE(store->hasRestoreRequest(key));
  stop();
}

TEST_F(HistoryTest, WhatIsOlderThanTheRetentionIsRemoved) {
  start(std::chrono::hours(1));
  const std::string old = putNow("a", "1");
  putNow("a", "1.5");
  must(store->checkpoint());
  EXPECT_EQ(store->historyStats()->files, 1U);
  EXPECT_GT(store->historyStats()->bytes, 0U);
  clock.now += 2 * 3'600'000;
  putNow("a", "2");
  must(store->checkpoint());
  EXPECT_EQ(store->historyStats()->files, 1U);
  EXPECT_EQ(store->requestRestore(key, old).error().code, Errc::kNotFound);
  stop();
  // Without history nothing of it stays.
  start(std::chrono::hours(0));
  EXPECT_FALSE(must(disk().exists("data/history")));
  EXPECT_EQ(store->bookmark(key, {}).error().code, Errc::kUnsupported);
  stop();
}

TEST_F(HistoryTest, DamageIsRefusedAndTheObjectStaysAsItIs) {
  start();
  const std::string first = putNow("a", std::string(3000, 'x'));
  putNow("a", "2");
  must(store->checkpoint());
  const std::vector<std::string> files = must(disk().list("data/history"));
  ASSERT_EQ(files.size(), 1U);
  disk().damage("data/history/" + files[0], 300, 1);
  must(store->requestRestore(key, first));
  database.reset();
  const Result<void> refused = carryOut();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCorrupt);
  EXPECT_NE(refused.error().message.find("data/history/" + files[0] + ": damaged at offset"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(content(), (Content{{"a", "2"}}));
  stop();
}

// Random lives, and back to every point of them.
TEST_F(HistoryTest, FacetsGoBackWithTheirRoot) {
  start();
  ObjectKey a = key;
  ObjectKey b = key;
  a.id = facetId(key.id, "a");
  b.id = facetId(key.id, "b");
  // Everything in one group; an empty text erases.
  const auto write = [&](const std::string& root, const std::string& inA, const std::string& inB) {
    const auto facetA = must(store->open(a, ""));
    const auto facetB = must(store->open(b, ""));
    std::vector<Database*> all = {&open(), facetA.get(), facetB.get()};
    const std::vector<std::string> values = {root, inA, inB};
    for (std::size_t i = 0; i < 3; i++) {
      if (values[i].empty()) {
        must(all[i]->deleteAll(DeleteAlarm::kYes));
      } else {
        must(all[i]->put("v", asBytes(values[i])));
      }
    }
    must(store->commitTogether(all));
    return must(store->bookmark(key, store->ledger().tail()));
  };
  const auto facet = [&](const ObjectKey& of) {
    const auto db = must(store->open(of, ""));
    return kv(*db, "v");
  };
  const auto all = [&] { return kv(open(), "v") + " " + facet(a) + " " + facet(b); };
  const std::string first = write("1", "a1", "");
  must(store->checkpoint());
  clock.now += 10'000;
  const std::string second = write("2", "a2", "b2");
  const WallMs then = clock.wallMs();
  must(store->ledger().waitDurable(store->ledger().tail()));
  clock.now += 10'000;
  must(store->checkpoint());
  const std::string third = write("3", "", "b3");
  must(store->checkpoint());
  const std::string undo = goBack(first);
  EXPECT_EQ(all(), "1 a1 (none)");
  must(store->checkpoint());
  goBack(second);
  EXPECT_EQ(all(), "2 a2 b2");
  goBack(third);
  EXPECT_EQ(all(), "3 (none) b3");
  write("4", "a4", "");
  goBack(undo);
  EXPECT_EQ(all(), "3 (none) b3");
  // A facet alone has changed since: the time counts for all of them.
  goBack(bookmarkFor(then));
  EXPECT_EQ(all(), "2 a2 b2");
  stop();
}

TEST_F(HistoryTest, EveryPointOfALifeCanBeGoneBackTo) {
  for (std::uint64_t seed = 1; seed <= 40; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    disks.push_back(std::make_unique<SimDisk>(seed));
    start();
    std::vector<std::pair<std::string, Content>> points = {{commit(), {}}};
    Content now;
    for (int step = 0; step < 60; step++) {
      switch (random.below(12)) {
        case 0:
          must(store->checkpoint());
          continue;
        case 1:
          database.reset();
          continue;
        case 2:
          stop();
          start();
          continue;
        case 3: {  // the machine stops, with or without what was being written
          must(store->ledger().waitDurable(store->ledger().tail()));
          for (std::uint64_t i = random.below(12); i > 0; i--) store->step();
          disk().losePowerAt(1);
          database.reset();
          store.reset();
          disk().powerOn(static_cast<SimDisk::Unsynced>(random.below(3)));
          start();
          continue;
        }
        case 4:
          for (std::uint64_t i = random.below(20); i > 0; i--) store->step();
          continue;
        case 5:
          must(open().deleteAll(DeleteAlarm::kYes));
          now.clear();
          break;
        case 6: {
          const std::size_t to = random.below(points.size());
          goBack(points[to].first);
          now = points[to].second;
          ASSERT_EQ(content(), now) << "step " << step << " back to point " << to;
          ASSERT_EQ(sql(open(), "PRAGMA quick_check"), "ok");
          break;
        }
        default:
          for (std::uint64_t i = 1 + random.below(3); i > 0; i--) {
            const std::string name = "k" + std::to_string(random.below(30));
            const std::string value(random.below(3) == 0 ? 2000 + random.below(9000) : random.below(200),
                                    static_cast<char>('a' + random.below(26)));
            if (random.below(4) == 0) {
              must(open().remove(name));
              now.erase(name);
            } else {
              put(name, value);
              now[name] = value;
            }
          }
          break;
      }
      points.emplace_back(commit(), now);
    }
    for (std::size_t to = 0; to < points.size(); to++) {
      goBack(points[to].first);
      ASSERT_EQ(content(), points[to].second) << "back to point " << to << " of " << points.size();
    }
    stop();
  }
}

// The folder is known and synced; the round that makes the file anew fails before it has synced the name.
TEST_F(HistoryTest, AFileThatAFailedRoundMadeKeepsItsName) {
  start();
  putNow("a", "1");
  must(store->checkpoint());
  must(open().deleteAll(DeleteAlarm::kYes));
  commit();
  must(store->checkpoint());
  putNow("a", "2");
  disk().setCapacity(0);  // what is there stays; nothing can grow
  EXPECT_FALSE(store->checkpoint());
  disk().setCapacity(UINT64_MAX);
  must(store->checkpoint());
  database.reset();
  store.reset();
  disk().powerOn(SimDisk::Unsynced::kForgotten);
  start();
  EXPECT_EQ(content(), (Content{{"a", "2"}}));
  stop();
}

// What recovery has replayed may be older than the version of the file at which history begins.
TEST_F(HistoryTest, NoChangeBuildsOnWhatRecoveryReplayed) {
  start();
  putNow("a", "1");
  database.reset();
  clock.now += 10'000;
  while (store->step()) {
  }
  // The file is complete, and the ledger has not retired what led there.
  const std::string before = putNow("a", "2");
  must(store->ledger().waitDurable(store->ledger().tail()));
  database.reset();
  store.reset();
  disk().powerOn(SimDisk::Unsynced::kKept);
  start();
  const std::string second = putNow("a", "3");
  must(store->checkpoint());
  putNow("a", "4");
  must(store->checkpoint());
  goBack(second);
  EXPECT_EQ(content(), (Content{{"a", "3"}}));
  goBack(before);
  EXPECT_EQ(content(), (Content{{"a", "2"}}));
  stop();
}

}  // namespace
}  // namespace hf::storage
