// What an object costs: memory while it is open, memory and disk while it is closed, time to open and read it.
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "measure.h"

namespace hf::bench {
namespace {

double each(std::size_t now, std::size_t before, std::uint32_t count) {
  return (static_cast<double>(now) - static_cast<double>(before)) / static_cast<double>(count);
}

ledger::Position writeRow(storage::Database& database) {
  static std::uint64_t value = 0;
  must(database.put("n", rowValue(value)));
  const auto position = must(database.endTurn());
  if (!position) fail("a turn that wrote has a position");
  return *position;
}

// `count` objects with one small row each, closed, their files complete.
void makeClosed(storage::Store& store, std::uint32_t first, std::uint32_t count) {
  constexpr std::uint32_t kUnderWayMost = 256;
  for (std::uint32_t i = 0; i < count; i++) {
    const ledger::Position position = writeRow(*must(store.open(objectKey(first + i), "")));
    if (i % kUnderWayMost == 0) must(store.ledger().waitDurable(position));
  }
  must(store.checkpoint());
}

void makePlain(const std::string& path) {
  const PlainDatabase db = openPlain(path);
  runPlain(db.get(), "PRAGMA synchronous=OFF");
  runPlain(db.get(), kKvSchema);
  std::uint64_t value = 0;
  putPlain(db.get(), preparePlain(db.get(), kKvPut).get(), rowValue(value));
}

}  // namespace

Json openObjects(const Settings& settings) {
  constexpr std::uint32_t kWarm = 256;
  constexpr int kRewrites = 10;
  const std::uint32_t count = settings.isQuick ? 5'000 : 20'000;
  const Folder folder(settings, "open-objects");
  const auto store = openStore({.directory = folder.path()});
  makeClosed(*store, 1'000'000, kWarm);
  malloc_trim(0);
  const std::size_t resident = residentBytes();
  const std::size_t heap = heapBytes();

  std::vector<std::unique_ptr<storage::Database>> databases;
  databases.reserve(count);
  ledger::Position last;
  for (std::uint32_t i = 0; i < count; i++) {
    databases.push_back(must(store->open(objectKey(i), "")));
    last = writeRow(*databases.back());
    if (i % kWarm == 0) must(store->ledger().waitDurable(last));
  }
  must(store->ledger().waitDurable(last));
  Json out{{"objects", count},
           {"residentEach", each(residentBytes(), resident, count)},
           {"heapEach", each(heapBytes(), heap, count)}};
  for (int round = 0; round < kRewrites; round++) {
    for (const auto& database : databases) last = writeRow(*database);
    must(store->ledger().waitDurable(last));
  }
  out["residentEachRewritten"] = each(residentBytes(), resident, count);
  out["heapEachRewritten"] = each(heapBytes(), heap, count);
  must(store->checkpoint());
  malloc_trim(0);
  out["residentEachCheckpointed"] = each(residentBytes(), resident, count);
  out["heapEachCheckpointed"] = each(heapBytes(), heap, count);
  for (const auto& database : databases) database->releaseMemory();
  malloc_trim(0);
  out["residentEachReleased"] = each(residentBytes(), resident, count);
  out["heapEachReleased"] = each(heapBytes(), heap, count);
  databases.clear();
  databases.shrink_to_fit();
  must(store->checkpoint());
  malloc_trim(0);
  out["residentEachClosed"] = each(residentBytes(), resident, count);
  out["heapEachClosed"] = each(heapBytes(), heap, count);
  must(store->close());
  return out;
}

Json closedObjects(const Settings& settings) {
  constexpr std::uint32_t kPlain = 1'000;
  const std::uint32_t count = settings.isQuick ? 10'000 : 100'000;
  const Folder folder(settings, "closed-objects");
  const Folder nothing(settings, "closed-objects-none");
  const Folder plain(settings, "closed-objects-plain");
  auto store = openStore({.directory = folder.path()});
  // What a store keeps whatever it holds: threads, buffers, 256 folders' names, open files.
  makeClosed(*store, 1'000'000, 2'000);
  malloc_trim(0);
  const std::size_t resident = residentBytes();
  const std::size_t heap = heapBytes();
  const std::uint64_t disk = diskBytes(folder.path(), "ledger");
  const auto begin = SteadyClock::now();
  makeClosed(*store, 0, count);
  const double makeSeconds = Seconds(SteadyClock::now() - begin).count();
  malloc_trim(0);
  Json out{{"objects", count},
           {"residentEach", each(residentBytes(), resident, count)},
           {"heapEach", each(heapBytes(), heap, count)},
           {"makeSeconds", makeSeconds}};
  must(store->close());
  store.reset();
  out["diskBytesEach"] = each(diskBytes(folder.path(), "ledger"), disk, count);

  for (std::uint32_t i = 0; i < kPlain; i++) makePlain(plain.path() + "/" + std::to_string(i) + ".sqlite");
  out["plainDiskBytesEach"] = each(diskBytes(plain.path()), 0, kPlain);

  // Started again: a store with all of them beside a store with none.
  const auto opened = [](const std::string& path, std::size_t& grown, std::size_t& heapGrown, double& time) {
    malloc_trim(0);
    const std::size_t before = residentBytes();
    const std::size_t heapBefore = heapBytes();
    const auto start = SteadyClock::now();
    const auto again = openStore({.directory = path});
    time = Microseconds(SteadyClock::now() - start).count() / 1000;
    grown = residentBytes() - std::min(before, residentBytes());
    heapGrown = heapBytes() - std::min(heapBefore, heapBytes());
    must(again->close());
  };
  std::size_t grown = 0;
  std::size_t heapGrown = 0;
  std::size_t grownNone = 0;
  std::size_t heapGrownNone = 0;
  double time = 0;
  double timeNone = 0;
  opened(nothing.path(), grownNone, heapGrownNone, timeNone);  // made
  opened(nothing.path(), grownNone, heapGrownNone, timeNone);
  opened(folder.path(), grown, heapGrown, time);
  out["startedResidentEach"] = each(grown, grownNone, count);
  out["startedHeapEach"] = each(heapGrown, heapGrownNone, count);
  out["startMs"] = time;
  out["startMsWithNone"] = timeNone;
  return out;
}

namespace {

struct ColdTimes {
  Samples ours;
  Samples plain;
  // Of ours: the open, and the first read.
  Samples oursOpen;
};

void readCold(storage::Store& store, std::uint32_t object, const std::string& plainPath, ColdTimes& times) {
  const auto begin = SteadyClock::now();
  auto database = must(store.open(objectKey(object), ""));
  const auto opened = SteadyClock::now();
  if (!must(database->get("n"))) fail("an object that was written is empty");
  const auto read = SteadyClock::now();
  database.reset();
  times.oursOpen.add(opened - begin);
  times.ours.add(read - begin);

  const auto plainBegin = SteadyClock::now();
  const PlainDatabase db = openPlain(plainPath);
  const PlainStatement get = preparePlain(db.get(), kKvGet);
  if (sqlite3_step(get.get()) != SQLITE_ROW || sqlite3_column_bytes(get.get(), 0) == 0) fail("a plain file is empty");
  times.plain.add(SteadyClock::now() - plainBegin);
}

}  // namespace

Json coldOpen(const Settings& settings) {
  const std::uint32_t count = settings.isQuick ? 2'000 : 10'000;
  const std::uint32_t fromDisk = settings.isQuick ? 200 : 1'000;
  const Folder folder(settings, "cold-open");
  const Folder plain(settings, "cold-open-plain");
  const auto plainPath = [&](std::uint32_t i) { return plain.path() + "/" + std::to_string(i) + ".sqlite"; };
  {
    const auto store = openStore({.directory = folder.path()});
    makeClosed(*store, 0, count + fromDisk);
    must(store->close());
  }
  for (std::uint32_t i = 0; i < count + fromDisk; i++) makePlain(plainPath(i));
  // A store that has not seen them: nothing of them is in memory but the file system's cache.
  const auto store = openStore({.directory = folder.path()});
  ColdTimes cached;
  for (std::uint32_t i = 0; i < count; i++) readCold(*store, i, plainPath(i), cached);

  // Whatever lies on disk for an object bears its id.
  std::unordered_map<std::string, std::vector<std::string>> filesOf;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (entry.is_regular_file()) filesOf[entry.path().filename().string().substr(0, 64)].push_back(entry.path());
  }
  ColdTimes uncached;
  for (std::uint32_t i = count; i < count + fromDisk; i++) {
    const auto& files = filesOf[objectKey(i).id.hex()];
    if (files.empty()) fail("an object has no file");
    for (const std::string& file : files) dropFromPageCache(file);
    dropFromPageCache(plainPath(i));
    readCold(*store, i, plainPath(i), uncached);
  }
  must(store->close());
  return {{"us", cached.ours.median()},
          {"openUs", cached.oursOpen.median()},
          {"p99Us", cached.ours.at(0.99)},
          {"plainUs", cached.plain.median()},
          {"plainP99Us", cached.plain.at(0.99)},
          {"fromDiskUs", uncached.ours.median()},
          {"plainFromDiskUs", uncached.plain.median()}};
}

}  // namespace hf::bench
