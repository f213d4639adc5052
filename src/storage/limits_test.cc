// Limits of transactions and statements, and SQLite out of memory at every allocation.
#include <gtest/gtest.h>

#include <string>

#include "base/limits.h"
#include "storage/sqlite_memory.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

constexpr std::size_t kMiB = 1024 * 1024;
constexpr char kFull[] = "database or disk is full: SQLITE_FULL";

class LimitsTest : public StoreTest {
 protected:
  void SetUp() override { openStoreHere({.overlayBytesMax = 1ULL << 30}); }
};

TEST_F(LimitsTest, ATransactionOfAHundredMegabytesCommits) {
  auto db = open();
  const Bytes value(kMiB, 0x5a);
  for (int i = 0; i < 100; i++) must(db->put("k" + std::to_string(i), value));
  must(db->endTurn());
  db = nullptr;
  db = open();
  std::size_t bytes = 0;
  must(db->visit({}, [&](std::string_view, BytesView read) {
    bytes += read.size();
    return Walk::kGoOn;
  }));
  EXPECT_EQ(bytes, 100 * kMiB);
}

TEST_F(LimitsTest, PutsBeyondTheLimitOfATransactionResetTheObjectAndNoOther) {
  auto other = open(2);
  must(other->put("a", asBytes("1")));
  auto db = open();
  must(db->put("kept", asBytes("yes")));
  must(db->endTurn());
  const Bytes value(kMiB, 0x5a);
  std::size_t stored = 0;
  std::string why;
  while (why.empty() && stored < 2 * limits::kTransactionBytesMax / kMiB) {
    if (auto put = db->put("k" + std::to_string(stored), value); !put) why = put.error().message;
    stored++;
  }
  EXPECT_EQ(why, kFull);
  EXPECT_LE(stored, limits::kTransactionBytesMax / kMiB + 4);
  ASSERT_TRUE(db->broken());
  EXPECT_EQ(db->get("kept").error().message, kFull);
  db = nullptr;
  db = open();
  EXPECT_EQ(kv(*db, "kept"), "yes");
  EXPECT_EQ(kv(*db, "k0"), "(none)");
  must(other->put("b", asBytes("2")));
  must(other->endTurn());
  EXPECT_EQ(kv(*other, "a"), "1");
}

// Rows so large that few steps write megabytes, and rows so small that the statement runs long.
TEST_F(LimitsTest, AStatementThatWritesTooMuchEndsInFull) {
  for (const char* grow :
       {"INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000) "
        "SELECT zeroblob(4000000) FROM c",
        "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100000000) "
        "SELECT hex(zeroblob(2000)) FROM c",
        "UPDATE t SET x = zeroblob(3000000) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
        "LIMIT 1000) SELECT n FROM c) AS s WHERE t.rowid = s.n"}) {
    auto db = open();
    EXPECT_EQ(sql(*db,
                  "CREATE TABLE IF NOT EXISTS t(x); DELETE FROM t; INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 "
                  "UNION ALL SELECT n + 1 FROM c LIMIT 200) SELECT n FROM c"),
              "");
    must(db->endTurn());
    auto cursor = must(db->exec("SELECT x FROM t", {}));
    EXPECT_EQ(sql(*db, grow), std::string("!") + kFull) << grow;
    EXPECT_EQ(cursor->advance().error().message, kFull);
    EXPECT_EQ(sql(*db, "SELECT 1"), std::string("!") + kFull);
    EXPECT_FALSE(db->endTurn());
    cursor = nullptr;
    db = nullptr;
    db = open();
    EXPECT_EQ(sql(*db, "SELECT count(*), max(x) FROM t; "), "200,200");
    EXPECT_EQ(sql(*db, "PRAGMA quick_check"), "ok");
  }
}

// What a statement that only reads takes for sorting and for DISTINCT.
TEST_F(LimitsTest, AQueryThatTakesTooMuchMemoryFailsAlone) {
  auto db = open();
  EXPECT_EQ(sql(*db, "CREATE TABLE t(x); INSERT INTO t VALUES (1)"), "");
  EXPECT_EQ(sql(*db,
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000) "
                "SELECT count(DISTINCT zeroblob(1000000) || n) FROM c"),
            "!out of memory: SQLITE_NOMEM");
  EXPECT_FALSE(db->broken());
  EXPECT_EQ(sql(*db, "SELECT x FROM t"), "1");
  must(db->endTurn());
  EXPECT_EQ(sql(*db, "SELECT x FROM t"), "1");
}

// SQLite's own way of testing: the first allocation fails, the second, … until the work gets through. Whatever fails,
// the process lives, and the object has its last commit afterwards.
TEST_F(LimitsTest, EveryRefusedAllocationIsAnErrorAndNoMore) {
  const auto work = [](Database& db) -> Result<void> {
    HF_TRY_VOID(db.put("k", asBytes("new")));
    HF_TRY_VOID(db.setAlarm(5000));
    HF_TRY_VOID(db.beginSync());
    HF_TRY_VOID(db.exec("INSERT INTO t(x) SELECT x || hex(zeroblob(3000)) FROM t RETURNING id", {}));
    HF_TRY_VOID(db.commitSync());
    HF_TRY_VOID(
        db.exec("CREATE INDEX IF NOT EXISTS ti ON t(x); ALTER TABLE t ADD COLUMN y; SELECT * FROM t ORDER BY x", {}));
    HF_TRY_VOID(db.exec("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('words to find')", {}));
    HF_TRY_VOID(db.exec("SELECT * FROM f WHERE f MATCH 'find'", {}));
    HF_TRY_VOID(db.list({.prefix = "k"}));
    HF_TRY_VOID(db.remove("gone"));
    HF_TRY_VOID(db.databaseSize());
    HF_TRY_VOID(db.endTurn());
    return {};
  };
  int failures = 0;
  for (std::int64_t after = 0;; after += 1 + after / 1000) {
    const auto key = static_cast<std::uint8_t>(1 + (after % 200));
    auto db = open(key, "name");
    must(db->deleteAll(DeleteAlarm::kYes));
    EXPECT_EQ(sql(*db, "CREATE TABLE t(id INTEGER PRIMARY KEY, x); INSERT INTO t(x) VALUES ('a'), ('b')"), "");
    must(db->put("k", asBytes("old")));
    must(db->put("gone", asBytes("1")));
    must(db->endTurn());
    db->releaseMemory();
    refuseAllocationAfter(after);
    const Result<void> done = work(*db);
    if (const bool none = refuseAllocationAfter(-1); none) {
      EXPECT_TRUE(done);
      break;
    }
    // SQLite does without some of what it asks for.
    if (done) {
      EXPECT_EQ(kv(*db, "k"), "new");
    } else {
      failures++;
    }
    // It goes on, or it is broken and answers so.
    if (!db->broken()) {
      EXPECT_EQ(sql(*db, "SELECT count(*) >= 2 FROM t"), "1") << after;
      HF_IGNORE(db->endTurn(), "a savepoint may be open");
    }
    db = nullptr;
    db = open(key, "name");
    EXPECT_EQ(sql(*db, "PRAGMA quick_check"), "ok") << after;
    EXPECT_EQ(sql(*db, "SELECT count(*) >= 2 FROM t"), "1") << after;
    const std::string stored = kv(*db, "k");
    EXPECT_TRUE(stored == "old" || stored == "new") << stored;
  }
  EXPECT_GT(failures, 1000);
}

TEST_F(LimitsTest, RowsWrittenCountOnceWithReturning) {
  auto db = open();
  EXPECT_EQ(sql(*db, "CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE INDEX ti ON t(x)"), "");
  auto cursor = must(db->exec("INSERT INTO t(x) VALUES (1), (2), (3) RETURNING id", {}));
  EXPECT_EQ(rowsOf(*cursor), "1;2;3");
  EXPECT_EQ(cursor->rowsWritten(), 6U);
  cursor = must(db->exec("DELETE FROM t RETURNING id", {}));
  EXPECT_EQ(cursor->rowsWritten(), 3U);
  cursor = must(db->exec("INSERT INTO t(x) VALUES (1), (2)", {}));
  EXPECT_EQ(cursor->rowsWritten(), 4U);
  EXPECT_EQ(must(db->exec("DELETE FROM t", {}))->rowsWritten(), 2U);
}

}  // namespace
}  // namespace hf::storage
