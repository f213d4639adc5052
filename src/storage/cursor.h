// The running or finished last statement of an exec().
// Thread:  its database's shard. It may outlive the database, and then only has an error to give.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/database.h"
#include "storage/statement.h"

namespace hf::storage {

class DatabaseImpl;

class SqlCursor final : public Cursor {
 public:
  // `query` has its last statement bound. start() steps it.
  SqlCursor(DatabaseImpl& database, Query query, std::vector<SqlValue> bindings);
  ~SqlCursor() override;
  SqlCursor(const SqlCursor&) = delete;
  SqlCursor& operator=(const SqlCursor&) = delete;

  // The first step. A statement that writes runs to its end, so that it never stands in the way of a commit.
  Result<void> start();

  [[nodiscard]] const std::vector<std::string>& columnNames() const override { return columnNames_; }
  [[nodiscard]] bool hasRow() const override { return hasRow_; }
  [[nodiscard]] SqlView column(std::size_t index) const override;
  Result<void> advance() override;
  [[nodiscard]] std::uint64_t rowsRead() const override;
  [[nodiscard]] std::uint64_t rowsWritten() const override { return written_.rows(); }

  // The database goes, or all its contents: the statement is given up, and advance() answers `why`.
  void cancel(const Error& why);

 private:
  [[nodiscard]] sqlite3_stmt* statement() const { return query_.statements.back().statement.get(); }
  [[nodiscard]] std::uint64_t countRead() const;
  Result<void> step();
  Result<void> gatherRows();
  void finish();

  DatabaseImpl* database_;  // null when the statement has ended
  Query query_;
  std::vector<SqlValue> bindings_;
  std::vector<std::string> columnNames_;
  // Rows of a statement that writes.
  std::vector<std::vector<SqlValue>> gathered_;
  std::size_t nextGathered_ = 0;
  std::optional<Error> cancelled_;
  std::uint64_t rowsSeen_ = 0;
  std::uint64_t rowsRead_ = 0;
  WriteCount written_;
  bool hasRow_ = false;
};

}  // namespace hf::storage
