// SQL behind the guard, as user code gives it. The input is texts for exec(), apart by a byte 0x01; a text that begins
// with a digit gets so many bindings; between texts that begin with '!' the turn ends.
//
// Whatever the texts are: no file is opened, what is ours (a key, an alarm) is neither read nor changed, no name of
// ours comes into being, and the database works and is whole afterwards. When it broke, which a text may bring about (a
// transaction that is too large), all that is true of the object opened again.
#include <sqlite3.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/sim_disk.h"
#include "storage/store_impl.h"
#include "storage/test_ledger.h"

namespace hf::storage {
namespace {

constexpr std::string_view kSecret = "the value that nobody may see";
constexpr WallMs kAlarm = 1'800'000'000'000;

// A statement's time runs by its looks at the clock.
class StepClock final : public Clock {
 public:
  WallMs wallMs() const override { return 1'700'000'000'000; }
  SteadyTime steady() const override { return SteadyTime(std::chrono::milliseconds(now_ += 500)); }

 private:
  mutable std::int64_t now_ = 0;
};

template <class T>
T must(Result<T> result, const char* what) {
  HF_CHECK(result.has_value(), what);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// The default VFS, which ATTACH or VACUUM INTO would use.
void forbidFiles() {
  static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
  vfs.zName = "nofiles";
  vfs.pNext = nullptr;
  vfs.xOpen = [](sqlite3_vfs*, const char*, sqlite3_file*, int, int*) -> int {
    HF_CHECK(false, "SQL opens no file");
    return SQLITE_CANTOPEN;
  };
  vfs.xDelete = [](sqlite3_vfs*, const char*, int) -> int {
    HF_CHECK(false, "SQL deletes no file");
    return SQLITE_IOERR;
  };
  HF_CHECK(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK, "a VFS can be registered");
}

class World {
 public:
  World() {
    store_ = must(openStoreOn(disk_, clock_, log_, {.directory = "/d", .overlayBytesMax = 1ULL << 40},
                              [](ledger::Replayer&) {
                                return Result<std::unique_ptr<ledger::Ledger>>(std::make_unique<ForgetfulLedger>());
                              }),
                  "the store opens");
    const auto database = fresh();
    forbidFiles();
  }
  std::unique_ptr<Database> fresh() {
    auto database = open();
    must(database->deleteAll(DeleteAlarm::kYes), "everything can be deleted");
    must(database->put("secret", asBytes(kSecret)), "a key can be put");
    must(database->setAlarm(kAlarm), "an alarm can be set");
    must(database->exec("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT DEFAULT 'x'); CREATE INDEX ti ON t(a);"
                        "INSERT INTO t(a, b) VALUES (1, 'one'), (2, 'two'), (NULL, 'three');"
                        "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIRTUAL TABLE f USING fts5(body);"
                        "INSERT INTO f VALUES ('some words to find')",
                        {}),
         "tables can be made");
    must(database->endTurn(), "a turn can end");
    return database;
  }
  std::unique_ptr<Database> open() {
    ObjectKey key;
    key.id.bytes[0] = 1;
    return must(store_->open(key, "name"), "the object opens");
  }

 private:
  SimDisk disk_{1};
  StepClock clock_;
  const Log log_{2, LogFormat::kText, LogLevel::kError};
  std::unique_ptr<Store> store_;
};

void look(const SqlView& value) {
  std::string_view bytes;
  if (const auto* text = std::get_if<std::string_view>(&value)) bytes = *text;
  if (const auto* blob = std::get_if<BytesView>(&value)) bytes = asText(*blob);
  HF_CHECK(!bytes.contains(kSecret), "SQL does not see keys' values");
}

void read(Cursor& cursor) {
  for (int rows = 0; cursor.hasRow() && rows < 1000; rows++) {
    for (std::size_t i = 0; i < cursor.columnNames().size(); i++) look(cursor.column(i));
    if (!cursor.advance()) return;
  }
}

std::string one(Database& database, const char* text) {
  auto cursor = must(database.exec(text, {}), "a plain statement runs");
  HF_CHECK(cursor->hasRow(), "it has a row");
  const SqlView value = cursor->column(0);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  return std::string(std::get<std::string_view>(value));
}

void check(Database& database) {
  const auto value = must(database.get("secret"), "a key can be read");
  HF_CHECK(value && asText(*value) == kSecret, "keys are not changed by SQL");
  HF_CHECK(must(database.list({}), "keys can be listed").size() == 1, "keys are not made by SQL");
  HF_CHECK(must(database.alarm(), "the alarm can be read") == kAlarm, "the alarm is not changed by SQL");
  HF_CHECK(one(database, "PRAGMA quick_check(1)") == "ok", "the database is whole");
  HF_CHECK(one(database, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_cf\\_%' ESCAPE '\\'") == "2",
           "names of ours are ours");
  must(database.put("secret", asBytes(kSecret)), "a key can be put");
  must(database.endTurn(), "a turn can end");
}

std::vector<SqlValue> bindingsFor(char count) {
  std::vector<SqlValue> all = {1.0,  std::string("text"),    Bytes{1, 2},   SqlNull(),
                               -5.5, std::string("a\0b", 3), std::string(), std::string("_cf_KV"),
                               1e300};
  all.resize(static_cast<std::size_t>(count - '0'));
  return all;
}

}  // namespace
}  // namespace hf::storage

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hf::storage;
  static World world;
  auto database = world.fresh();
  std::string_view input = hf::asText({data, size});
  bool broken = false;
  std::vector<std::unique_ptr<Cursor>> open;
  for (int texts = 0; !input.empty() && texts < 20 && !broken; texts++) {
    const std::size_t end = std::min(input.find('\x01'), input.size());
    std::string_view text = input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
    std::vector<SqlValue> bindings;
    if (text.starts_with('!')) {
      text.remove_prefix(1);
      broken = !database->endTurn();
      if (broken) break;
    }
    if (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      bindings = bindingsFor(text.front());
      text.remove_prefix(1);
    }
    if (auto cursor = database->exec(text, std::move(bindings))) {
      read(**cursor);
      open.push_back(*std::move(cursor));
    }
    broken = database->broken().has_value();
  }
  if (!broken) broken = !database->endTurn();  // deferred constraints
  open.clear();
  if (broken) {
    database = nullptr;
    database = world.open();
  }
  check(*database);
  return 0;
}
