// The Database of one object. database.cc: transactions; database_kv.cc: keys, values and the alarm; database_sql.cc:
// exec and cursors; database_together.cc: commits together with other databases.
//
//   none ──first write──► implicit ──endTurn──► none
//   none ──beginTransaction──► explicit(1) ──begin/commit/rollback: depth──► … ──root ends──► none
//   any ──a commit fails, a critical error, abort()──► broken, for ever
//
// No connection exists until something needs one: an object that never touches its storage costs this struct.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "storage/connection.h"
#include "storage/database.h"
#include "storage/vfs.h"

namespace hf::storage {

class SqlCursor;

inline constexpr char kMakeKvTable[] =
    "CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID";

// What a Database tells its Store when it goes.
class DatabaseOwner {
 public:
  virtual ~DatabaseOwner() = default;
  // On the database's shard, from its destructor.
  virtual void onDatabaseClosed(const ObjectKey& object) = 0;
  virtual void onMemoryReleased() = 0;
};

struct DatabaseContext {
  // Two owners: the store's table of objects and the open database.
  std::shared_ptr<Overlay> overlay;
  ObjectFiles& files;
  const Clock& clock;
  const Log& log;
  DatabaseOwner& owner;
  const ledger::Ledger& ledger;
  // Of a database that holds an empty _cf_KV: cheaper than having SQLite make it.
  const std::vector<PageRef>& kvPages;
};

// What user code sees when the ledger or a file refused.
Error refused(const Error& why);

class DatabaseImpl final : public Database {
 public:
  DatabaseImpl(DatabaseContext context, std::string name);
  ~DatabaseImpl() override;

  Result<std::optional<Bytes>> get(std::string_view key) override;
  Result<void> put(std::string_view key, BytesView value) override;
  Result<bool> remove(std::string_view key) override;
  Result<void> visit(const ListOptions& options, const ListVisitor& visit) override;
  Result<void> deleteAll(DeleteAlarm deleteAlarm) override;

  Result<std::optional<WallMs>> alarm() override;
  Result<void> setAlarm(std::optional<WallMs> at) override;

  Result<std::unique_ptr<Cursor>> exec(std::string_view text, std::vector<SqlValue> bindings) override;
  Result<std::uint64_t> databaseSize() override;

  Result<void> beginSync() override;
  Result<void> commitSync() override;
  Result<void> rollbackSync() override;
  Result<void> beginTransaction() override;
  Result<void> commitTransaction() override;
  Result<void> rollbackTransaction() override;

  [[nodiscard]] bool isDirty() const override;
  Result<std::optional<ledger::Position>> endTurn() override;
  void markTurn() override;
  Result<void> rollbackTurn() override;
  [[nodiscard]] bool hasLostTurn() const override { return lostTurn_; }
  [[nodiscard]] std::uint32_t transactionDepth() const override { return explicitDepth_; }
  Result<void> yieldTransaction() override;
  Result<void> copyFrom(Database& source) override;
  // Store::commitTogether. Ends the transaction as endTurn() does, but keeps its commit back. False: there is none.
  Result<bool> prepareCommit();
  // Valid until committed() or commitFailed(), of which one follows.
  [[nodiscard]] GroupMember preparedCommit();
  void committed();
  [[nodiscard]] std::optional<ledger::Position> lastCommit() const { return file_.overlay.lastCommit(); }
  void commitFailed(const Error& why);

  [[nodiscard]] ledger::Position version() const override {
    return file_.overlay.lastCommit().value_or(context_.ledger.tail());
  }
  void abort(Error why) override;
  void releaseMemory() override;
  [[nodiscard]] const std::optional<Error>& broken() const override { return broken_; }

 private:
  friend class SqlCursor;
  enum class Transaction : std::uint8_t { kNone, kImplicit, kExplicit };

  // Every call begins with one of these three.
  Result<void> usable() const;
  Result<void> readable();  // and connected
  Result<void> writable();  // and in a transaction
  // Nothing is stored, so no connection is needed to read it.
  [[nodiscard]] bool isEmpty() const;

  // Ends the SQL transaction by COMMIT, its alarm with it. Breaks the database when it fails.
  Result<void> commitNow();
  Result<void> runStep(const std::string& sql);
  // After a statement failed: passes the error on, and breaks the database if its transaction is gone.
  Error statementFailed(int code);
  Error statementFailed(int code, Error error);
  Error breakWith(Error why);
  void closeConnection(const Error& why);
  void unmark();
  Result<void> beginTurnSavepoint();
  void rolledBack();
  bool endedLost(std::uint32_t depthLeft, Transaction kind);

  Result<void> ensureTable(std::string_view name, const char* createSql);
  Result<void> ensureMetadata();
  Result<std::optional<WallMs>> storedAlarm();

  Result<void> runQuery(Query& query, std::size_t& last);
  Result<int> stepGuarded(const Prepared& prepared, WriteCount& written);
  // The transaction is beyond its limit: it ends, and the object is reset.
  Error breakFull();
  // A write of ours that may have changed so many bytes. Measures now and then, because that costs something.
  Result<void> countBytes(std::size_t bytes);

  const DatabaseContext context_;
  const std::string name_;
  DatabaseFile file_;
  std::unique_ptr<Connection> connection_;
  // Cursors with a running statement; each takes itself out.
  std::vector<SqlCursor*> cursors_;
  std::optional<Error> broken_;
  Transaction transaction_ = Transaction::kNone;
  // The transaction that SQLite should have open, it ended itself (ON CONFLICT ROLLBACK, or an error).
  bool lostTransaction_ = false;
  // The alarm's row may differ from what the ledger was told last.
  bool alarmTouched_ = false;
  // What is not committed holds an earlier turn's writes; and the SQL transaction does; and it has a savepoint at the
  // end of that turn.
  bool marked_ = false;
  bool transactionMarked_ = false;
  bool hasTurnSavepoint_ = false;
  bool lostTurn_ = false;
  // Of the connection that releaseMemory() closed.
  std::int64_t lastInsertRowid_ = 0;
  // Written since the transaction's size was last looked at.
  std::size_t unmeasuredBytes_ = 0;
  std::uint32_t explicitDepth_ = 0;
  std::uint32_t syncDepth_ = 0;
};

// Store::commitTogether.
Result<std::optional<ledger::Position>> commitTogether(std::span<Database* const> databases);

}  // namespace hf::storage
