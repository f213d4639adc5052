// SQL on a copy of an object: whatever is asked, the object is not touched and not held up.
#include <sqlite3.h>

#include <memory>
#include <utility>

#include "server/commands/object_access.h"

namespace hf::server {
namespace {

constexpr const char* kNoWrites =
    "`object sql` only reads. To change an object: export it (holdfast object export), change the file with sqlite3, "
    "and import it again (holdfast object import)";

struct DatabaseCloser {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct StatementCloser {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

int refuseAttach(void* /*self*/, int action, const char*, const char*, const char*, const char*) {
  return action == SQLITE_ATTACH || action == SQLITE_DETACH ? SQLITE_DENY : SQLITE_OK;
}

std::string blobText(sqlite3_stmt* statement, int column) {
  const auto* bytes = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement, column));
  return "x'" + toHex(BytesView(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)))) + "'";
}

std::string cellText(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
      return "NULL";
    case SQLITE_BLOB:
      return blobText(statement, column);
    default:
      return {reinterpret_cast<const char*>(sqlite3_column_text(statement, column)),
              static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
  }
}

OutputJson cellJson(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
      return nullptr;
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, column);
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    default:
      return cellText(statement, column);
  }
}

std::string csvCell(sqlite3_stmt* statement, int column) {
  if (sqlite3_column_type(statement, column) == SQLITE_NULL) return "";
  std::string text = cellText(statement, column);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

Result<void> printRows(sqlite3* db, sqlite3_stmt* statement, const ObjectSqlOptions& options) {
  std::vector<std::string> heads;
  for (int i = 0; i < sqlite3_column_count(statement); i++) heads.emplace_back(sqlite3_column_name(statement, i));
  std::vector<std::vector<std::string>> rows;
  const auto csvLine = [&](const auto& cellOf) {
    std::string line;
    for (int i = 0; i < sqlite3_column_count(statement); i++) line += (i > 0 ? "," : "") + cellOf(i);
    print(line + "\r\n");
  };
  if (options.csv && !heads.empty()) csvLine([&](int i) { return heads[static_cast<std::size_t>(i)]; });
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    if (options.common.json) {
      OutputJson row = OutputJson::object();
      for (int i = 0; i < sqlite3_column_count(statement); i++) {
        row[heads[static_cast<std::size_t>(i)]] = cellJson(statement, i);
      }
      printJson(row);
    } else if (options.csv) {
      csvLine([&](int i) { return csvCell(statement, i); });
    } else {
      std::vector<std::string> row;
      for (int i = 0; i < sqlite3_column_count(statement); i++) row.push_back(cellText(statement, i));
      rows.push_back(std::move(row));
    }
  }
  if (code != SQLITE_DONE) return fail(Errc::kSql, sqlite3_errmsg(db));
  if (!options.common.json && !options.csv && !heads.empty()) print(tableText(heads, rows));
  return {};
}

Result<void> query(const std::string& path, const ObjectSqlOptions& options) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  const std::unique_ptr<sqlite3, DatabaseCloser> db(raw);
  if (code != SQLITE_OK) return fail(Errc::kIo, sqlite3_errmsg(raw));
  sqlite3_set_authorizer(raw, refuseAttach, nullptr);
  const char* rest = options.sql.c_str();
  bool any = false;
  while (*rest != '\0') {
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v2(raw, rest, -1, &prepared, &rest) != SQLITE_OK) return fail(Errc::kSql, sqlite3_errmsg(raw));
    const std::unique_ptr<sqlite3_stmt, StatementCloser> statement(prepared);
    if (statement == nullptr) continue;  // blanks or a comment
    if (sqlite3_stmt_readonly(prepared) == 0) return fail(Errc::kSql, kNoWrites);
    any = true;
    HF_TRY_VOID(printRows(raw, prepared, options));
  }
  if (!any) return fail(Errc::kInvalidArgument, "there is no statement in '" + options.sql + "'");
  return {};
}

}  // namespace

int runObjectSql(const ObjectSqlOptions& options) {
  const auto objects = openObjects(options.common, Access::kRead);
  if (!objects) return failTool(objects.error());
  const auto object = namedObject(**objects, options.common);
  if (!object) return failTool(object.error());
  const auto scratch = ScratchDirectory::make();
  if (!scratch) return failTool(scratch.error());
  const std::string copy = (*scratch)->path() + "/object.sqlite";
  {
    Progress progress(options.common.progress, "copying");
    if (const auto bytes = exportObject(**objects, object->id, copy, progress); !bytes) return failTool(bytes.error());
  }
  if (const auto done = query(copy, options); !done) return failTool(done.error());
  return kToolDone;
}

}  // namespace hf::server
