// exec(), cursors, limits and texts of spec durable-objects 5.
#include <gmock/gmock.h>

#include "storage/test_store.h"

namespace hf::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class SqlTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    db_ = open();
  }
  std::string run(std::string_view text, std::vector<SqlValue> bindings = {}) {
    return sql(*db_, text, std::move(bindings));
  }
  std::unique_ptr<Database> db_;
};

TEST_F(SqlTest, OnlyTheLastStatementGivesRows) {
  EXPECT_EQ(run("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);\n SELECT 5; SELECT x FROM t WHERE x > ? \t\n\v\f\r",
                {0.0}),
            "1;2");
  EXPECT_EQ(run("SELECT 1;   "), "1");
  EXPECT_EQ(run("SELECT 1 /* a */ ; -- b\n SELECT 2"), "2");
}

TEST_F(SqlTest, TextWithoutAStatementIsAnError) {
  for (const char* text : {"", ";", "  ", "-- nothing", "/* nothing */"}) {
    EXPECT_EQ(run(text), "!SQL code did not contain a statement.") << text;
  }
  EXPECT_EQ(run("CREATE TABLE t (x); -- trailing"), "!SQL code did not contain a statement.");
  EXPECT_EQ(run("SELECT count(*) FROM t"), "0") << "what came before has run";
  EXPECT_EQ(run(std::string_view("SELECT 1\0;", 10)), "!SQL code did not contain a statement.");
}

TEST_F(SqlTest, ParametersBelongToTheLastStatementAndAreCounted) {
  EXPECT_EQ(run("SELECT ?; SELECT 2", {1.0}),
            "!When executing multiple SQL statements in a single call, only the last statement can have parameters.");
  EXPECT_EQ(run("SELECT ?"), "!Wrong number of parameter bindings for SQL query.");
  EXPECT_EQ(run("SELECT ?", {1.0, 2.0}), "!Wrong number of parameter bindings for SQL query.");
  EXPECT_EQ(run("SELECT ?2, ?1", {std::string("a"), SqlNull()}), "null,a");
  EXPECT_EQ(run("SELECT ?", {1.0}), "1.") << "the query is good for another time";
}

TEST_F(SqlTest, ValuesKeepTheirTypes) {
  EXPECT_EQ(run("SELECT typeof(?1), typeof(?2), typeof(?3), typeof(?4), ?4, ?5, typeof(?6), length(?3)",
                {1.0, std::string("x"), std::string("a\0b", 3), Bytes{1, 2}, Bytes{}, std::int64_t{7}}),
            "real,text,text,blob,x'0102',x'',integer,1");
  const auto cursor = must(db_->exec("SELECT 9007199254740993, 0.5, 'a' || char(0) || 'b', zeroblob(0), NULL", {}));
  EXPECT_EQ(std::get<std::int64_t>(cursor->column(0)), 9007199254740993);
  EXPECT_EQ(std::get<double>(cursor->column(1)), 0.5);
  EXPECT_EQ(std::get<std::string_view>(cursor->column(2)), std::string_view("a\0b", 3));
  EXPECT_TRUE(std::get<BytesView>(cursor->column(3)).empty());
  EXPECT_TRUE(std::holds_alternative<SqlNull>(cursor->column(4)));
}

TEST_F(SqlTest, ErrorsSayWhatWhereAndTheCode) {
  run("CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, n CHECK (n > 0)); INSERT INTO t VALUES (1, 1, 1)");
  EXPECT_EQ(run("SELECT * bunk"), "!near \"bunk\": syntax error at offset 9: SQLITE_ERROR");
  EXPECT_EQ(run("SELECT * FROM x"), "!no such table: x: SQLITE_ERROR");
  EXPECT_EQ(run("INSERT INTO t VALUES (1, 2, 2)"),
            "!UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)");
  EXPECT_EQ(run("INSERT INTO t VALUES (2, 1, 2)"),
            "!UNIQUE constraint failed: t.u: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)");
  EXPECT_EQ(run("INSERT INTO t VALUES (2, 2, -1)"),
            "!CHECK constraint failed: n > 0: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_CHECK)");
  EXPECT_EQ(run("INSERT INTO t (id) VALUES ('x')"), "!datatype mismatch: SQLITE_MISMATCH");
  EXPECT_EQ(run("SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5"), "1;2;3;4;5");
  EXPECT_THAT(run("SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6"),
              StartsWith("!too many terms in compound SELECT"));
  EXPECT_THAT(run("SELECT zeroblob(5000000)"), StartsWith("!string or blob too big: SQLITE_TOOBIG"));
  EXPECT_EQ(run("SELECT count(*) FROM t"), "1") << "a failed statement takes only its own effect";
  EXPECT_FALSE(db_->broken());
}

TEST_F(SqlTest, AnErrorOnALaterRowComesWhenItIsReached) {
  auto cursor = must(db_->exec("SELECT abs(x) FROM (SELECT 1 AS x UNION ALL SELECT -9223372036854775807 - 1)", {}));
  EXPECT_TRUE(cursor->hasRow());
  const auto moved = cursor->advance();
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().message, "integer overflow: SQLITE_ERROR");
  EXPECT_FALSE(cursor->hasRow());
}

TEST_F(SqlTest, DoubleQuotedStringsAreAccepted) { EXPECT_EQ(run("SELECT \"foo\""), "foo"); }

TEST_F(SqlTest, ColumnNamesKeepDuplicatesAndOutliveTheRows) {
  auto cursor = must(db_->exec("SELECT 1 AS a, 2 AS a, 3", {}));
  EXPECT_THAT(cursor->columnNames(), ElementsAre("a", "a", "3"));
  must(cursor->advance());
  EXPECT_FALSE(cursor->hasRow());
  EXPECT_THAT(cursor->columnNames(), ElementsAre("a", "a", "3"));
  EXPECT_THAT(must(db_->exec("CREATE TABLE t (x)", {}))->columnNames(), IsEmpty());
}

TEST_F(SqlTest, CachedQueriesSeeAChangedSchema) {
  run("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  EXPECT_THAT(must(db_->exec("SELECT * FROM t", {}))->columnNames(), ElementsAre("a"));
  run("ALTER TABLE t ADD COLUMN b DEFAULT 5");
  auto cursor = must(db_->exec("SELECT * FROM t", {}));
  EXPECT_THAT(cursor->columnNames(), ElementsAre("a", "b"));
  EXPECT_EQ(rowsOf(*cursor), "1,5");
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(run("DROP TABLE IF EXISTS u; CREATE TABLE u (x); INSERT INTO u VALUES (7); SELECT * FROM u"), "7");
  }
}

TEST_F(SqlTest, CursorsOfOneTextRunSideBySideAndAcrossCommits) {
  run("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)");
  auto a = must(db_->exec("SELECT x FROM t", {}));
  auto b = must(db_->exec("SELECT x FROM t", {}));
  must(a->advance());
  must(db_->endTurn());
  run("INSERT INTO t VALUES (4)");
  must(db_->endTurn());
  EXPECT_EQ(rowsOf(*a), "2;3;4");
  EXPECT_EQ(rowsOf(*b), "1;2;3;4");
}

TEST_F(SqlTest, AWriteWithRowsHasRunWhenExecReturnsAndDoesNotStandInTheWay) {
  run("CREATE TABLE t (x)");
  auto cursor = must(db_->exec("INSERT INTO t VALUES (1), (2), (3) RETURNING x", {}));
  EXPECT_EQ(run("SELECT count(*) FROM t"), "3");
  must(db_->beginSync());
  must(db_->commitSync());
  must(db_->endTurn());
  EXPECT_EQ(rowsOf(*cursor), "1;2;3");
}

TEST_F(SqlTest, RowsAreCounted) {
  const auto counts = [&](std::string_view text) {
    auto cursor = must(db_->exec(text, {}));
    while (cursor->hasRow()) must(cursor->advance());
    return std::to_string(cursor->rowsRead()) + "r" + std::to_string(cursor->rowsWritten()) + "w";
  };
  run("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)");
  EXPECT_EQ(counts("INSERT INTO t VALUES (1, 1, 1)"), "0r1w");
  EXPECT_EQ(counts("INSERT INTO t (a) VALUES (1), (2), (3)"), "0r3w");
  EXPECT_EQ(counts("SELECT * FROM t"), "4r0w");
  EXPECT_EQ(counts("SELECT * FROM t WHERE a = 3"), "4r0w");
  EXPECT_EQ(counts("SELECT * FROM t WHERE id = 3"), "1r0w");
  run("CREATE INDEX i ON t (a); CREATE INDEX j ON t (b)");
  EXPECT_EQ(counts("INSERT INTO t VALUES (9, 9, 9)"), "0r3w");
  EXPECT_EQ(counts("UPDATE t SET a = 100 WHERE id = 9"), "0r2w");
  EXPECT_EQ(counts("DELETE FROM t WHERE id = 9"), "0r1w");
  run("CREATE TABLE w (k PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE u (k PRIMARY KEY)");
  EXPECT_EQ(counts("INSERT INTO w VALUES (1, 1)"), "0r1w");
  EXPECT_EQ(counts("INSERT INTO u VALUES (1)"), "0r2w");
  EXPECT_EQ(counts("DELETE FROM t"), "0r4w");
  auto cursor = must(db_->exec("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3", {}));
  EXPECT_EQ(cursor->rowsRead(), 1U);
  must(cursor->advance());
  EXPECT_EQ(cursor->rowsRead(), 2U);
}

TEST_F(SqlTest, ForeignKeysAreOnAndCanBeTurnedOffBetweenTurns) {
  run("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p(id))");
  EXPECT_THAT(run("INSERT INTO c VALUES (1)"), StartsWith("!FOREIGN KEY constraint failed: SQLITE_CONSTRAINT"));
  run("PRAGMA foreign_keys=OFF");
  EXPECT_EQ(run("PRAGMA foreign_keys"), "1") << "no effect inside a transaction";
  must(db_->endTurn());
  EXPECT_EQ(run("PRAGMA foreign_keys=OFF; PRAGMA foreign_keys"), "0");
  EXPECT_EQ(run("INSERT INTO c VALUES (1)"), "");
}

TEST_F(SqlTest, WhatApplicationsUseIsAllowed) {
  for (const char* text : {
           "CREATE TABLE s (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b REAL DEFAULT 1.5, c TEXT AS (a || b)) STRICT",
           "CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID",
           "CREATE INDEX si ON s (lower(a)) WHERE b > 1",
           "CREATE VIEW v AS SELECT a FROM s",
           "CREATE TRIGGER tr AFTER INSERT ON s BEGIN INSERT INTO w VALUES (new.a, new.b); END",
           "INSERT INTO s (a) VALUES ('x'), ('y') ON CONFLICT DO UPDATE SET a = excluded.a RETURNING *",
           "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5) SELECT sum(i) FROM c",
           "SELECT a, row_number() OVER (ORDER BY a), lag(a) OVER (ORDER BY a) FROM s",
           "SELECT json_extract('{\"a\":[1,2]}', '$.a[1]'), '{\"a\":1}' ->> 'a', key FROM json_each('[1,2]')",
           "UPDATE s SET a = 'z' WHERE id > 0 ORDER BY id LIMIT 1",
           "DELETE FROM s WHERE id = 2",
           "ALTER TABLE s ADD COLUMN d TEXT",
           "ALTER TABLE s RENAME COLUMN d TO e",
           "ALTER TABLE s DROP COLUMN e",
           "ALTER TABLE w RENAME TO w2",
           "CREATE VIRTUAL TABLE f USING fts5(text, tokenize = 'porter')",
           "INSERT INTO f VALUES ('some running text'), ('other')",
           "SELECT highlight(f, 0, '[', ']'), bm25(f), snippet(f, 0, '', '', '', 5) FROM f WHERE f MATCH 'run'",
           "SELECT text FROM f WHERE f MATCH 'run' ORDER BY rank",
           "CREATE VIRTUAL TABLE fv USING fts5vocab(f, 'row')",
           "SELECT * FROM fv",
           "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
           "INSERT INTO r VALUES (1, 0, 2)",
           "SELECT id FROM r WHERE x0 < 1",
           "DROP TABLE r",
           "DROP TABLE f",
           "REINDEX s",
           "ANALYZE",
           "EXPLAIN QUERY PLAN SELECT * FROM s",
           "SELECT name FROM sqlite_master",
           "PRAGMA table_list",
           "PRAGMA table_info('s')",
           "SELECT name FROM pragma_table_xinfo('s')",
           "PRAGMA foreign_key_check",
           "PRAGMA foreign_key_check(s)",
           "PRAGMA foreign_key_list(s)",
           "PRAGMA index_list(s)",
           "PRAGMA index_info('si')",
           "PRAGMA quick_check",
           "PRAGMA quick_check(10)",
           "PRAGMA optimize",
           "PRAGMA optimize(0x10002)",
           "PRAGMA data_version",
           "PRAGMA page_size",
           "PRAGMA case_sensitive_like=\"on\"",
           "PRAGMA recursive_triggers=TRUE",
           "PRAGMA ignore_check_constraints='no'",
           "SELECT sqrt(2), pow(2, 3), unixepoch('now'), current_timestamp, strftime('%Y', 'now'), printf('%d', 1)",
           "DROP TRIGGER tr",
           "DROP VIEW v",
           "DROP INDEX si",
           "DROP TABLE s",
       }) {
    const std::string outcome = run(text);
    EXPECT_THAT(outcome, ::testing::Not(HasSubstr("!"))) << text;
  }
  must(db_->endTurn());
  EXPECT_FALSE(db_->broken());
}

TEST_F(SqlTest, WhatIsOursOrTheServersIsRefused) {
  must(db_->put("a", asBytes("secret")));
  must(db_->setAlarm(1));
  run("CREATE TABLE t (x); CREATE INDEX i ON t (x); CREATE VIRTUAL TABLE f USING fts5(x)");
  const std::string before = run("SELECT group_concat(name) FROM sqlite_schema");
  for (const char* text : {
           "ATTACH 'x' AS y",
           "DETACH main",
           "VACUUM",
           "VACUUM INTO 'x'",
           "CREATE TEMP TABLE x (a)",
           "CREATE TABLE temp.x (a)",
           "CREATE TEMP VIEW x AS SELECT 1",
           "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
           "CREATE TABLE _cf_x (a)",
           "CREATE TABLE \"_CF_x\" (a)",
           "CREATE VIEW _cf_v AS SELECT 1",
           "CREATE INDEX _cf_i ON t (x)",
           "CREATE INDEX k ON _cf_KV (value)",
           "CREATE TRIGGER _cf_t AFTER INSERT ON t BEGIN SELECT 1; END",
           "CREATE TRIGGER x AFTER INSERT ON _cf_KV BEGIN SELECT 1; END",
           "CREATE VIRTUAL TABLE _cf_f USING fts5(x)",
           "CREATE VIRTUAL TABLE _cf USING fts5(x)",
           "CREATE VIRTUAL TABLE x USING dbstat",
           "CREATE VIRTUAL TABLE x USING fts4(a)",
           "ALTER TABLE t RENAME TO _cf_t",
           "ALTER TABLE t RENAME TO \"_Cf_t\"",
           "ALTER TABLE f RENAME TO _cf",
           "ALTER TABLE _cf_KV RENAME TO kv",
           "ALTER TABLE _cf_KV ADD COLUMN x",
           "DROP TABLE _cf_KV",
           "DROP TABLE _CF_metadata",
           "SELECT * FROM _cf_KV",
           "SELECT count(*) FROM _cf_KV",
           "SELECT (SELECT value FROM _CF_kv)",
           "WITH x AS (SELECT * FROM _cf_KV) SELECT * FROM x",
           "CREATE VIEW leak AS SELECT * FROM _cf_KV; SELECT * FROM leak",
           "CREATE TABLE leak AS SELECT * FROM _cf_KV",
           "CREATE TRIGGER leak AFTER INSERT ON t BEGIN DELETE FROM _cf_KV; END; INSERT INTO t VALUES (1)",
           "CREATE VIRTUAL TABLE leak USING fts5(value, content='_cf_KV'); SELECT * FROM leak",
           "INSERT INTO _cf_METADATA VALUES (1, 1)",
           "UPDATE _cf_METADATA SET value = 5",
           "DELETE FROM _cf_KV",
           "PRAGMA table_info(_cf_KV)",
           "SELECT * FROM pragma_table_info('_cf_KV')",
           "PRAGMA index_list(_cf_KV)",
           "UPDATE sqlite_schema SET sql = ''",
           "DELETE FROM sqlite_master",
           "INSERT INTO f_data VALUES (1, 1)",
           "PRAGMA writable_schema=ON",
           "PRAGMA journal_mode=DELETE",
           "PRAGMA journal_mode",
           "PRAGMA synchronous=OFF",
           "PRAGMA locking_mode=NORMAL",
           "PRAGMA cache_spill=ON",
           "PRAGMA cache_size=1",
           "PRAGMA user_version",
           "PRAGMA user_version=5",
           "PRAGMA integrity_check",
           "PRAGMA max_page_count=5",
           "PRAGMA page_size=1024",
           "PRAGMA auto_vacuum=FULL",
           "PRAGMA incremental_vacuum",
           "PRAGMA mmap_size=1000",
           "PRAGMA temp_store_directory='/tmp'",
           "PRAGMA foreign_keys=5",
           "PRAGMA function_list",
           "PRAGMA database_list",
           "PRAGMA wal_checkpoint",
           "PRAGMA trusted_schema=ON",
           "SELECT * FROM pragma_database_list",
           "SELECT sqlite_version()",
           "SELECT sqlite_source_id()",
           "SELECT sqlite_compileoption_get(1)",
           "SELECT sqlite_log(1, 'x')",
           "SELECT fts5('x')",
           "SELECT load_extension('x')",
           "SELECT readfile('/etc/passwd')",
           "SELECT zeroblob(1000000000)",
           "SELECT * FROM sqlite_dbpage",
           "SELECT * FROM dbstat",
           "SELECT * FROM bytecode('SELECT 1')",
           "SELECT * FROM sqlite_stmt",
       }) {
    EXPECT_THAT(run(text), HasSubstr("!")) << text;
    EXPECT_FALSE(db_->broken()) << text;
    run("DROP VIEW IF EXISTS leak");
    run("DROP TRIGGER IF EXISTS leak");
    run("DROP TABLE IF EXISTS leak");
  }
  EXPECT_EQ(run("SELECT group_concat(name) FROM sqlite_schema"), before);
  EXPECT_EQ(kv(*db_, "a"), "secret");
  EXPECT_EQ(must(db_->alarm()), 1);
  must(db_->endTurn());
  EXPECT_EQ(run("PRAGMA quick_check"), "ok");
}

TEST_F(SqlTest, RefusalsHaveTheirTexts) {
  must(db_->put("a", asBytes("secret")));
  EXPECT_EQ(run("SELECT key FROM _cf_KV"), "!access to _cf_KV.key is prohibited: SQLITE_AUTH");
  EXPECT_EQ(run("SELECT sqlite_version()"),
            "!not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR");
  EXPECT_EQ(run("PRAGMA user_version"), "!not authorized: SQLITE_AUTH");
  run("CREATE TABLE t (x)");
  EXPECT_EQ(run("ALTER TABLE t RENAME TO _cf_t"), "!not authorized: SQLITE_AUTH");
  for (const char* text : {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT x", "RELEASE x", "ROLLBACK TO x", "END"}) {
    EXPECT_THAT(run(text), StartsWith("!To execute a transaction, please use the state.storage.transaction()")) << text;
    EXPECT_THAT(run(text), EndsWith("automatic atomic write coalescing.")) << text;
  }
  EXPECT_EQ(run("SELECT 1"), "1");
}

TEST_F(SqlTest, ARenameThatFailsLeavesTheTransactionWhole) {
  run("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  must(db_->beginSync());
  EXPECT_THAT(run("ALTER TABLE t RENAME TO _cf_x"), StartsWith("!not authorized"));
  EXPECT_EQ(run("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (2)"), "");
  must(db_->commitSync());
  must(db_->endTurn());
  EXPECT_EQ(run("SELECT x FROM u"), "1;2");
}

TEST_F(SqlTest, AStatementThatNeverEndsIsInterrupted) {
  // The clock says that half a minute has passed at every look.
  class FastClock final : public Clock {
   public:
    WallMs wallMs() const override { return 0; }
    std::chrono::steady_clock::time_point steady() const override {
      return std::chrono::steady_clock::time_point(std::chrono::seconds(40 * ++looks_));
    }

   private:
    mutable std::atomic<int> looks_ = 0;
  };
  db_.reset();
  store_.reset();
  const FastClock clock;
  store_ = must(openStoreOn(systemDisk(), clock, testLog(), {.directory = directory_.path()}, [](ledger::Replayer&) {
    return Result<std::unique_ptr<ledger::Ledger>>(std::make_unique<MemoryLedger>());
  }));
  db_ = open();
  EXPECT_EQ(run("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) FROM c"),
            "!interrupted: SQLITE_INTERRUPT");
  EXPECT_FALSE(db_->broken()) << "it only read";
  run("CREATE TABLE t (x)");
  EXPECT_EQ(run("INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c"),
            "!interrupted: SQLITE_INTERRUPT");
  ASSERT_TRUE(db_->broken());
  EXPECT_EQ(db_->broken()->message, "interrupted: SQLITE_INTERRUPT");
  EXPECT_EQ(db_->get("a").error().message, "interrupted: SQLITE_INTERRUPT");
  db_.reset();
}

TEST_F(SqlTest, ManyQueriesAreForgottenInTurn) {
  for (int i = 0; i < 300; i++) EXPECT_EQ(run("SELECT " + std::to_string(i)), std::to_string(i));
  EXPECT_EQ(run("SELECT 1"), "1");
}

// Our statement deletes a key, which deletes a row of the user's, which runs a trigger of the user's.
TEST_F(SqlTest, ATriggerBehindAReferenceToOurTableIsStillTheUsers) {
  auto& db = db_;
  must(db->put("a", asBytes("1")));
  must(db->put("b", asBytes("2")));
  must(db->setAlarm(5000));
  must(db->endTurn());
  EXPECT_EQ(sql(*db, "PRAGMA foreign_keys = OFF"), "");
  EXPECT_EQ(sql(*db, "CREATE TABLE f(x REFERENCES _cf_KV(key) ON DELETE CASCADE); INSERT INTO f VALUES ('a')"), "");
  must(db->endTurn());
  EXPECT_EQ(sql(*db, "PRAGMA foreign_keys = ON"), "");
  must(db->endTurn());
  for (const char* trigger : {"UPDATE _cf_METADATA SET value = NULL", "DELETE FROM _cf_KV WHERE key = 'b'",
                              "INSERT INTO f SELECT key FROM _cf_KV", "SELECT sqlite_version()"}) {
    EXPECT_EQ(sql(*db, std::string("CREATE TRIGGER g AFTER DELETE ON f BEGIN ") + trigger + "; END"), "");
    EXPECT_NE(db->remove("a").error().message.find("SQLITE_"), std::string::npos) << trigger;
    EXPECT_EQ(sql(*db, "DROP TRIGGER g"), "");
    must(db->endTurn());
    EXPECT_EQ(kv(*db, "b"), "2");
    EXPECT_EQ(must(db->alarm()), 5000);
  }
  EXPECT_EQ(must(db->remove("a")), true);
  EXPECT_EQ(sql(*db, "SELECT count(*) FROM f"), "0");
}

}  // namespace
}  // namespace hf::storage
