// Random work on several objects, power lost at any operation of the disk, again and again: what was durable is there,
// what is there is a prefix of what was committed, nothing is there by half.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>

#include "base/fault_disk.h"
#include "base/sim_disk.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

constexpr std::uint8_t kObjects = 5;
constexpr char kDirectory[] = "data";

struct State {
  std::map<std::string, std::string> kv;
  std::vector<std::int64_t> rows;
  std::optional<WallMs> alarm;
  friend bool operator==(const State&, const State&) = default;
};

struct Committed {
  ledger::Position end;
  State state;
};

std::string valueText(SeededRandom& random) {
  // Now and then more than a page, so that a commit has several.
  return std::string(random.below(8) == 0 ? 3000 + random.below(9000) : random.below(100),
                     static_cast<char>('a' + random.below(26)));
}

State read(Database& db) {
  State state;
  for (const ListEntry& entry : must(db.list({}))) state.kv[entry.key] = std::string(asText(entry.value));
  if (sql(db, "SELECT name FROM sqlite_schema WHERE name = 't'") == "t") {
    auto cursor = must(db.exec("SELECT x FROM t ORDER BY x", {}));
    while (cursor->hasRow()) {
      state.rows.push_back(std::get<std::int64_t>(cursor->column(0)));
      must(cursor->advance());
    }
  }
  state.alarm = must(db.alarm());
  return state;
}

class Life {
 public:
  Life(Disk& disk, std::uint64_t seed) : disk_(disk), random_(seed) {
    for (std::uint8_t i = 0; i < kObjects; i++) history_[i].push_back({.end = {}, .state = {}});
  }

  // False: there was no power for it.
  bool start() {
    auto store = openStoreOn(
        disk_, systemClock(), quiet_,
        {.directory = kDirectory,
         .overlayBytesMax = 600'000,
         .ledgerBytesMax = 100'000,
         .historyRetention = std::chrono::hours(1),
         .closedDelay = {}},
        [&](ledger::Replayer& replayer) {
          return ledger::openLedger(
              disk_, {.directory = std::string(kDirectory) + "/ledger", .segmentBytes = 128 * 1024}, replayer);
        });
    if (!store) {
      EXPECT_NE(store.error().code, Errc::kCorrupt) << store.error().message;
      return false;
    }
    store_ = *std::move(store);
    return true;
  }

  // Until something fails or there is no more to do.
  void work(int turns) {
    for (int i = 0; i < turns; i++) {
      if (!turn()) break;
    }
    durable_ = std::max(durable_, store_->ledger().durable());
    databases_.clear();
    store_.reset();
  }

  // After start(): compares with what was committed, and takes what survived for the truth.
  void verify() {
    ledger::Position survived = durable_;
    std::map<std::uint8_t, std::size_t> found;
    for (std::uint8_t i = 0; i < kObjects; i++) {
      Database* db = database(i);
      ASSERT_NE(db, nullptr);
      EXPECT_EQ(sql(*db, "PRAGMA quick_check"), "ok");
      const State state = read(*db);
      std::optional<std::size_t> match;
      for (std::size_t k = history_[i].size(); k-- > 0 && !match;) {
        if (history_[i][k].state == state) match = k;
      }
      ASSERT_TRUE(match) << "object " << int{i} << " holds what was never committed";
      found[i] = *match;
      survived = std::max(survived, history_[i][*match].end);
    }
    for (std::uint8_t i = 0; i < kObjects; i++) {
      const std::vector<Committed>& history = history_[i];
      EXPECT_TRUE(found[i] + 1 == history.size() || history[found[i] + 1].end > survived)
          << "object " << int{i} << " lost a commit that others survived";
    }
    std::map<ObjectKey, WallMs> alarms;
    for (const ScheduledAlarm& alarm : store_->recoveredAlarms()) {
      alarms[alarm.object] = alarm.at;
      EXPECT_EQ(alarm.objectName, "name");
    }
    for (std::uint8_t i = 0; i < kObjects; i++) {
      const State& state = history_[i][found[i]].state;
      EXPECT_EQ(alarms.contains(objectKey(i)), state.alarm.has_value());
      if (state.alarm) EXPECT_EQ(alarms[objectKey(i)], *state.alarm);
      history_[i] = {{.end = {}, .state = state}};
    }
    durable_ = {};
  }

  // A clean stop, and then SQLite's own VFS on each file.
  void closeAndCheckFiles() {
    databases_.clear();
    must(store_->close());
    store_.reset();
    const TemporaryDirectory directory;
    for (std::uint8_t i = 0; i < kObjects; i++) {
      const State& state = history_[i].back().state;
      const std::string path = filePath(kDirectory, objectKey(i));
      if (!must(disk_.exists(path))) {
        EXPECT_EQ(state, State{});
        continue;
      }
      auto file = must(disk_.open(path, OpenMode::kRead));
      Bytes bytes(must(file->size()));
      must(file->readAt(0, bytes));
      const std::string copy = directory.path() + "/copy.sqlite";
      std::ofstream(copy, std::ios::binary | std::ios::trunc)
          .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      EXPECT_EQ(sqlOnFile(copy, "PRAGMA integrity_check"), "ok");
      EXPECT_EQ(sqlOnFile(copy, "PRAGMA page_count"), std::to_string(bytes.size() / 4096));
      if (!state.kv.empty()) {
        EXPECT_EQ(sqlOnFile(copy, "SELECT count(*) FROM _cf_KV"), std::to_string(state.kv.size()));
      }
    }
  }

 private:
  Database* database(std::uint8_t object) {
    if (databases_[object] == nullptr) {
      auto opened = store_->open(objectKey(object), "name");
      if (!opened) return nullptr;
      databases_[object] = *std::move(opened);
    }
    return databases_[object].get();
  }

  bool turn() {
    const auto object = static_cast<std::uint8_t>(random_.below(kObjects));
    switch (random_.below(30)) {
      case 0:
        databases_[object].reset();
        return true;
      case 1:
        durable_ = std::max(durable_, store_->ledger().durable());
        return store_->checkpoint().has_value();
      case 2: {
        const ledger::Position tail = store_->ledger().tail();
        if (!store_->ledger().waitDurable(tail)) return false;
        durable_ = std::max(durable_, tail);
        return true;
      }
      default:
        break;
    }
    Database* db = database(object);
    if (db == nullptr) return false;
    State state = history_[object].back().state;
    if (random_.below(25) == 0) {
      const bool keep = random_.below(2) == 0;
      if (!db->deleteAll(keep ? DeleteAlarm::kNo : DeleteAlarm::kYes)) return false;
      const std::optional<WallMs> alarm = keep ? state.alarm : std::nullopt;
      state = {.kv = {}, .rows = {}, .alarm = alarm};
    }
    for (std::uint64_t i = random_.below(5); i > 0; i--) {
      if (!write(*db, state)) return false;
    }
    // No two states of a history are equal, unless the object is empty.
    state.kv["sequence"] = std::to_string(++sequence_);
    if (!db->put("sequence", asBytes(state.kv["sequence"]))) return false;
    // Held while the commit may already be with the ledger but its end is not known here.
    const auto end = db->endTurn();
    if (!end) {
      history_[object].push_back({.end = {UINT64_MAX}, .state = state});
      return false;
    }
    history_[object].push_back({.end = **end, .state = std::move(state)});
    return true;
  }

  bool write(Database& db, State& state) {
    const std::string key = "k" + std::to_string(random_.below(20));
    switch (random_.below(6)) {
      case 0:
        state.kv.erase(key);
        return db.remove(key).has_value();
      case 1: {
        const auto number = static_cast<std::int64_t>(random_.next64() >> 12);
        state.rows.push_back(number);
        std::ranges::sort(state.rows);
        return db.exec("CREATE TABLE IF NOT EXISTS t (x INTEGER)", {}) && db.exec("INSERT INTO t VALUES (?)", {number});
      }
      case 2:
        state.alarm = random_.below(3) == 0 ? std::nullopt : std::optional<WallMs>(random_.below(1'000'000) + 1);
        return db.setAlarm(state.alarm).has_value();
      default:
        state.kv[key] = valueText(random_);
        return db.put(key, asBytes(state.kv[key])).has_value();
    }
  }

  Disk& disk_;
  SeededRandom random_;
  const Log quiet_{2, LogFormat::kText, static_cast<LogLevel>(9)};
  std::unique_ptr<Store> store_;
  std::map<std::uint8_t, std::unique_ptr<Database>> databases_;
  std::map<std::uint8_t, std::vector<Committed>> history_;
  ledger::Position durable_;
  std::uint64_t sequence_ = 0;
};

std::uint64_t seedOfRun() {
  const char* given = std::getenv("HF_SEED");
  return given == nullptr ? systemRandom().next64() : std::strtoull(given, nullptr, 10);
}

TEST(StorageCrash, DurableCommitsSurvivePowerLossAtAnyMoment) {
  const std::uint64_t seed = seedOfRun();
  SCOPED_TRACE("HF_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  for (int run = 0; run < 60 && !::testing::Test::HasFatalFailure(); run++) {
    SCOPED_TRACE("run " + std::to_string(run));
    SimDisk disk(random.next64());
    Life life(disk, random.next64());
    for (int crash = 0; crash < 6; crash++) {
      disk.losePowerAt(1 + random.below(crash % 2 == 0 ? 120 : 900));
      if (life.start()) life.work(300);
      disk.powerOn(static_cast<SimDisk::Unsynced>(random.below(3)));
      ASSERT_TRUE(life.start());
      life.verify();
      if (::testing::Test::HasFatalFailure()) return;
      life.work(static_cast<int>(random.below(40)));
      disk.powerOn(SimDisk::Unsynced::kByChance);
    }
    ASSERT_TRUE(life.start());
    life.verify();
    life.closeAndCheckFiles();
  }
}

TEST(StorageCrash, FailuresOfTheDiskLoseNothingThatWasDurable) {
  const std::uint64_t seed = seedOfRun();
  SCOPED_TRACE("HF_SEED=" + std::to_string(seed));
  SeededRandom random(seed);
  using Operation = FaultDisk::Operation;
  for (const Operation operation : {Operation::kWrite, Operation::kSync, Operation::kAllocate, Operation::kRename,
                                    Operation::kSyncDirectory, Operation::kRead, Operation::kRemove}) {
    for (std::uint64_t n = 1; n <= 25; n++) {
      SCOPED_TRACE("operation " + std::to_string(static_cast<int>(operation)) + " call " + std::to_string(n));
      SimDisk sim(random.next64());
      FaultDisk disk(sim);
      Life life(disk, random.next64());
      ASSERT_TRUE(life.start());
      life.work(60);
      ASSERT_TRUE(life.start());
      life.verify();
      disk.failAt(operation, n, random.below(2) == 0 ? Errc::kNoSpace : Errc::kIo);
      life.work(80);
      disk.failAt(operation, 1'000'000'000, Errc::kIo);
      sim.powerOn(SimDisk::Unsynced::kByChance);
      ASSERT_TRUE(life.start());
      life.verify();
      if (::testing::Test::HasFatalFailure()) return;
      life.closeAndCheckFiles();
    }
  }
}

}  // namespace
}  // namespace hf::storage
