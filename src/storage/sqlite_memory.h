// SQLite's memory: the C library's, with a bound on what one statement may take. What SQLite holds between statements
// is bounded elsewhere (cached pages, statements, the size of a transaction).
//
// SQLite takes a refused allocation for being out of memory and ends the statement with SQLITE_NOMEM; the process goes
// on.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hf::storage {

// Once for the process, before anything of SQLite is used.
void useBoundedMemory();

// While it lives, SQLite's allocations on this thread are refused beyond `bytesMax`, less what is freed meanwhile.
// Scopes do not nest.
class StatementMemory final {
 public:
  explicit StatementMemory(std::size_t bytesMax);
  StatementMemory(const StatementMemory&) = delete;
  StatementMemory& operator=(const StatementMemory&) = delete;
  ~StatementMemory();
  [[nodiscard]] bool refused() const;
};

// For tests: the allocation after `count` others on this thread is refused, once. Negative: none. Answers whether the
// refusal asked for before has not happened.
bool refuseAllocationAfter(std::int64_t count);

}  // namespace hf::storage
