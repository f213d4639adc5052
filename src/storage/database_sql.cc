#include <algorithm>
#include <utility>

#include "base/check.h"
#include "storage/cursor.h"
#include "storage/database_impl.h"
#include "storage/sql_error.h"

namespace hf::storage {
namespace {

int bindValue(sqlite3_stmt* statement, int index, const SqlValue& value) {
  struct Binder {
    sqlite3_stmt* statement;
    int index;
    int operator()(SqlNull) const { return sqlite3_bind_null(statement, index); }
    int operator()(std::int64_t number) const { return sqlite3_bind_int64(statement, index, number); }
    int operator()(double number) const { return sqlite3_bind_double(statement, index, number); }
    int operator()(const std::string& text) const {
      return sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    int operator()(const Bytes& bytes) const {
      if (bytes.empty()) return sqlite3_bind_zeroblob(statement, index, 0);
      return sqlite3_bind_blob64(statement, index, bytes.data(), bytes.size(), SQLITE_STATIC);
    }
  };
  return std::visit(Binder{statement, index}, value);
}

SqlView viewOf(sqlite3_stmt* statement, int index) {
  const auto bytes = [&] { return static_cast<std::size_t>(sqlite3_column_bytes(statement, index)); };
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
      return static_cast<std::int64_t>(sqlite3_column_int64(statement, index));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, index);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      return std::string_view(text, bytes());
    }
    case SQLITE_BLOB: {
      const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement, index));
      return BytesView(data, bytes());
    }
    default:
      return SqlNull();
  }
}

bool mentionsDefault(sqlite3_stmt* statement) { return sqlite3_strlike("%default%", sqlite3_sql(statement), 0) == 0; }

SqlValue valueOf(const SqlView& view) {
  struct Copier {
    SqlValue operator()(SqlNull null) const { return null; }
    SqlValue operator()(std::int64_t number) const { return number; }
    SqlValue operator()(double number) const { return number; }
    SqlValue operator()(std::string_view text) const { return std::string(text); }
    SqlValue operator()(BytesView bytes) const { return Bytes(bytes.begin(), bytes.end()); }
  };
  return std::visit(Copier(), view);
}

SqlView borrow(const SqlValue& value) {
  struct Borrower {
    SqlView operator()(SqlNull null) const { return null; }
    SqlView operator()(std::int64_t number) const { return number; }
    SqlView operator()(double number) const { return number; }
    SqlView operator()(const std::string& text) const { return std::string_view(text); }
    SqlView operator()(const Bytes& bytes) const { return BytesView(bytes); }
  };
  return std::visit(Borrower(), value);
}

}  // namespace

Result<std::unique_ptr<Cursor>> DatabaseImpl::exec(std::string_view text, std::vector<SqlValue> bindings) {
  HF_TRY_VOID(readable());
  Query query = connection_->cache().take(text);
  std::size_t last = 0;
  if (Result<void> run = runQuery(query, last); !run) {
    // What is compiled is good for the next time, if there is a next time.
    if (!query.statements.empty()) connection_->cache().give(std::move(query));
    return std::unexpected(run.error());
  }
  const auto expected = static_cast<std::size_t>(sqlite3_bind_parameter_count(query.statements[last].statement.get()));
  if (expected != bindings.size()) {
    connection_->cache().give(std::move(query));
    return fail(Errc::kSql, "Wrong number of parameter bindings for SQL query.");
  }
  auto cursor = std::make_unique<SqlCursor>(*this, std::move(query), std::move(bindings));
  HF_TRY_VOID(cursor->start());
  return cursor;
}

// Runs every statement but the last, compiling what is not compiled yet.
Result<void> DatabaseImpl::runQuery(Query& query, std::size_t& last) {
  for (std::size_t i = 0;; i++) {
    const std::size_t from = i == 0 ? 0 : query.statements[i - 1].tail;
    if (i == query.statements.size()) {
      HF_TRY(Prepared next, connection_->prepareUser(query.text, from));
      if (next.statement == nullptr) return fail(Errc::kSql, "SQL code did not contain a statement.");
      query.statements.push_back(std::move(next));
    }
    const Prepared& prepared = query.statements[i];
    if (prepared.tail == query.text.size()) {
      last = i;
      return {};
    }
    if (sqlite3_bind_parameter_count(prepared.statement.get()) > 0) {
      return fail(Errc::kSql,
                  "When executing multiple SQL statements in a single call, only the last statement can have "
                  "parameters.");
    }
    WriteCount written;
    const Result<int> code = stepGuarded(prepared, written);
    if (!code) return std::unexpected(code.error());
    sqlite3_reset(prepared.statement.get());
  }
}

// SQLITE_ROW or SQLITE_DONE, or the error; the statement is reset after an error.
Result<int> DatabaseImpl::stepGuarded(const Prepared& prepared, WriteCount& written) {
  sqlite3_stmt* const statement = prepared.statement.get();
  const bool writes = sqlite3_stmt_readonly(statement) == 0;
  if (writes) HF_TRY_VOID(writable());
  const bool checksNames = prepared.altersTable && writes;
  const bool checksDefaults = prepared.changesSchema && writes && mentionsDefault(statement);
  std::int64_t namesBefore = 0;
  if (checksNames) {
    HF_TRY(namesBefore, connection_->number(Internal::kInternalNames));
  }
  if (checksNames || checksDefaults) HF_TRY_VOID(runStep("SAVEPOINT _cf_guard"));
  const int code = connection_->stepUser(prepared, written);
  if (connection_->isOverLimit()) {
    sqlite3_reset(statement);
    return std::unexpected(breakFull());
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    std::optional<Error> error;
    if (connection_->guard().refusal()) {
      error = Error{Errc::kSql, *connection_->guard().refusal()};
    } else {
      error = sqlError(connection_->db(), code, WithOffset::kYes);
    }
    sqlite3_reset(statement);
    if ((checksNames || checksDefaults) && sqlite3_get_autocommit(connection_->db()) == 0) {
      HF_TRY_VOID(runStep("ROLLBACK TO _cf_guard;RELEASE _cf_guard"));
    }
    return std::unexpected(statementFailed(code, *std::move(error)));
  }
  if (checksNames || checksDefaults) {
    std::optional<Error> forbidden;
    if (checksNames) {
      HF_TRY(const std::int64_t namesAfter, connection_->number(Internal::kInternalNames));
      if (namesAfter != namesBefore) forbidden = Error{Errc::kSql, "not authorized: SQLITE_AUTH"};
    }
    if (checksDefaults && !forbidden) forbidden = connection_->forbiddenDefault();
    if (forbidden) {
      sqlite3_reset(statement);
      HF_TRY_VOID(runStep("ROLLBACK TO _cf_guard;RELEASE _cf_guard"));
      return std::unexpected(*std::move(forbidden));
    }
    HF_TRY_VOID(runStep("RELEASE _cf_guard"));
  }
  return code;
}

Result<std::uint64_t> DatabaseImpl::databaseSize() {
  HF_TRY_VOID(usable());
  if (isEmpty()) return kPageBytes;  // what SQLite says of a database that nobody has written
  HF_TRY_VOID(readable());
  HF_TRY(const std::int64_t pages, connection_->number(Internal::kPageCount));
  HF_TRY(const std::int64_t freePages, connection_->number(Internal::kFreePages));
  return static_cast<std::uint64_t>(std::max<std::int64_t>(pages - freePages, 1)) * kPageBytes;
}

// --- cursors

SqlCursor::SqlCursor(DatabaseImpl& database, Query query, std::vector<SqlValue> bindings)
    : database_(&database), query_(std::move(query)), bindings_(std::move(bindings)) {
  database.cursors_.push_back(this);
}

SqlCursor::~SqlCursor() { finish(); }

Result<void> SqlCursor::start() {
  for (std::size_t i = 0; i < bindings_.size(); i++) {
    if (const int code = bindValue(statement(), static_cast<int>(i) + 1, bindings_[i]); code != SQLITE_OK) {
      Error error = sqlError(database_->connection_->db(), code);
      finish();
      return std::unexpected(std::move(error));
    }
  }
  const bool writes = sqlite3_stmt_readonly(statement()) == 0;
  HF_TRY_VOID(step());
  if (writes && hasRow_) return gatherRows();
  return {};
}

Result<void> SqlCursor::step() {
  hasRow_ = false;
  Result<int> code = database_->stepGuarded(query_.statements.back(), written_);
  if (!code) {
    finish();
    return std::unexpected(code.error());
  }
  if (columnNames_.empty()) {
    // After the step, because SQLite may have compiled the statement anew for a changed schema.
    const int columns = sqlite3_column_count(statement());
    for (int i = 0; i < columns; i++) {
      const char* name = sqlite3_column_name(statement(), i);
      columnNames_.emplace_back(name == nullptr ? "" : name);
    }
  }
  if (*code == SQLITE_ROW) {
    hasRow_ = true;
    rowsSeen_++;
    return {};
  }
  finish();
  return {};
}

Result<void> SqlCursor::gatherRows() {
  while (hasRow_) {
    std::vector<SqlValue> row;
    for (std::size_t i = 0; i < columnNames_.size(); i++)
      row.push_back(valueOf(viewOf(statement(), static_cast<int>(i))));
    gathered_.push_back(std::move(row));
    HF_TRY_VOID(step());
  }
  hasRow_ = true;
  return {};
}

SqlView SqlCursor::column(std::size_t index) const {
  HF_CHECK(hasRow_ && index < columnNames_.size(), "a column is read from a row");
  if (!gathered_.empty()) return borrow(gathered_[nextGathered_][index]);
  return viewOf(statement(), static_cast<int>(index));
}

Result<void> SqlCursor::advance() {
  if (cancelled_) {
    hasRow_ = false;
    return std::unexpected(*cancelled_);
  }
  if (!hasRow_) return {};
  if (database_ != nullptr && database_->broken_) {
    const Error why = *database_->broken_;
    finish();
    return std::unexpected(why);
  }
  if (!gathered_.empty()) {
    hasRow_ = ++nextGathered_ < gathered_.size();
    return {};
  }
  return step();
}

// A full scan reports its steps; what an index finds is counted by the rows that came of it.
std::uint64_t SqlCursor::countRead() const {
  const auto steps = static_cast<std::uint64_t>(sqlite3_stmt_status(statement(), SQLITE_STMTSTATUS_FULLSCAN_STEP, 0));
  return std::max(steps == 0 ? 0 : steps + 1, rowsSeen_);
}

std::uint64_t SqlCursor::rowsRead() const { return database_ == nullptr ? rowsRead_ : countRead(); }

void SqlCursor::finish() {
  hasRow_ = false;
  if (database_ == nullptr) return;
  rowsRead_ = countRead();
  std::erase(database_->cursors_, this);
  sqlite3_reset(statement());
  sqlite3_clear_bindings(statement());
  sqlite3_stmt_status(statement(), SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
  database_->connection_->cache().give(std::move(query_));
  query_ = {};
  database_ = nullptr;
}

void SqlCursor::cancel(const Error& why) {
  HF_CHECK(database_ != nullptr, "only a running cursor is cancelled");
  rowsRead_ = countRead();
  database_ = nullptr;
  query_ = {};
  if (gathered_.empty()) {
    // Its row is gone with the statement.
    cancelled_ = why;
  }
}

}  // namespace hf::storage
