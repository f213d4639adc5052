// A connection to one object's database, set up as architecture 5 wants it: every commit an atomic batch, nothing ever
// in a file, user SQL behind the guard. Compiles and keeps the statements that we ourselves run.
// Thread:  its shard's.
// Borrows: the DatabaseFile, which outlives it. Every statement and cursor made on it goes first.
#pragma once

#include <sqlite3.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "storage/sql_guard.h"
#include "storage/statement.h"
#include "storage/vfs.h"

namespace hf::storage {

// Our own statements; connection.cc has their texts.
enum class Internal : std::uint8_t {
  kBegin,
  kCommit,
  kRollback,
  kHasIndex,
  kGet,
  kPut,
  kRemove,
  kListForward,
  kListBackward,
  kListForwardBelow,
  kListBackwardBelow,
  kAlarmGet,
  kAlarmSet,
  kPageCount,
  kFreePages,
  kInternalNames,
  kDefaults,
  kCount,
};

// The alarm's row holds nanoseconds (spec 4.8).
inline constexpr std::int64_t kAlarmUnitsPerMs = 1'000'000;

class Connection final {
 public:
  static Result<std::unique_ptr<Connection>> open(DatabaseFile& file, const Clock& clock);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] sqlite3* db() const { return db_; }
  [[nodiscard]] SqlGuard& guard() { return guard_; }
  [[nodiscard]] StatementCache& cache() { return cache_; }

  // Cached pages and statements. What PRAGMA has set stays.
  void releaseMemory();

  // A statement of ours, compiled once, reset and without bindings. Step it with stepTrusted.
  Result<sqlite3_stmt*> internal(Internal which);
  int stepTrusted(sqlite3_stmt* statement);
  // Runs one that yields no row. SQLite's code.
  int run(Internal which);
  int runText(const char* sql);
  // One that yields a number; 0 without a row.
  Result<std::int64_t> number(Internal which);

  // Whether a table of ours exists, remembered until forgetSchema().
  Result<bool> hasTable(std::string_view name);
  void tableMade(std::string_view name) { tables_[std::string(name)] = true; }
  // What has been learned about the schema may have been rolled back.
  void forgetSchema() {
    tables_.clear();
    indexes_.clear();
  }

  // Compiles the next statement of a query. An empty `statement`: there was none.
  Result<Prepared> prepareUser(std::string_view text, std::size_t from);
  // What user SQL may not do in the DEFAULT of some column, if there is such a column. SQLite compiles these without
  // asking the guard, its own internal functions included.
  std::optional<Error> forbiddenDefault();
  // Steps a user's statement within its time, counting what it writes.
  int stepUser(const Prepared& prepared, WriteCount& written);
  // The last stepUser, of a statement that writes, went beyond what a transaction may hold or a statement may take.
  // Its transaction is to be rolled back.
  [[nodiscard]] bool isOverLimit() const { return overLimit_; }
  // Pages in memory, nearly all of them changed ones when there are many: changed pages stay until the commit.
  [[nodiscard]] std::size_t cacheBytes() const;

 private:
  explicit Connection(const Clock& clock) : clock_(clock) {}
  Result<void> configure();
  // Whether the statement, one that asks for a name, has a row.
  Result<bool> hasNamed(Internal which, std::string_view name);
  void learnIndexes(const Prepared& prepared);
  void countWrite(int operation, const char* table);
  static int onProgress(void* self);
  static void onWrite(void* self, sqlite3* db, int operation, const char* schema, const char* table, sqlite3_int64,
                      sqlite3_int64);

  // Fixed once open
  const Clock& clock_;
  sqlite3* db_ = nullptr;

  SqlGuard guard_;
  StatementCache cache_;
  std::array<StatementPtr, static_cast<std::size_t>(Internal::kCount)> internal_;
  std::unordered_map<std::string, bool> tables_;
  // Of the user's step that runs.
  bool isTimed_ = false;
  std::optional<SteadyTime> deadline_;
  std::uint64_t written_ = 0;
  bool stepWrites_ = false;
  bool overLimit_ = false;
  // By table: the columns of each of its indexes. An index on an expression has none.
  std::unordered_map<std::string, std::vector<std::vector<int>>> indexes_;
};

}  // namespace hf::storage
