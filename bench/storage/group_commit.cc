// 64 objects that each wait for their own commit: two shards on one ledger, against 64 threads with a SQLite file each.
#include <algorithm>
#include <barrier>
#include <deque>
#include <thread>

#include "measure.h"

namespace hf::bench {
namespace {

constexpr std::uint32_t kObjects = 64;

struct Slice {
  double commitsPerSecond = 0;
  std::uint64_t records = 0;
  std::uint64_t syncs = 0;
};

// What a shard does: as soon as an object's commit is durable, its next one.
class ShardLoop final {
 public:
  ShardLoop(storage::Store& store, std::uint32_t first, std::uint32_t step) : ledger_(store.ledger()) {
    for (std::uint32_t i = first; i < kObjects; i += step) {
      databases_.push_back(must(store.open(objectKey(i), "")));
      commit(*databases_.back());
    }
    drain();
  }

  std::uint64_t run(SteadyClock::time_point end) {
    std::uint64_t commits = 0;
    for (const auto& database : databases_) commit(*database);
    while (SteadyClock::now() < end) {
      must(ledger_.waitDurable(underWay_.front().position));
      const ledger::Position durable = ledger_.durable();
      while (underWay_.front().position <= durable) {
        storage::Database& database = *underWay_.front().database;
        underWay_.pop_front();
        commits++;
        commit(database);
      }
    }
    drain();
    return commits;
  }

 private:
  struct UnderWay {
    ledger::Position position;
    storage::Database* database = nullptr;
  };
  void commit(storage::Database& database) {
    must(database.put("n", rowValue(count_)));
    underWay_.push_back({.position = must(database.endTurn()).value(), .database = &database});
  }
  void drain() {
    must(ledger_.waitDurable(underWay_.back().position));
    underWay_.clear();
  }

  ledger::Ledger& ledger_;
  std::vector<std::unique_ptr<storage::Database>> databases_;
  std::deque<UnderWay> underWay_;
  std::uint64_t count_ = 0;
};

// `prepare` makes each thread's own work, a callable that runs until a time and says how many commits it made.
template <class Prepare>
double together(std::uint32_t threads, SteadyClock::duration time, const Prepare& prepare) {
  std::vector<std::uint64_t> commits(threads);
  std::barrier ready(static_cast<std::ptrdiff_t>(threads));
  std::vector<std::jthread> running;
  running.reserve(threads);
  for (std::uint32_t i = 0; i < threads; i++) {
    running.emplace_back([&, i] {
      auto work = prepare(i);
      ready.arrive_and_wait();
      commits[i] = work(SteadyClock::now() + time);
    });
  }
  running.clear();
  std::uint64_t sum = 0;
  for (const std::uint64_t each : commits) sum += each;
  return static_cast<double>(sum) / Seconds(time).count();
}

Slice holdfastSlice(storage::Store& store, SteadyClock::duration time) {
  const std::uint32_t shards = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
  const ledger::LedgerStats before = store.ledger().stats();
  Slice slice;
  slice.commitsPerSecond = together(shards, time, [&](std::uint32_t shard) {
    return [loop = std::make_unique<ShardLoop>(store, shard, shards)](SteadyClock::time_point end) {
      return loop->run(end);
    };
  });
  const ledger::LedgerStats after = store.ledger().stats();
  slice.records = after.records - before.records;
  slice.syncs = after.syncs - before.syncs;
  return slice;
}

double sqliteSlice(const std::string& directory, SteadyClock::duration time) {
  return together(kObjects, time, [&](std::uint32_t number) {
    PlainDatabase db = openPlain(directory + "/" + std::to_string(number) + ".sqlite");
    runPlain(db.get(), "PRAGMA journal_mode=WAL");
    runPlain(db.get(), "PRAGMA synchronous=FULL");
    runPlain(db.get(), (std::string("BEGIN;") + "CREATE TABLE IF NOT EXISTS" +
                        (kKvSchema + sizeof("CREATE TABLE") - 1) + ";COMMIT")
                           .c_str());
    PlainStatement put = preparePlain(db.get(), kKvPut);
    return [db = std::move(db), put = std::move(put), count = std::uint64_t{0}](SteadyClock::time_point end) mutable {
      const std::uint64_t begin = count;
      while (SteadyClock::now() < end) putPlain(db.get(), put.get(), rowValue(count));
      return count - begin;
    };
  });
}

}  // namespace

Json manyObjects(const Settings& settings) {
  const Folder folder(settings, "many-objects");
  const Folder plain(settings, "many-objects/plain");
  const auto store = openStore({.directory = folder.path() + "/store"});
  const int rounds = settings.isQuick ? 2 : 5;
  const auto time = std::chrono::milliseconds(settings.isQuick ? 700 : 2000);
  std::vector<double> ours;
  std::vector<double> theirs;
  Slice sum;
  for (int round = 0; round < rounds; round++) {
    const Slice slice = holdfastSlice(*store, time);
    ours.push_back(slice.commitsPerSecond);
    sum.records += slice.records;
    sum.syncs += slice.syncs;
    theirs.push_back(sqliteSlice(plain.path(), time));
  }
  must(store->close());
  std::ranges::sort(ours);
  std::ranges::sort(theirs);
  return {{"commitsPerSecond", ours[ours.size() / 2]},
          {"sqliteCommitsPerSecond", theirs[theirs.size() / 2]},
          {"commitsPerSync", static_cast<double>(sum.records) / static_cast<double>(sum.syncs)},
          {"syncs", sum.syncs}};
}

}  // namespace hf::bench
