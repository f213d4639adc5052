// What every case of bench_storage needs: samples, the machine's own figures, folders on a real disk, plain SQLite.
// A case measures Holdfast and what it is compared with by turns, in one process, because these machines are noisy.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/object_id.h"
#include "base/result.h"
#include "nlohmann/json.hpp"
#include "storage/store.h"

namespace hf::bench {

using Json = nlohmann::json;
using SteadyClock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;
using Seconds = std::chrono::duration<double>;

struct Settings {
  std::string directory;  // on the disk that is measured
  bool isQuick = false;
};

// A benchmark does what is allowed: an error ends it, with its text.
[[noreturn]] void fail(const std::string& what);
template <class T>
T must(Result<T> result) {
  if (!result) fail(result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// Times of one thing, in microseconds.
class Samples final {
 public:
  void add(SteadyClock::duration time) { values_.push_back(Microseconds(time).count()); }
  void add(const Samples& others) { values_.insert(values_.end(), others.values_.begin(), others.values_.end()); }
  [[nodiscard]] std::size_t count() const { return values_.size(); }
  // The value that `part` of all do not exceed: 0.5 is the median.
  [[nodiscard]] double at(double part) const;
  [[nodiscard]] double median() const { return at(0.5); }

 private:
  std::vector<double> values_;
};

// A folder of the settings' directory, empty at first, removed at the end.
class Folder final {
 public:
  Folder(const Settings& settings, const std::string& name);
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Bytes that this process has handed to write, pwrite, pwritev.
std::uint64_t writtenBytes();
std::size_t residentBytes();
// In use of the heap, whether it is touched or not.
std::size_t heapBytes();
// What `du` says: blocks, those of folders too. `without`: a folder directly inside that is left out.
std::uint64_t diskBytes(const std::string& path, std::string_view without = {});
// The next reads come from the disk.
void dropFromPageCache(const std::string& path);

const Log& log();
ObjectKey objectKey(std::uint32_t number);
std::unique_ptr<storage::Store> openStore(storage::StoreOptions options);
// The value of one small row, another one each time.
BytesView rowValue(std::uint64_t& count);

// --- plain SQLite, as an application with a file for each object would use it

inline constexpr char kKvSchema[] = "CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID";
inline constexpr char kKvPut[] = "INSERT INTO _cf_KV VALUES ('n', ?) ON CONFLICT DO UPDATE SET value = excluded.value";
inline constexpr char kKvGet[] = "SELECT value FROM _cf_KV WHERE key = 'n'";

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using PlainDatabase = std::unique_ptr<sqlite3, CloseDatabase>;
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using PlainStatement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

PlainDatabase openPlain(const std::string& path);
void runPlain(sqlite3* db, const char* sql);
PlainStatement preparePlain(sqlite3* db, const char* sql);
// Steps to the end, resets.
void putPlain(sqlite3* db, sqlite3_stmt* put, BytesView value);

// --- the cases

Json oneObject(const Settings& settings);      // latency.cc
Json checkpointing(const Settings& settings);  // latency.cc
Json manyObjects(const Settings& settings);    // group_commit.cc
Json openObjects(const Settings& settings);    // objects.cc
Json closedObjects(const Settings& settings);
Json coldOpen(const Settings& settings);

}  // namespace hf::bench
