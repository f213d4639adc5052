// Compiled statements: ownership, and a cache of what user code runs again and again.
#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hf::storage {

struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using StatementPtr = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

// What a statement has written so far. A write with RETURNING is stepped more than once, and SQLite reports its changes
// with the last step.
struct WriteCount {
  std::uint64_t entries = 0;  // rows and index entries that the hook has seen
  std::uint64_t changes = 0;  // as SQLite counts them: DELETE without WHERE empties a table past the hook
  [[nodiscard]] std::uint64_t rows() const { return entries > changes ? entries : changes; }
};

// One statement of a query.
struct Prepared {
  StatementPtr statement;
  // Where the text after it begins, blanks skipped.
  std::size_t tail = 0;
  bool altersTable = false;
  bool changesSchema = false;
  // Tables it may write, triggers' included: what the row counter needs to know the indexes of.
  std::vector<std::string> writtenTables;
};

// A text given to exec(), as far as it has been compiled.
struct Query {
  std::string text;
  std::vector<Prepared> statements;
};

// Least recently used first out. A query that runs is not in it: running it a second time meanwhile compiles a copy.
// Thread: its connection's.
class StatementCache final {
 public:
  // The query of this text, or a new one with nothing compiled.
  Query take(std::string_view text);
  // All its statements are reset.
  void give(Query query);
  void clear();
  [[nodiscard]] std::size_t size() const { return queries_.size(); }

 private:
  std::list<Query> queries_;  // newest in front
  std::unordered_map<std::string_view, std::list<Query>::iterator> byText_;
  std::size_t textBytes_ = 0;
};

}  // namespace hf::storage
