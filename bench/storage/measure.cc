#include "measure.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/disk.h"

namespace hf::bench {
namespace {

constexpr std::uint64_t kBlockBytes = 512;  // of st_blocks, whatever the file system's are

void check(sqlite3* db, int code, const char* what) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
    fail(std::string(what) + ": " + (db == nullptr ? "out of memory" : sqlite3_errmsg(db)));
  }
}

std::uint64_t blocksOf(const std::string& path) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) fail(path + ": cannot be looked at");
  return static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes;
}

}  // namespace

void fail(const std::string& what) {
  std::fprintf(stderr, "bench_storage: %s\n", what.c_str());
  std::exit(1);
}

double Samples::at(double part) const {
  HF_CHECK(!values_.empty(), "something was measured");
  std::vector<double> sorted = values_;
  const auto index = std::min(sorted.size() - 1, static_cast<std::size_t>(part * static_cast<double>(sorted.size())));
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(index));
  return sorted[index];
}

Folder::Folder(const Settings& settings, const std::string& name) : path_(settings.directory + "/" + name) {
  std::filesystem::remove_all(path_);
  std::filesystem::create_directories(path_);
}

Folder::~Folder() { std::filesystem::remove_all(path_); }

std::uint64_t writtenBytes() {
  std::ifstream file("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (file >> name >> value) {
    if (name == "wchar:") return value;
  }
  fail("the system does not count what a process writes");
}

std::size_t residentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::size_t heapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::uint64_t diskBytes(const std::string& path, std::string_view without) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().filename() == without) continue;
    bytes += blocksOf(entry.path());
    if (entry.is_directory()) bytes += diskBytes(entry.path());
  }
  return bytes;
}

void dropFromPageCache(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(path + ": cannot be opened");
  // Dirty pages stay, so they go to the disk first.
  if (fdatasync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) fail(path + ": stays in memory");
  close(file);
}

const Log& log() {
  static const Log log(2, LogFormat::kText, LogLevel::kError);
  return log;
}

ObjectKey objectKey(std::uint32_t number) {
  ObjectKey key;
  key.ns.bytes.fill(7);
  // As evenly spread over the folders as hashes are.
  std::uint64_t mixed = number;
  for (std::uint8_t& byte : key.id.bytes) {
    mixed = mixed * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::uint8_t>(mixed >> 56);
  }
  for (std::size_t i = 0; i < sizeof number; i++) key.id.bytes[i + 8] = static_cast<std::uint8_t>(number >> (8 * i));
  return key;
}

std::unique_ptr<storage::Store> openStore(storage::StoreOptions options) {
  return must(storage::openStore(systemDisk(), systemClock(), log(), std::move(options)));
}

BytesView rowValue(std::uint64_t& count) {
  count++;
  return {reinterpret_cast<const std::uint8_t*>(&count), sizeof count};
}

PlainDatabase openPlain(const std::string& path) {
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, "unix");
  check(db, code, path.c_str());
  return PlainDatabase(db);
}

void runPlain(sqlite3* db, const char* sql) { check(db, sqlite3_exec(db, sql, nullptr, nullptr, nullptr), sql); }

PlainStatement preparePlain(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr), sql);
  return PlainStatement(statement);
}

void putPlain(sqlite3* db, sqlite3_stmt* put, BytesView value) {
  sqlite3_bind_blob64(put, 1, value.data(), value.size(), SQLITE_STATIC);
  check(db, sqlite3_step(put), "put");
  check(db, sqlite3_reset(put), "put");
}

}  // namespace hf::bench
