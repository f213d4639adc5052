// One object's SQLite database on the batch-atomic VFS: key-value table, SQL behind a guard, the alarm row, and
// the transactions of spec durable-objects 3.4 to 3.7. Knows nothing of JavaScript: values are bytes and SqlValue.
// Thread:  its shard's only.
// Owns:    the connection, its statement cache and its overlay. Borrows the Store.
// Turns:   the first write of a turn opens the implicit transaction; endTurn() commits it. An explicit
//          transaction (beginTransaction) keeps endTurn() from committing until its root ends.
// Limits:  a transaction holds limits::kTransactionBytesMax of changed pages, a statement takes
//          limits::kStatementMemoryBytesMax of memory. Beyond, a write ends in SQLITE_FULL (critical, kSql).
// Errors:  kSql with SQLite's text as spec 5.4 writes it; kInvalidArgument and kLimit with the spec's texts.
//          After a failed commit, kNoSpace/kIo from a statement (critical, spec 3.5) or kLedgerPoisoned the
//          database is broken: every later call returns the same error; the object must be reset.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::storage {

using SqlNull = std::monostate;
// INTEGER, REAL, TEXT (UTF-8), BLOB.
using SqlValue = std::variant<SqlNull, std::int64_t, double, std::string, Bytes>;
// Borrowed form for reading a row: valid until the next step of its cursor.
using SqlView = std::variant<SqlNull, std::int64_t, double, std::string_view, BytesView>;

// A running or finished statement. The last statement of an exec() has been stepped once already.
class Cursor {
 public:
  virtual ~Cursor() = default;
  // Duplicates preserved; readable after the end. Empty for a statement without rows.
  [[nodiscard]] virtual const std::vector<std::string>& columnNames() const = 0;
  // The current row, or nullopt at the end. Stays the same until advance().
  [[nodiscard]] virtual bool hasRow() const = 0;
  [[nodiscard]] virtual SqlView column(std::size_t index) const = 0;
  // Steps to the next row or the end. kSql on a run-time error; the cursor has then ended.
  virtual Result<void> advance() = 0;
  // Live while iterating, frozen at the end (spec 5.2).
  [[nodiscard]] virtual std::uint64_t rowsRead() const = 0;
  [[nodiscard]] virtual std::uint64_t rowsWritten() const = 0;
};

struct ListOptions {
  std::optional<std::string> start;       // inclusive
  std::optional<std::string> startAfter;  // exclusive
  std::optional<std::string> end;         // exclusive
  std::string prefix;
  bool reverse = false;
  std::optional<std::uint64_t> limit;  // > 0
};

struct ListEntry {
  std::string key;
  Bytes value;
};

enum class Walk : std::uint8_t { kGoOn, kStop };
// The views hold during the call, which must not use the database.
using ListVisitor = std::function<Walk(std::string_view key, BytesView value)>;

enum class DeleteAlarm : std::uint8_t { kNo, kYes };

class Database {
 public:
  virtual ~Database() = default;

  // Key-value (spec 4). Keys are UTF-8, ordered bytewise. Limits: limits::kKeyPlusValueBytesMax.
  virtual Result<std::optional<Bytes>> get(std::string_view key) = 0;
  virtual Result<void> put(std::string_view key, BytesView value) = 0;
  virtual Result<bool> remove(std::string_view key) = 0;  // true: it existed
  // Entries in order, each as it is read, until `visit` answers kStop.
  virtual Result<void> visit(const ListOptions& options, const ListVisitor& visit) = 0;
  // All of them at once: for what is known to be small.
  Result<std::vector<ListEntry>> list(const ListOptions& options);
  // Erases everything, SQL tables too; open cursors end with spec 4.3's error. Commits with the turn.
  virtual Result<void> deleteAll(DeleteAlarm deleteAlarm) = 0;

  // The alarm row (_cf_METADATA key 1). Milliseconds since the epoch.
  virtual Result<std::optional<WallMs>> alarm() = 0;
  virtual Result<void> setAlarm(std::optional<WallMs> at) = 0;

  // SQL (spec 5.1). Runs every statement of `text`; only the last may have parameters.
  virtual Result<std::unique_ptr<Cursor>> exec(std::string_view text, std::vector<SqlValue> bindings) = 0;
  // Bytes in use, internal tables included.
  virtual Result<std::uint64_t> databaseSize() = 0;

  // Savepoints of transactionSync: opens the implicit transaction when none is open. Names nest by depth.
  virtual Result<void> beginSync() = 0;
  virtual Result<void> commitSync() = 0;
  virtual Result<void> rollbackSync() = 0;

  // Explicit transactions of transaction(): the root commits the implicit one first. They nest by savepoint.
  virtual Result<void> beginTransaction() = 0;
  virtual Result<void> commitTransaction() = 0;
  virtual Result<void> rollbackTransaction() = 0;

  // A transaction is open (implicit or explicit): what was written is not yet with the ledger.
  [[nodiscard]] virtual bool isDirty() const = 0;
  // Commits the implicit transaction, if one is open and no explicit one is. Returns the ledger position of the
  // object's last commit, also of one made before it was opened if that may not be durable yet; nullopt if all that
  // can be read is durable. A turn that wrote nothing of effect returns the position of the commit before it.
  virtual Result<std::optional<ledger::Position>> endTurn() = 0;
  // The turn has ended and what it wrote is not committed yet: it stays when what a later turn writes is rolled back.
  // For databases that are committed together (Store::commitTogether), which may be after several turns.
  virtual void markTurn() = 0;
  // Takes back what was written since the last commit or markTurn(), an explicit transaction as a whole.
  virtual Result<void> rollbackTurn() = 0;
  // A marked turn's writes are lost: SQLite, or a critical error, has rolled everything back.
  [[nodiscard]] virtual bool hasLostTurn() const = 0;
  // Explicit transactions that are open, inside one another.
  [[nodiscard]] virtual std::uint32_t transactionDepth() const = 0;
  // Ends the root of an explicit transaction: what it wrote is committed by endTurn() like an implicit one's.
  virtual Result<void> yieldTransaction() = 0;
  // Becomes a copy of `source` as that was committed last. Commits with the turn.
  virtual Result<void> copyFrom(Database& source) = 0;
  // A position of the ledger at which the object was what it is now, open transactions left out: the end of its last
  // commit, if that was made since the node started.
  [[nodiscard]] virtual ledger::Position version() const = 0;
  // Drops what is not committed (ctx.abort()). The database is broken afterwards, with `why`.
  virtual void abort(Error why) = 0;
  // Gives back what can be made again at the next use: the connection with its cached pages and statements, most of
  // what an open database holds. For an object that falls idle. Does nothing while a transaction or a cursor is open.
  virtual void releaseMemory() = 0;
  [[nodiscard]] virtual const std::optional<Error>& broken() const = 0;
};

}  // namespace hf::storage
