// What user SQL may do (spec 5.5): SQLite's authorizer, asked while a statement is compiled. Default deny.
// SQLite does not report the new name of ALTER TABLE … RENAME TO; whoever runs a statement for which
// `altersTable` was set checks afterwards that no name beginning with _cf_ came into being.
// Thread:  its connection's.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

struct sqlite3;

namespace hf::storage {

class SqlGuard final {
 public:
  void attach(sqlite3* db);

  // Our own statements are not asked about, neither when compiled nor when SQLite compiles them again as they run.
  class Trusted final {
   public:
    explicit Trusted(SqlGuard& guard) : guard_(guard), before_(std::exchange(guard.trusted_, true)) {}
    Trusted(const Trusted&) = delete;
    Trusted& operator=(const Trusted&) = delete;
    ~Trusted() { guard_.trusted_ = before_; }

   private:
    SqlGuard& guard_;
    const bool before_;
  };

  void beginStatement() {
    refusal_.reset();
    altersTable_ = false;
    changesSchema_ = false;
    writtenTables_.clear();
  }
  // A text that says more than SQLite's "not authorized".
  [[nodiscard]] const std::optional<std::string>& refusal() const { return refusal_; }
  [[nodiscard]] bool altersTable() const { return altersTable_; }
  [[nodiscard]] bool changesSchema() const { return changesSchema_; }
  // A statement has set or asked for what lives in the connection and not in the file (PRAGMA, changes()): the
  // connection is not to be replaced by a new one.
  [[nodiscard]] bool usedConnectionState() const { return usedConnectionState_; }
  // What the statement, triggers included, may write.
  [[nodiscard]] std::vector<std::string> takeWrittenTables() { return std::move(writtenTables_); }

  // `trigger`: the trigger or view that asks, or null.
  int authorize(int action, const char* first, const char* second, const char* schema, const char* trigger);

 private:
  bool trusted_ = false;
  bool altersTable_ = false;
  bool changesSchema_ = false;
  bool usedConnectionState_ = false;
  std::optional<std::string> refusal_;
  std::vector<std::string> writtenTables_;
};

}  // namespace hf::storage
