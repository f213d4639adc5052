// How long a durable increment takes: beside the disk's own limit, and while checkpoints run.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <thread>

#include "measure.h"

namespace hf::bench {
namespace {

// A file whose blocks are there and have been written before: a sync has nothing to do but the data.
class WrittenFile final {
 public:
  WrittenFile(const std::string& path, std::size_t bytes)
      : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)), bytes_(bytes) {
    const Bytes zeros(1024 * 1024, 0);
    for (std::size_t at = 0; at < bytes; at += zeros.size()) {
      if (pwrite(file_, zeros.data(), zeros.size(), static_cast<off_t>(at)) != static_cast<ssize_t>(zeros.size())) {
        fail(path + ": cannot be written");
      }
    }
    if (fsync(file_) != 0) fail(path + ": cannot be synced");
  }
  WrittenFile(const WrittenFile&) = delete;
  WrittenFile& operator=(const WrittenFile&) = delete;
  ~WrittenFile() { close(file_); }

  // One after another through the file, and again from its beginning.
  void append(BytesView data) {
    if (at_ + data.size() > bytes_) at_ = 0;
    if (pwrite(file_, data.data(), data.size(), static_cast<off_t>(at_)) != static_cast<ssize_t>(data.size()) ||
        fdatasync(file_) != 0) {
      fail("write and fdatasync failed");
    }
    at_ += data.size();
  }

 private:
  int file_;
  std::size_t bytes_;
  std::size_t at_ = 0;
};

ledger::Position commit(storage::Database& database, std::uint64_t& count) {
  must(database.put("n", rowValue(count)));
  const auto position = must(database.endTurn());
  if (!position) fail("a turn that wrote has a position");
  return *position;
}

}  // namespace

Json oneObject(const Settings& settings) {
  constexpr int kSliceCommits = 50;
  const Folder folder(settings, "one-object");
  const auto store = openStore({.directory = folder.path() + "/store"});
  ledger::Ledger& ledger = store->ledger();
  auto database = must(store->open(objectKey(1), ""));
  WrittenFile limit(folder.path() + "/limit", 64UL * 1024 * 1024);

  while (ledger.stats().spareSegments == 0) std::this_thread::yield();  // its filling is the disk's work too
  std::uint64_t count = 0;
  // Of each slice: what fills a spare segment at the same time is in few of them, and not in their median.
  std::vector<double> bytes;
  const auto bytesPerCommit = [&] {
    std::ranges::sort(bytes);
    return bytes[bytes.size() / 2];
  };
  Samples whole;
  Samples turn;
  const auto commitSlice = [&] {
    const std::uint64_t before = writtenBytes();
    for (int i = 0; i < kSliceCommits; i++) {
      const auto begin = SteadyClock::now();
      const ledger::Position position = commit(*database, count);
      const auto accepted = SteadyClock::now();
      must(ledger.waitDurable(position));
      whole.add(SteadyClock::now() - begin);
      turn.add(accepted - begin);
    }
    bytes.push_back(static_cast<double>(writtenBytes() - before) / kSliceCommits);
  };
  commitSlice();  // caches, the first pages, the spare segment
  whole = turn = {};
  bytes.clear();
  commitSlice();

  Samples raw;
  const ledger::LedgerStats statsBefore = ledger.stats();
  const std::uint64_t recordsFrom = ledger.tail().value;
  const auto end = SteadyClock::now() + std::chrono::seconds(settings.isQuick ? 2 : 12);
  while (SteadyClock::now() < end) {
    const Bytes data(static_cast<std::size_t>(bytesPerCommit()), 0x5a);
    for (int i = 0; i < kSliceCommits; i++) {
      const auto begin = SteadyClock::now();
      limit.append(data);
      raw.add(SteadyClock::now() - begin);
    }
    commitSlice();
  }
  const ledger::LedgerStats stats = ledger.stats();
  const auto records = static_cast<double>(stats.records - statsBefore.records);
  Json out{{"commitUs", whole.median()},
           {"writeAndSyncUs", raw.median()},
           {"turnUs", turn.median()},
           {"commitP99Us", whole.at(0.99)},
           {"writeAndSyncP99Us", raw.at(0.99)},
           {"bytesPerCommit", bytesPerCommit()},
           {"recordBytes", static_cast<double>(ledger.tail().value - recordsFrom) / records},
           {"samples", whole.count()}};
  database.reset();
  must(store->close());
  return out;
}

namespace {

// One shard's view: so many commits under way, each of the next object in turn.
class Load final {
 public:
  Load(const std::string& directory, storage::StoreOptions options, std::uint32_t objects)
      : store_(openStore([&] {
          options.directory = directory;
          return options;
        }())) {
    for (std::uint32_t i = 0; i < objects; i++) {
      databases_.push_back(must(store_->open(objectKey(i), "")));
      last_ = commit(*databases_.back(), count_);
    }
    must(store_->ledger().waitDurable(last_));
  }

  // What lies behind is in the files, and the ledger has a segment to spare: filling one is work for the disk too, and
  // no checkpoint's.
  void settle() {
    must(store_->checkpoint());
    while (store_->ledger().stats().spareSegments == 0) std::this_thread::yield();
  }

  void run(std::size_t underWayMost, SteadyClock::duration time, Samples& samples) {
    ledger::Ledger& ledger = store_->ledger();
    struct UnderWay {
      ledger::Position position;
      SteadyClock::time_point begin;
    };
    std::deque<UnderWay> underWay;
    ledger::Position retired = ledger.retired();
    const auto end = SteadyClock::now() + time;
    while (SteadyClock::now() < end || !underWay.empty()) {
      while (underWay.size() < underWayMost && SteadyClock::now() < end) {
        const auto begin = SteadyClock::now();
        underWay.push_back({.position = commit(*databases_[next_++ % databases_.size()], count_), .begin = begin});
      }
      if (underWay.empty()) break;
      must(ledger.waitDurable(underWay.front().position));
      const ledger::Position durable = ledger.durable();
      const auto now = SteadyClock::now();
      while (!underWay.empty() && underWay.front().position <= durable) {
        samples.add(now - underWay.front().begin);
        underWay.pop_front();
      }
      if (const ledger::Position retiredNow = ledger.retired(); retiredNow != retired) {
        checkpoints_++;
        retired = retiredNow;
      }
    }
  }

  void close() {
    databases_.clear();
    must(store_->close());
  }
  [[nodiscard]] std::uint64_t checkpoints() const { return checkpoints_; }

 private:
  std::unique_ptr<storage::Store> store_;
  std::vector<std::unique_ptr<storage::Database>> databases_;
  std::size_t next_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t checkpoints_ = 0;
  ledger::Position last_;
};

}  // namespace

Json checkpointing(const Settings& settings) {
  constexpr std::uint32_t kObjects = 1024;
  constexpr std::uint64_t kNever = 64ULL << 30;
  const Folder folder(settings, "checkpointing");
  Json out;
  for (const std::size_t underWay : {std::size_t{1}, std::size_t{64}}) {
    const std::string name = std::to_string(underWay);
    Load without(folder.path() + "/without-" + name, {.overlayBytesMax = kNever, .ledgerBytesMax = kNever}, kObjects);
    // So little that one checkpoint follows another.
    Load with(folder.path() + "/with-" + name, {.ledgerBytesMax = 64ULL * 1024}, kObjects);
    Samples quiet;
    Samples busy;
    const int rounds = settings.isQuick ? 2 : 5;
    const auto slice = std::chrono::milliseconds(settings.isQuick ? 700 : 2000);
    for (int round = 0; round < rounds; round++) {
      without.settle();
      without.run(underWay, slice, quiet);
      with.settle();
      with.run(underWay, slice, busy);
    }
    without.close();
    with.close();
    out[name] = {{"without",
                  {{"p50Us", quiet.median()},
                   {"p99Us", quiet.at(0.99)},
                   {"p999Us", quiet.at(0.999)},
                   {"maxUs", quiet.at(1)},
                   {"samples", quiet.count()}}},
                 {"with",
                  {{"p50Us", busy.median()},
                   {"p99Us", busy.at(0.99)},
                   {"p999Us", busy.at(0.999)},
                   {"maxUs", busy.at(1)},
                   {"samples", busy.count()},
                   {"checkpoints", with.checkpoints()}}}};
  }
  return out;
}

}  // namespace hf::bench
