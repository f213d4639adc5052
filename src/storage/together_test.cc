// Databases that are committed together: all or none, in memory, on disk and through a recovery; turns that are marked.
#include <algorithm>

#include "base/check.h"
#include "base/sim_disk.h"
#include "storage/database_impl.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

class TogetherTest : public StoreTest {
 protected:
  std::optional<ledger::Position> commit(std::vector<Database*> databases) {
    return must(store_->commitTogether(databases));
  }
  void put(Database& db, std::string_view key, std::string_view value) { must(db.put(key, asBytes(value))); }
};

TEST_F(TogetherTest, WhatSeveralHaveWrittenIsOneGroup) {
  const auto a = open(1);
  const auto b = open(2);
  const auto idle = open(3);
  put(*a, "k", "a");
  put(*b, "k", "b");
  EXPECT_EQ(sql(*b, "CREATE TABLE t (x); INSERT INTO t VALUES (1) RETURNING x"), "1");
  const auto end = commit({a.get(), b.get(), idle.get()});
  ASSERT_TRUE(end);
  EXPECT_EQ(ledger_->groups, std::vector<std::size_t>{2});
  EXPECT_EQ(ledger_->commits.size(), 2U);
  EXPECT_EQ(a->version(), *end);
  EXPECT_EQ(b->version(), *end);
  EXPECT_FALSE(a->isDirty() || b->isDirty());
  EXPECT_EQ(kv(*a, "k") + kv(*b, "k"), "ab");
  // And on: with one that wrote, no group is needed; changes build on what the group held.
  put(*b, "k", "c");
  commit({a.get(), b.get()});
  EXPECT_EQ(ledger_->groups.size(), 1U);
  EXPECT_TRUE(ledger_->commits.back().wholePages.empty());
  EXPECT_EQ(kv(*b, "k"), "c");
  EXPECT_EQ(sql(*b, "SELECT * FROM t"), "1");
}

TEST_F(TogetherTest, ARefusedGroupBreaksAllAndChangesNone) {
  auto a = open(1);
  auto b = open(2);
  put(*a, "k", "old");
  commit({a.get()});
  put(*a, "k", "new");
  put(*b, "k", "new");
  ledger_->refusal = Error{Errc::kNoSpace, "full"};
  std::vector<Database*> both = {a.get(), b.get()};
  const auto refused = store_->commitTogether(both);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "database or disk is full: SQLITE_FULL");
  EXPECT_TRUE(a->broken() && b->broken());
  ledger_->refusal.reset();
  a.reset();
  b.reset();
  EXPECT_EQ(kv(*open(1), "k"), "old");
  EXPECT_EQ(kv(*open(2), "k"), "(none)");
}

TEST_F(TogetherTest, OneThatCannotCommitBreaksAll) {
  const auto a = open(1);
  auto b = open(2);
  EXPECT_EQ(sql(*b,
                "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INTEGER REFERENCES p (id) "
                "DEFERRABLE INITIALLY DEFERRED)"),
            "");
  commit({b.get()});
  const std::size_t before = ledger_->commits.size();
  put(*a, "k", "a");
  EXPECT_EQ(sql(*b, "INSERT INTO c VALUES (9)"), "");
  std::vector<Database*> both = {a.get(), b.get()};
  EXPECT_FALSE(store_->commitTogether(both));
  EXPECT_TRUE(a->broken() && b->broken());
  EXPECT_EQ(ledger_->commits.size(), before);
}

TEST_F(TogetherTest, ResetsAndNewDatabasesGoIntoGroups) {
  const auto a = open(1);
  const auto b = open(2);
  put(*a, "k", std::string(20'000, 'x'));
  commit({a.get()});
  must(a->deleteAll(DeleteAlarm::kYes));
  put(*b, "k", "b");
  commit({a.get(), b.get()});
  EXPECT_EQ(kv(*a, "k"), "(none)");
  must(b->deleteAll(DeleteAlarm::kYes));
  put(*b, "other", "c");
  put(*a, "k", "again");
  commit({a.get(), b.get()});
  EXPECT_EQ(kv(*b, "k") + kv(*b, "other") + kv(*a, "k"), "(none)cagain");
}

TEST_F(TogetherTest, AConnectionOutlivesAResetToNothing) {
  const auto a = open(1);
  put(*a, "k", "a");
  commit({a.get()});
  must(a->deleteAll(DeleteAlarm::kYes));
  must(a->beginSync());
  put(*a, "k", "b");
  must(a->rollbackSync());
  EXPECT_EQ(kv(*a, "k"), "(none)");
  a->markTurn();
  put(*a, "k", "c");
  must(a->rollbackTurn());
  commit({a.get()});
  EXPECT_EQ(kv(*a, "k"), "(none)");
  must(a->deleteAll(DeleteAlarm::kYes));
  put(*a, "k", "d");
  a->markTurn();
  must(a->rollbackTurn());
  commit({a.get()});
  EXPECT_EQ(kv(*a, "k"), "d");
  EXPECT_EQ(sql(*a, "PRAGMA quick_check"), "ok");
}

TEST_F(TogetherTest, AResetWhoseWritesWereRolledBack) {
  const auto a = open(1);
  put(*a, "k", "a");
  commit({a.get()});
  must(a->deleteAll(DeleteAlarm::kYes));
  a->markTurn();  // the reset stays
  put(*a, "k", "b");
  must(a->rollbackTurn());
  commit({a.get()});
  EXPECT_EQ(kv(*a, "k"), "(none)");
  EXPECT_EQ(must(a->alarm()), std::nullopt);
  put(*a, "k", "c");
  commit({a.get()});
  EXPECT_EQ(kv(*a, "k"), "c");
  EXPECT_EQ(sql(*a, "PRAGMA quick_check"), "ok");
}

TEST_F(TogetherTest, AMarkedTurnOutlivesTheNextOnesRollback) {
  const auto db = open(1);
  put(*db, "first", "1");
  must(db->setAlarm(5000));
  db->markTurn();
  must(db->rollbackTurn());  // nothing was written since
  put(*db, "second", "2");
  EXPECT_EQ(sql(*db, "CREATE TABLE t (x)"), "");
  must(db->rollbackTurn());
  EXPECT_EQ(kv(*db, "first") + kv(*db, "second"), "1(none)");
  put(*db, "third", "3");
  db->markTurn();
  put(*db, "fourth", "4");
  db->markTurn();
  put(*db, "first", "5");
  must(db->rollbackTurn());
  EXPECT_TRUE(ledger_->commits.empty());
  commit({db.get()});
  EXPECT_EQ(ledger_->commits.size(), 1U);
  EXPECT_EQ(kv(*db, "first") + kv(*db, "third") + kv(*db, "fourth"), "134");
  EXPECT_EQ(must(db->alarm()), 5000);
  // After a commit nothing is marked.
  put(*db, "first", "6");
  must(db->rollbackTurn());
  EXPECT_FALSE(db->isDirty());
  EXPECT_EQ(kv(*db, "first"), "1");
}

TEST_F(TogetherTest, ARollbackTakesBackAResetOfItsTurnOnly) {
  const auto db = open(1);
  put(*db, "k", "1");
  commit({db.get()});
  must(db->deleteAll(DeleteAlarm::kYes));
  must(db->rollbackTurn());
  EXPECT_EQ(kv(*db, "k"), "1");
  must(db->deleteAll(DeleteAlarm::kYes));
  db->markTurn();
  put(*db, "k", "2");
  must(db->rollbackTurn());
  commit({db.get()});
  EXPECT_EQ(kv(*db, "k"), "(none)");
}

TEST_F(TogetherTest, SavepointsAndTransactionsLieInsideATurn) {
  const auto db = open(1);
  put(*db, "k", "1");
  db->markTurn();
  must(db->beginSync());
  put(*db, "k", "2");
  must(db->rollbackSync());
  EXPECT_EQ(kv(*db, "k"), "1");
  must(db->beginSync());
  put(*db, "k", "3");
  must(db->commitSync());
  must(db->rollbackTurn());
  EXPECT_EQ(kv(*db, "k"), "1");
  commit({db.get()});
  must(db->beginTransaction());
  put(*db, "k", "4");
  db->markTurn();
  commit({db.get()});  // stays open
  EXPECT_TRUE(db->isDirty());
  must(db->yieldTransaction());
  commit({db.get()});
  EXPECT_FALSE(db->isDirty());
  EXPECT_EQ(kv(*db, "k"), "4");
  must(db->beginTransaction());
  put(*db, "k", "5");
  db->markTurn();
  must(db->rollbackTurn());  // as a whole
  EXPECT_EQ(kv(*db, "k"), "4");
}

TEST_F(TogetherTest, AMarkedTurnThatSqliteRollsBackIsKnownToBeLost) {
  const auto db = open(1);
  EXPECT_EQ(sql(*db, "CREATE TABLE t (x INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)"), "");
  commit({db.get()});
  put(*db, "k", "1");
  EXPECT_TRUE(sql(*db, "INSERT OR ROLLBACK INTO t VALUES (1)").starts_with("!"));
  EXPECT_FALSE(db->hasLostTurn());
  put(*db, "k", "1");
  db->markTurn();
  EXPECT_TRUE(sql(*db, "INSERT OR ROLLBACK INTO t VALUES (1)").starts_with("!"));
  EXPECT_TRUE(db->hasLostTurn());
}

TEST_F(TogetherTest, ACopyIsWhatTheSourceHadCommitted) {
  const auto source = open(1);
  const auto copy = open(2);
  put(*source, "large", std::string(30'000, 'x'));
  EXPECT_EQ(sql(*source, "CREATE TABLE t (x); INSERT INTO t VALUES (7)"), "");
  put(*copy, "old", "1");
  commit({source.get(), copy.get()});
  must(store_->checkpoint());  // a part of it is in the file
  EXPECT_EQ(sql(*source, "INSERT INTO t VALUES (8)"), "");
  commit({source.get()});
  must(copy->copyFrom(*source));
  commit({copy.get()});
  EXPECT_EQ(kv(*copy, "large").size(), 30'000U);
  EXPECT_EQ(kv(*copy, "old"), "(none)");
  EXPECT_EQ(sql(*copy, "SELECT x FROM t"), "7;8");
  EXPECT_EQ(sql(*copy, "PRAGMA quick_check"), "ok");
  EXPECT_EQ(sql(*copy, "INSERT INTO t VALUES (9)"), "");
  commit({copy.get()});
  EXPECT_EQ(sql(*source, "SELECT x FROM t"), "7;8");
  must(store_->checkpoint());
  EXPECT_EQ(sqlOnFile(file(2), "SELECT x FROM t"), "7;8;9");
  // Of nothing.
  const auto empty = open(3);
  must(copy->copyFrom(*empty));
  commit({copy.get()});
  EXPECT_EQ(kv(*copy, "large"), "(none)");
}

TEST_F(TogetherTest, FacetsLieBesideTheirRoot) {
  const ObjectId root = objectKey(1).id;
  const ObjectId a = facetId(root, R"(["a"])");
  EXPECT_NE(a, facetId(root, R"(["b"])"));
  EXPECT_NE(a, facetId(objectKey(2).id, R"(["a"])"));
  EXPECT_TRUE(std::equal(a.bytes.begin(), a.bytes.begin() + 16, root.bytes.begin()));
  EXPECT_FALSE(must(store_->hasFacets(objectKey(1))));
  ObjectKey index = objectKey(1);
  index.id = facetId(root, kFacetIndex);
  {
    const auto list = must(store_->open(index, ""));
    put(*list, R"(["a"])", "x");
    must(list->endTurn());
    EXPECT_TRUE(must(store_->hasFacets(objectKey(1))));
  }
  must(store_->checkpoint());
  EXPECT_TRUE(must(store_->hasFacets(objectKey(1))));
  EXPECT_FALSE(must(store_->hasFacets(objectKey(2))));
}

}  // namespace
}  // namespace hf::storage
