// The commands beside `serve` and `env`: what the command line gave them, and the functions that do them. Each prints
// to standard output, says what went wrong on standard error, and returns the process's exit code.
// Thread:  the process's first; nothing else runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/commands/output.h"
#include "server/commands/target.h"

namespace hf::server {

struct LedgerVerifyOptions {
  std::string directory;
  bool json = false;
  ShowProgress progress = ShowProgress::kOnTerminal;
};
int runLedgerVerify(const LedgerVerifyOptions& options);

enum class DumpWhat : std::uint8_t { kAll, kRecords, kBatches };
struct LedgerDumpOptions {
  std::string directory;
  std::string object;  // empty: all; an id or the beginning of one
  std::uint64_t from = 0;
  std::optional<std::uint64_t> to;
  DumpWhat what = DumpWhat::kAll;
  bool json = false;
};
int runLedgerDump(const LedgerDumpOptions& options);

// What every `object` command is told.
struct ObjectOptions {
  std::string where;  // DIR or URL
  ServerOptions server;
  std::string ns;
  std::string object;
  ObjectNaming naming = ObjectNaming::kEither;
  bool json = false;
  ShowProgress progress = ShowProgress::kOnTerminal;
};
struct ObjectListOptions {
  ObjectOptions common;
  std::string after;      // an id
  std::size_t limit = 0;  // 0: all
};
int runObjectList(const ObjectListOptions& options);

struct ObjectFileOptions {
  ObjectOptions common;
  std::string file;
  bool force = false;  // export: write over FILE
};
int runObjectExport(const ObjectFileOptions& options);
int runObjectImport(const ObjectFileOptions& options);

struct ObjectSqlOptions {
  ObjectOptions common;
  std::string sql;
  bool csv = false;
};
int runObjectSql(const ObjectSqlOptions& options);

struct BackupOptions {
  std::string where;
  ServerOptions server;
  std::string destination;
  bool withToken = false;
  bool json = false;
  ShowProgress progress = ShowProgress::kOnTerminal;
};
int runBackup(const BackupOptions& options);

struct RestoreOptions {
  std::string source;
  std::string directory;
  bool json = false;
  ShowProgress progress = ShowProgress::kOnTerminal;
};
int runRestore(const RestoreOptions& options);

struct HistoryOptions {
  std::string where;
  ServerOptions server;
  bool json = false;
};
int runHistory(const HistoryOptions& options);

}  // namespace hf::server
