// Commits per second on the machine's real disk, in the folder that HF_BENCH_DIR names (default: the working folder).
//   ledger_bench --benchmark_min_time=2
#include "ledger/ledger.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <string>
#include <thread>

#include "base/check.h"
#include "ledger/record.h"

namespace hf::ledger {
namespace {

class NoReplay final : public Replayer {
 public:
  Result<void> onCommit(const RecoveredCommit& commit) override { return {}; }
  Result<void> onNamespaceDeleted(const NamespaceDeletion& deletion, Position end) override { return {}; }
};

std::string benchDirectory() {
  const char* set = std::getenv("HF_BENCH_DIR");
  return std::string(set != nullptr ? set : ".") + "/ledger-bench";
}

// A page as a table's leaf looks, and the same with one row changed.
struct Row {
  Bytes before;
  Bytes after;
};
Row rowUpdate() {
  SeededRandom random(1);
  Row row{Bytes(kPageBytes, 0), {}};
  for (std::size_t i = 400; i < kPageBytes; i++) row.before[i] = static_cast<std::uint8_t>('a' + random.below(16));
  row.after = row.before;
  for (std::size_t i = 24; i < 28; i++) row.after[i]++;
  for (std::size_t i = 2000; i < 2050; i++) row.after[i]++;
  return row;
}

CommitRecord rowCommit(const Row& row) {
  CommitRecord record;
  record.transaction = 12345;
  record.pageCount = 5;
  record.pages.push_back({.number = 3, .bytes = row.after, .previous = row.before});
  return record;
}

void encodeRowUpdate(benchmark::State& state) {
  const Row row = rowUpdate();
  const CommitRecord record = rowCommit(row);
  Bytes out;
  for (auto _ : state) encodeRecord(record, out);
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(encodeRowUpdate);

void encodeWholePage(benchmark::State& state) {
  const Row row = rowUpdate();
  CommitRecord record = rowCommit(row);
  record.pages[0].previous = {};
  Bytes out;
  for (auto _ : state) encodeRecord(record, out);
  state.counters["bytes"] = static_cast<double>(out.size());
}
BENCHMARK(encodeWholePage);

// `clients` commits are under way at any time, each waiting for its own to be durable.
void commitsUnderWay(benchmark::State& state) {
  const auto clients = static_cast<std::size_t>(state.range(0));
  Disk& disk = systemDisk();
  HF_CHECK(disk.removeTree(benchDirectory()).has_value(), "the bench folder can be removed");
  NoReplay replayer;
  LedgerOptions options;
  options.directory = benchDirectory();
  auto ledger = openLedger(disk, options, replayer);
  HF_CHECK(ledger.has_value(), "the bench folder can be written");
  while ((*ledger)->stats().spareSegments == 0) std::this_thread::yield();
  const Row row = rowUpdate();
  const CommitRecord record = rowCommit(row);
  std::deque<Position> underWay;
  std::uint64_t commits = 0;
  for (auto _ : state) {
    auto end = (*ledger)->append(record);
    HF_CHECK(end.has_value(), "there is space");
    underWay.push_back(*end);
    if (underWay.size() >= clients) {
      HF_CHECK((*ledger)->waitDurable(underWay.front()).has_value(), "the disk works");
      while (!underWay.empty() && underWay.front() <= (*ledger)->durable()) underWay.pop_front();
    }
    if (++commits % 100'000 == 0) {
      HF_CHECK((*ledger)->retire((*ledger)->durable()).has_value(), "the disk works");
    }
  }
  const LedgerStats stats = (*ledger)->stats();
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
  state.counters["commits/sync"] =
      static_cast<double>(stats.records) / static_cast<double>(std::max<std::uint64_t>(1, stats.syncs));
  state.counters["per_sync"] =
      benchmark::Counter(static_cast<double>(stats.syncs), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  ledger->reset();
  HF_CHECK(disk.removeTree(benchDirectory()).has_value(), "the bench folder can be removed");
}
BENCHMARK(commitsUnderWay)->Arg(1)->Arg(8)->Arg(64)->Arg(512)->UseRealTime();

}  // namespace
}  // namespace hf::ledger
