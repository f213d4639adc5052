#include "storage/store.h"

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>

#include "base/limits.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

using ::testing::IsEmpty;

void write(Database& db, std::string_view key, std::string_view value) {
  must(db.put(key, asBytes(value)));
  must(db.endTurn());
}

class StoreOnMemoryLedgerTest : public StoreTest {};

TEST_F(StoreOnMemoryLedgerTest, ACheckpointMakesAPlainFile) {
  auto db = open();
  sql(*db, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
  write(*db, "a", "1");
  EXPECT_FALSE(std::filesystem::exists(file()));
  must(store_->checkpoint());
  EXPECT_EQ(sqlOnFile(file(), "SELECT x FROM t"), "1;2");
  EXPECT_EQ(sqlOnFile(file(), "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(std::filesystem::file_size(file()) % 4096, 0U);
  EXPECT_EQ(ledger_->retired(), ledger_->tail());
  EXPECT_EQ(std::filesystem::status(file()).permissions() & std::filesystem::perms::others_all,
            std::filesystem::perms::none);
  write(*db, "a", "2");
  EXPECT_EQ(kv(*db, "a"), "2");
  must(store_->checkpoint());
  EXPECT_EQ(sqlOnFile(file(), "SELECT value FROM _cf_KV"), "2");
}

TEST_F(StoreOnMemoryLedgerTest, AnObjectIsReadFromItsFileAfterTheCheckpoint) {
  auto db = open();
  write(*db, "a", "1");
  db.reset();
  must(store_->close());
  openStoreHere();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "1");
  write(*db, "b", "2");
  EXPECT_THAT(ledger_->commits.back().changedPages, IsEmpty()) << "its image is not in this ledger";
  db.reset();
  db = open();
  EXPECT_EQ(kv(*db, "b"), "2") << "the overlay outlives the database";
}

TEST_F(StoreOnMemoryLedgerTest, AFileFollowsItsObjectSoonAfterItIsClosed) {
  openStoreHere({.closedDelay = std::chrono::milliseconds(1)});
  auto db = open();
  write(*db, "a", "1");
  db.reset();
  while (sqlOnFile(file(), "SELECT value FROM _cf_KV") != "1") std::this_thread::yield();
  EXPECT_EQ(ledger_->retired().value, 0U);
}

TEST_F(StoreOnMemoryLedgerTest, NothingReachesAFileBeforeItIsDurable) {
  auto db = open();
  write(*db, "a", "1");
  must(store_->checkpoint());
  ledger_->holdBack();
  write(*db, "a", "2");
  std::thread checkpoint([&] { must(store_->checkpoint()); });
  ledger_->waitUntilSomebodyWaits();
  EXPECT_EQ(sqlOnFile(file(), "SELECT value FROM _cf_KV"), "1");
  write(*db, "a", "3");  // the shard is not held up
  EXPECT_EQ(kv(*db, "a"), "3");
  ledger_->release();
  checkpoint.join();
  EXPECT_EQ(sqlOnFile(file(), "SELECT value FROM _cf_KV"), "2") << "what is newer than the round is not in it";
  EXPECT_EQ(kv(*db, "a"), "3");
}

TEST_F(StoreOnMemoryLedgerTest, NoChangeBuildsOnAnImageThatIsRetired) {
  auto db = open();
  write(*db, "a", "1");
  write(*db, "a", "2");
  EXPECT_FALSE(ledger_->commits.back().changedPages.empty());
  std::unique_ptr<Database> late;
  // In the moment when the round has begun: just before what it will retire, and just after.
  ledger_->beforeTail = [&] {
    write(*db, "a", "3");
    late = open(2);
    write(*late, "a", "1");
  };
  std::size_t before = 0;
  ledger_->afterTail = [&] {
    before = ledger_->commits.size();
    write(*db, "a", "4");
    write(*late, "a", "2");
  };
  must(store_->checkpoint());
  ASSERT_EQ(ledger_->commits.size(), before + 2);
  EXPECT_THAT(ledger_->commits[before].changedPages, IsEmpty());
  EXPECT_THAT(ledger_->commits[before + 1].changedPages, IsEmpty());
  write(*db, "a", "5");
  EXPECT_THAT(ledger_->commits.back().changedPages, IsEmpty()) << "the file may be torn where it was copied";
  write(*db, "a", "6");
  EXPECT_FALSE(ledger_->commits.back().changedPages.empty());
  EXPECT_EQ(sqlOnFile(file(2), "SELECT value FROM _cf_KV"), "2");
}

TEST_F(StoreOnMemoryLedgerTest, DeleteAllTakesTheFileAwayAndAWriteMakesItAnew) {
  auto db = open();
  sql(*db, "CREATE TABLE big (x); INSERT INTO big VALUES (zeroblob(100000))");
  write(*db, "a", "1");
  must(store_->checkpoint());
  EXPECT_GT(std::filesystem::file_size(file()), 100'000U);
  must(db->deleteAll(DeleteAlarm::kYes));
  must(db->endTurn());
  EXPECT_EQ(kv(*db, "a"), "(none)");
  must(store_->checkpoint());
  EXPECT_FALSE(std::filesystem::exists(file()));
  write(*db, "b", "2");
  must(store_->checkpoint());
  EXPECT_LT(std::filesystem::file_size(file()), 20'000U);
  EXPECT_EQ(sqlOnFile(file(), "SELECT key FROM _cf_KV; PRAGMA integrity_check"), "b;ok");
  must(db->deleteAll(DeleteAlarm::kYes));
  write(*db, "c", "3");
  must(store_->checkpoint());
  EXPECT_EQ(sqlOnFile(file(), "SELECT key FROM _cf_KV; PRAGMA integrity_check"), "c;ok");
}

TEST_F(StoreOnMemoryLedgerTest, AResetDuringACheckpointWins) {
  auto db = open();
  ledger_->holdBack();
  write(*db, "a", "1");
  std::thread checkpoint([&] { must(store_->checkpoint()); });
  ledger_->waitUntilSomebodyWaits();
  must(db->deleteAll(DeleteAlarm::kYes));
  write(*db, "b", "2");
  ledger_->release();
  checkpoint.join();
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_EQ(kv(*db, "b"), "2");
  db.reset();
  must(store_->close());
  EXPECT_EQ(sqlOnFile(file(), "SELECT key FROM _cf_KV"), "b");
}

TEST_F(StoreOnMemoryLedgerTest, ObjectsAreListedInOrderWhereverTheyAre) {
  auto stored = open(3);
  write(*stored, "a", "1");
  stored.reset();
  must(store_->checkpoint());
  auto fresh = open(2);
  write(*fresh, "a", "1");
  auto empty = open(5);
  auto emptied = open(4);
  write(*emptied, "a", "1");
  must(store_->checkpoint());
  must(emptied->deleteAll(DeleteAlarm::kYes));
  must(emptied->endTurn());
  const auto list = [&](std::optional<ObjectId> after, std::size_t limit) {
    std::string text;
    for (const StoredObject& object : must(store_->listObjects(objectKey(1).ns, after, limit))) {
      text += std::to_string(object.id.bytes[0]) + (object.hasStoredData ? "+ " : "- ");
    }
    return text;
  };
  EXPECT_EQ(list(std::nullopt, 100), "2+ 3+ 4- 5- ");
  EXPECT_EQ(list(std::nullopt, 2), "2+ 3+ ");
  EXPECT_EQ(list(objectKey(2).id, 2), "3+ 4- ");
  EXPECT_EQ(list(objectKey(5).id, 2), "");
  EXPECT_THAT(must(store_->listObjects(objectKey(1, 9).ns, std::nullopt, 5)), IsEmpty());
}

TEST_F(StoreOnMemoryLedgerTest, ACommitIsRefusedWhenCheckpointsDoNotKeepUp) {
  openStoreHere({.overlayBytesMax = 100'000});
  ledger_->holdBack();  // so that no checkpoint ends
  auto db = open();
  sql(*db, "CREATE TABLE t (x)");
  Result<std::optional<ledger::Position>> committed;
  for (int i = 0; i < 20 && committed; i++) {
    sql(*db, "INSERT INTO t VALUES (zeroblob(50000))");
    committed = db->endTurn();
  }
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, Errc::kOverloaded);
  ledger_->release();
}

TEST_F(StoreOnMemoryLedgerTest, OpenFilesAreBounded) {
  const auto openFiles = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  const auto before = openFiles();
  std::vector<std::unique_ptr<Database>> all;
  const auto keyOf = [](int i) {
    ObjectKey key = objectKey(1);
    key.id.bytes[0] = static_cast<std::uint8_t>(i);
    key.id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    return key;
  };
  const int count = static_cast<int>(limits::kOpenObjectFilesMax) + 100;
  for (int round = 0; round < 2; round++) {
    all.clear();
    for (int i = 0; i < count; i++) {
      all.push_back(must(store_->open(keyOf(i), "")));
      if (round == 0) write(*all.back(), "a", "1");
      EXPECT_EQ(kv(*all.back(), "a"), "1");
    }
    all.clear();
    must(store_->checkpoint());
  }
  EXPECT_LE(openFiles() - before, static_cast<int>(limits::kOpenObjectFilesMax) + 2);
}

// --- on the real ledger

class StoreRecoveryTest : public ::testing::Test {
 protected:
  void openStoreHere(StoreOptions options = {}) {
    options.directory = directory_.path();
    store_.reset();
    store_ = must(openStore(systemDisk(), systemClock(), testLog(), options));
  }
  std::unique_ptr<Database> open(std::uint8_t number = 1, std::uint8_t ns = 1, std::string name = "") {
    return must(store_->open(objectKey(number, ns), std::move(name)));
  }
  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreRecoveryTest, WhatWasCommittedIsThereWithoutACheckpoint) {
  openStoreHere();
  auto db = open();
  write(*db, "a", "1");
  write(*db, "a", "2");
  must(store_->ledger().waitDurable(store_->ledger().tail()));
  db.reset();
  openStoreHere();  // the old store went without close()
  EXPECT_EQ(store_->ledger().recovery().records, 2U);
  db = open();
  EXPECT_EQ(kv(*db, "a"), "2");
  write(*db, "b", "3");
  db.reset();
  must(store_->close());
  openStoreHere();
  EXPECT_EQ(store_->ledger().recovery().records, 0U);
  db = open();
  EXPECT_EQ(kv(*db, "b"), "3");
  EXPECT_EQ(sqlOnFile(filePath(directory_.path(), objectKey(1)), "PRAGMA integrity_check"), "ok");
}

TEST_F(StoreRecoveryTest, ADeleteAllIsRecovered) {
  openStoreHere();
  auto db = open();
  write(*db, "a", "1");
  must(store_->checkpoint());
  must(db->deleteAll(DeleteAlarm::kYes));
  must(db->endTurn());
  db.reset();
  openStoreHere();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_EQ(must(db->databaseSize()), 4096U);
  write(*db, "b", "2");
  db.reset();
  openStoreHere();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_EQ(kv(*db, "b"), "2");
}

TEST_F(StoreRecoveryTest, AlarmsAreKnownAfterACrashAndAfterACleanStop) {
  const auto alarms = [&] {
    std::string text;
    for (const ScheduledAlarm& alarm : store_->recoveredAlarms()) {
      text += std::to_string(alarm.object.id.bytes[0]) + "@" + std::to_string(alarm.at) + alarm.objectName + " ";
    }
    return text;
  };
  openStoreHere();
  auto db = open(1, 1, "lobby");
  auto other = open(2);
  must(db->setAlarm(1000));
  must(db->endTurn());
  must(other->setAlarm(5));
  must(other->endTurn());
  must(store_->checkpoint());
  must(db->setAlarm(2000));
  must(db->endTurn());
  must(other->setAlarm(std::nullopt));
  must(other->endTurn());
  db.reset();
  other.reset();
  openStoreHere();
  EXPECT_EQ(alarms(), "1@2000lobby ");
  must(store_->close());
  openStoreHere();
  EXPECT_EQ(alarms(), "1@2000lobby ");
  db = open(1, 1, "lobby");
  EXPECT_EQ(must(db->alarm()), 2000);
}

TEST_F(StoreRecoveryTest, ADamagedFileOfAlarmsIsRefused) {
  openStoreHere();
  auto db = open();
  must(db->setAlarm(1000));
  must(db->endTurn());
  db.reset();
  must(store_->close());
  store_.reset();
  auto file = must(systemDisk().open(directory_.path() + "/alarms", OpenMode::kReadWrite));
  const std::uint8_t byte = 0xee;
  const BytesView part(&byte, 1);
  must(file->writeAt(30, std::span(&part, 1)));
  const auto reopened = openStore(systemDisk(), systemClock(), testLog(), {.directory = directory_.path()});
  ASSERT_FALSE(reopened);
  EXPECT_EQ(reopened.error().code, Errc::kCorrupt);
}

TEST_F(StoreRecoveryTest, ADeletedNamespaceStaysDeleted) {
  openStoreHere();
  const NamespaceId ns = objectKey(1).ns;
  auto db = open();
  write(*db, "a", "1");
  must(store_->checkpoint());
  auto other = open(1, 2);
  write(*other, "a", "other");
  must(db->setAlarm(5));
  must(db->endTurn());
  EXPECT_FALSE(store_->deleteNamespace(ns)) << "while an object is open";
  db.reset();
  must(store_->deleteNamespace(ns));
  must(store_->deleteNamespace(ns));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/objects/" + ns.hex()));
  EXPECT_THAT(must(store_->listObjects(ns, std::nullopt, 10)), IsEmpty());
  EXPECT_THAT(store_->recoveredAlarms(), IsEmpty());
  db = open();
  EXPECT_EQ(kv(*db, "a"), "(none)");
  write(*db, "b", "after");
  db.reset();
  other.reset();
  openStoreHere();
  EXPECT_THAT(store_->recoveredAlarms(), IsEmpty());
  db = open();
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_EQ(kv(*db, "b"), "after");
  other = open(1, 2);
  EXPECT_EQ(kv(*other, "a"), "other");
}

TEST_F(StoreRecoveryTest, ShardsGoOnWhileCheckpointsRun) {
  openStoreHere({.overlayBytesMax = 4'000'000, .ledgerBytesMax = 50'000, .closedDelay = std::chrono::milliseconds(1)});
  constexpr int kTurns = 400;
  const auto shard = [&](std::uint8_t first) {
    for (int i = 0; i < kTurns; i++) {
      auto db = open(static_cast<std::uint8_t>(first + i % 7));
      const std::string count = kv(*db, "count");
      write(*db, "count", std::to_string(count == "(none)" ? 1 : std::stoi(count) + 1));
      if (i % 3 == 0) write(*db, "big" + std::to_string(i % 5), std::string(static_cast<std::size_t>(20 * i), 'x'));
    }
  };
  std::atomic<bool> done = false;
  std::thread a(shard, 10);
  std::thread b(shard, 20);
  std::thread lister([&] {
    while (!done) {
      must(store_->listObjects(objectKey(1).ns, std::nullopt, 100));
      must(store_->checkpoint());
    }
  });
  a.join();
  b.join();
  done = true;
  lister.join();
  must(store_->close());
  for (const int first : {10, 20}) {
    int total = 0;
    for (int i = 0; i < 7; i++) {
      const std::string path = filePath(directory_.path(), objectKey(static_cast<std::uint8_t>(first + i)));
      EXPECT_EQ(sqlOnFile(path, "PRAGMA integrity_check"), "ok");
      total += std::stoi(sqlOnFile(path, "SELECT CAST(value AS TEXT) FROM _cf_KV WHERE key = 'count'"));
    }
    EXPECT_EQ(total, kTurns);
  }
}

}  // namespace
}  // namespace hf::storage
