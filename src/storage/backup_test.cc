// A copy of a store's files that is taken while it works, in any order of copying, committing and checkpointing,
// recovers to exactly what was committed at the position where the copy of the ledger ends.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/random.h"
#include "storage/test_store.h"

namespace hf::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::uint8_t kObjects = 6;
constexpr std::uint64_t kSegmentBytes = 128 * 1024;

class BackupWorld {
 public:
  explicit BackupWorld(std::uint64_t seed) : random_(seed) {
    store_ = open(from());
    states_[0] = {};
  }

  void run() {
    work(30);
    const auto backup = must(store_->ledger().beginBackup());
    work(10);
    copyObjects();
    copyFile(from() + "/alarms", to() + "/alarms");
    const ledger::LedgerBackup::Parts parts = must(backup->parts());
    for (const ledger::LedgerBackup::Part& part : parts.files) {
      work(2);  // what is durable is not touched any more
      fs::create_directories(to() + "/ledger");
      Bytes bytes = part.bytes;
      if (!part.sourcePath.empty()) {
        bytes.resize(part.usedBytes);
        ASSERT_EQ(must(must(systemDisk().open(part.sourcePath, OpenMode::kRead))->readAt(0, bytes)), bytes.size());
      }
      const auto file = must(systemDisk().open(to() + "/ledger/" + part.name, OpenMode::kCreateNew));
      const BytesView view = bytes;
      must(file->writeAt(0, std::span(&view, 1)));
      must(file->truncate(part.fileBytes));
    }
    work(10);
    const auto copy = open(to());
    check(*copy, std::prev(states_.upper_bound(parts.end.value))->second);
    must(copy->close());
  }

  ~BackupWorld() { EXPECT_TRUE(store_->close()); }

 private:
  // What an object holds: its rows, and whether it has an alarm.
  struct Held {
    std::string rows;
    bool hasAlarm = false;
  };
  using State = std::map<std::uint8_t, Held>;

  std::string from() const { return directory_.path() + "/from"; }
  std::string to() const { return directory_.path() + "/to"; }

  static std::unique_ptr<Store> open(const std::string& directory) {
    StoreOptions options{.directory = directory};
    return must(openStoreOn(systemDisk(), systemClock(), testLog(), options, [&](ledger::Replayer& replayer) {
      return ledger::openLedger(systemDisk(), {.directory = directory + "/ledger", .segmentBytes = kSegmentBytes},
                                replayer);
    }));
  }

  void work(int steps) {
    for (int i = 0; i < steps; i++) step();
  }

  void step() {
    const auto number = static_cast<std::uint8_t>(1 + random_.below(kObjects));
    const std::uint64_t kind = random_.below(20);
    if (kind < 3) return must(store_->checkpoint());
    if (kind == 3 && random_.below(3) == 0) {
      must(store_->deleteNamespace(objectKey(number).ns));
      state_.clear();
    } else {
      const auto database = must(store_->open(objectKey(number), ""));
      if (kind == 4) {
        must(database->deleteAll(DeleteAlarm::kYes));
        state_.erase(number);
      } else if (kind < 7) {
        must(database->setAlarm(4102444800000 + number));
        state_[number].hasAlarm = true;
      } else {
        const std::string text = std::to_string(steps_++);
        sql(*database, "CREATE TABLE IF NOT EXISTS t(x, filler)");
        sql(*database,
            "INSERT INTO t VALUES (" + text + ", hex(randomblob(" + std::to_string(random_.below(9000)) + ")))");
        state_[number].rows += text + ";";
      }
      must(database->endTurn());
    }
    must(store_->ledger().waitDurable(store_->ledger().tail()));
    states_[store_->ledger().tail().value] = state_;
  }

  void copyFile(const std::string& path, const std::string& as) {
    const auto source = systemDisk().open(path, OpenMode::kRead);
    if (!source) return;
    fs::create_directories(fs::path(as).parent_path());
    const auto target = must(systemDisk().open(as, OpenMode::kCreateNew));
    Bytes piece(3000);  // not a page: what is read may be torn inside one
    for (std::uint64_t at = 0;;) {
      const std::size_t got = must((*source)->readAt(at, piece));
      if (got == 0) break;
      const BytesView part = BytesView(piece).first(got);
      must(target->writeAt(at, std::span(&part, 1)));
      at += got;
      if (random_.below(4) == 0) work(1);
    }
    // A database has whole pages, however many of them were there.
    const std::uint64_t size = must(target->size());
    if (as.ends_with(".sqlite")) {
      must(target->truncate((size + ledger::kPageBytes - 1) / ledger::kPageBytes * ledger::kPageBytes));
    }
  }

  void copyObjects() {
    std::set<std::string> seen;
    while (true) {
      // Listed anew each time: files come and go.
      std::string next;
      std::error_code gone;
      for (const auto& entry : fs::recursive_directory_iterator(from() + "/objects", gone)) {
        if (entry.is_regular_file(gone) && !seen.contains(entry.path())) next = entry.path();
      }
      if (next.empty()) return;
      seen.insert(next);
      copyFile(next, to() + next.substr(from().size()));
    }
  }

  static void check(Store& store, const State& state) {
    std::set<ObjectId> alarms;
    for (const ScheduledAlarm& alarm : store.recoveredAlarms()) alarms.insert(alarm.object.id);
    for (std::uint8_t number = 1; number <= kObjects; number++) {
      const auto held = state.find(number);
      const Held expected = held == state.end() ? Held() : held->second;
      const auto database = must(store.open(objectKey(number), ""));
      const std::string rows = sql(*database, "SELECT x FROM t");
      if (expected.rows.empty()) {
        EXPECT_TRUE(rows.starts_with("!no such table") || rows.empty()) << rows;
      } else {
        EXPECT_EQ(rows + ";", expected.rows);
      }
      EXPECT_EQ(must(database->alarm()).has_value(), expected.hasAlarm);
      EXPECT_EQ(alarms.contains(objectKey(number).id), expected.hasAlarm);
    }
  }

  SeededRandom random_;
  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  State state_;
  std::map<std::uint64_t, State> states_;  // by the position at which it was committed
  int steps_ = 0;
};

TEST(Backup, ACopyTakenWhileTheStoreWorksIsAsOfOnePosition) {
  const char* given = std::getenv("HF_SEED");
  const std::uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  for (std::uint64_t seed = first; seed < first + (given == nullptr ? 25 : 1); seed++) {
    SCOPED_TRACE("HF_SEED=" + std::to_string(seed));
    BackupWorld(seed).run();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace hf::storage
