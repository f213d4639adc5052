#include "storage/sqlite_memory.h"

#include <hf_sqlite_memory.h>

namespace hf::storage {

StatementMemory::StatementMemory(std::size_t bytesMax) { hf_sqlite_bound(static_cast<long long>(bytesMax)); }

StatementMemory::~StatementMemory() { hf_sqlite_bound(-1); }

bool StatementMemory::refused() const { return hf_sqlite_refused() != 0; }

bool refuseAllocationAfter(std::int64_t count) { return hf_sqlite_refuse_after(count) >= 0; }

}  // namespace hf::storage
