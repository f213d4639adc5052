// Copies of objects, whole replacements, and looking at a directory without changing it.
#include "storage/store_tools.h"

#include <array>
#include <thread>

#include "storage/import_database.h"
#include "storage/read_only_store.h"
#include "storage/test_store.h"
#include "storage/verify.h"

namespace hf::storage {
namespace {

namespace fs = std::filesystem;

class StoreToolsTest : public ::testing::Test {
 protected:
  std::string dir() const { return directory_.path() + "/dir"; }
  std::string scratch(const std::string& name) const { return directory_.path() + "/" + name; }
  void start() { store_ = must(openStore(systemDisk(), systemClock(), testLog(), {.directory = dir()})); }
  void stop() {
    must(store_->close());
    store_.reset();
  }
  // As a kill would: the directory as it is on disk while the store still runs.
  void kill() {
    must(store_->ledger().waitDurable(store_->ledger().tail()));
    fs::copy(dir(), scratch("killed"), fs::copy_options::recursive);
    stop();
    fs::remove_all(dir());
    fs::rename(scratch("killed"), dir());
  }
  std::unique_ptr<Database> open(std::uint8_t number = 1) { return must(store_->open(objectKey(number), "")); }
  // What the object held, from a plain file made of it.
  std::string copied(std::uint8_t number, const char* query) {
    const std::string path = scratch("copy.sqlite");
    fs::remove(path);
    const auto file = must(systemDisk().open(path, OpenMode::kCreateNew));
    auto copy = store_->tools().copyObject(objectKey(number), *file, {});
    if (!copy) return "!" + copy.error().message;
    EXPECT_EQ(sqlOnFile(path, "PRAGMA integrity_check"), "ok");
    return sqlOnFile(path, query);
  }
  std::string imageText(ReadOnlyStore& store, std::uint8_t number, const char* query) {
    const auto image = must(store.image(objectKey(number)));
    if (!image) return "(nothing)";
    const std::string path = scratch("image.sqlite");
    fs::remove(path);
    const auto file = must(systemDisk().open(path, OpenMode::kCreateNew));
    must(image->copyTo(*file));
    EXPECT_EQ(sqlOnFile(path, "PRAGMA integrity_check"), "ok");
    return sqlOnFile(path, query);
  }
  static void write(Database& database, const std::string& text) {
    sql(database, "CREATE TABLE IF NOT EXISTS t(x)");
    sql(database, "INSERT INTO t VALUES ('" + text + "')");
    must(database.endTurn());
  }
  std::string make(const std::string& name, const char* statements, int flags = SQLITE_OPEN_READWRITE) {
    const std::string path = scratch(name);
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_CREATE, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, statements, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_close(db);
    return path;
  }
  static std::map<std::string, std::string> contentsOf(const std::string& directory) {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (!entry.is_regular_file()) continue;
      const auto file = must(systemDisk().open(entry.path(), OpenMode::kRead));
      std::string bytes(entry.file_size(), '\0');
      must(file->readAt(0, std::span(reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size())));
      all[entry.path()] = std::move(bytes);
    }
    return all;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreToolsTest, ACopyHoldsWhatIsCommittedWhetherTheFileHasItOrNot) {
  start();
  const auto database = open();
  write(*database, "a");
  EXPECT_EQ(copied(1, "SELECT x FROM t"), "a");
  must(store_->checkpoint());
  EXPECT_EQ(copied(1, "SELECT x FROM t"), "a");
  write(*database, "b");
  sql(*database, "INSERT INTO t VALUES ('not committed')");
  EXPECT_EQ(copied(1, "SELECT group_concat(x) FROM t"), "a,b");
  EXPECT_EQ(copied(2, ""), "!the object stores nothing");
  must(database->endTurn());
  write(*database, "c");  // a copy does not disturb what follows
  EXPECT_EQ(copied(1, "SELECT group_concat(x) FROM t"), "a,b,not committed,c");
}

TEST_F(StoreToolsTest, AHeldObjectCannotBeOpenedAndIsReplacedWhole) {
  start();
  {
    write(*open(), "old");
  }
  const std::string source = make("new.sqlite",
                                  "PRAGMA page_size = 1024; CREATE TABLE t(x); INSERT INTO t VALUES ('new');"
                                  "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB);"
                                  "INSERT INTO _cf_METADATA VALUES (1, 1700000000123000000)");
  must(normaliseDatabase(source, scratch("clean.sqlite")));
  ImportedDatabase imported = must(readImport(systemDisk(), scratch("clean.sqlite")));
  EXPECT_EQ(imported.alarm, 1700000000123);
  {
    const auto hold = must(store_->tools().hold(objectKey(1)));
    EXPECT_EQ(store_->open(objectKey(1), "").error().code, Errc::kAlreadyExists);
    EXPECT_EQ(store_->tools().hold(objectKey(1)).error().code, Errc::kAlreadyExists);
    must(hold->replace(std::move(imported.pages), {.at = imported.alarm, .objectName = "me"}));
  }
  {
    const auto database = open();
    EXPECT_EQ(sql(*database, "SELECT x FROM t"), "new");
    must(database->put("key", asBytes("value")));  // the table of ours is there
    EXPECT_EQ(must(database->alarm()), 1700000000123);
    must(database->endTurn());
  }
  EXPECT_EQ(store_->tools().alarmNames(objectKey(1).ns).at(objectKey(1).id), "me");
  kill();
  start();
  ASSERT_EQ(store_->recoveredAlarms().size(), 1U);
  EXPECT_EQ(sql(*open(), "SELECT x FROM t"), "new");
}

TEST_F(StoreToolsTest, ADirectoryThatWasKilledShowsWhatWasCommittedAndIsNotChanged) {
  start();
  {
    write(*open(1), "checkpointed");
  }
  must(store_->checkpoint());
  {
    const auto one = open(1);
    write(*one, "in the ledger");
    must(one->setAlarm(4102444800000));
    must(one->endTurn());
    write(*open(2), "never checkpointed");
  }
  kill();
  const auto before = contentsOf(dir());
  {
    const auto store = must(openStoreReadOnly(systemDisk(), dir()));
    EXPECT_TRUE(store->findings().empty());
    EXPECT_EQ(imageText(*store, 1, "SELECT group_concat(x) FROM t"), "checkpointed,in the ledger");
    EXPECT_EQ(imageText(*store, 2, "SELECT x FROM t"), "never checkpointed");
    EXPECT_EQ(imageText(*store, 3, ""), "(nothing)");
    EXPECT_EQ(must(store->listObjects(objectKey(1).ns, std::nullopt, 10)).size(), 2U);
    EXPECT_EQ(must(store->listObjects(objectKey(1).ns, objectKey(1).id, 10)).size(), 1U);
    EXPECT_EQ(store->alarms().size(), 1U);
    EXPECT_TRUE(must(verifyObjects(systemDisk(), dir(), *store, {})).findings.empty());
  }
  EXPECT_EQ(contentsOf(dir()), before);
  EXPECT_EQ(openStoreReadOnly(systemDisk(), scratch("nowhere")).error().code, Errc::kNotFound);
}

TEST_F(StoreToolsTest, ADeletedNamespaceIsGoneThoughItsFilesAreThere) {
  start();
  {
    write(*open(1), "a");
  }
  must(store_->checkpoint());
  fs::copy(dir() + "/objects", scratch("objects"), fs::copy_options::recursive);
  must(store_->deleteNamespace(objectKey(1).ns));
  kill();
  fs::copy(scratch("objects"), dir() + "/objects", fs::copy_options::recursive);
  const auto store = must(openStoreReadOnly(systemDisk(), dir()));
  EXPECT_EQ(imageText(*store, 1, ""), "(nothing)");
  EXPECT_TRUE(must(store->listObjects(objectKey(1).ns, std::nullopt, 10)).empty());
}

TEST_F(StoreToolsTest, DamageInAnObjectsFileIsFoundUnlessTheLedgerReplacesIt) {
  start();
  {
    write(*open(1), "a");
  }
  stop();
  const std::string path = filePath(dir(), objectKey(1));
  const auto damage = [&](std::uint64_t offset, std::uint8_t value) {
    const auto file = must(systemDisk().open(path, OpenMode::kReadWrite));
    const std::array<std::uint8_t, 1> byte = {value};
    const BytesView part = byte;
    must(file->writeAt(offset, std::span(&part, 1)));
  };
  EXPECT_TRUE(must(verifyObjectFile(systemDisk(), path)).empty());
  damage(3, 'x');
  auto found = must(verifyObjectFile(systemDisk(), path));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].file, path);
  EXPECT_EQ(found[0].offset, 0U);
  damage(3, 'i');
  damage(16, 0x20);
  EXPECT_EQ(must(verifyObjectFile(systemDisk(), path)).at(0).offset, 16U);
  EXPECT_TRUE(must(verifyObjectFile(systemDisk(), path, [](std::uint32_t page) { return page == 1; })).empty());
  damage(16, 0x10);
  must(must(systemDisk().open(path, OpenMode::kReadWrite))->truncate(5000));
  found = must(verifyObjectFile(systemDisk(), path));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].offset, 5000U);
}

TEST_F(StoreToolsTest, PageChecksumsAreLookedAtWhereTheHeaderPromisesThem) {
  const std::string path = scratch("sums.sqlite");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr), SQLITE_OK);
  int reserved = 8;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  sqlite3_exec(db, "CREATE TABLE t(x); INSERT INTO t VALUES (zeroblob(9000))", nullptr, nullptr, nullptr);
  sqlite3_close(db);
  EXPECT_GE(must(verifyObjectFile(systemDisk(), path)).size(), 3U);  // none was computed
}

TEST_F(StoreToolsTest, WhatCannotBeAnObjectsDatabaseIsRefusedWithTheReason) {
  const auto refused = [&](const std::string& source) {
    fs::remove(scratch("out.sqlite"));
    const auto done = normaliseDatabase(source, scratch("out.sqlite"));
    return done ? std::string("accepted") : done.error().message;
  };
  EXPECT_NE(refused(make("kv.sqlite", "CREATE TABLE _cf_KV (a, b)")).find("foreign shape"), std::string::npos);
  EXPECT_NE(refused(make("rowid.sqlite", "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB)")).find("foreign"),
            std::string::npos);
  EXPECT_NE(refused(make("own.sqlite", "CREATE TABLE _CF_other (a)")).find("Holdfast's own"), std::string::npos);
  EXPECT_NE(refused(make("trigger.sqlite",
                         "CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB); CREATE TABLE u(a);"
                         "CREATE TRIGGER r AFTER INSERT ON _cf_METADATA BEGIN DELETE FROM u; END"))
                .find("trigger 'r'"),
            std::string::npos);
  EXPECT_NE(refused(make("utf16.sqlite", "PRAGMA encoding = 'UTF-16'; CREATE TABLE t(a)")).find("UTF-16"),
            std::string::npos);
  EXPECT_NE(refused(scratch("missing.sqlite")).find("cannot be opened"), std::string::npos);
  {
    const auto file = must(systemDisk().open(scratch("text"), OpenMode::kCreate));
    const std::string text(5000, 'x');
    const BytesView part = asBytes(text);
    must(file->writeAt(0, std::span(&part, 1)));
  }
  EXPECT_NE(refused(scratch("text")).find("not a SQLite database"), std::string::npos);
  EXPECT_EQ(refused(make("good.sqlite",
                         "PRAGMA auto_vacuum = FULL; CREATE TABLE t(a); CREATE INDEX i ON t(a);"
                         "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")),
            "accepted");
  EXPECT_EQ(sqlOnFile(scratch("out.sqlite"), "PRAGMA auto_vacuum"), "0");
  EXPECT_EQ(refused(make("wal.sqlite", "PRAGMA journal_mode = WAL; CREATE TABLE t(a)")), "accepted");
  EXPECT_EQ(sqlOnFile(scratch("out.sqlite"), "PRAGMA journal_mode"), "delete");
}

}  // namespace
}  // namespace hf::storage
