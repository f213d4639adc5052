#include <gmock/gmock.h>

#include <filesystem>

#include "base/limits.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class DatabaseTest : public StoreTest {};

TEST_F(DatabaseTest, AnObjectThatIsOnlyReadCostsNoRecordAndNoFile) {
  auto db = open();
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_FALSE(must(db->remove("a")));
  EXPECT_TRUE(must(db->list({})).empty());
  EXPECT_EQ(must(db->alarm()), std::nullopt);
  EXPECT_EQ(sql(*db, "SELECT 1"), "1");
  EXPECT_FALSE(db->isDirty());
  EXPECT_EQ(must(db->endTurn()), std::nullopt);
  EXPECT_THAT(ledger_->commits, IsEmpty());
  db.reset();
  must(store_->checkpoint());
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/objects"));
}

TEST_F(DatabaseTest, TheWritesOfATurnAreOneRecord) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->put("b", asBytes("2")));
  EXPECT_EQ(sql(*db, "CREATE TABLE t (x); INSERT INTO t VALUES (5)"), "");
  must(db->setAlarm(1234));
  EXPECT_TRUE(db->isDirty());
  EXPECT_THAT(ledger_->commits, IsEmpty());
  const auto position = must(db->endTurn());
  ASSERT_TRUE(position);
  EXPECT_EQ(*position, ledger_->tail());
  ASSERT_EQ(ledger_->commits.size(), 1U);
  EXPECT_EQ(ledger_->commits[0].alarm->at, 1234);
  EXPECT_EQ(ledger_->commits[0].transaction, 1U);
  EXPECT_FALSE(db->isDirty());
  EXPECT_FALSE(std::filesystem::exists(directory_.path() + "/objects"));
}

TEST_F(DatabaseTest, ASmallLaterTurnIsOneChangedPage) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->endTurn());
  must(db->put("a", asBytes("2")));
  must(db->endTurn());
  must(db->put("a", asBytes("3")));
  must(db->endTurn());
  ASSERT_EQ(ledger_->commits.size(), 3U);
  EXPECT_THAT(ledger_->commits[2].wholePages, IsEmpty());
  EXPECT_EQ(ledger_->commits[2].changedPages.size(), 1U);
}

TEST_F(DatabaseTest, ClosingDropsWhatWasNotCommitted) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->endTurn());
  must(db->put("a", asBytes("2")));
  db.reset();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "1");
  EXPECT_EQ(ledger_->commits.size(), 1U);
}

TEST_F(DatabaseTest, ASecondDatabaseOfAnObjectIsRefused) {
  auto db = open();
  const auto second = store_->open(objectKey(1), "");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kAlreadyExists);
  db.reset();
  db = open();
}

TEST_F(DatabaseTest, KeysAreOrderedByTheirBytes) {
  auto db = open();
  for (const char* key : {"b", "a\U0001F600", "a\uFFFD", "a", "ab", ""}) must(db->put(key, asBytes(key)));
  std::vector<std::string> keys;
  for (const ListEntry& entry : must(db->list({}))) keys.push_back(entry.key);
  EXPECT_THAT(keys, ElementsAre("", "a", "ab", "a\uFFFD", "a\U0001F600", "b"));
}

std::string listed(Database& db, const ListOptions& options) {
  std::string keys;
  for (const ListEntry& entry : must(db.list(options))) keys += entry.key + " ";
  return keys;
}

TEST_F(DatabaseTest, ListSelectsByEveryOption) {
  auto db = open();
  for (const char* key : {"a", "b1", "b2", "b3", "c", "d"}) must(db->put(key, asBytes("v")));
  must(db->put(std::string("b2\0x", 4), asBytes("v")));
  EXPECT_EQ(listed(*db, {.start = "b2"}), std::string("b2 b2\0x b3 c d ", 15));
  EXPECT_EQ(listed(*db, {.startAfter = "b2", .end = "c"}), std::string("b2\0x b3 ", 8));
  EXPECT_EQ(listed(*db, {.end = "b1"}), "a ");
  EXPECT_EQ(listed(*db, {.prefix = "b", .limit = 2}), "b1 b2 ");
  EXPECT_EQ(listed(*db, {.prefix = "b", .reverse = true, .limit = 1}), "b3 ");
  EXPECT_EQ(listed(*db, {.reverse = true, .limit = 2}), "d c ");
  EXPECT_EQ(listed(*db, {.start = "b3", .prefix = "b"}), "b3 ");
  EXPECT_EQ(listed(*db, {.start = "a", .end = "b2", .prefix = "b"}), "b1 ");
  EXPECT_EQ(listed(*db, {.start = "c", .end = "b"}), "");
  EXPECT_EQ(listed(*db, {.start = "d", .prefix = "b"}), "");
  EXPECT_EQ(listed(*db, {.prefix = "\xff"}), "");
  EXPECT_EQ(db->list({.start = "a", .startAfter = "a"}).error().message,
            "list() cannot be called with both start and startAfter values.");
  EXPECT_EQ(db->list({.limit = 0}).error().message, "List limit must be positive.");
}

TEST_F(DatabaseTest, EmptyValuesAreValues) {
  auto db = open();
  must(db->put("a", {}));
  must(db->put("", asBytes("x")));
  EXPECT_EQ(kv(*db, "a"), "");
  EXPECT_EQ(kv(*db, ""), "x");
  EXPECT_TRUE(must(db->remove("a")));
  EXPECT_FALSE(must(db->remove("a")));
}

TEST_F(DatabaseTest, KeyAndValueTogetherAreLimited) {
  auto db = open();
  const Bytes most(limits::kKeyPlusValueBytesMax - 1, 7);
  must(db->put("k", most));
  const auto tooBig = db->put("kk", most);
  ASSERT_FALSE(tooBig);
  EXPECT_EQ(tooBig.error().message, "string or blob too big: SQLITE_TOOBIG");
  must(db->endTurn());
  EXPECT_EQ(must(db->get("k"))->size(), most.size());
}

TEST_F(DatabaseTest, TransactionSyncRollsBackToItsSavepointOnly) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->beginSync());
  must(db->put("a", asBytes("2")));
  must(db->beginSync());
  must(db->put("a", asBytes("3")));
  must(db->rollbackSync());
  EXPECT_EQ(kv(*db, "a"), "2");
  must(db->commitSync());
  must(db->endTurn());
  EXPECT_EQ(kv(*db, "a"), "2");
}

TEST_F(DatabaseTest, TablesOfOursThatWereRolledBackAreMadeAgain) {
  auto db = open();
  must(db->beginSync());
  must(db->put("a", asBytes("1")));
  must(db->setAlarm(5));
  must(db->rollbackSync());
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_EQ(must(db->alarm()), std::nullopt);
  must(db->put("a", asBytes("2")));
  must(db->setAlarm(6));
  must(db->endTurn());
  EXPECT_EQ(kv(*db, "a"), "2");
  EXPECT_EQ(must(db->alarm()), 6);
}

TEST_F(DatabaseTest, AnExplicitTransactionOutlivesTurnsAndNests) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->beginTransaction());
  ASSERT_EQ(ledger_->commits.size(), 1U) << "the implicit one is committed first";
  must(db->put("a", asBytes("2")));
  must(db->endTurn());
  EXPECT_EQ(ledger_->commits.size(), 1U);
  EXPECT_TRUE(db->isDirty());
  must(db->beginTransaction());
  must(db->put("b", asBytes("x")));
  must(db->rollbackTransaction());
  EXPECT_EQ(kv(*db, "b"), "(none)");
  EXPECT_EQ(kv(*db, "a"), "2");
  must(db->commitTransaction());
  EXPECT_EQ(ledger_->commits.size(), 2U);
  EXPECT_FALSE(db->isDirty());
  must(db->beginTransaction());
  must(db->put("a", asBytes("3")));
  must(db->rollbackTransaction());
  EXPECT_EQ(kv(*db, "a"), "2");
  EXPECT_FALSE(db->isDirty());
  EXPECT_EQ(ledger_->commits.size(), 2U);
}

TEST_F(DatabaseTest, TheAlarmFollowsWhatIsCommitted) {
  auto db = open(1, "room");
  must(db->setAlarm(1000));
  must(db->endTurn());
  must(db->beginSync());
  must(db->setAlarm(std::nullopt));
  must(db->rollbackSync());
  must(db->put("a", asBytes("1")));
  must(db->endTurn());
  auto alarms = store_->recoveredAlarms();
  ASSERT_EQ(alarms.size(), 1U);
  EXPECT_EQ(alarms[0].at, 1000);
  EXPECT_EQ(alarms[0].objectName, "room");
  must(db->setAlarm(2000));
  EXPECT_EQ(store_->recoveredAlarms()[0].at, 1000);
  must(db->endTurn());
  EXPECT_EQ(store_->recoveredAlarms()[0].at, 2000);
  must(db->setAlarm(std::nullopt));
  must(db->endTurn());
  EXPECT_THAT(store_->recoveredAlarms(), IsEmpty());
}

TEST_F(DatabaseTest, DeleteAllLeavesAnEmptyDatabase) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->setAlarm(7));
  sql(*db, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)");
  must(db->endTurn());
  auto cursor = must(db->exec("SELECT x FROM t", {}));
  must(db->deleteAll(DeleteAlarm::kYes));
  EXPECT_TRUE(db->isDirty());
  EXPECT_EQ(cursor->advance().error().message, "SQLite query was canceled because the database was deleted.");
  EXPECT_FALSE(cursor->hasRow());
  EXPECT_EQ(kv(*db, "a"), "(none)");
  EXPECT_EQ(must(db->alarm()), std::nullopt);
  EXPECT_THAT(sql(*db, "SELECT * FROM t"), HasSubstr("no such table: t"));
  EXPECT_EQ(must(db->databaseSize()), 4096U);
  must(db->endTurn());
  ASSERT_EQ(ledger_->commits.size(), 2U);
  EXPECT_TRUE(ledger_->commits[1].reset);
  EXPECT_EQ(ledger_->commits[1].pageCount, 0U);
  ASSERT_TRUE(ledger_->commits[1].alarm);
  EXPECT_EQ(ledger_->commits[1].alarm->at, std::nullopt);
  EXPECT_THAT(store_->recoveredAlarms(), IsEmpty());
  db.reset();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "(none)");
}

TEST_F(DatabaseTest, DeleteAllMayKeepTheAlarmAndBeWrittenAfter) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->setAlarm(7));
  must(db->endTurn());
  must(db->put("b", asBytes("not committed")));
  must(db->deleteAll(DeleteAlarm::kNo));
  must(db->put("c", asBytes("3")));
  must(db->endTurn());
  EXPECT_EQ(must(db->alarm()), 7);
  EXPECT_EQ(listed(*db, {}), "c ");
  ASSERT_EQ(ledger_->commits.size(), 2U);
  EXPECT_TRUE(ledger_->commits[1].reset);
  EXPECT_THAT(ledger_->commits[1].changedPages, IsEmpty());
  EXPECT_EQ(store_->recoveredAlarms().size(), 1U);
}

TEST_F(DatabaseTest, DeleteAllIsTakenBackByAbort) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->endTurn());
  must(db->deleteAll(DeleteAlarm::kYes));
  db->abort({Errc::kDisconnected, "gone"});
  EXPECT_EQ(db->get("a").error().message, "gone");
  EXPECT_FALSE(db->isDirty());
  db.reset();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "1");
}

TEST_F(DatabaseTest, DeleteAllIsRefusedInsideTransactions) {
  auto db = open();
  must(db->beginTransaction());
  EXPECT_EQ(db->deleteAll(DeleteAlarm::kYes).error().message, "Cannot call deleteAll() within a transaction");
  must(db->rollbackTransaction());
  must(db->beginSync());
  EXPECT_FALSE(db->deleteAll(DeleteAlarm::kYes));
  must(db->rollbackSync());
}

TEST_F(DatabaseTest, ARefusedCommitBreaksTheDatabaseAndLosesNothingElse) {
  for (const auto& [code, text] : std::vector<std::pair<Errc, std::string>>{
           {Errc::kNoSpace, "database or disk is full: SQLITE_FULL"},
           {Errc::kLedgerPoisoned, "disk I/O error: SQLITE_IOERR"},
           {Errc::kOverloaded, "Durable Object is overloaded. Too much data queued."}}) {
    auto db = open();
    must(db->put("a", asBytes("1")));
    must(db->endTurn());
    auto cursor = must(db->exec("SELECT 1 UNION ALL SELECT 2", {}));
    must(db->put("a", asBytes("2")));
    ledger_->refusal = Error{code, "no"};
    const auto failed = db->endTurn();
    ledger_->refusal.reset();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, code);
    EXPECT_EQ(failed.error().message, text);
    EXPECT_EQ(db->broken(), failed.error());
    EXPECT_EQ(db->get("a").error(), failed.error());
    EXPECT_EQ(db->endTurn().error(), failed.error());
    EXPECT_EQ(cursor->advance().error(), failed.error());
    EXPECT_FALSE(db->isDirty());
    db.reset();
    db = open();
    EXPECT_EQ(kv(*db, "a"), "1");
    EXPECT_EQ(sql(*db, "PRAGMA quick_check"), "ok");
  }
}

TEST_F(DatabaseTest, ARefusedResetBreaksTheDatabaseToo) {
  auto db = open();
  must(db->put("a", asBytes("1")));
  must(db->endTurn());
  must(db->deleteAll(DeleteAlarm::kYes));
  ledger_->refusal = Error{Errc::kNoSpace, "no"};
  EXPECT_FALSE(db->endTurn());
  ledger_->refusal.reset();
  db.reset();
  db = open();
  EXPECT_EQ(kv(*db, "a"), "1");
}

TEST_F(DatabaseTest, ADeferredConstraintBreaksAtTheEndOfTheTurn) {
  auto db = open();
  sql(*db, "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p(id))");
  must(db->endTurn());
  EXPECT_EQ(sql(*db, "PRAGMA defer_foreign_keys=ON; INSERT INTO c VALUES (1)"), "");
  const auto failed = db->endTurn();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message,
            "Durable Object was reset and rolled back to its last known good state because the application left the "
            "database in a state where constraints were violated: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT "
            "(extended: SQLITE_CONSTRAINT_FOREIGNKEY)");
  EXPECT_TRUE(db->broken());
}

TEST_F(DatabaseTest, CursorsOutliveTheirDatabase) {
  auto db = open();
  sql(*db, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
  auto reading = must(db->exec("SELECT x FROM t", {}));
  auto finished = must(db->exec("SELECT x FROM t LIMIT 0", {}));
  auto writing = must(db->exec("INSERT INTO t VALUES (3), (4) RETURNING x", {}));
  db.reset();
  EXPECT_EQ(reading->advance().error().message, "Durable Object storage is no longer accessible.");
  EXPECT_THAT(reading->columnNames(), ElementsAre("x"));
  EXPECT_EQ(reading->rowsRead(), 1U);
  must(finished->advance());
  EXPECT_EQ(rowsOf(*writing), "3;4");
}

TEST_F(DatabaseTest, ATerminatedTransactionSyncIsNotCommitted) {
  auto db = open();
  must(db->beginSync());
  must(db->put("a", asBytes("1")));
  EXPECT_FALSE(db->endTurn());
  EXPECT_TRUE(db->broken());
  EXPECT_THAT(ledger_->commits, IsEmpty());
}

TEST_F(DatabaseTest, OnConflictRollbackTakesTheTransactionAndNoMore) {
  auto db = open();
  sql(*db, "CREATE TABLE t (x PRIMARY KEY); INSERT INTO t VALUES (1)");
  must(db->endTurn());
  must(db->put("a", asBytes("1")));
  EXPECT_THAT(sql(*db, "INSERT OR ROLLBACK INTO t VALUES (1)"), StartsWith("!UNIQUE constraint failed"));
  EXPECT_FALSE(db->isDirty());
  EXPECT_EQ(kv(*db, "a"), "(none)");
  must(db->beginSync());
  must(db->put("b", asBytes("1")));
  EXPECT_THAT(sql(*db, "INSERT OR ROLLBACK INTO t VALUES (1)"), StartsWith("!UNIQUE constraint failed"));
  EXPECT_EQ(db->put("c", asBytes("1")).error().message,
            "Cannot commit transaction due to an earlier SQL critical error");
  EXPECT_EQ(db->commitSync().error().message, "Cannot commit transaction due to an earlier SQL critical error");
  must(db->put("d", asBytes("1")));
  must(db->endTurn());
  EXPECT_EQ(listed(*db, {}), "d ");
}

TEST_F(DatabaseTest, ALargeTransactionIsStillOneRecord) {
  auto db = open();
  sql(*db, "CREATE TABLE t (x)");
  EXPECT_EQ(sql(*db,
                "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) "
                "SELECT hex(randomblob(100)) FROM c"),
            "");
  EXPECT_EQ(sql(*db, "CREATE INDEX i ON t (x)"), "");
  must(db->endTurn());
  ASSERT_EQ(ledger_->commits.size(), 1U);
  EXPECT_GT(ledger_->commits[0].wholePages.size(), 1000U);
  sql(*db, "DELETE FROM t WHERE rowid > 10");
  must(db->endTurn());
  EXPECT_EQ(sql(*db, "SELECT count(*) FROM t; PRAGMA quick_check"), "ok");
  EXPECT_LT(must(db->databaseSize()), 100'000U);
}

TEST_F(DatabaseTest, DatabaseSizeGrowsByAPageForATable) {
  auto db = open();
  EXPECT_EQ(must(db->databaseSize()), 4096U);
  sql(*db, "CREATE TABLE t (x)");
  const auto before = must(db->databaseSize());
  sql(*db, "CREATE TABLE u (x)");
  EXPECT_EQ(must(db->databaseSize()), before + 4096);
}

TEST_F(DatabaseTest, MemoryThatWasReleasedIsMadeAgain) {
  auto db = open();
  sql(*db, "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)");
  must(db->put("a", asBytes("1")));
  db->releaseMemory();
  EXPECT_EQ(kv(*db, "a"), "1") << "a transaction is open";
  must(db->endTurn());
  sql(*db, "PRAGMA foreign_keys=OFF");
  auto cursor = must(db->exec("SELECT x FROM t", {}));
  db->releaseMemory();
  EXPECT_EQ(rowsOf(*cursor), "1;2");
  db->releaseMemory();
  EXPECT_EQ(kv(*db, "a"), "1");
  EXPECT_EQ(sql(*db, "PRAGMA foreign_keys"), "0");
  EXPECT_EQ(sql(*db, "SELECT x FROM t"), "1;2");
}

TEST_F(DatabaseTest, ARememberedRowidOutlivesReleasedMemory) {
  auto db = open();
  sql(*db, "CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1), (2)");
  must(db->endTurn());
  db->releaseMemory();
  EXPECT_EQ(sql(*db, "SELECT last_insert_rowid()"), "2");
  EXPECT_EQ(sql(*db, "UPDATE t SET x = x + 10"), "");
  EXPECT_EQ(sql(*db, "SELECT changes()"), "2");
  must(db->endTurn());
  db->releaseMemory();
  EXPECT_EQ(sql(*db, "SELECT changes()"), "2") << "who asks for it keeps the connection";
  sql(*db, "INSERT INTO t VALUES (99)");
  must(db->endTurn());
  EXPECT_EQ(sql(*db, "SELECT x FROM t"), "11;12;99");
}

TEST_F(DatabaseTest, AFirstPutThatIsRolledBackLeavesNothing) {
  auto db = open();
  must(db->beginTransaction());
  must(db->put("a", asBytes("1")));
  must(db->rollbackTransaction());
  must(db->endTurn());
  EXPECT_THAT(ledger_->commits, IsEmpty());
  db.reset();
  db = open();
  must(db->beginSync());
  must(db->put("a", asBytes("1")));
  must(db->rollbackSync());
  must(db->put("b", asBytes("2")));
  sql(*db, "CREATE TABLE t (x)");
  must(db->endTurn());
  EXPECT_EQ(ledger_->commits.size(), 1U);
  db.reset();
  db = open();
  EXPECT_EQ(listed(*db, {}), "b ");
  EXPECT_EQ(sql(*db, "PRAGMA quick_check"), "ok");
  EXPECT_EQ(sql(*db, "SELECT sql FROM sqlite_schema WHERE name = '_cf_KV'"),
            "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID");
}

TEST_F(DatabaseTest, PositionsOfEarlierCommitsAreKnownAfterReopening) {
  ledger_->holdBack();
  auto db = open();
  must(db->put("a", asBytes("1")));
  const auto position = must(db->endTurn());
  db.reset();
  db = open();
  EXPECT_EQ(must(db->endTurn()), position) << "what is read now may not be durable yet";
  ledger_->release();
}

}  // namespace
}  // namespace hf::storage
