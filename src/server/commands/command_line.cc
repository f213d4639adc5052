#include "server/commands/command_line.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "server/commands/commands.h"
#include "server/commands/help.h"

namespace hf::server {
namespace {

constexpr const char* kVerifyExitCodes =
    "0  no damage was found\n"
    "1  damage was found, or the directory could not be looked at\n"
    "2  the command line is not understood";
constexpr const char* kTargets =
    "\nDIR is a server's directory. If the server runs, it is asked through its admin API\n"
    "(DIR/node.json says where); if not, the directory is read, and recovered in memory\n"
    "if it was left by a kill, without a change on disk. Instead of DIR the address of a\n"
    "server's admin API may be given, http://HOST:PORT, with its token.";

std::string environment(const char* name, const char* otherwise = "") {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

CLI::App* add(CLI::App& to, const char* name, const char* text, Manual manual) {
  CLI::App* command = to.add_subcommand(name, text);
  setManual(*command, std::move(manual));
  return command;
}

void addJson(CLI::App* command, bool& json, const char* text) { command->add_flag("--json", json, text); }

void addProgress(CLI::App* command, ShowProgress& progress) {
  command->add_flag_callback(
      "--progress", [&progress] { progress = ShowProgress::kAlways; },
      "Say how far it is on standard error, also where that is no terminal");
}

void addServer(CLI::App* command, ServerOptions& server) {
  server.token = environment("HOLDFAST_TOKEN", environment("CLOUDFLARE_API_TOKEN").c_str());
  server.accountId = environment("CLOUDFLARE_ACCOUNT_ID", environment("HOLDFAST_ACCOUNT_ID", "local").c_str());
  command->add_option("--token", server.token,
                      "API token of a server given by its address (HOLDFAST_TOKEN, CLOUDFLARE_API_TOKEN)");
  command->add_option("--account-id", server.accountId,
                      "Account id of a server given by its address (CLOUDFLARE_ACCOUNT_ID; local)");
}

void addObjectOptions(CLI::App* command, ObjectOptions& options) {
  options.where = environment("HOLDFAST_DIR", "./holdfast-data");
  command->add_option("--dir,--url", options.where,
                      "The server's directory or address (HOLDFAST_DIR; ./holdfast-data)");
  addServer(command, options.server);
  command->add_option("NS", options.ns, "Namespace: its id, SCRIPT/CLASS, or CLASS if only one script has such a class")
      ->required();
}

void addObject(CLI::App* command, ObjectOptions& options) {
  command->add_option("OBJECT", options.object, "The object's name, or its id of 64 hexadecimal digits")->required();
  auto* id = command->add_flag_callback("--id", [&options] { options.naming = ObjectNaming::kId; }, "OBJECT is an id");
  command
      ->add_flag_callback(
          "--name", [&options] { options.naming = ObjectNaming::kName; },
          "OBJECT is a name, also if it looks like an id")
      ->excludes(id);
}

}  // namespace

struct ToolCommands::Values {
  LedgerVerifyOptions verify;
  LedgerDumpOptions dump;
  ObjectListOptions list;
  ObjectFileOptions exported;
  ObjectFileOptions imported;
  ObjectSqlOptions sql;
  BackupOptions backup;
  RestoreOptions restore;
  HistoryOptions history;
  bool onlyRecords = false;
  bool onlyBatches = false;
  std::vector<std::pair<CLI::App*, std::function<int()>>> commands;

  void addLedger(CLI::App& app) {
    CLI::App* group = add(app, "ledger", "Check and show a stopped server's ledger.",
                          {.synopsis = {"ledger verify [OPTIONS] DIR", "ledger dump [OPTIONS] DIR"},
                           .description = "Each has its own --help."});
    group->require_subcommand(1);
    CLI::App* verifyCommand =
        add(*group, "verify", "Look for damage in everything that a directory holds.",
            {.synopsis = {"ledger verify [--json] [--progress] DIR"},
             .description = "Reads the ledger (mark, segments, batches, records, and whether each page image\n"
                            "follows from those before), every object's file (length, header, page checksums),\n"
                            "the alarms and the catalog. Changes nothing. Each finding is a line\n"
                            "`FILE at offset N: what`.\n\n"
                            "DIR is the directory of a server that does not run, or a backup. Bytes that were\n"
                            "being written when a server was killed are reported, and are no damage.",
             .exitCodes = kVerifyExitCodes,
             .examples = "holdfast ledger verify ./holdfast-data\n"
                         "holdfast ledger verify --json /backup/monday | jq .findings"});
    verifyCommand->add_option("DIR", verify.directory, "The directory")->required();
    addJson(verifyCommand, verify.json, "Print one JSON value");
    addProgress(verifyCommand, verify.progress);
    commands.emplace_back(verifyCommand, [this] { return runLedgerVerify(verify); });

    CLI::App* dumpCommand = add(
        *group, "dump", "Show what the ledger holds, batch by batch and record by record.",
        {.synopsis = {"ledger dump [--object ID] [--from POSITION] [--to POSITION] [--records|--batches] [--json] DIR"},
         .description = "Shows what a recovery would read: segments, batches (what one sync made durable) and\n"
                        "records with their pages, encodings and encoded bytes, and totals at the end: records,\n"
                        "bytes, average bytes per commit. What is in objects' files already is not shown.\n"
                        "docs/formats/ledger.md explains the words.",
         .exitCodes = kVerifyExitCodes,
         .examples = "holdfast ledger dump --records --object 1f3a ./holdfast-data\n"
                     "holdfast ledger dump --json ./holdfast-data | tail -1 | jq .average_commit_bytes"});
    dumpCommand->add_option("DIR", dump.directory, "The directory of a server that does not run, or a backup")
        ->required();
    dumpCommand->add_option("--object", dump.object, "Only records of this object: its id, or how it begins")
        ->check([](const std::string& text) {
          return text.find_first_not_of("0123456789abcdef") == std::string::npos && text.size() <= 64
                     ? std::string()
                     : "expected an object's id or its beginning, in lowercase hexadecimal digits, got '" + text + "'";
        });
    dumpCommand->add_option("--from", dump.from, "Only what ends after this position");
    dumpCommand->add_option("--to", dump.to, "Only what begins before this position");
    auto* records = dumpCommand->add_flag("--records", onlyRecords, "Only records");
    dumpCommand->add_flag("--batches", onlyBatches, "Only segments and batches")->excludes(records);
    addJson(dumpCommand, dump.json, "Print one JSON value per line");
    commands.emplace_back(dumpCommand, [this] {
      dump.what = onlyRecords ? DumpWhat::kRecords : onlyBatches ? DumpWhat::kBatches : DumpWhat::kAll;
      return runLedgerDump(dump);
    });
  }

  void addObjects(CLI::App& app) {
    CLI::App* group = add(app, "object", "List, copy, query and replace single Durable Objects.",
                          {.synopsis = {"object list [OPTIONS] NS", "object export [OPTIONS] NS OBJECT FILE",
                                        "object import [OPTIONS] NS OBJECT FILE", "object sql [OPTIONS] NS OBJECT SQL"},
                           .description = "Each has its own --help."});
    group->require_subcommand(1);

    CLI::App* listCommand =
        add(*group, "list", "List the objects of a namespace that store something.",
            {.synopsis = {"object list [--dir DIR|--url URL] [--after ID] [--limit N] [--json] NS"},
             .description =
                 std::string("In order of id: the id, the bytes of the database, and the name where it is known (of\n"
                             "objects with an alarm only: an id is not computed back to its name).") +
                 "\n" + kTargets,
             .examples = "holdfast object list chat/Room\nholdfast object list --json --limit 100 Room"});
    addObjectOptions(listCommand, list.common);
    listCommand->add_option("--after", list.after, "Begin after this id");
    listCommand->add_option("--limit", list.limit, "At most so many (all)")->check(CLI::PositiveNumber);
    addJson(listCommand, list.common.json, "Print one JSON value per line");
    commands.emplace_back(listCommand, [this] { return runObjectList(list); });

    CLI::App* exportCommand =
        add(*group, "export", "Copy an object's database to a plain SQLite file.",
            {.synopsis = {"object export [--dir DIR|--url URL] [--force] [--json] NS OBJECT FILE"},
             .description =
                 std::string("FILE becomes a database that sqlite3 opens: what the object has committed, consistent,\n"
                             "also while it is being written. KV entries are in the table _cf_KV (values in V8's\n"
                             "serialisation format), the alarm is in _cf_METADATA. FILE appears whole or not at all.") +
                 "\n" + kTargets,
             .examples = "holdfast object export chat/Room lobby lobby.sqlite\nsqlite3 lobby.sqlite .schema"});
    addObjectOptions(exportCommand, exported.common);
    addObject(exportCommand, exported.common);
    exportCommand->add_option("FILE", exported.file, "What to write")->required();
    exportCommand->add_flag("--force", exported.force, "Write over FILE");
    addJson(exportCommand, exported.common.json, "Print one JSON value");
    addProgress(exportCommand, exported.common.progress);
    commands.emplace_back(exportCommand, [this] { return runObjectExport(exported); });

    CLI::App* importCommand =
        add(*group, "import", "Replace an object's whole database by a SQLite file.",
            {.synopsis = {"object import [--dir DIR|--url URL] [--json] NS OBJECT FILE"},
             .description = "FILE is checked (PRAGMA quick_check), brought into the form of an object's database, and\n"
                            "becomes everything that the object stores, in one commit: it happens whole or not at\n"
                            "all, and what the object held before is gone. An alarm in FILE's _cf_METADATA is set,\n"
                            "one that the object had and FILE has not is gone. A running instance of the object is\n"
                            "reset first. FILE itself is not changed.\n\n"
                            "Refused: a file that is damaged or no database, text that is not UTF-8, more than " +
                            std::to_string(limits::kImportBytesMax / 1024 / 1024) +
                            "\nMiB, and tables called _cf_... that are not as Holdfast makes them.\n" + kTargets +
                            "\nA directory without a running server is opened as a server would, and recovered.",
             .examples = "holdfast object export chat/Room lobby lobby.sqlite\n"
                         "sqlite3 lobby.sqlite \"DELETE FROM messages WHERE author = 'spam'\"\n"
                         "holdfast object import chat/Room lobby lobby.sqlite"});
    addObjectOptions(importCommand, imported.common);
    addObject(importCommand, imported.common);
    importCommand->add_option("FILE", imported.file, "The SQLite file")->required();
    addJson(importCommand, imported.common.json, "Print one JSON value");
    addProgress(importCommand, imported.common.progress);
    commands.emplace_back(importCommand, [this] { return runObjectImport(imported); });

    CLI::App* sqlCommand =
        add(*group, "sql", "Query an object's database.",
            {.synopsis = {"object sql [--dir DIR|--url URL] [--json|--csv] NS OBJECT SQL"},
             .description =
                 std::string("Runs SQL, one or several statements that only read, on a copy of what the object has\n"
                             "committed; the object goes on meanwhile. Prints columns, or JSON or CSV. Blobs are\n"
                             "printed as x'...'.") +
                 "\n" + kTargets,
             .examples = "holdfast object sql chat/Room lobby 'SELECT count(*) FROM messages'"});
    addObjectOptions(sqlCommand, sql.common);
    addObject(sqlCommand, sql.common);
    sqlCommand->add_option("SQL", sql.sql, "What to run")->required();
    auto* json = sqlCommand->add_flag("--json", sql.common.json, "Print one JSON object per row");
    sqlCommand->add_flag("--csv", sql.csv, "Print comma-separated values, names first")->excludes(json);
    addProgress(sqlCommand, sql.common.progress);
    commands.emplace_back(sqlCommand, [this] { return runObjectSql(sql); });
  }

  void addBackup(CLI::App& app) {
    CLI::App* backupCommand = add(
        app, "backup", "Copy everything that a server holds, while it serves.",
        {.synopsis = {"backup [--with-token] [--json] [--progress] DIR|URL DEST"},
         .description =
             std::string("DEST becomes a directory that `holdfast restore` takes: objects, alarms, what is deployed\n"
                         "and its secrets, consistent as of one moment near the end of the copy. It contains\n"
                         "every write that was acknowledged before the command began. The server goes on\n"
                         "meanwhile. DEST appears whole and synced, or not at all. Keep it as you keep the\n"
                         "server's own directory: it holds the secrets of your Workers.") +
             "\n" + kTargets,
         .examples = "holdfast backup ./holdfast-data /backup/$(date +%F)\n"
                     "HOLDFAST_TOKEN=... holdfast backup http://127.0.0.1:8788 /backup/today"});
    backupCommand->add_option("SOURCE", backup.where, "A server's directory or address")->required();
    backupCommand->add_option("DEST", backup.destination, "The directory to make")->required();
    addServer(backupCommand, backup.server);
    backupCommand->add_flag("--with-token", backup.withToken, "Copy the API token too");
    addJson(backupCommand, backup.json, "Print one JSON value");
    addProgress(backupCommand, backup.progress);
    commands.emplace_back(backupCommand, [this] { return runBackup(backup); });

    CLI::App* restoreCommand =
        add(app, "restore", "Make a server's directory from a backup.",
            {.synopsis = {"restore [--json] [--progress] SRC DIR"},
             .description = "Verifies the backup SRC as `holdfast ledger verify` does, and copies it to DIR, which\n"
                            "must not be there or be empty. DIR appears whole and synced, or not at all. A server\n"
                            "that is started on it recovers to what the backup is consistent as of.",
             .examples = "holdfast restore /backup/monday ./holdfast-data\nholdfast serve --dir ./holdfast-data"});
    restoreCommand->add_option("SRC", restore.source, "What `holdfast backup` has made")->required();
    restoreCommand->add_option("DIR", restore.directory, "The directory to make")->required();
    addJson(restoreCommand, restore.json, "Print one JSON value");
    addProgress(restoreCommand, restore.progress);
    commands.emplace_back(restoreCommand, [this] { return runRestore(restore); });

    CLI::App* historyCommand =
        add(app, "history", "Say what the history of objects costs.",
            {.synopsis = {"history [--json] DIR|URL"},
             .description =
                 std::string("History is what takes objects back to a bookmark. Prints its files and bytes on disk.") +
                 "\n" + kTargets,
             .examples = "holdfast history ./holdfast-data"});
    historyCommand->add_option("SOURCE", history.where, "A server's directory or address")->required();
    addServer(historyCommand, history.server);
    addJson(historyCommand, history.json, "Print one JSON value");
    commands.emplace_back(historyCommand, [this] { return runHistory(history); });
  }
};

ToolCommands::ToolCommands(CLI::App& app) : values_(std::make_unique<Values>()) {
  values_->addLedger(app);
  values_->addObjects(app);
  values_->addBackup(app);
}

ToolCommands::~ToolCommands() = default;

std::function<int()> ToolCommands::chosen() const {
  for (const auto& [command, run] : values_->commands) {
    if (command->parsed()) return run;
  }
  return {};
}

}  // namespace hf::server
