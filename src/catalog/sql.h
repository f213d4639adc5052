// SQLite as the catalog uses it: one connection, prepared statements, Results instead of codes.
// Thread:  one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_backup;

namespace hf::catalog {

// A statement being run: bind in order, step, read columns. Resets itself when it goes, for the next use.
class Query final {
 public:
  explicit Query(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();

  // A text too large for SQLite makes step() fail.
  Query& bind(std::string_view text);
  Query& bind(std::int64_t number);
  Query& bind(double number);
  // Kept by the caller until the query has run. For what is small; large ones go by writeBlob and readBlob.
  Query& bindBlob(BytesView bytes);
  Query& bindOptional(const std::optional<std::string>& text);

  // True: a row stands ready. False: the end.
  Result<bool> step();
  // For statements without rows.
  Result<void> run();

  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::int64_t number(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] Bytes blob(int column) const;
  [[nodiscard]] bool isNull(int column) const;

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int bound_ = 0;
  int refused_ = 0;  // SQLite's code for a value it did not take
};

class Connection final {
 public:
  // Creates the file with mode 0600 when it is missing.
  static Result<std::unique_ptr<Connection>> open(const std::string& file);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Several statements, no results.
  Result<void> execute(const char* sql);
  // `sql` lives for ever: statements are kept by its address. One Query per text at a time.
  Result<Query> query(const char* sql);

  // The bytes of a large value, piece by piece: SQLite would hold it in one allocation, and those are limited.
  // `row` is a row of the table whose column holds zeroblob(bytes.size()).
  Result<void> writeBlob(const char* table, const char* column, std::int64_t row, BytesView bytes);
  Result<Bytes> readBlob(const char* table, const char* column, std::int64_t row);
  // Rows that the last statement inserted, and the last of them.
  [[nodiscard]] int changes() const;
  [[nodiscard]] std::int64_t lastRow() const;

 private:
  friend class Backup;
  explicit Connection(sqlite3* db) : db_(db) {}

  sqlite3* const db_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

// A copy of a database, made a few pages at a time, in between which its connection may go on to read and write. The
// copy holds every transaction up to the last step.
class Backup final {
 public:
  // `file` must not be there. The connection outlives this.
  static Result<std::unique_ptr<Backup>> begin(Connection& connection, const std::string& file);
  ~Backup();
  Backup(const Backup&) = delete;
  Backup& operator=(const Backup&) = delete;
  // True: it is complete, and closed.
  Result<bool> step();

 private:
  explicit Backup(sqlite3* target) : target_(target) {}
  sqlite3* target_;
  sqlite3_backup* backup_ = nullptr;
};

// BEGIN IMMEDIATE; rolled back unless committed.
class Transaction final {
 public:
  static Result<Transaction> begin(Connection& connection);
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<void> commit();

 private:
  explicit Transaction(Connection* connection) : connection_(connection) {}
  Connection* connection_;
};

}  // namespace hf::catalog
