// Decides what a deploy does to the Durable Object classes of a script. Pure: no I/O, no clock, no chance of its own.
// Rules and texts: spec control-plane 5.3, 6. Two front ends, migrations and declarative `exports`, one class table.
// Wanted deviation: steps apply one after another, so a fresh server replays a whole history of migrations, where
// Cloudflare refuses to delete or rename a class that the same upload creates.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "catalog/records.h"

namespace hf::catalog {

// What a client is told: HTTP status, Cloudflare's code, text, and `meta` where a code has it.
struct PlanError {
  int status = 400;
  int code = 0;
  std::string message;
  Json meta = nullptr;
};

struct MigrationStep {
  struct Rename {
    std::string from;
    std::string to;
  };
  struct Transfer {
    std::string from;
    std::string fromScript;
    std::string to;
  };
  std::vector<std::string> newClasses;
  std::vector<std::string> newSqliteClasses;
  std::vector<Rename> renamedClasses;
  std::vector<std::string> deletedClasses;
  std::vector<Transfer> transferredClasses;
};

struct Migrations {
  std::optional<std::string> oldTag;
  std::optional<std::string> newTag;
  std::vector<MigrationStep> steps;
};

// From the metadata's "migrations" object, single-step or steps. An empty or null tag is no tag.
std::expected<Migrations, PlanError> parseMigrations(const Json& json);

// 10079 unless the script's tag is the one the client believes in. Costs nothing: checked before the code is started.
std::expected<void, PlanError> checkMigrationTag(const std::optional<std::string>& current,
                                                 const Migrations& migrations);

// One "durable-object" entry of the metadata's "exports".
struct ClassDeclaration {
  enum class State { kLive, kDeleted, kRenamed, kTransferred, kExpectingTransfer };
  State state = State::kLive;
  bool useSqlite = true;
  std::string other;  // kRenamed: the new class; kTransferred, kExpectingTransfer: the other script
};
using ClassDeclarations = std::map<std::string, ClassDeclaration>;

// Entries of other types ("worker", "workflow") are left out.
std::expected<ClassDeclarations, PlanError> parseExports(const Json& json);

struct PlanInput {
  std::string script;                                          // name
  std::string scriptTag;                                       // its 32 hex
  std::vector<NamespaceRow> namespaces;                        // of all scripts
  std::map<std::string, std::string> scriptTags;               // name -> tag, of all scripts
  std::set<std::string> codeClasses;                           // Durable Object classes that the new code exports
  std::set<std::string> boundClasses;                          // own classes that bindings of the new upload name
  std::map<NamespaceId, std::set<std::string>> boundByOthers;  // namespace -> names of other scripts bound to it
  std::function<NamespaceId()> newId;
};

struct Plan {
  std::vector<NamespaceRow> changed;  // created, renamed or transferred, as they are afterwards
  std::vector<NamespaceId> deleted;
  std::vector<NamespaceRow> namespaces;  // of all scripts, afterwards
  Json reconciliation = nullptr;         // exports only: the answer's "exports_reconciliation"
};

// `migrations` absent: nothing changes, but the code must still export what has objects (10064), and what is bound
// must exist (10061).
std::expected<Plan, PlanError> planMigrations(const PlanInput& input, const std::optional<Migrations>& migrations);
std::expected<Plan, PlanError> planExports(const PlanInput& input, const ClassDeclarations& declarations);

}  // namespace hf::catalog
