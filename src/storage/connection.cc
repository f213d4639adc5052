#include "storage/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "storage/sql_error.h"
#include "storage/sqlite_memory.h"

namespace hf::storage {
namespace {

const char* textOf(Internal which) {
  switch (which) {
    case Internal::kBegin:
      return "BEGIN";
    case Internal::kCommit:
      return "COMMIT";
    case Internal::kRollback:
      return "ROLLBACK";
    case Internal::kGet:
      return "SELECT value FROM _cf_KV WHERE key = ?";
    case Internal::kPut:
      return "INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
    case Internal::kRemove:
      return "DELETE FROM _cf_KV WHERE key = ?";
    case Internal::kListForward:
      return "SELECT key, value FROM _cf_KV WHERE key >= ?1 ORDER BY key LIMIT ?2";
    case Internal::kListBackward:
      return "SELECT key, value FROM _cf_KV WHERE key >= ?1 ORDER BY key DESC LIMIT ?2";
    case Internal::kListForwardBelow:
      return "SELECT key, value FROM _cf_KV WHERE key >= ?1 AND key < ?3 ORDER BY key LIMIT ?2";
    case Internal::kListBackwardBelow:
      return "SELECT key, value FROM _cf_KV WHERE key >= ?1 AND key < ?3 ORDER BY key DESC LIMIT ?2";
    case Internal::kAlarmGet:
      return "SELECT value FROM _cf_METADATA WHERE key = 1";
    case Internal::kAlarmSet:
      return "INSERT INTO _cf_METADATA VALUES (1, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
    case Internal::kPageCount:
      return "PRAGMA page_count";
    case Internal::kFreePages:
      return "PRAGMA freelist_count";
    case Internal::kHasIndex:
      return "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE";
    case Internal::kInternalNames:
      return "SELECT count(*) FROM sqlite_schema WHERE lower(substr(name, 1, 4)) = '_cf_'";
    case Internal::kDefaults:
      return "SELECT DISTINCT x.dflt_value FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS x "
             "WHERE m.type = 'table' AND m.rootpage > 0 AND m.sql LIKE '%default%(%' AND x.dflt_value LIKE '%(%'";
    case Internal::kCount:
      break;
  }
  HF_CHECK(false, "every statement of ours has a text");
  return "";
}

// Instructions of SQLite's machine between two looks at the clock: under a millisecond.
constexpr int kProgressSteps = 20'000;
// And looks at how much a transaction has grown: a few steps may write megabytes.
constexpr int kProgressStepsOfWrite = 1000;
// Each costs a first touch microseconds: what can be is compiled in (third_party/CMakeLists.txt). With cache_spill off
// a transaction grows beyond the cache and falls back.
constexpr char kSettings[] =
    "PRAGMA journal_mode=MEMORY;"
    "PRAGMA cache_spill=OFF;";

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(DatabaseFile& file, const Clock& clock) {
  useBoundedMemory();
  std::unique_ptr<Connection> connection(new Connection(clock));
  HF_TRY(connection->db_, openConnection(file));
  HF_TRY_VOID(connection->configure());
  return connection;
}

Connection::~Connection() {
  cache_.clear();
  for (StatementPtr& statement : internal_) statement.reset();
  HF_CHECK(sqlite3_close(db_) == SQLITE_OK, "every statement goes before its connection");
}

Result<void> Connection::configure() {
  sqlite3_extended_result_codes(db_, 1);
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  if (runText(kSettings) != SQLITE_OK) return std::unexpected(sqlError(db_, sqlite3_extended_errcode(db_)));
  for (const auto& [limit, value] : {std::pair{SQLITE_LIMIT_LENGTH, 4 * 1024 * 1024},
                                     {SQLITE_LIMIT_SQL_LENGTH, 100'000},
                                     {SQLITE_LIMIT_COLUMN, 100},
                                     {SQLITE_LIMIT_EXPR_DEPTH, 100},
                                     {SQLITE_LIMIT_COMPOUND_SELECT, 5},
                                     {SQLITE_LIMIT_VDBE_OP, 25'000},
                                     {SQLITE_LIMIT_FUNCTION_ARG, 127},
                                     {SQLITE_LIMIT_ATTACHED, 0},
                                     {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50},
                                     {SQLITE_LIMIT_VARIABLE_NUMBER, 100},
                                     {SQLITE_LIMIT_TRIGGER_DEPTH, 10},
                                     {SQLITE_LIMIT_WORKER_THREADS, 0}}) {
    sqlite3_limit(db_, limit, value);
  }
  sqlite3_progress_handler(db_, kProgressSteps, onProgress, this);
  guard_.attach(db_);
  return {};
}

void Connection::releaseMemory() {
  cache_.clear();
  for (StatementPtr& statement : internal_) statement.reset();
  indexes_.clear();
  sqlite3_db_release_memory(db_);
}

Result<sqlite3_stmt*> Connection::internal(Internal which) {
  StatementPtr& slot = internal_[static_cast<std::size_t>(which)];
  if (slot == nullptr) {
    const SqlGuard::Trusted trusted(guard_);
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(db_, textOf(which), -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return std::unexpected(sqlError(db_, code));
    slot.reset(statement);
  }
  return slot.get();
}

int Connection::stepTrusted(sqlite3_stmt* statement) {
  const SqlGuard::Trusted trusted(guard_);
  return sqlite3_step(statement);
}

int Connection::run(Internal which) {
  Result<sqlite3_stmt*> statement = internal(which);
  if (!statement) return sqlite3_extended_errcode(db_);
  const int code = stepTrusted(*statement);
  const int resetCode = sqlite3_reset(*statement);
  return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : (resetCode == SQLITE_OK ? code : resetCode);
}

int Connection::runText(const char* sql) {
  const SqlGuard::Trusted trusted(guard_);
  return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
}

Result<std::int64_t> Connection::number(Internal which) {
  HF_TRY(sqlite3_stmt* const statement, internal(which));
  const int code = stepTrusted(statement);
  const std::int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    Error error = sqlError(db_, code);
    sqlite3_reset(statement);
    return std::unexpected(std::move(error));
  }
  sqlite3_reset(statement);
  return value;
}

Result<bool> Connection::hasTable(std::string_view name) {
  const std::string key(name);
  if (const auto it = tables_.find(key); it != tables_.end()) return it->second;
  // From the schema that SQLite holds in memory: no statement is compiled for it.
  const int code =
      sqlite3_table_column_metadata(db_, "main", key.c_str(), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  // SQLITE_ERROR says both "no such table" and that the schema could not be read, which the next statement says too.
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_ERROR) return std::unexpected(sqlError(db_, code));
  tables_[key] = code == SQLITE_OK;
  return code == SQLITE_OK;
}

Result<bool> Connection::hasNamed(Internal which, std::string_view name) {
  HF_TRY(sqlite3_stmt* const statement, internal(which));
  sqlite3_bind_text(statement, 1, name.data(), static_cast<int>(name.size()), SQLITE_STATIC);
  HF_TRY(const std::int64_t found, number(which));
  return found != 0;
}

Result<Prepared> Connection::prepareUser(std::string_view text, std::size_t from) {
  guard_.beginStatement();
  Prepared prepared;
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int code = sqlite3_prepare_v3(db_, text.data() + from, static_cast<int>(text.size() - from),
                                      SQLITE_PREPARE_PERSISTENT, &statement, &tail);
  if (code != SQLITE_OK) {
    if (guard_.refusal()) return fail(Errc::kSql, *guard_.refusal());
    return std::unexpected(sqlError(db_, code, WithOffset::kYes));
  }
  prepared.statement.reset(statement);
  prepared.altersTable = guard_.altersTable();
  prepared.changesSchema = guard_.changesSchema();
  prepared.writtenTables = guard_.takeWrittenTables();
  prepared.tail = text.find_first_not_of(" \t\n\r\v\f", static_cast<std::size_t>(tail - text.data()));
  if (prepared.tail == std::string_view::npos) prepared.tail = text.size();
  return prepared;
}

std::optional<Error> Connection::forbiddenDefault() {
  Result<sqlite3_stmt*> statement = internal(Internal::kDefaults);
  if (!statement) return statement.error();
  std::optional<Error> found;
  int code = SQLITE_OK;
  while (!found && (code = stepTrusted(*statement)) == SQLITE_ROW) {
    const std::string text = std::string("SELECT ") + reinterpret_cast<const char*>(sqlite3_column_text(*statement, 0));
    sqlite3_stmt* raw = nullptr;
    guard_.beginStatement();
    if (const int refused = sqlite3_prepare_v2(db_, text.c_str(), -1, &raw, nullptr); refused != SQLITE_OK) {
      found = sqlError(db_, refused);
    }
    sqlite3_finalize(raw);
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) found = sqlError(db_, code);
  sqlite3_reset(*statement);
  return found;
}

void Connection::learnIndexes(const Prepared& prepared) {
  const SqlGuard::Trusted trusted(guard_);
  for (const std::string& table : prepared.writtenTables) {
    if (indexes_.contains(table) || table.starts_with("sqlite_")) continue;
    std::vector<std::vector<int>>& indexes = indexes_[table];
    // Most tables have none, and what follows costs more than a small statement.
    if (const Result<bool> any = hasNamed(Internal::kHasIndex, table); !any || !*any) continue;
    // The primary key of a table without rowids is the table itself.
    sqlite3_stmt* raw = nullptr;
    sqlite3_prepare_v2(db_,
                       "SELECT i.seq, x.cid FROM pragma_index_list(?1) AS i, pragma_index_info(i.name) AS x "
                       "WHERE i.origin <> 'pk' OR NOT (SELECT wr FROM pragma_table_list(?1) WHERE schema = 'main')",
                       -1, &raw, nullptr);
    const StatementPtr statement(raw);
    if (statement == nullptr) return;
    sqlite3_bind_text(raw, 1, table.data(), static_cast<int>(table.size()), SQLITE_STATIC);
    int sequence = -1;
    while (sqlite3_step(raw) == SQLITE_ROW) {
      if (sqlite3_column_int(raw, 0) != sequence) indexes.emplace_back();
      sequence = sqlite3_column_int(raw, 0);
      if (const int column = sqlite3_column_int(raw, 1); column >= 0) indexes.back().push_back(column);
    }
  }
}

int Connection::stepUser(const Prepared& prepared, WriteCount& written) {
  sqlite3_stmt* const statement = prepared.statement.get();
  stepWrites_ = sqlite3_stmt_readonly(statement) == 0;
  overLimit_ = false;
  const sqlite3_int64 changesBefore = stepWrites_ ? sqlite3_total_changes64(db_) : 0;
  if (stepWrites_) {
    written_ = 0;
    learnIndexes(prepared);
    sqlite3_preupdate_hook(db_, onWrite, this);
  }
  deadline_.reset();
  isTimed_ = true;
  if (stepWrites_) sqlite3_progress_handler(db_, kProgressStepsOfWrite, onProgress, this);
  guard_.beginStatement();
  int code = SQLITE_OK;
  {
    const StatementMemory memory(limits::kStatementMemoryBytesMax);
    code = sqlite3_step(statement);
    if (stepWrites_ && memory.refused()) overLimit_ = true;
  }
  isTimed_ = false;
  if (stepWrites_) {
    sqlite3_progress_handler(db_, kProgressSteps, onProgress, this);
    sqlite3_preupdate_hook(db_, nullptr, nullptr);
    written.entries += written_;
    written.changes += static_cast<std::uint64_t>(sqlite3_total_changes64(db_) - changesBefore);
    if (prepared.changesSchema) indexes_.clear();
    if (cacheBytes() > limits::kTransactionBytesMax) overLimit_ = true;
  }
  return code;
}

std::size_t Connection::cacheBytes() const {
  int bytes = 0;
  int highest = 0;
  sqlite3_db_status(db_, SQLITE_DBSTATUS_CACHE_USED, &bytes, &highest, 0);
  return static_cast<std::size_t>(bytes);
}

// A step's time begins with its first look at the clock: most steps are over before.
int Connection::onProgress(void* self) {
  auto& connection = *static_cast<Connection*>(self);
  if (!connection.isTimed_) return 0;
  if (connection.stepWrites_ && connection.cacheBytes() > limits::kTransactionBytesMax) {
    connection.overLimit_ = true;
    return 1;
  }
  const SteadyTime now = connection.clock_.steady();
  if (!connection.deadline_) connection.deadline_ = now + limits::kSqlStatementTimeMax;
  return now > *connection.deadline_ ? 1 : 0;
}

void Connection::onWrite(void* self, sqlite3* db, int operation, const char*, const char* table, sqlite3_int64,
                         sqlite3_int64) {
  static_cast<Connection*>(self)->countWrite(operation, table);
}

// One for the row, and one for each index that gets an entry.
void Connection::countWrite(int operation, const char* table) {
  written_++;
  if (operation == SQLITE_DELETE) return;
  const auto it = indexes_.find(table);
  if (it == indexes_.end()) return;
  if (operation == SQLITE_INSERT) {
    written_ += it->second.size();
    return;
  }
  for (const std::vector<int>& columns : it->second) {
    bool changed = columns.empty();
    for (const int column : columns) {
      sqlite3_value* before = nullptr;
      sqlite3_value* after = nullptr;
      if (sqlite3_preupdate_old(db_, column, &before) != SQLITE_OK ||
          sqlite3_preupdate_new(db_, column, &after) != SQLITE_OK) {
        changed = true;
        break;
      }
      const int bytes = sqlite3_value_bytes(before);
      changed =
          changed || sqlite3_value_type(before) != sqlite3_value_type(after) || bytes != sqlite3_value_bytes(after) ||
          (bytes > 0 &&
           std::memcmp(sqlite3_value_blob(before), sqlite3_value_blob(after), static_cast<std::size_t>(bytes)) != 0);
    }
    if (changed) written_++;
  }
}

}  // namespace hf::storage
