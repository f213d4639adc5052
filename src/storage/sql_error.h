// SQLite's result codes as errors with the texts of spec 5.4.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;

namespace hf::storage {

enum class WithOffset : std::uint8_t { kNo, kYes };

// The connection's last error: `<message>[ at offset N]: SQLITE_X[ (extended: SQLITE_X_Y)]`.
Error sqlError(sqlite3* db, int extendedCode, WithOffset withOffset = WithOffset::kNo);
// `: SQLITE_X[ (extended: SQLITE_X_Y)]`.
std::string codeSuffix(int extendedCode);
// SQLite may roll the whole transaction back by itself after these (spec 3.5).
bool isCritical(int code);

}  // namespace hf::storage
