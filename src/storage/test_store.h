// For tests: a store on a memory ledger in a directory of its own, and short words for what tests do all the time.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/log.h"
#include "storage/memory_ledger.h"
#include "storage/store_impl.h"

namespace hf::storage {

inline ObjectKey objectKey(std::uint8_t number, std::uint8_t ns = 1) {
  ObjectKey key;
  key.ns.bytes.fill(ns);
  key.id.bytes.fill(number);
  return key;
}

inline const Log& testLog() {
  static const Log log(2, LogFormat::kText, LogLevel::kError);
  return log;
}

class TemporaryDirectory final {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "hf-storage-XXXXXX").string();
    EXPECT_NE(mkdtemp(path.data()), nullptr);
    path_ = path;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <class T>
T must(Result<T> result) {
  EXPECT_TRUE(result.has_value()) << result.error().message;
  if (!result) std::abort();
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

inline std::string textOf(const SqlView& view) {
  struct Writer {
    std::string operator()(SqlNull) const { return "null"; }
    std::string operator()(std::int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const {
      std::string text = std::to_string(number);
      while (text.ends_with('0')) text.pop_back();
      return text;
    }
    std::string operator()(std::string_view text) const { return std::string(text); }
    std::string operator()(BytesView bytes) const { return "x'" + toHex(bytes) + "'"; }
  };
  return std::visit(Writer(), view);
}

// What the cursor still has: rows by ';', columns by ','. The error's message if it ends with one.
inline std::string rowsOf(Cursor& cursor) {
  std::string text;
  while (cursor.hasRow()) {
    if (!text.empty()) text += ';';
    for (std::size_t i = 0; i < cursor.columnNames().size(); i++) {
      if (i > 0) text += ',';
      text += textOf(cursor.column(i));
    }
    if (auto moved = cursor.advance(); !moved) return text + "!" + moved.error().message;
  }
  return text;
}

// Rows of a query, or the message of its error after a '!'.
inline std::string sql(Database& database, std::string_view text, std::vector<SqlValue> bindings = {}) {
  auto cursor = database.exec(text, std::move(bindings));
  return cursor ? rowsOf(**cursor) : "!" + cursor.error().message;
}

inline std::string kv(Database& database, std::string_view key) {
  const auto value = must(database.get(key));
  return value ? std::string(asText(*value)) : "(none)";
}

// What the sqlite3 shell would see: SQLite's own VFS on the file.
inline std::string sqlOnFile(const std::string& path, const char* text) {
  sqlite3* db = nullptr;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK) {
    sqlite3_close(db);
    return "!cannot open " + path;
  }
  std::string rows;
  char* error = nullptr;
  sqlite3_exec(
      db, text,
      [](void* out, int columns, char** values, char**) {
        auto& all = *static_cast<std::string*>(out);
        if (!all.empty()) all += ';';
        for (int i = 0; i < columns; i++)
          all += (i > 0 ? "," : "") + std::string(values[i] == nullptr ? "null" : values[i]);
        return 0;
      },
      &rows, &error);
  if (error != nullptr) rows += "!" + std::string(error);
  sqlite3_free(error);
  sqlite3_close(db);
  return rows;
}

inline std::string filePath(const std::string& directory, const ObjectKey& key) {
  return directory + "/objects/" + key.ns.hex() + "/" + key.id.hex().substr(0, 2) + "/" + key.id.hex() + ".sqlite";
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { openStoreHere(); }

  void openStoreHere(StoreOptions options = {}) {
    options.directory = directory_.path();
    store_.reset();
    store_ = must(openStoreOn(systemDisk(), systemClock(), testLog(), options, [&](ledger::Replayer&) {
      auto ledger = std::make_unique<MemoryLedger>();
      ledger_ = ledger.get();
      return Result<std::unique_ptr<ledger::Ledger>>(std::move(ledger));
    }));
  }
  std::unique_ptr<Database> open(std::uint8_t number = 1, std::string name = "") {
    return must(store_->open(objectKey(number), std::move(name)));
  }
  [[nodiscard]] std::string file(std::uint8_t number = 1) const {
    return filePath(directory_.path(), objectKey(number));
  }

  TemporaryDirectory directory_;
  MemoryLedger* ledger_ = nullptr;
  std::unique_ptr<Store> store_;
};

}  // namespace hf::storage
