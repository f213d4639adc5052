#include <sqlite3.h>

#include <string>

#include "sim/simulation.h"
#include "storage/overlay.h"

namespace hf::sim {
namespace {

// A database in memory, of the bytes of a file.
class Image final {
 public:
  explicit Image(Bytes& bytes) {
    const bool isOpen = sqlite3_open_v2(":memory:", &db_, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK;
    const auto size = static_cast<sqlite3_int64>(bytes.size());
    isOpen_ =
        isOpen && sqlite3_deserialize(db_, "main", bytes.data(), size, size, SQLITE_DESERIALIZE_READONLY) == SQLITE_OK;
  }
  ~Image() { sqlite3_close(db_); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  // Columns by ',', rows by ';'; what SQLite says of an error after '!'.
  std::string rows(const char* text) {
    if (!isOpen_) return "!cannot be opened";
    std::string all;
    char* error = nullptr;
    sqlite3_exec(
        db_, text,
        [](void* out, int columns, char** values, char**) {
          auto& rows = *static_cast<std::string*>(out);
          for (int i = 0; i < columns; i++) rows += (i > 0 ? "," : "") + std::string(values[i] ? values[i] : "null");
          rows += ';';
          return 0;
        },
        &all, &error);
    if (error != nullptr) all += "!" + std::string(error);
    sqlite3_free(error);
    return all;
  }

 private:
  sqlite3* db_ = nullptr;
  bool isOpen_ = false;
};

}  // namespace

Result<void> compareFile(const World& world, std::size_t object, const std::string& directory) {
  const ModelObject& of = world.model.object(object);
  const ObjectState& state = world.model.state(object);
  const std::string id = of.key.id.hex();
  const std::string path = directory + "/objects/" + of.key.ns.hex() + "/" + id.substr(0, 2) + "/" + id + ".sqlite";
  std::optional<Bytes> bytes = world.disk.content(path);
  if (!bytes) {
    if (state == ObjectState()) return {};
    return violation(of.name + " has no file after a clean close");
  }
  if (world.model.isNothing(object)) return violation(of.name + " is not there and has a file");
  Image image(*bytes);
  const auto expect = [&](const char* query, const std::string& rows) -> Result<void> {
    const std::string found = image.rows(query);
    if (found == rows) return {};
    return violation("the file of " + of.name + " answers \"" + found.substr(0, 200) + "\" instead of \"" +
                     rows.substr(0, 200) + "\" to " + query);
  };
  HF_TRY_VOID(expect("PRAGMA integrity_check", "ok;"));
  HF_TRY_VOID(expect("PRAGMA page_count", std::to_string(bytes->size() / storage::kPageBytes) + ";"));
  if (!state.kv.empty()) {
    std::string keys;
    std::map<std::string, bool> ordered;
    for (const auto& [key, value] : state.kv) ordered[keyText(key)] = true;
    for (const auto& [key, unused] : ordered) keys += key + ";";
    HF_TRY_VOID(expect("SELECT key FROM _cf_KV ORDER BY key", keys));
  }
  if (state.hasTable) {
    std::string rows;
    for (const auto& [row, value] : state.rows) rows += std::to_string(row) + "," + valueText(value) + ";";
    HF_TRY_VOID(expect("SELECT id, v FROM t ORDER BY id", rows));
  }
  return {};
}

}  // namespace hf::sim
