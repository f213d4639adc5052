#include "storage/sqlite_memory.h"

#include <malloc.h>
#include <sqlite3.h>

#include <cstdlib>
#include <mutex>
#include <utility>

#include "base/check.h"

namespace hf::storage {
namespace {

struct Budget {
  bool bounded = false;
  bool refused = false;
  std::int64_t left = 0;
  std::int64_t refuseAfter = -1;
};
thread_local Budget budget;

std::int64_t sizeOf(void* memory) { return static_cast<std::int64_t>(malloc_usable_size(memory)); }

bool allows(std::int64_t bytes) {
  if (budget.refuseAfter >= 0) {
    budget.refuseAfter--;
    if (budget.refuseAfter < 0) return false;
  }
  if (!budget.bounded || bytes <= budget.left) return true;
  budget.refused = true;
  return false;
}

void* allocate(int bytes) {
  if (!allows(bytes)) return nullptr;
  void* const memory = std::malloc(static_cast<std::size_t>(bytes));  // NOLINT: SQLite's allocator
  if (memory != nullptr) budget.left -= sizeOf(memory);
  return memory;
}

void release(void* memory) {
  budget.left += sizeOf(memory);
  std::free(memory);  // NOLINT: SQLite's allocator
}

void* reallocate(void* memory, int bytes) {
  const std::int64_t before = sizeOf(memory);
  if (bytes > before && !allows(bytes - before)) return nullptr;
  void* const moved = std::realloc(memory, static_cast<std::size_t>(bytes));  // NOLINT: SQLite's allocator
  if (moved != nullptr) budget.left -= sizeOf(moved) - before;
  return moved;
}

int sizeOfAllocation(void* memory) { return static_cast<int>(sizeOf(memory)); }
int roundUp(int bytes) { return (bytes + 7) & ~7; }
int begin(void*) { return SQLITE_OK; }
void end(void*) {}

}  // namespace

void useBoundedMemory() {
  static std::once_flag once;
  std::call_once(once, [] {
    const sqlite3_mem_methods methods = {.xMalloc = allocate,
                                         .xFree = release,
                                         .xRealloc = reallocate,
                                         .xSize = sizeOfAllocation,
                                         .xRoundup = roundUp,
                                         .xInit = begin,
                                         .xShutdown = end,
                                         .pAppData = nullptr};
    HF_CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK, "nothing has used SQLite before us");
  });
}

StatementMemory::StatementMemory(std::size_t bytesMax) {
  HF_CHECK(!budget.bounded, "statements do not run inside each other");
  budget.bounded = true;
  budget.refused = false;
  budget.left = static_cast<std::int64_t>(bytesMax);
}

StatementMemory::~StatementMemory() { budget.bounded = false; }

bool StatementMemory::refused() const { return budget.refused; }

bool refuseAllocationAfter(std::int64_t count) { return std::exchange(budget.refuseAfter, count) >= 0; }

}  // namespace hf::storage
