// What a turn costs on the shard: the transaction, its record into a ledger that takes it and forgets it.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "storage/store_impl.h"
#include "storage/test_ledger.h"

namespace hf::storage {
namespace {

template <class T>
T must(Result<T> result) {
  HF_CHECK(result.has_value(), "a benchmark does what is allowed");
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

class Bench {
 public:
  Bench() {
    std::string path = (std::filesystem::temp_directory_path() / "hf-storage-bench-XXXXXX").string();
    HF_CHECK(mkdtemp(path.data()) != nullptr, "there is room for a directory");
    directory_ = path;
    store_ = must(openStoreOn(systemDisk(), systemClock(), log_, {.directory = path, .overlayBytesMax = 4ULL << 30},
                              [](ledger::Replayer&) {
                                return Result<std::unique_ptr<ledger::Ledger>>(std::make_unique<ForgetfulLedger>());
                              }));
  }
  ~Bench() {
    databases_.clear();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }
  Database& open(std::uint32_t number) {
    ObjectKey key;
    for (int i = 0; i < 4; i++)
      key.id.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> (8 * i));
    databases_.push_back(must(store_->open(key, "")));
    return *databases_.back();
  }
  void releaseMemory() {
    for (const auto& database : databases_) database->releaseMemory();
  }

 private:
  const Log log_{2, LogFormat::kText, LogLevel::kError};
  std::string directory_;
  std::unique_ptr<Store> store_;
  std::vector<std::unique_ptr<Database>> databases_;
};

std::size_t residentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void kvPutTurn(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  std::uint64_t count = 0;
  for (auto _ : state) {
    count++;
    must(db.put("count", {reinterpret_cast<const std::uint8_t*>(&count), sizeof count}));
    must(db.endTurn());
  }
}
BENCHMARK(kvPutTurn);

void kvGet(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  must(db.put("count", asBytes("1")));
  must(db.endTurn());
  for (auto _ : state) benchmark::DoNotOptimize(must(db.get("count")));
}
BENCHMARK(kvGet);

void sqlInsertTurn(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  must(db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)", {}));
  for (auto _ : state) {
    must(db.exec("INSERT INTO t (text) VALUES (?)", {std::string("a message of some words")}));
    must(db.endTurn());
  }
}
BENCHMARK(sqlInsertTurn);

void sqlSelectRow(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  must(db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)", {}));
  must(db.exec("INSERT INTO t (text) VALUES ('x')", {}));
  must(db.endTurn());
  for (auto _ : state) benchmark::DoNotOptimize(must(db.exec("SELECT text FROM t WHERE id = ?", {1.0}))->column(0));
}
BENCHMARK(sqlSelectRow);

constexpr int kRows = 1000;

void kvListRows(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  for (int i = 0; i < kRows; i++) must(db.put("key-" + std::to_string(i), asBytes("a message of some words")));
  must(db.endTurn());
  for (auto _ : state) benchmark::DoNotOptimize(must(db.list({})));
}
BENCHMARK(kvListRows);

void sqlSelectRows(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  must(db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)", {}));
  for (int i = 0; i < kRows; i++) must(db.exec("INSERT INTO t (text) VALUES ('a message of some words')", {}));
  must(db.endTurn());
  for (auto _ : state) {
    const auto cursor = must(db.exec("SELECT id, text FROM t", {}));
    while (cursor->hasRow()) {
      benchmark::DoNotOptimize(cursor->column(0));
      benchmark::DoNotOptimize(cursor->column(1));
      must(cursor->advance());
    }
  }
}
BENCHMARK(sqlSelectRows);

// Opened and read as after a long time: nothing of it is kept.
void connectAndGet(benchmark::State& state) {
  Bench bench;
  Database& db = bench.open(1);
  must(db.put("count", asBytes("1")));
  must(db.endTurn());
  for (auto _ : state) {
    db.releaseMemory();
    benchmark::DoNotOptimize(must(db.get("count")));
  }
}
BENCHMARK(connectAndGet);

void firstTouch(benchmark::State& state) {
  const std::size_t before = residentBytes();
  Bench bench;
  std::uint32_t number = 0;
  for (auto _ : state) {
    Database& db = bench.open(number++);
    if (state.range(0) == 1) must(db.put("a", asBytes("1")));
    if (state.range(0) == 2) must(db.exec("CREATE TABLE t (x); INSERT INTO t VALUES (1)", {}));
    must(db.endTurn());
  }
  const auto each = [&] {
    malloc_trim(0);
    return (static_cast<double>(residentBytes()) - static_cast<double>(before)) / static_cast<double>(number);
  };
  state.counters["bytesEach"] = each();
  bench.releaseMemory();
  state.counters["bytesEachReleased"] = each();
}
BENCHMARK(firstTouch)->ArgName("0nothing_1kv_2sql")->Arg(0)->Arg(1)->Arg(2)->Iterations(5000);

}  // namespace
}  // namespace hf::storage
