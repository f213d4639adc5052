#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "storage/cursor.h"
#include "storage/database_impl.h"
#include "storage/sql_error.h"

namespace hf::storage {
namespace {

constexpr char kKvTable[] = "_cf_KV";
constexpr char kMetadataTable[] = "_cf_METADATA";
constexpr char kMakeMetadata[] = "CREATE TABLE IF NOT EXISTS _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)";

// Writes of ours between two looks at the size of their transaction.
constexpr std::size_t kMeasuredBytes = 1024 * 1024;

// Resets at the end of the call: a statement that is not reset holds its bindings' memory and its read transaction.
class Scope final {
 public:
  explicit Scope(sqlite3_stmt* statement) : statement_(statement) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

 private:
  sqlite3_stmt* statement_;
};

int bindText(sqlite3_stmt* statement, int index, std::string_view text) {
  // An empty view may point nowhere, which SQLite would take for NULL.
  return sqlite3_bind_text64(statement, index, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC,
                             SQLITE_UTF8);
}

int bindBlob(sqlite3_stmt* statement, int index, BytesView bytes) {
  if (bytes.empty()) return sqlite3_bind_zeroblob(statement, index, 0);
  return sqlite3_bind_blob64(statement, index, bytes.data(), bytes.size(), SQLITE_STATIC);
}

// Until the statement's next step.
BytesView columnView(sqlite3_stmt* statement, int index) {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement, index));
  return data == nullptr ? BytesView()
                         : BytesView(data, static_cast<std::size_t>(sqlite3_column_bytes(statement, index)));
}

// The smallest text greater than every text with this prefix; nullopt if there is none.
std::optional<std::string> afterPrefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (prefix.empty()) return std::nullopt;
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

}  // namespace

Result<void> DatabaseImpl::ensureTable(std::string_view name, const char* createSql) {
  HF_TRY_VOID(writable());
  HF_TRY(const bool exists, connection_->hasTable(name));
  if (exists) return {};
  HF_TRY_VOID(runStep(createSql));
  connection_->tableMade(name);
  return {};
}

Result<std::optional<Bytes>> DatabaseImpl::get(std::string_view key) {
  HF_TRY_VOID(usable());
  if (isEmpty()) return std::nullopt;
  HF_TRY_VOID(readable());
  HF_TRY(const bool exists, connection_->hasTable(kKvTable));
  if (!exists) return std::nullopt;
  HF_TRY(sqlite3_stmt* const statement, connection_->internal(Internal::kGet));
  const Scope scope(statement);
  bindText(statement, 1, key);
  switch (const int code = connection_->stepTrusted(statement); code) {
    case SQLITE_ROW: {
      const BytesView value = columnView(statement, 0);
      return Bytes(value.begin(), value.end());
    }
    case SQLITE_DONE:
      return std::nullopt;
    default:
      return std::unexpected(statementFailed(code));
  }
}

Result<void> DatabaseImpl::put(std::string_view key, BytesView value) {
  HF_TRY_VOID(usable());
  if (key.size() + value.size() > limits::kKeyPlusValueBytesMax) {
    return fail(Errc::kSql, "string or blob too big: SQLITE_TOOBIG");
  }
  // The first thing that is ever written.
  if (isEmpty()) {
    file_.startingPages = &context_.kvPages;
    HF_TRY_VOID(writable());
    connection_->tableMade(kKvTable);
  }
  HF_TRY_VOID(ensureTable(kKvTable, kMakeKvTable));
  HF_TRY(sqlite3_stmt* const statement, connection_->internal(Internal::kPut));
  int code = SQLITE_OK;
  {
    const Scope scope(statement);
    bindText(statement, 1, key);
    bindBlob(statement, 2, value);
    code = connection_->stepTrusted(statement);
  }
  if (code != SQLITE_DONE) return std::unexpected(statementFailed(code));
  return countBytes(key.size() + value.size() + kPageBytes);
}

Result<void> DatabaseImpl::countBytes(std::size_t bytes) {
  unmeasuredBytes_ += bytes;
  if (unmeasuredBytes_ < kMeasuredBytes) return {};
  unmeasuredBytes_ = 0;
  if (connection_->cacheBytes() > limits::kTransactionBytesMax) return std::unexpected(breakFull());
  return {};
}

Result<bool> DatabaseImpl::remove(std::string_view key) {
  HF_TRY_VOID(usable());
  if (isEmpty()) return false;
  HF_TRY_VOID(readable());
  HF_TRY(const bool exists, connection_->hasTable(kKvTable));
  if (!exists) return false;
  HF_TRY_VOID(writable());
  HF_TRY(sqlite3_stmt* const statement, connection_->internal(Internal::kRemove));
  int code = SQLITE_OK;
  {
    const Scope scope(statement);
    bindText(statement, 1, key);
    code = connection_->stepTrusted(statement);
  }
  if (code != SQLITE_DONE) return std::unexpected(statementFailed(code));
  const bool existed = sqlite3_changes64(connection_->db()) > 0;
  HF_TRY_VOID(countBytes(kPageBytes));
  return existed;
}

Result<std::vector<ListEntry>> Database::list(const ListOptions& options) {
  std::vector<ListEntry> entries;
  HF_TRY_VOID(visit(options, [&](std::string_view key, BytesView value) {
    entries.push_back({.key = std::string(key), .value = Bytes(value.begin(), value.end())});
    return Walk::kGoOn;
  }));
  return entries;
}

Result<void> DatabaseImpl::visit(const ListOptions& options, const ListVisitor& visit) {
  HF_TRY_VOID(usable());
  if (options.start && options.startAfter) {
    return fail(Errc::kInvalidArgument, "list() cannot be called with both start and startAfter values.");
  }
  if (options.limit && *options.limit == 0) return fail(Errc::kInvalidArgument, "List limit must be positive.");
  if (isEmpty()) return {};
  HF_TRY_VOID(readable());
  HF_TRY(const bool exists, connection_->hasTable(kKvTable));
  if (!exists) return {};

  std::string from = options.start.value_or(options.startAfter ? *options.startAfter + '\0' : "");
  from = std::max(from, options.prefix);
  std::optional<std::string> below = options.end;
  if (const auto end = afterPrefix(options.prefix)) below = below ? std::min(*below, *end) : *end;

  const Internal which = below ? (options.reverse ? Internal::kListBackwardBelow : Internal::kListForwardBelow)
                               : (options.reverse ? Internal::kListBackward : Internal::kListForward);
  HF_TRY(sqlite3_stmt* const statement, connection_->internal(which));
  int code = SQLITE_OK;
  {
    const Scope scope(statement);
    bindText(statement, 1, from);
    const bool limited = options.limit && *options.limit <= static_cast<std::uint64_t>(INT64_MAX);
    sqlite3_bind_int64(statement, 2, limited ? static_cast<sqlite3_int64>(*options.limit) : -1);
    if (below) bindText(statement, 3, *below);
    while ((code = connection_->stepTrusted(statement)) == SQLITE_ROW) {
      if (visit(asText(columnView(statement, 0)), columnView(statement, 1)) == Walk::kStop) return {};
    }
  }
  if (code != SQLITE_DONE) return std::unexpected(statementFailed(code));
  return {};
}

Result<void> DatabaseImpl::deleteAll(DeleteAlarm deleteAlarm) {
  HF_TRY_VOID(usable());
  if (transaction_ == Transaction::kExplicit || syncDepth_ > 0) {
    return fail(Errc::kSql, "Cannot call deleteAll() within a transaction");
  }
  std::optional<WallMs> kept;
  if (deleteAlarm == DeleteAlarm::kNo) {
    HF_TRY(kept, alarm());
  }
  const bool anything = isDirty() || file_.overlay.pageCount() > 0;
  closeConnection({Errc::kSql, "SQLite query was canceled because the database was deleted."});
  if (!anything) return {};
  file_.resetPending = true;
  alarmTouched_ = true;
  if (kept) return setAlarm(kept);
  return {};
}

Result<std::optional<WallMs>> DatabaseImpl::storedAlarm() {
  if (isEmpty()) return std::nullopt;
  HF_TRY_VOID(readable());
  HF_TRY(const bool exists, connection_->hasTable(kMetadataTable));
  if (!exists) return std::nullopt;
  HF_TRY(sqlite3_stmt* const statement, connection_->internal(Internal::kAlarmGet));
  std::optional<WallMs> at;
  int code = SQLITE_OK;
  {
    const Scope scope(statement);
    code = connection_->stepTrusted(statement);
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_INTEGER) {
      at = sqlite3_column_int64(statement, 0) / kAlarmUnitsPerMs;
    }
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) return std::unexpected(statementFailed(code));
  return at;
}

Result<std::optional<WallMs>> DatabaseImpl::alarm() {
  HF_TRY_VOID(usable());
  return storedAlarm();
}

Result<void> DatabaseImpl::setAlarm(std::optional<WallMs> at) {
  HF_TRY_VOID(usable());
  if (!at) {
    HF_TRY(const std::optional<WallMs> before, storedAlarm());
    if (!before) return {};
  }
  HF_TRY_VOID(ensureTable(kMetadataTable, kMakeMetadata));
  HF_TRY(sqlite3_stmt* const statement, connection_->internal(Internal::kAlarmSet));
  int code = SQLITE_OK;
  {
    const Scope scope(statement);
    if (at) {
      // Nanoseconds end in the year 2262.
      const WallMs most = INT64_MAX / kAlarmUnitsPerMs;
      sqlite3_bind_int64(statement, 1, std::clamp<WallMs>(*at, -most, most) * kAlarmUnitsPerMs);
    }
    code = connection_->stepTrusted(statement);
  }
  if (code != SQLITE_DONE) return std::unexpected(statementFailed(code));
  alarmTouched_ = true;
  return {};
}

}  // namespace hf::storage
