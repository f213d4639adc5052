#include "storage/database.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "storage/cursor.h"
#include "storage/database_impl.h"
#include "storage/sql_error.h"

namespace hf::storage {
namespace {

constexpr char kConstraintsViolated[] =
    "Durable Object was reset and rolled back to its last known good state because the application left the database "
    "in "
    "a state where constraints were violated: ";
constexpr char kEarlierCriticalError[] = "Cannot commit transaction due to an earlier SQL critical error";

}  // namespace

// What user code sees when the ledger or a file refused.
Error refused(const Error& why) {
  switch (why.code) {
    case Errc::kNoSpace:
    case Errc::kLimit:  // a transaction that no segment can hold
      return {Errc::kNoSpace, "database or disk is full: SQLITE_FULL"};
    case Errc::kOverloaded:
      return {Errc::kOverloaded, "Durable Object is overloaded. Too much data queued."};
    case Errc::kLedgerPoisoned:
    case Errc::kCorrupt:
      return {why.code, "disk I/O error: SQLITE_IOERR"};
    default:
      return {Errc::kIo, "disk I/O error: SQLITE_IOERR"};
  }
}

DatabaseImpl::DatabaseImpl(DatabaseContext context, std::string name)
    : context_(std::move(context)),
      name_(std::move(name)),
      file_{.overlay = *context_.overlay, .files = context_.files} {}

DatabaseImpl::~DatabaseImpl() {
  closeConnection({Errc::kDisconnected, "Durable Object storage is no longer accessible."});
  context_.owner.onDatabaseClosed(context_.overlay->object());
}

void DatabaseImpl::closeConnection(const Error& why) {
  for (SqlCursor* cursor : std::exchange(cursors_, {})) cursor->cancel(why);
  connection_.reset();  // rolls back
  transaction_ = Transaction::kNone;
  explicitDepth_ = 0;
  syncDepth_ = 0;
  lostTransaction_ = false;
  alarmTouched_ = false;
  file_.alarm.reset();
  file_.startingPages = nullptr;
}

bool DatabaseImpl::isEmpty() const {
  return connection_ == nullptr && (file_.resetPending || file_.overlay.pageCount() == 0);
}

Result<void> DatabaseImpl::usable() const {
  if (broken_) return std::unexpected(*broken_);
  return {};
}

Result<void> DatabaseImpl::readable() {
  HF_TRY_VOID(usable());
  if (connection_ != nullptr) return {};
  Result<std::unique_ptr<Connection>> opened = Connection::open(file_, context_.clock);
  if (!opened) {
    Error error = opened.error();
    if (const auto why = std::exchange(file_.refusal, std::nullopt)) {
      context_.log.error("storage: " + why->message, {{"object", file_.overlay.object().id.hex()}});
      error.code = refused(*why).code;
    }
    return std::unexpected(std::move(error));
  }
  connection_ = *std::move(opened);
  sqlite3_set_last_insert_rowid(connection_->db(), lastInsertRowid_);
  return {};
}

Result<void> DatabaseImpl::writable() {
  HF_TRY_VOID(readable());
  if (lostTransaction_) return fail(Errc::kSql, kEarlierCriticalError);
  if (transactionMarked_ && !hasTurnSavepoint_) return beginTurnSavepoint();
  if (transaction_ != Transaction::kNone) return {};
  if (const int code = connection_->run(Internal::kBegin); code != SQLITE_OK) {
    return std::unexpected(statementFailed(code));
  }
  transaction_ = Transaction::kImplicit;
  return {};
}

Error DatabaseImpl::breakWith(Error why) {
  HF_CHECK(!broken_, "a database breaks once");
  broken_ = why;
  if (marked_) lostTurn_ = true;
  unmark();
  // The connection stays till the destructor: a statement of it may be running in a caller.
  if (connection_ != nullptr && sqlite3_get_autocommit(connection_->db()) == 0) connection_->run(Internal::kRollback);
  transaction_ = Transaction::kNone;
  lostTransaction_ = false;
  explicitDepth_ = 0;
  syncDepth_ = 0;
  file_.resetPending = false;
  file_.alarm.reset();
  file_.held.reset();
  return why;
}

Error DatabaseImpl::breakFull() {
  context_.log.warn("storage: a transaction is larger than " + std::to_string(limits::kTransactionBytesMax) + " bytes",
                    {{"object", file_.overlay.object().id.hex()}});
  return breakWith({Errc::kSql, "database or disk is full: SQLITE_FULL"});
}

Error DatabaseImpl::statementFailed(int code) { return statementFailed(code, sqlError(connection_->db(), code)); }

Error DatabaseImpl::statementFailed(int code, Error error) {
  if (const auto why = std::exchange(file_.refusal, std::nullopt)) {
    context_.log.error("storage: " + why->message, {{"object", file_.overlay.object().id.hex()}});
    error.code = refused(*why).code;
  } else if ((code & 0xff) == SQLITE_FULL) {
    error.code = Errc::kNoSpace;
  } else if ((code & 0xff) == SQLITE_IOERR) {
    error.code = Errc::kIo;
  }
  if (transaction_ == Transaction::kNone || sqlite3_get_autocommit(connection_->db()) == 0) return error;
  // SQLite has rolled everything back. After ON CONFLICT ROLLBACK that was asked for; else the object is reset.
  if (isCritical(code)) return breakWith(std::move(error));
  rolledBack();
  if (transactionMarked_) lostTurn_ = true;
  unmark();
  if (transaction_ == Transaction::kImplicit && syncDepth_ == 0) {
    transaction_ = Transaction::kNone;
  } else {
    lostTransaction_ = true;
  }
  return error;
}

void DatabaseImpl::rolledBack() { connection_->forgetSchema(); }

// A transaction that SQLite ended itself is over for us when its outermost level ends.
bool DatabaseImpl::endedLost(std::uint32_t depthLeft, Transaction kind) {
  if (!lostTransaction_) return false;
  if (depthLeft == 0 && transaction_ == kind) {
    lostTransaction_ = false;
    transaction_ = Transaction::kNone;
  }
  return true;
}

void DatabaseImpl::abort(Error why) {
  if (!broken_) HF_IGNORE(breakWith(std::move(why)), "the caller knows why");
}

void DatabaseImpl::releaseMemory() {
  if (broken_ || connection_ == nullptr || isDirty() || !cursors_.empty()) return;
  if (connection_->guard().usedConnectionState()) return connection_->releaseMemory();
  lastInsertRowid_ = sqlite3_last_insert_rowid(connection_->db());
  connection_.reset();
  file_.startingPages = nullptr;
  context_.owner.onMemoryReleased();
}

bool DatabaseImpl::isDirty() const { return transaction_ != Transaction::kNone || file_.resetPending; }

Result<std::optional<ledger::Position>> DatabaseImpl::endTurn() {
  HF_TRY_VOID(usable());
  if (transaction_ != Transaction::kExplicit && isDirty()) HF_TRY_VOID(commitNow());
  return file_.overlay.lastCommit();
}

Result<void> DatabaseImpl::commitNow() {
  // JavaScript that is terminated in the middle of a transactionSync leaves it open.
  if (syncDepth_ > 0) return std::unexpected(breakWith({Errc::kCancelled, "transactionSync() did not end"}));
  if (alarmTouched_) {
    Result<std::optional<WallMs>> at = storedAlarm();
    if (!at) return std::unexpected(broken_ ? *broken_ : breakWith(at.error()));
    file_.alarm = ledger::AlarmChange{.at = *at, .objectName = name_};
  }
  if (transaction_ != Transaction::kNone) {
    if (const int code = connection_->run(Internal::kCommit); code != SQLITE_OK) {
      Error error = sqlError(connection_->db(), code);
      if (const auto why = std::exchange(file_.refusal, std::nullopt)) {
        context_.log.error("storage: " + why->message, {{"object", file_.overlay.object().id.hex()}});
        error = refused(*why);
      } else if ((code & 0xff) == SQLITE_CONSTRAINT) {
        error.message = kConstraintsViolated + error.message;
      }
      return std::unexpected(breakWith(std::move(error)));
    }
    transaction_ = Transaction::kNone;
    unmeasuredBytes_ = 0;
  }
  if (file_.resetPending && !file_.held) {
    if (auto done = commitWithoutPages(file_); !done) {
      context_.log.error("storage: " + done.error().message, {{"object", file_.overlay.object().id.hex()}});
      return std::unexpected(breakWith(refused(done.error())));
    }
  }
  // Still there: no page was written, so the row is as it was.
  file_.alarm.reset();
  alarmTouched_ = false;
  unmark();
  return {};
}

Result<void> DatabaseImpl::runStep(const std::string& sql) {
  if (const int code = connection_->runText(sql.c_str()); code != SQLITE_OK) {
    return std::unexpected(statementFailed(sqlite3_extended_errcode(connection_->db())));
  }
  return {};
}

Result<void> DatabaseImpl::beginSync() {
  HF_TRY_VOID(writable());
  HF_TRY_VOID(runStep("SAVEPOINT _cf_sync_savepoint_" + std::to_string(syncDepth_)));
  syncDepth_++;
  return {};
}

Result<void> DatabaseImpl::commitSync() {
  HF_TRY_VOID(usable());
  HF_CHECK(syncDepth_ > 0, "a savepoint that ends has begun");
  syncDepth_--;
  if (endedLost(syncDepth_, Transaction::kImplicit)) return fail(Errc::kSql, kEarlierCriticalError);
  return runStep("RELEASE _cf_sync_savepoint_" + std::to_string(syncDepth_));
}

Result<void> DatabaseImpl::rollbackSync() {
  HF_TRY_VOID(usable());
  HF_CHECK(syncDepth_ > 0, "a savepoint that ends has begun");
  syncDepth_--;
  if (endedLost(syncDepth_, Transaction::kImplicit)) return {};
  const std::string name = "_cf_sync_savepoint_" + std::to_string(syncDepth_);
  rolledBack();
  return runStep("ROLLBACK TO " + name + ";RELEASE " + name);
}

Result<void> DatabaseImpl::beginTransaction() {
  HF_TRY_VOID(usable());
  if (syncDepth_ > 0) return fail(Errc::kSql, "Cannot start a transaction() within a transactionSync()");
  if (transaction_ != Transaction::kExplicit) {
    if (isDirty()) HF_TRY_VOID(commitNow());
    HF_TRY_VOID(readable());
    HF_TRY_VOID(runStep("BEGIN"));
    transaction_ = Transaction::kExplicit;
    explicitDepth_ = 1;
    return {};
  }
  if (lostTransaction_) return fail(Errc::kSql, kEarlierCriticalError);
  HF_TRY_VOID(runStep("SAVEPOINT _cf_savepoint_" + std::to_string(explicitDepth_)));
  explicitDepth_++;
  return {};
}

Result<void> DatabaseImpl::commitTransaction() {
  HF_TRY_VOID(usable());
  HF_CHECK(explicitDepth_ > 0 && transaction_ == Transaction::kExplicit, "a transaction that ends has begun");
  explicitDepth_--;
  if (endedLost(explicitDepth_, Transaction::kExplicit)) return fail(Errc::kSql, kEarlierCriticalError);
  if (explicitDepth_ > 0) return runStep("RELEASE _cf_savepoint_" + std::to_string(explicitDepth_));
  return commitNow();
}

Result<void> DatabaseImpl::rollbackTransaction() {
  HF_TRY_VOID(usable());
  HF_CHECK(explicitDepth_ > 0 && transaction_ == Transaction::kExplicit, "a transaction that ends has begun");
  if (syncDepth_ > 0) return std::unexpected(breakWith({Errc::kCancelled, "transactionSync() did not end"}));
  explicitDepth_--;
  if (endedLost(explicitDepth_, Transaction::kExplicit)) return {};
  rolledBack();
  if (explicitDepth_ > 0) {
    const std::string name = "_cf_savepoint_" + std::to_string(explicitDepth_);
    return runStep("ROLLBACK TO " + name + ";RELEASE " + name);
  }
  if (const int code = connection_->run(Internal::kRollback); code != SQLITE_OK) {
    return std::unexpected(statementFailed(code));
  }
  transaction_ = Transaction::kNone;
  alarmTouched_ = false;
  return {};
}

}  // namespace hf::storage
