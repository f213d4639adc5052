// What is deployed, kept in one SQLite file. A deploy is one commit(): it happens whole or not at all, also when the
// process is killed in the middle. Tables: schema.h.
// Thread:  the control thread only. snapshot() returns a value that any thread may read.
// Owns:    the file (mode 0600: it holds secrets). One Catalog per file; the caller sees to that.
// Errors:  kNoSpace, kIo, kCorrupt: nothing was changed. kUnsupported: the file is of a newer release.
// Crash:   every commit() that returned a value survives; one that had not returned survives whole or not at all.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "catalog/records.h"
#include "catalog/snapshot.h"

namespace hf::catalog {

struct CatalogOptions {
  std::string file;       // DIR/catalog.sqlite; made when missing
  std::string accountId;  // the account this node serves
  // Older ones go when a new one comes, unless a kept deployment uses them.
  std::size_t versionsKeptPerScript = 100;
  std::size_t deploymentsKeptPerScript = 100;
};

// Everything that one request changes. Applied in the order of the fields.
struct Change {
  // Inserted, or replaced where a row with the tag exists.
  std::optional<ScriptRow> script;
  // Inserted or replaced by id: new classes, renamed ones, transferred ones.
  std::vector<NamespaceRow> namespaces;
  // Removed, and queued for the deletion of their objects' data.
  std::vector<NamespaceId> deletedNamespaces;
  struct NewVersion {
    VersionRow row;
    std::vector<Module> modules;
  };
  std::optional<NewVersion> version;
  std::optional<DeploymentRow> deployment;
  // By tag: script, versions, deployments; its namespaces are removed and queued like deletedNamespaces.
  std::vector<std::string> deletedScripts;
};

class Backup;

class Catalog {
 public:
  virtual ~Catalog() = default;

  // The state after the last commit; never null.
  [[nodiscard]] virtual SnapshotPtr snapshot() const = 0;
  virtual Result<SnapshotPtr> commit(const Change& change) = 0;

  // Reading. Absent is an empty optional, not an error.
  virtual Result<std::vector<ScriptRow>> scripts() = 0;  // by name
  virtual Result<std::optional<ScriptRow>> script(std::string_view name) = 0;
  struct Page {
    std::size_t offset = 0;
    std::size_t limit = 0;
  };
  virtual Result<std::vector<VersionRow>> versions(std::string_view scriptTag, Page page) = 0;  // newest first
  virtual Result<std::size_t> versionCount(std::string_view scriptTag) = 0;
  virtual Result<std::optional<VersionRow>> version(std::string_view scriptTag, std::string_view id) = 0;
  virtual Result<std::optional<VersionRow>> latestVersion(std::string_view scriptTag) = 0;
  virtual Result<std::vector<Module>> modules(std::string_view versionId) = 0;             // in the order of the upload
  virtual Result<std::vector<DeploymentRow>> deployments(std::string_view scriptTag) = 0;  // newest first
  virtual Result<std::vector<NamespaceRow>> namespaces() = 0;                              // in the order of creation

  // The version as the runtime would run it, before it is committed, to start its code once. A binding to a class that
  // has no namespace yet carries the zero id.
  virtual Result<std::shared_ptr<const Version>> runnable(const std::string& scriptName, const VersionRow& row,
                                                          std::vector<Module> modules) = 0;

  // Namespaces removed from the catalog whose objects' data may still be on disk; also those of earlier runs.
  virtual Result<std::vector<NamespaceId>> pendingDeletions() = 0;
  virtual Result<void> deletionsDone(const std::vector<NamespaceId>& namespaces) = 0;

  // A copy of the file, made in steps between which the catalog goes on (sql.h). Goes before the catalog.
  virtual Result<std::unique_ptr<Backup>> beginBackup(const std::string& file) = 0;
};

Result<std::unique_ptr<Catalog>> openCatalog(const Clock& clock, CatalogOptions options);

// 32 lowercase hex digits; a version 4 uuid with hyphens.
std::string makeTag(Random& random);
std::string makeUuid(Random& random);
NamespaceId makeNamespaceId(Random& random);
// "2026-01-31T12:00:00.000000Z"
std::string rfc3339(WallMs time);

}  // namespace hf::catalog
