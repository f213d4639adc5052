#include "catalog/checksum_vfs.h"

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>

#include "base/check.h"
#include "base/page_checksum.h"

namespace hf::catalog {
namespace {

constexpr char kName[] = "holdfast-checksum";
constexpr int kPageBytes = 4096;
thread_local std::string damage;

sqlite3_vfs* system() {
  sqlite3_vfs* found = sqlite3_vfs_find("unix");
  HF_CHECK(found != nullptr, "SQLite has a VFS for this system");
  return found;
}

// SQLite gives the memory; the system's own file lies behind it.
struct ChecksumFile {
  sqlite3_file base;
  const char* name;  // SQLite keeps it as long as the file
  [[nodiscard]] sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* inner(sqlite3_file* file) { return reinterpret_cast<ChecksumFile*>(file)->inner(); }

bool isPage(int amount, sqlite3_int64 offset) { return amount == kPageBytes && offset % kPageBytes == 0; }

int xRead(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  const int code = inner(file)->pMethods->xRead(inner(file), out, amount, offset);
  if (code != SQLITE_OK || !isPage(amount, offset)) return code;
  const auto* bytes = static_cast<const std::uint8_t*>(out);
  const bool hasRoom = offset > 0 || bytes[kReservedBytesOffset] == kPageChecksumBytes;
  if (hasRoom && pageChecksumFits({bytes, kPageBytes})) return SQLITE_OK;
  damage = std::string(reinterpret_cast<ChecksumFile*>(file)->name) + ": damaged at offset " + std::to_string(offset) +
           ": page " + std::to_string((offset / kPageBytes) + 1) + " does not fit its checksum";
  return SQLITE_IOERR_DATA;
}

int xWrite(sqlite3_file* file, const void* in, int amount, sqlite3_int64 offset) {
  if (!isPage(amount, offset)) return inner(file)->pMethods->xWrite(inner(file), in, amount, offset);
  std::array<std::uint8_t, kPageBytes> page;
  std::memcpy(page.data(), in, page.size());
  stampPageChecksum(page);
  return inner(file)->pMethods->xWrite(inner(file), page.data(), amount, offset);
}

int xClose(sqlite3_file* file) { return inner(file)->pMethods->xClose(inner(file)); }
int xTruncate(sqlite3_file* file, sqlite3_int64 size) { return inner(file)->pMethods->xTruncate(inner(file), size); }
int xSync(sqlite3_file* file, int flags) { return inner(file)->pMethods->xSync(inner(file), flags); }
int xFileSize(sqlite3_file* file, sqlite3_int64* size) { return inner(file)->pMethods->xFileSize(inner(file), size); }
int xLock(sqlite3_file* file, int level) { return inner(file)->pMethods->xLock(inner(file), level); }
int xUnlock(sqlite3_file* file, int level) { return inner(file)->pMethods->xUnlock(inner(file), level); }
int xCheckReservedLock(sqlite3_file* file, int* held) {
  return inner(file)->pMethods->xCheckReservedLock(inner(file), held);
}
int xFileControl(sqlite3_file* file, int operation, void* argument) {
  return inner(file)->pMethods->xFileControl(inner(file), operation, argument);
}
int xSectorSize(sqlite3_file* file) { return inner(file)->pMethods->xSectorSize(inner(file)); }
int xDeviceCharacteristics(sqlite3_file* file) { return inner(file)->pMethods->xDeviceCharacteristics(inner(file)); }

// Version 1: no memory shared with other processes, no mapped files that would pass by xRead.
constexpr sqlite3_io_methods kMethods = {.iVersion = 1,
                                         .xClose = xClose,
                                         .xRead = xRead,
                                         .xWrite = xWrite,
                                         .xTruncate = xTruncate,
                                         .xSync = xSync,
                                         .xFileSize = xFileSize,
                                         .xLock = xLock,
                                         .xUnlock = xUnlock,
                                         .xCheckReservedLock = xCheckReservedLock,
                                         .xFileControl = xFileControl,
                                         .xSectorSize = xSectorSize,
                                         .xDeviceCharacteristics = xDeviceCharacteristics};

int xOpen(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* outFlags) {
  // A write-ahead log and journals have their own checksums, and pages that are not at multiples of a page.
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0) return system()->xOpen(system(), name, file, flags, outFlags);
  file->pMethods = nullptr;
  auto* own = new (file) ChecksumFile{.base = {}, .name = name};
  const int code = system()->xOpen(system(), name, own->inner(), flags, outFlags);
  if (own->inner()->pMethods != nullptr) own->base.pMethods = &kMethods;
  return code;
}

}  // namespace

const char* checksumVfs() {
  static std::once_flag once;
  std::call_once(once, [] {
    static sqlite3_vfs vfs = *system();
    vfs.szOsFile = static_cast<int>(sizeof(ChecksumFile)) + system()->szOsFile;
    vfs.zName = kName;
    vfs.pNext = nullptr;
    vfs.xOpen = xOpen;
    HF_CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK, "a VFS can be registered");
  });
  return kName;
}

std::string lastDamage() { return damage; }

void reserveForChecksums(sqlite3* db) {
  int bytes = kPageChecksumBytes;
  HF_CHECK(sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK,
           "SQLite reserves bytes of its pages when asked");
}

}  // namespace hf::catalog
