#include "catalog/sql.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "catalog/checksum_vfs.h"

namespace hf::catalog {
namespace {

Errc errcOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return Errc::kNoSpace;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Errc::kCorrupt;
    case SQLITE_IOERR:
      return code == SQLITE_IOERR_DATA ? Errc::kCorrupt : Errc::kIo;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Errc::kIo;
    default:
      return Errc::kSql;
  }
}

std::unexpected<Error> failed(sqlite3* db, int code, std::string_view doing) {
  if (errcOf(code) == Errc::kNoSpace)
    return fail(Errc::kNoSpace, "the disk is full: nothing was stored in the catalog");
  if (code == SQLITE_IOERR_DATA) return fail(Errc::kCorrupt, "catalog: " + lastDamage());
  std::string message = "catalog: " + std::string(doing) + ": " + sqlite3_errmsg(db);
  if (const int system = sqlite3_system_errno(db); errcOf(code) == Errc::kIo && system != 0) {
    message += std::string(" (") + std::strerror(system) + ")";
  }
  return fail(errcOf(code), std::move(message));
}

}  // namespace

Query::Query(Query&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      bound_(other.bound_),
      refused_(other.refused_) {}

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Query& Query::bind(std::string_view text) {
  const int code = sqlite3_bind_text64(statement_, ++bound_, text.data() == nullptr ? "" : text.data(), text.size(),
                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  HF_CHECK(code == SQLITE_OK || code == SQLITE_TOOBIG || code == SQLITE_NOMEM, "parameters are counted right");
  if (code != SQLITE_OK) refused_ = code;
  return *this;
}

Query& Query::bind(std::int64_t number) {
  HF_CHECK(sqlite3_bind_int64(statement_, ++bound_, number) == SQLITE_OK, "parameters are counted right");
  return *this;
}

Query& Query::bind(double number) {
  HF_CHECK(sqlite3_bind_double(statement_, ++bound_, number) == SQLITE_OK, "parameters are counted right");
  return *this;
}

Query& Query::bindBlob(BytesView bytes) {
  // A null address would bind NULL: an empty module is an empty blob.
  static constexpr std::uint8_t kNothing = 0;
  const void* data = bytes.empty() ? &kNothing : bytes.data();
  HF_CHECK(sqlite3_bind_blob64(statement_, ++bound_, data, bytes.size(), SQLITE_STATIC) == SQLITE_OK,
           "an upload is below SQLite's limits, parameters are counted right");
  return *this;
}

Query& Query::bindOptional(const std::optional<std::string>& text) {
  if (text) return bind(std::string_view(*text));
  HF_CHECK(sqlite3_bind_null(statement_, ++bound_) == SQLITE_OK, "parameters are counted right");
  return *this;
}

Result<bool> Query::step() {
  if (refused_ != SQLITE_OK)
    return fail(Errc::kSql, std::string("catalog: a text is too large: ") + sqlite3_sql(statement_));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return failed(db_, code, sqlite3_sql(statement_));
}

Result<void> Query::run() {
  HF_TRY(const bool row, step());
  HF_CHECK(!row, "a statement that changes gives no rows");
  return {};
}

std::string Query::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  const int size = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string() : std::string(data, static_cast<std::size_t>(size));
}

std::int64_t Query::number(int column) const { return sqlite3_column_int64(statement_, column); }

double Query::real(int column) const { return sqlite3_column_double(statement_, column); }

Bytes Query::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return data == nullptr ? Bytes() : Bytes(data, data + size);
}

bool Query::isNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

Result<std::unique_ptr<Connection>> Connection::open(const std::string& file) {
  // Made by hand first: SQLite would give a new file the process's default mode, and the log beside it the same.
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errc::kIo, "catalog: cannot open " + file + ": " + std::strerror(errno));
  ::close(fd);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, checksumVfs());
  if (code != SQLITE_OK) {
    auto error = failed(db, code, "open " + file);
    sqlite3_close_v2(db);
    return error;
  }
  sqlite3_extended_result_codes(db, 1);
  reserveForChecksums(db);
  std::unique_ptr<Connection> connection(new Connection(db));
  // A commit is durable when it returns, and in the file itself, where every page has a checksum: a write-ahead log
  // would end at a damaged frame as if nothing had followed.
  HF_TRY_VOID(
      connection->execute("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=EXTRA; "
                          "PRAGMA foreign_keys=ON;"));
  return connection;
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  const int code = sqlite3_close(db_);
  HF_CHECK(code == SQLITE_OK, "every statement belongs to the connection and has been finalised");
}

Result<void> Connection::execute(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return failed(db_, code, sql);
  return {};
}

Result<Query> Connection::query(const char* sql) {
  const auto known = statements_.find(sql);
  if (known != statements_.end()) {
    HF_CHECK(sqlite3_stmt_busy(known->second) == 0, "one Query per text at a time");
    return Query(db_, known->second);
  }
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return failed(db_, code, sql);
  statements_.emplace(sql, statement);
  return Query(db_, statement);
}

namespace {

struct BlobCloser {
  void operator()(sqlite3_blob* blob) const { sqlite3_blob_close(blob); }
};
using BlobPtr = std::unique_ptr<sqlite3_blob, BlobCloser>;

enum class BlobAccess { kRead = 0, kWrite = 1 };

Result<BlobPtr> openBlob(sqlite3* db, const char* table, const char* column, std::int64_t row, BlobAccess access) {
  sqlite3_blob* blob = nullptr;
  const int code = sqlite3_blob_open(db, "main", table, column, row, static_cast<int>(access), &blob);
  if (code != SQLITE_OK) return failed(db, code, "opening a large value");
  return BlobPtr(blob);
}

}  // namespace

Result<void> Connection::writeBlob(const char* table, const char* column, std::int64_t row, BytesView bytes) {
  if (bytes.empty()) return {};
  HF_TRY(const BlobPtr blob, openBlob(db_, table, column, row, BlobAccess::kWrite));
  const int code = sqlite3_blob_write(blob.get(), bytes.data(), static_cast<int>(bytes.size()), 0);
  if (code != SQLITE_OK) return failed(db_, code, "writing a large value");
  return {};
}

Result<Bytes> Connection::readBlob(const char* table, const char* column, std::int64_t row) {
  HF_TRY(const BlobPtr blob, openBlob(db_, table, column, row, BlobAccess::kRead));
  Bytes bytes(static_cast<std::size_t>(sqlite3_blob_bytes(blob.get())));
  const int code = sqlite3_blob_read(blob.get(), bytes.data(), static_cast<int>(bytes.size()), 0);
  if (code != SQLITE_OK) return failed(db_, code, "reading a large value");
  return bytes;
}

int Connection::changes() const { return sqlite3_changes(db_); }

std::int64_t Connection::lastRow() const { return sqlite3_last_insert_rowid(db_); }

Result<std::unique_ptr<Backup>> Backup::begin(Connection& connection, const std::string& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errc::kIo, "catalog: cannot make " + file + ": " + std::strerror(errno));
  ::close(fd);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, checksumVfs());
  std::unique_ptr<Backup> backup(new Backup(db));
  if (code != SQLITE_OK) return failed(db, code, "open " + file);
  reserveForChecksums(db);
  backup->backup_ = sqlite3_backup_init(db, "main", connection.db_, "main");
  if (backup->backup_ == nullptr) return failed(db, sqlite3_errcode(db), "copying to " + file);
  return backup;
}

Backup::~Backup() {
  sqlite3_backup_finish(backup_);
  sqlite3_close_v2(target_);
}

Result<bool> Backup::step() {
  constexpr int kPages = 64;
  const int code = sqlite3_backup_step(backup_, kPages);
  if (code == SQLITE_OK) return false;
  if (code != SQLITE_DONE) return failed(target_, code, "copying the catalog");
  sqlite3_backup_finish(std::exchange(backup_, nullptr));
  sqlite3_close_v2(std::exchange(target_, nullptr));
  return true;
}

Result<Transaction> Transaction::begin(Connection& connection) {
  HF_TRY_VOID(connection.execute("BEGIN IMMEDIATE"));
  return Transaction(&connection);
}

Transaction::Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}

Transaction::~Transaction() {
  if (connection_ == nullptr) return;
  HF_IGNORE(connection_->execute("ROLLBACK"), "SQLite rolls back by itself on the errors after which this fails");
}

Result<void> Transaction::commit() {
  HF_CHECK(connection_ != nullptr, "a transaction is committed once");
  HF_TRY_VOID(connection_->execute("COMMIT"));
  connection_ = nullptr;
  return {};
}

}  // namespace hf::catalog
