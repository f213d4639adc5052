// SQLite's VFS for the system's files, with a checksum in every page of a database (base/page_checksum.h), as SQLite's
// own cksumvfs has it: a page that is not as it was written is an error, never an answer. Thread: any.
#pragma once

#include <string>

struct sqlite3;

namespace hf::catalog {

// For sqlite3_open_v2; registered with the first call. Databases are to have pages of 4096 bytes.
const char* checksumVfs();
// What the last SQLITE_IOERR_DATA on this thread was about: file and offset.
std::string lastDamage();
// Right after opening: a database that is made has room for the checksums.
void reserveForChecksums(sqlite3* db);

}  // namespace hf::catalog
