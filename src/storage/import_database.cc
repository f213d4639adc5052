#include "storage/import_database.h"

#include <sqlite3.h>

#include <array>
#include <memory>
#include <string_view>

#include "base/limits.h"
#include "storage/database_impl.h"
#include "storage/statement.h"

namespace hf::storage {
namespace {

struct DatabaseCloser {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using DatabasePtr = std::unique_ptr<sqlite3, DatabaseCloser>;

// The tables of ours that a database may hold, as pragma_table_xinfo describes them.
struct OwnTable {
  std::string_view name;
  std::string_view shape;
};
constexpr std::array<OwnTable, 2> kOwnTables = {{
    {"_cf_KV", "key TEXT 1, value BLOB 0 without rowid"},
    {"_cf_METADATA", "key INTEGER 1, value BLOB 0"},
}};

std::unexpected<Error> sqliteFailed(sqlite3* db, int code, const std::string& what) {
  const std::string text = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
  Errc errc = Errc::kIo;
  switch (code & 0xff) {
    case SQLITE_FULL:
      errc = Errc::kNoSpace;
      break;
    case SQLITE_NOTADB:
      return fail(Errc::kInvalidArgument, what + " is not a SQLite database");
    case SQLITE_CORRUPT:
    case SQLITE_ERROR:
      errc = Errc::kInvalidArgument;
      break;
    case SQLITE_CANTOPEN:
      return fail(Errc::kNotFound, what + " cannot be opened");
    default:
      break;
  }
  return fail(errc, what + ": " + text);
}

Result<DatabasePtr> open(const std::string& path, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  DatabasePtr db(raw);
  if (code != SQLITE_OK) return sqliteFailed(raw, code, path);
  sqlite3_extended_result_codes(raw, 1);
  // A schema made by somebody else gets no functions with effects.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return db;
}

Result<void> execute(sqlite3* db, const std::string& sql, const std::string& path) {
  if (const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr); code != SQLITE_OK) {
    return sqliteFailed(db, code, path);
  }
  return {};
}

Result<StatementPtr> prepare(sqlite3* db, std::string_view sql, const std::string& path) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  if (code != SQLITE_OK) return sqliteFailed(db, code, path);
  return StatementPtr(raw);
}

// True: there is a row.
Result<bool> step(sqlite3* db, sqlite3_stmt* statement, const std::string& path) {
  const int code = sqlite3_step(statement);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return sqliteFailed(db, code, path);
}

std::string text(sqlite3_stmt* statement, int column) {
  const unsigned char* at = sqlite3_column_text(statement, column);
  return at == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(at));
}

Result<std::string> oneText(sqlite3* db, std::string_view sql, const std::string& path) {
  HF_TRY(const StatementPtr statement, prepare(db, sql, path));
  HF_TRY(const bool row, step(db, statement.get(), path));
  return row ? text(statement.get(), 0) : std::string();
}

Result<std::int64_t> oneNumber(sqlite3* db, std::string_view sql, const std::string& path) {
  HF_TRY(const StatementPtr statement, prepare(db, sql, path));
  HF_TRY(const bool row, step(db, statement.get(), path));
  return row ? sqlite3_column_int64(statement.get(), 0) : 0;
}

Result<std::string> shapeOf(sqlite3* db, const std::string& table, const std::string& path) {
  HF_TRY(const StatementPtr columns,
         prepare(db, "SELECT name, type, pk FROM pragma_table_xinfo(?1) ORDER BY cid", path));
  sqlite3_bind_text(columns.get(), 1, table.data(), static_cast<int>(table.size()), SQLITE_STATIC);
  std::string shape;
  while (true) {
    HF_TRY(const bool row, step(db, columns.get(), path));
    if (!row) break;
    if (!shape.empty()) shape += ", ";
    shape += text(columns.get(), 0) + " " + text(columns.get(), 1) + " " + text(columns.get(), 2);
  }
  HF_TRY(const StatementPtr list, prepare(db, "SELECT wr FROM pragma_table_list(?1) WHERE schema = 'main'", path));
  sqlite3_bind_text(list.get(), 1, table.data(), static_cast<int>(table.size()), SQLITE_STATIC);
  HF_TRY(const bool row, step(db, list.get(), path));
  if (row && sqlite3_column_int(list.get(), 0) != 0) shape += " without rowid";
  return shape;
}

// Names that start with _cf_ are ours: user code never sees them, so only what we understand may have one.
Result<void> checkOwnTables(sqlite3* db, const std::string& path) {
  HF_TRY(const StatementPtr statement,
         prepare(db,
                 "SELECT type, name, tbl_name FROM sqlite_schema WHERE lower(substr(name, 1, 4)) = '_cf_' OR "
                 "(lower(substr(tbl_name, 1, 4)) = '_cf_' AND type <> 'table' AND name NOT LIKE 'sqlite_autoindex%')",
                 path));
  while (true) {
    HF_TRY(const bool row, step(db, statement.get(), path));
    if (!row) return {};
    const std::string type = text(statement.get(), 0);
    const std::string name = text(statement.get(), 1);
    const OwnTable* own = nullptr;
    for (const OwnTable& known : kOwnTables) {
      if (known.name == name && type == "table") own = &known;
    }
    if (own == nullptr) {
      return fail(Errc::kInvalidArgument, path + " holds the " + type + " '" + name + "' on '" +
                                              text(statement.get(), 2) +
                                              "': names that start with _cf_ are Holdfast's own");
    }
    HF_TRY(const std::string shape, shapeOf(db, name, path));
    if (shape != own->shape) {
      return fail(Errc::kInvalidArgument, path + " holds a table '" + name + "' of a foreign shape (" + shape +
                                              "; Holdfast's is " + std::string(own->shape) + ")");
    }
  }
}

Result<void> checkSource(sqlite3* db, const std::string& path) {
  HF_TRY(const std::string found, oneText(db, "PRAGMA quick_check(1)", path));
  if (found != "ok") return fail(Errc::kInvalidArgument, path + " is damaged: " + found);
  HF_TRY(const std::string encoding, oneText(db, "PRAGMA encoding", path));
  if (encoding != "UTF-8") {
    return fail(Errc::kInvalidArgument, path + " keeps its text as " + encoding + ": an object's database is UTF-8");
  }
  return checkOwnTables(db, path);
}

}  // namespace

Result<void> normaliseDatabase(const std::string& source, const std::string& target) {
  HF_TRY(const DatabasePtr db, open(source, SQLITE_OPEN_READONLY));
  // Exclusive, which we are compiled for, cannot read a write-ahead log without the right to write.
  HF_TRY_VOID(execute(db.get(), "PRAGMA locking_mode = NORMAL", source));
  HF_TRY_VOID(checkSource(db.get(), source));
  HF_TRY(const std::int64_t pages, oneNumber(db.get(), "PRAGMA page_count", source));
  HF_TRY(const std::int64_t freePages, oneNumber(db.get(), "PRAGMA freelist_count", source));
  HF_TRY(const std::int64_t pageSize, oneNumber(db.get(), "PRAGMA page_size", source));
  if (pages == 0) return fail(Errc::kInvalidArgument, source + " is an empty file: it holds no database");
  if (static_cast<std::uint64_t>((pages - freePages) * pageSize) > 2 * limits::kImportBytesMax) {
    return fail(Errc::kLimit, source + " is larger than the " + std::to_string(limits::kImportBytesMax) +
                                  " bytes that can be imported");
  }
  // Of the copy that VACUUM INTO makes.
  HF_TRY_VOID(execute(db.get(), "PRAGMA auto_vacuum = NONE; PRAGMA page_size = " + std::to_string(kPageBytes), source));
  reserveForChecksums(db.get());
  {
    HF_TRY(const StatementPtr vacuum, prepare(db.get(), "VACUUM INTO ?1", source));
    sqlite3_bind_text(vacuum.get(), 1, target.data(), static_cast<int>(target.size()), SQLITE_STATIC);
    HF_TRY_VOID(step(db.get(), vacuum.get(), target));
  }
  // Every object has this table from its first commit on.
  HF_TRY(const DatabasePtr copy, open(target, SQLITE_OPEN_READWRITE));
  return execute(copy.get(), kMakeKvTable, target);
}

Result<ImportedDatabase> readImport(Disk& disk, const std::string& path) {
  ImportedDatabase imported;
  {
    HF_TRY(const DatabasePtr db, open(path, SQLITE_OPEN_READONLY));
    HF_TRY(const std::string has,
           oneText(db.get(), "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_cf_METADATA'", path));
    if (!has.empty()) {
      HF_TRY(const StatementPtr statement, prepare(db.get(), "SELECT value FROM _cf_METADATA WHERE key = 1", path));
      HF_TRY(const bool row, step(db.get(), statement.get(), path));
      if (row && sqlite3_column_type(statement.get(), 0) == SQLITE_INTEGER) {
        imported.alarm = sqlite3_column_int64(statement.get(), 0) / kAlarmUnitsPerMs;
      }
    }
  }
  HF_TRY(const std::unique_ptr<File> file, disk.open(path, OpenMode::kRead));
  HF_TRY(const std::uint64_t bytes, file->size());
  if (bytes > limits::kImportBytesMax) {
    return fail(Errc::kLimit, "the database is " + std::to_string(bytes) + " bytes large, and at most " +
                                  std::to_string(limits::kImportBytesMax) + " can be imported");
  }
  if (bytes == 0 || bytes % kPageBytes != 0) return fail(Errc::kInternal, path + " is not a database of ours");
  imported.pages.reserve(bytes / kPageBytes);
  for (std::uint64_t at = 0; at < bytes; at += kPageBytes) {
    auto page = std::make_shared<Page>();
    HF_TRY(const std::size_t got, file->readAt(at, *page));
    if (got != page->size()) return fail(Errc::kIo, path + " became shorter while it was read");
    imported.pages.emplace_back(static_cast<std::uint32_t>(at / kPageBytes) + 1, std::move(page));
  }
  return imported;
}

}  // namespace hf::storage
