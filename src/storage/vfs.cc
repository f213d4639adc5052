#include "storage/vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/page_checksum.h"

namespace hf::storage {
namespace {

constexpr char kVfsName[] = "holdfast";

// Handed to xOpen, which SQLite calls from within sqlite3_open_v2 on the same thread.
thread_local DatabaseFile* opening = nullptr;

// SQLite gives the memory; `methods` must come first.
struct Handle {
  sqlite3_file base;
  DatabaseFile* file;
  // Between BEGIN_ATOMIC_WRITE and its end.
  PendingCommit* batch;
};

Handle& handleOf(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }

bool isEmpty(const DatabaseFile& file) { return file.resetPending || file.overlay.pageCount() == 0; }

std::uint32_t pageCountOf(const DatabaseFile& file) {
  if (file.held) return file.held->pageCount;
  if (!isEmpty(file)) return file.overlay.pageCount();
  return file.startingPages == nullptr ? 0 : static_cast<std::uint32_t>(file.startingPages->size());
}

void endBatch(Handle& handle) {
  delete std::exchange(handle.batch, nullptr);  // NOLINT: SQLite's struct has no destructor
}

int xClose(sqlite3_file* raw) {
  endBatch(handleOf(raw));
  return SQLITE_OK;
}

int xRead(sqlite3_file* raw, void* out, int amount, sqlite3_int64 offset) {
  DatabaseFile& file = *handleOf(raw).file;
  const auto number = static_cast<std::uint32_t>(offset / kPageBytes) + 1;
  const auto within = static_cast<std::size_t>(offset % kPageBytes);
  const auto bytes = static_cast<std::size_t>(amount);
  HF_CHECK(within + bytes <= kPageBytes, "SQLite reads inside one page");
  if (number > pageCountOf(file)) {
    std::memset(out, 0, bytes);
    return SQLITE_IOERR_SHORT_READ;
  }
  if (file.held) {
    const auto held = std::ranges::find(file.held->pages, number, &NumberedPage::first);
    if (held != file.held->pages.end()) {
      std::memcpy(out, held->second->data() + within, bytes);
      return SQLITE_OK;
    }
  }
  if (isEmpty(file)) {
    std::memcpy(out, (*file.startingPages)[number - 1]->data() + within, bytes);
    return SQLITE_OK;
  }
  const Overlay::Found found = file.overlay.find(number);
  if (found.page != nullptr) {
    std::memcpy(out, found.page->data() + within, bytes);
    return SQLITE_OK;
  }
  if (!found.fileCounts) {
    std::memset(out, 0, bytes);
    return SQLITE_OK;
  }
  Page page;
  if (Result<void> read = file.files.readPage(file.overlay.object(), number, page); !read) {
    file.refusal = read.error();
    return read.error().code == Errc::kCorrupt ? SQLITE_CORRUPT : SQLITE_IOERR_READ;
  }
  std::memcpy(out, page.data() + within, bytes);
  return SQLITE_OK;
}

int xWrite(sqlite3_file* raw, const void* in, int amount, sqlite3_int64 offset) {
  Handle& handle = handleOf(raw);
  HF_CHECK(handle.batch != nullptr, "SQLite writes a database only in an atomic batch");
  HF_CHECK(amount == kPageBytes && offset % kPageBytes == 0, "SQLite writes whole pages of our size");
  const auto number = static_cast<std::uint32_t>(offset / kPageBytes) + 1;
  auto page = std::make_shared<Page>();
  std::memcpy(page->data(), in, kPageBytes);
  handle.batch->pages.emplace_back(number, std::move(page));
  handle.batch->pageCount = std::max(handle.batch->pageCount, number);
  return SQLITE_OK;
}

int xTruncate(sqlite3_file* raw, sqlite3_int64 size) {
  HF_CHECK(size == std::int64_t{pageCountOf(*handleOf(raw).file)} * kPageBytes,
           "a database shrinks only by a reset, which makes a new connection");
  return SQLITE_OK;
}

int xSync(sqlite3_file*, int) { return SQLITE_OK; }

int xFileSize(sqlite3_file* raw, sqlite3_int64* size) {
  *size = std::int64_t{pageCountOf(*handleOf(raw).file)} * kPageBytes;
  return SQLITE_OK;
}

int xLock(sqlite3_file*, int) { return SQLITE_OK; }
int xUnlock(sqlite3_file*, int) { return SQLITE_OK; }

int xCheckReservedLock(sqlite3_file*, int* held) {
  *held = 0;
  return SQLITE_OK;
}

void addStartingPages(PendingCommit& pending, const std::vector<PageRef>& pages) {
  for (std::uint32_t number = 1; number <= pages.size(); number++) {
    if (std::ranges::find(pending.pages, number, &NumberedPage::first) == pending.pages.end()) {
      pending.pages.emplace_back(number, pages[number - 1]);
    }
  }
}

int commitBatch(Handle& handle) {
  HF_CHECK(handle.batch != nullptr, "a batch ends once");
  DatabaseFile& file = *handle.file;
  PendingCommit pending = std::move(*handle.batch);
  endBatch(handle);
  if (isEmpty(file) && file.startingPages != nullptr) addStartingPages(pending, *file.startingPages);
  pending.reset = file.resetPending;
  pending.alarm = std::exchange(file.alarm, std::nullopt);
  if (file.holdsBack) {
    file.held = std::move(pending);
    return SQLITE_OK;
  }
  if (Result<ledger::Position> done = file.overlay.commit(std::move(pending)); !done) {
    file.refusal = done.error();
    return SQLITE_FULL;
  }
  file.resetPending = false;
  file.startingPages = nullptr;
  return SQLITE_OK;
}

int xFileControl(sqlite3_file* raw, int operation, void*) {
  Handle& handle = handleOf(raw);
  switch (operation) {
    case SQLITE_FCNTL_BEGIN_ATOMIC_WRITE:
      HF_CHECK(handle.batch == nullptr, "batches do not nest");
      handle.batch = new PendingCommit{.pageCount = pageCountOf(*handle.file)};  // NOLINT: see endBatch
      return SQLITE_OK;
    case SQLITE_FCNTL_COMMIT_ATOMIC_WRITE:
      return commitBatch(handle);
    case SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE:
      endBatch(handle);
      return SQLITE_OK;
    default:
      return SQLITE_NOTFOUND;
  }
}

int xSectorSize(sqlite3_file*) { return kPageBytes; }

int xDeviceCharacteristics(sqlite3_file*) {
  return SQLITE_IOCAP_BATCH_ATOMIC | SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SAFE_APPEND |
         SQLITE_IOCAP_SEQUENTIAL | SQLITE_IOCAP_ATOMIC4K;
}

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

// Journals, sorters and temporary tables stay in memory: SQLite asks for a database and nothing else.
int xOpen(sqlite3_vfs*, const char*, sqlite3_file* raw, int flags, int* outFlags) {
  raw->pMethods = nullptr;
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0 || opening == nullptr) return SQLITE_CANTOPEN;
  new (raw) Handle{.base = {.pMethods = &kMethods}, .file = std::exchange(opening, nullptr), .batch = nullptr};
  if (outFlags != nullptr) *outFlags = flags;
  return SQLITE_OK;
}

int xDelete(sqlite3_vfs*, const char*, int) { return SQLITE_OK; }

int xAccess(sqlite3_vfs*, const char*, int, int* result) {
  *result = 0;
  return SQLITE_OK;
}

int xFullPathname(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

// SQLite's registry of VFSs belongs to the process; ours has no state of its own.
void registerVfs() {
  static std::once_flag once;
  std::call_once(once, [] {
    const sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
    HF_CHECK(system != nullptr, "SQLite has a VFS for this system");
    // Time, sleep and randomness are the system's; files are ours.
    static sqlite3_vfs vfs = *system;
    vfs.szOsFile = sizeof(Handle);
    vfs.zName = kVfsName;
    vfs.pNext = nullptr;
    vfs.xOpen = xOpen;
    vfs.xDelete = xDelete;
    vfs.xAccess = xAccess;
    vfs.xFullPathname = xFullPathname;
    HF_CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK, "a VFS can be registered");
  });
}

}  // namespace

// Counts for a database that is made; one that is there keeps what its first page says.
void reserveForChecksums(sqlite3* db) {
  int bytes = kPageChecksumBytes;
  HF_CHECK(sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes) == SQLITE_OK,
           "SQLite reserves bytes of its pages when asked");
}

Result<sqlite3*> openConnection(DatabaseFile& file) {
  registerVfs();
  sqlite3* db = nullptr;
  opening = &file;
  const int code =
      sqlite3_open_v2("object", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, kVfsName);
  opening = nullptr;
  if (code != SQLITE_OK) {
    const std::string text = db == nullptr ? "out of memory" : sqlite3_errmsg(db);
    sqlite3_close(db);
    return fail(Errc::kIo, "could not open a database: " + text);
  }
  if (isEmpty(file)) reserveForChecksums(db);
  return db;
}

Result<std::vector<PageRef>> makeStartingPages(const char* sql) {
  sqlite3* db = nullptr;
  unsigned char* image = nullptr;
  sqlite3_int64 size = 0;
  const int opened = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (opened == SQLITE_OK) reserveForChecksums(db);
  if (opened == SQLITE_OK && sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK) {
    image = sqlite3_serialize(db, "main", &size, 0);
  }
  const std::string error = db == nullptr ? "out of memory" : sqlite3_errmsg(db);
  sqlite3_close(db);
  if (image == nullptr) return fail(Errc::kInternal, "could not make an empty database: " + error);
  HF_CHECK(size % kPageBytes == 0, "a database has whole pages of our size");
  std::vector<PageRef> pages;
  for (sqlite3_int64 at = 0; at < size; at += kPageBytes) {
    auto page = std::make_shared<Page>();
    std::memcpy(page->data(), image + at, kPageBytes);
    pages.push_back(std::move(page));
  }
  sqlite3_free(image);
  return pages;
}

Result<void> commitWithoutPages(DatabaseFile& file) {
  HF_CHECK(file.resetPending, "a commit without pages is a reset");
  PendingCommit pending{.pages = {}, .pageCount = 0, .reset = true, .alarm = std::exchange(file.alarm, std::nullopt)};
  if (file.holdsBack) {
    file.held = std::move(pending);
    return {};
  }
  HF_TRY(const ledger::Position end, file.overlay.commit(std::move(pending)));
  HF_CHECK(end.value > 0, "a record has a length");
  file.resetPending = false;
  return {};
}

}  // namespace hf::storage
