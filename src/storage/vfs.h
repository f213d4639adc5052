// The batch-atomic VFS (architecture 5). SQLite brackets each commit with BEGIN_ATOMIC_WRITE and COMMIT_ATOMIC_WRITE;
// the pages in between become one commit record, appended to the ledger in COMMIT_ATOMIC_WRITE. No file is written.
//
// Every other write is a bug of ours (HF_CHECK): the settings in connection.cc leave SQLite no other path. A commit
// that the ledger refuses answers SQLITE_FULL whatever the reason, because SQLite would retry an SQLITE_IOERR outside
// of a batch; what really happened is in DatabaseFile::refusal.
//
// Thread:  the object's shard.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/object_files.h"
#include "storage/overlay.h"

struct sqlite3;

namespace hf::storage {

// What one connection sees of its object, and what its next commit says beside pages. The owner of the connection owns
// it; it outlives the connection.
struct DatabaseFile {
  Overlay& overlay;
  ObjectFiles& files;
  // deleteAll happened in this transaction: the database is empty but for what this connection writes.
  bool resetPending = false;
  // What an empty database looks like to this connection, and is committed with its first transaction; null: empty.
  // Borrowed from the store.
  const std::vector<PageRef>* startingPages = nullptr;
  // Goes with the next commit.
  std::optional<ledger::AlarmChange> alarm;
  // A commit stays in `held` and does not go to the ledger: it is to go together with others.
  bool holdsBack = false;
  std::optional<PendingCommit> held;
  // Why the last commit or read failed, until taken.
  std::optional<Error> refusal;
};

// The pages of a database that holds what `sql` makes.
Result<std::vector<PageRef>> makeStartingPages(const char* sql);

// A database that `db` makes has room for the checksums of its pages (base/page_checksum.h).
void reserveForChecksums(sqlite3* db);

// Opens a connection on `file`. kIo with SQLite's text otherwise.
Result<sqlite3*> openConnection(DatabaseFile& file);

// The commit of a transaction that wrote no page but must reach the ledger: a reset to nothing.
Result<void> commitWithoutPages(DatabaseFile& file);

}  // namespace hf::storage
