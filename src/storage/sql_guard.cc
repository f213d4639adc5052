#include "storage/sql_guard.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <unordered_set>

namespace hf::storage {
namespace {

constexpr char kUseTransactionApi[] =
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will "
    "automatically roll back on exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
    "write coalescing.";

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool isInternalName(const char* name) {
  return name != nullptr && lower(std::string_view(name).substr(0, 4)) == "_cf_";
}

bool isAllowedFunction(std::string_view name) {
  static const std::unordered_set<std::string_view> allowed = {
      // Scalar
      "abs", "changes", "char", "coalesce", "concat", "concat_ws", "format", "glob", "hex", "ifnull", "iif", "instr",
      "last_insert_rowid", "length", "like", "likelihood", "likely", "lower", "ltrim", "max", "min", "nullif",
      "octet_length", "printf", "quote", "random", "randomblob", "replace", "round", "rtrim", "sign", "soundex",
      "substr", "substring", "total_changes", "trim", "typeof", "unhex", "unicode", "unlikely", "upper", "zeroblob",
      "load_extension",
      // Date and time
      "date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff", "current_date", "current_time",
      "current_timestamp",
      // Aggregate and window
      "avg", "count", "group_concat", "string_agg", "sum", "total", "row_number", "rank", "dense_rank", "percent_rank",
      "cume_dist", "ntile", "lag", "lead", "first_value", "last_value", "nth_value",
      // Mathematics
      "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "cos", "cosh", "degrees", "exp", "floor",
      "ln", "log", "log2", "mod", "pi", "pow", "radians", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
      // JSON
      "json", "jsonb", "json_array", "jsonb_array", "json_array_length", "json_extract", "jsonb_extract", "->", "->>",
      "json_insert", "jsonb_insert", "json_object", "jsonb_object", "json_patch", "jsonb_patch", "json_remove",
      "jsonb_remove", "json_replace", "jsonb_replace", "json_set", "jsonb_set", "json_type", "json_valid", "json_quote",
      "json_group_array", "jsonb_group_array", "json_group_object", "jsonb_group_object", "json_each", "json_tree",
      // Full-text search and r-tree
      "match", "highlight", "bm25", "snippet", "rtreecheck",
      // What ALTER TABLE is made of
      "sqlite_rename_column", "sqlite_rename_table", "sqlite_rename_test", "sqlite_drop_column",
      "sqlite_rename_quotefix"};
  return allowed.contains(name);
}

bool isBoolean(const std::string& given) {
  std::string text = lower(given);
  if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"') && text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  static constexpr std::array<std::string_view, 8> kBooleans = {"true", "false", "yes", "no", "on", "off", "1", "0"};
  return std::ranges::find(kBooleans, text) != kBooleans.end();
}

bool isNumber(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  if (hex) text.remove_prefix(2);
  return !text.empty() &&
         std::ranges::all_of(text, [&](unsigned char c) { return hex ? std::isxdigit(c) != 0 : std::isdigit(c) != 0; });
}

bool isAllowedPragma(const char* given, const char* argument) {
  const std::string name = lower(given);
  const auto among = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
  };
  if (name == "table_list") return true;
  if (among({"table_info", "table_xinfo"})) return argument != nullptr && !isInternalName(argument);
  if (among({"data_version", "page_size"})) return argument == nullptr;
  if (among({"case_sensitive_like", "foreign_keys", "defer_foreign_keys", "ignore_check_constraints",
             "legacy_alter_table", "recursive_triggers", "reverse_unordered_selects"})) {
    return argument == nullptr || isBoolean(argument);
  }
  if (among({"foreign_key_check", "quick_check"})) return !isInternalName(argument);
  if (among({"foreign_key_list", "index_info", "index_list", "index_xinfo"})) {
    return argument != nullptr && !isInternalName(argument);
  }
  if (name == "optimize") return argument == nullptr || isNumber(argument);
  return false;
}

bool isAllowedModule(const char* module) {
  static constexpr std::array<std::string_view, 4> kModules = {"fts5", "fts5vocab", "rtree", "rtree_i32"};
  return module != nullptr && std::ranges::find(kModules, lower(module)) != kModules.end();
}

int authorizeTrampoline(void* guard, int action, const char* first, const char* second, const char* schema,
                        const char* trigger) {
  return static_cast<SqlGuard*>(guard)->authorize(action, first, second, schema, trigger);
}

}  // namespace

void SqlGuard::attach(sqlite3* db) { sqlite3_set_authorizer(db, authorizeTrampoline, this); }

int SqlGuard::authorize(int action, const char* first, const char* second, const char* schema, const char* trigger) {
  // A user's table may refer to one of ours with ON DELETE CASCADE, and have triggers, which are then part of our
  // statement.
  if (trusted_ && trigger == nullptr) return SQLITE_OK;
  const auto allowIf = [](bool allowed) { return allowed ? SQLITE_OK : SQLITE_DENY; };
  // ALTER TABLE puts the schema first, and here the column that DROP COLUMN takes away.
  if (schema != nullptr && std::string_view(schema) != "main" && action != SQLITE_ALTER_TABLE) {
    // ALTER TABLE looks through the schema of temporary tables, of which there are none.
    const bool internal = std::string_view(schema) == "temp" && (action == SQLITE_READ || action == SQLITE_UPDATE);
    if (!internal) return SQLITE_DENY;
  }
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_ANALYZE:
      return SQLITE_OK;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
      if (first != nullptr && std::ranges::find(writtenTables_, first) == writtenTables_.end()) {
        writtenTables_.emplace_back(first);
      }
      return allowIf(!isInternalName(first));
    case SQLITE_CREATE_TABLE:
    case SQLITE_DROP_TABLE:
      changesSchema_ = true;
      return allowIf(!isInternalName(first));
    case SQLITE_READ:
    case SQLITE_DELETE:
    case SQLITE_CREATE_VIEW:
    case SQLITE_DROP_VIEW:
    case SQLITE_REINDEX:
      return allowIf(!isInternalName(first));
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TRIGGER:
      // The name, and the table it is on.
      changesSchema_ = true;
      return allowIf(!isInternalName(first) && !isInternalName(second));
    case SQLITE_ALTER_TABLE:  // the schema, then the table
      altersTable_ = true;
      changesSchema_ = true;
      return allowIf(!isInternalName(second) && !isInternalName(schema) &&
                     (first == nullptr || std::string_view(first) == "main"));
    case SQLITE_CREATE_VTABLE:
      return allowIf(!isInternalName(first) && isAllowedModule(second));
    case SQLITE_DROP_VTABLE:
      return allowIf(!isInternalName(first));
    case SQLITE_PRAGMA:
      usedConnectionState_ = true;
      return allowIf(first != nullptr && isAllowedPragma(first, second));
    case SQLITE_FUNCTION: {
      const std::string name = second == nullptr ? "" : lower(second);
      if (name == "changes" || name == "total_changes") usedConnectionState_ = true;
      return allowIf(isAllowedFunction(name));
    }
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      refusal_ = kUseTransactionApi;
      return SQLITE_DENY;
    default:  // ATTACH, DETACH, everything temporary, and what SQLite may learn yet
      return SQLITE_DENY;
  }
}

}  // namespace hf::storage
