// Invariants
//  1. snapshot_ is what the file says after the last COMMIT that returned success: it is built inside the transaction
//     and published after it.
//  2. A namespace is either in `namespaces`, or in `pending_namespace_deletions`, or its data is gone.
#include "catalog/catalog.h"

#include <openssl/sha.h>

#include <array>
#include <map>
#include <utility>

#include "base/check.h"
#include "catalog/resolve.h"
#include "catalog/schema.h"
#include "catalog/sql.h"

namespace hf::catalog {
namespace {

constexpr std::array<std::pair<ModuleKind, std::string_view>, 6> kModuleKinds = {{
    {ModuleKind::kEsm, "esm"},
    {ModuleKind::kText, "text"},
    {ModuleKind::kData, "data"},
    {ModuleKind::kWasm, "wasm"},
    {ModuleKind::kJson, "json"},
    {ModuleKind::kSourceMap, "source-map"},
}};

std::string_view moduleKindName(ModuleKind kind) {
  for (const auto& [value, name] : kModuleKinds) {
    if (value == kind) return name;
  }
  HF_CHECK(false, "every kind has a name");
}

Result<ModuleKind> moduleKind(const std::string& name) {
  for (const auto& [value, known] : kModuleKinds) {
    if (known == name) return value;
  }
  return fail(Errc::kCorrupt, "catalog: module kind '" + name + "' is unknown");
}

Result<Json> parseColumn(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return fail(Errc::kCorrupt, "catalog: a JSON column does not parse");
  return json;
}

// Secrets and names are user text: what is not UTF-8 is replaced instead of throwing.
std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::int64_t integer(bool value) { return value ? 1 : 0; }

Result<void> migrateSchema(Connection& db, const Clock& clock, const std::string& accountId) {
  HF_TRY(Transaction transaction, Transaction::begin(db));
  std::int64_t version = 0;
  {
    HF_TRY(Query query, db.query("PRAGMA user_version"));
    HF_TRY(const bool row, query.step());
    HF_CHECK(row, "user_version always has a row");
    version = query.number(0);
  }
  if (version > static_cast<std::int64_t>(kSchema.size())) {
    return fail(Errc::kUnsupported, "catalog.sqlite was written by a newer release of Holdfast (schema " +
                                        std::to_string(version) + ", known up to " + std::to_string(kSchema.size()) +
                                        ")");
  }
  for (auto step = static_cast<std::size_t>(version); step < kSchema.size(); ++step) {
    HF_TRY_VOID(db.execute(kSchema.at(step)));
  }
  HF_TRY_VOID(db.execute(("PRAGMA user_version=" + std::to_string(kSchema.size())).c_str()));
  {
    HF_TRY(Query query, db.query("INSERT INTO accounts(id, created_ms) VALUES(?, ?) ON CONFLICT(id) DO NOTHING"));
    HF_TRY_VOID(query.bind(accountId).bind(clock.wallMs()).run());
  }
  return transaction.commit();
}

class SqliteCatalog final : public Catalog {
 public:
  SqliteCatalog(const Clock& clock, CatalogOptions options, std::unique_ptr<Connection> db)
      : clock_(clock), options_(std::move(options)), db_(std::move(db)) {}

  Result<void> load() {
    HF_TRY(snapshot_, buildSnapshot());
    return {};
  }

  [[nodiscard]] SnapshotPtr snapshot() const override { return snapshot_; }

  Result<SnapshotPtr> commit(const Change& change) override {
    HF_TRY(Transaction transaction, Transaction::begin(*db_));
    if (change.script) HF_TRY_VOID(putScript(*change.script));
    for (const NamespaceRow& row : change.namespaces) HF_TRY_VOID(putNamespace(row));
    for (const NamespaceId& id : change.deletedNamespaces) HF_TRY_VOID(queueDeletion(id));
    if (change.version) HF_TRY_VOID(putVersion(*change.version));
    if (change.deployment) HF_TRY_VOID(putDeployment(*change.deployment));
    if (change.version || change.deployment) {
      HF_TRY_VOID(prune(change.version ? change.version->row.scriptTag : change.deployment->scriptTag));
    }
    for (const std::string& tag : change.deletedScripts) HF_TRY_VOID(deleteScript(tag));
    HF_TRY(SnapshotPtr next, buildSnapshot());
    HF_TRY_VOID(transaction.commit());
    snapshot_ = std::move(next);
    return snapshot_;
  }

  Result<std::vector<ScriptRow>> scripts() override {
    HF_TRY(Query query, db_->query("SELECT * FROM scripts WHERE account = ? ORDER BY name"));
    query.bind(options_.accountId);
    std::vector<ScriptRow> rows;
    for (;;) {
      HF_TRY(const bool more, query.step());
      if (!more) return rows;
      HF_TRY(ScriptRow row, readScript(query));
      rows.push_back(std::move(row));
    }
  }

  Result<std::optional<ScriptRow>> script(std::string_view name) override {
    HF_TRY(Query query, db_->query("SELECT * FROM scripts WHERE account = ? AND name = ?"));
    query.bind(options_.accountId).bind(name);
    HF_TRY(const bool found, query.step());
    if (!found) return std::nullopt;
    HF_TRY(ScriptRow row, readScript(query));
    return row;
  }

  Result<std::vector<VersionRow>> versions(std::string_view scriptTag, Page page) override {
    HF_TRY(Query query, db_->query("SELECT * FROM versions WHERE script = ? ORDER BY number DESC LIMIT ? OFFSET ?"));
    query.bind(scriptTag).bind(static_cast<std::int64_t>(page.limit)).bind(static_cast<std::int64_t>(page.offset));
    std::vector<VersionRow> rows;
    for (;;) {
      HF_TRY(const bool more, query.step());
      if (!more) return rows;
      HF_TRY(VersionRow row, readVersion(query));
      rows.push_back(std::move(row));
    }
  }

  Result<std::size_t> versionCount(std::string_view scriptTag) override {
    HF_TRY(Query query, db_->query("SELECT count(*) FROM versions WHERE script = ?"));
    query.bind(scriptTag);
    HF_TRY(const bool row, query.step());
    HF_CHECK(row, "count always has a row");
    return static_cast<std::size_t>(query.number(0));
  }

  Result<std::optional<VersionRow>> version(std::string_view scriptTag, std::string_view id) override {
    HF_TRY(Query query, db_->query("SELECT * FROM versions WHERE script = ? AND id = ?"));
    query.bind(scriptTag).bind(id);
    HF_TRY(const bool found, query.step());
    if (!found) return std::nullopt;
    HF_TRY(VersionRow row, readVersion(query));
    return row;
  }

  Result<std::optional<VersionRow>> latestVersion(std::string_view scriptTag) override {
    HF_TRY(std::vector<VersionRow> rows, versions(scriptTag, Page{.offset = 0, .limit = 1}));
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
  }

  Result<std::vector<Module>> modules(std::string_view versionId) override {
    HF_TRY(Query query, db_->query("SELECT name, kind, contents.rowid FROM modules JOIN contents ON sha256 = content "
                                   "WHERE version = ? ORDER BY position"));
    query.bind(versionId);
    std::vector<Module> rows;
    for (;;) {
      HF_TRY(const bool more, query.step());
      if (!more) return rows;
      HF_TRY(const ModuleKind kind, moduleKind(query.text(1)));
      HF_TRY(Bytes content, db_->readBlob("contents", "bytes", query.number(2)));
      rows.push_back(Module{.name = query.text(0), .kind = kind, .content = std::move(content)});
    }
  }

  Result<std::vector<DeploymentRow>> deployments(std::string_view scriptTag) override {
    std::vector<DeploymentRow> rows;
    std::vector<std::int64_t> sequences;
    {
      HF_TRY(Query query, db_->query("SELECT sequence, id, script, created_ms, source, annotations, update_mode, "
                                     "update_max_delay_s FROM deployments WHERE script = ? ORDER BY sequence DESC"));
      query.bind(scriptTag);
      for (;;) {
        HF_TRY(const bool more, query.step());
        if (!more) break;
        sequences.push_back(query.number(0));
        DeploymentRow row;
        row.id = query.text(1);
        row.scriptTag = query.text(2);
        row.createdMs = query.number(3);
        row.source = query.text(4);
        HF_TRY(row.annotations, parseColumn(query.text(5)));
        row.updateMode = query.text(6) == "immediate" ? CodeUpdateMode::kImmediate : CodeUpdateMode::kDeferred;
        row.updateMaxDelay = std::chrono::seconds(query.number(7));
        rows.push_back(std::move(row));
      }
    }
    for (std::size_t index = 0; index < rows.size(); ++index) {
      HF_TRY(Query query, db_->query("SELECT version, percentage FROM deployment_parts WHERE deployment = ? "
                                     "ORDER BY position"));
      query.bind(sequences[index]);
      for (;;) {
        HF_TRY(const bool more, query.step());
        if (!more) break;
        rows[index].parts.push_back({.versionId = query.text(0), .percentage = query.real(1)});
      }
    }
    return rows;
  }

  Result<std::vector<NamespaceRow>> namespaces() override {
    HF_TRY(Query query, db_->query("SELECT n.id, n.script, n.class, n.use_sqlite FROM namespaces n "
                                   "JOIN scripts s ON s.tag = n.script WHERE s.account = ? ORDER BY n.sequence"));
    query.bind(options_.accountId);
    std::vector<NamespaceRow> rows;
    for (;;) {
      HF_TRY(const bool more, query.step());
      if (!more) return rows;
      HF_TRY(const NamespaceId id, NamespaceId::parse(query.text(0)));
      rows.push_back(
          {.id = id, .scriptTag = query.text(1), .className = query.text(2), .useSqlite = query.number(3) != 0});
    }
  }

  Result<std::shared_ptr<const Version>> runnable(const std::string& scriptName, const VersionRow& row,
                                                  std::vector<Module> modules) override {
    HF_TRY(NameTables names, nameTables());
    names.scriptNames[row.scriptTag] = scriptName;
    return std::make_shared<const Version>(makeVersion(scriptName, row, std::move(modules), names));
  }

  Result<std::vector<NamespaceId>> pendingDeletions() override {
    HF_TRY(Query query, db_->query("SELECT id FROM pending_namespace_deletions ORDER BY sequence"));
    std::vector<NamespaceId> ids;
    for (;;) {
      HF_TRY(const bool more, query.step());
      if (!more) return ids;
      HF_TRY(const NamespaceId id, NamespaceId::parse(query.text(0)));
      ids.push_back(id);
    }
  }

  Result<std::unique_ptr<Backup>> beginBackup(const std::string& file) override { return Backup::begin(*db_, file); }

  Result<void> deletionsDone(const std::vector<NamespaceId>& ids) override {
    HF_TRY(Transaction transaction, Transaction::begin(*db_));
    for (const NamespaceId& id : ids) {
      HF_TRY(Query query, db_->query("DELETE FROM pending_namespace_deletions WHERE id = ?"));
      HF_TRY_VOID(query.bind(id.hex()).run());
    }
    return transaction.commit();
  }

 private:
  static Result<ScriptRow> readScript(const Query& query) {
    ScriptRow row;
    row.tag = query.text(0);
    row.name = query.text(2);
    row.createdMs = query.number(3);
    row.modifiedMs = query.number(4);
    if (!query.isNull(5)) row.migrationTag = query.text(5);
    row.usesExports = query.number(6) != 0;
    HF_TRY(row.settings, parseColumn(query.text(7)));
    row.subdomainEnabled = query.number(8) != 0;
    row.previewsEnabled = query.number(9) != 0;
    row.lastVersionNumber = static_cast<std::uint64_t>(query.number(10));
    row.lastUploadHash = query.text(11);
    return row;
  }

  static Result<VersionRow> readVersion(const Query& query) {
    VersionRow row;
    row.id = query.text(0);
    row.scriptTag = query.text(1);
    row.number = static_cast<std::uint64_t>(query.number(2));
    row.createdMs = query.number(3);
    HF_TRY(row.metadata, parseColumn(query.text(4)));
    HF_TRY(row.bindings, parseColumn(query.text(5)));
    HF_TRY(row.annotations, parseColumn(query.text(6)));
    return row;
  }

  Result<void> putScript(const ScriptRow& row) {
    HF_TRY(Query query,
           db_->query("INSERT INTO scripts VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(tag) DO UPDATE SET "
                      "name = excluded.name, modified_ms = excluded.modified_ms, "
                      "migration_tag = excluded.migration_tag, uses_exports = excluded.uses_exports, "
                      "settings = excluded.settings, subdomain_enabled = excluded.subdomain_enabled, "
                      "previews_enabled = excluded.previews_enabled, "
                      "last_version_number = excluded.last_version_number, "
                      "last_upload_hash = excluded.last_upload_hash"));
    query.bind(row.tag).bind(options_.accountId).bind(row.name).bind(row.createdMs).bind(row.modifiedMs);
    query.bindOptional(row.migrationTag).bind(integer(row.usesExports)).bind(dump(row.settings));
    query.bind(integer(row.subdomainEnabled)).bind(integer(row.previewsEnabled));
    query.bind(static_cast<std::int64_t>(row.lastVersionNumber)).bind(row.lastUploadHash);
    return query.run();
  }

  Result<void> putNamespace(const NamespaceRow& row) {
    HF_TRY(Query query, db_->query("INSERT INTO namespaces(id, script, class, use_sqlite) VALUES(?, ?, ?, ?) "
                                   "ON CONFLICT(id) DO UPDATE SET script = excluded.script, class = excluded.class"));
    return query.bind(row.id.hex()).bind(row.scriptTag).bind(row.className).bind(integer(row.useSqlite)).run();
  }

  Result<void> queueDeletion(const NamespaceId& id) {
    {
      HF_TRY(Query query, db_->query("DELETE FROM namespaces WHERE id = ?"));
      HF_TRY_VOID(query.bind(id.hex()).run());
    }
    HF_TRY(Query query, db_->query("INSERT INTO pending_namespace_deletions(id, queued_ms) VALUES(?, ?)"));
    return query.bind(id.hex()).bind(clock_.wallMs()).run();
  }

  Result<void> putVersion(const Change::NewVersion& version) {
    {
      const VersionRow& row = version.row;
      HF_TRY(Query query, db_->query("INSERT INTO versions VALUES(?, ?, ?, ?, ?, ?, ?)"));
      query.bind(row.id).bind(row.scriptTag).bind(static_cast<std::int64_t>(row.number)).bind(row.createdMs);
      HF_TRY_VOID(query.bind(dump(row.metadata)).bind(dump(row.bindings)).bind(dump(row.annotations)).run());
    }
    std::int64_t position = 0;
    for (const Module& module : version.modules) {
      std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash{};
      SHA256(module.content.data(), module.content.size(), hash.data());
      {
        HF_TRY(Query query, db_->query("INSERT INTO contents VALUES(?, zeroblob(?)) ON CONFLICT(sha256) DO NOTHING"));
        HF_TRY_VOID(query.bindBlob(hash).bind(static_cast<std::int64_t>(module.content.size())).run());
      }
      if (db_->changes() == 1) {
        HF_TRY_VOID(db_->writeBlob("contents", "bytes", db_->lastRow(), module.content));
      }
      HF_TRY(Query query, db_->query("INSERT INTO modules VALUES(?, ?, ?, ?, ?)"));
      query.bind(version.row.id).bind(position++).bind(module.name).bind(moduleKindName(module.kind));
      HF_TRY_VOID(query.bindBlob(hash).run());
    }
    return {};
  }

  Result<void> putDeployment(const DeploymentRow& row) {
    std::int64_t sequence = 0;
    {
      HF_TRY(Query query, db_->query("INSERT INTO deployments(id, script, created_ms, source, annotations, "
                                     "update_mode, update_max_delay_s) VALUES(?, ?, ?, ?, ?, ?, ?) "
                                     "RETURNING sequence"));
      query.bind(row.id).bind(row.scriptTag).bind(row.createdMs).bind(row.source).bind(dump(row.annotations));
      query.bind(row.updateMode == CodeUpdateMode::kImmediate ? "immediate" : "deferred");
      query.bind(static_cast<std::int64_t>(row.updateMaxDelay.count()));
      HF_TRY(const bool inserted, query.step());
      HF_CHECK(inserted, "RETURNING gives the inserted row");
      sequence = query.number(0);
      HF_TRY(const bool more, query.step());
      HF_CHECK(!more, "one row was inserted");
    }
    std::int64_t position = 0;
    for (const DeploymentRow::Part& part : row.parts) {
      HF_TRY(Query query, db_->query("INSERT INTO deployment_parts VALUES(?, ?, ?, ?)"));
      HF_TRY_VOID(query.bind(sequence).bind(position++).bind(part.versionId).bind(part.percentage).run());
    }
    return {};
  }

  // Keeps the newest deployments, the versions they use and the newest versions.
  Result<void> prune(const std::string& scriptTag) {
    {
      HF_TRY(Query query, db_->query("DELETE FROM deployments WHERE script = ?1 AND sequence <= (SELECT sequence "
                                     "FROM deployments WHERE script = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2)"));
      HF_TRY_VOID(query.bind(scriptTag).bind(static_cast<std::int64_t>(options_.deploymentsKeptPerScript)).run());
    }
    {
      HF_TRY(Query query, db_->query("DELETE FROM versions WHERE script = ?1 AND number <= (SELECT number FROM "
                                     "versions WHERE script = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2) "
                                     "AND NOT EXISTS (SELECT 1 FROM deployment_parts WHERE version = versions.id)"));
      HF_TRY_VOID(query.bind(scriptTag).bind(static_cast<std::int64_t>(options_.versionsKeptPerScript)).run());
    }
    return dropUnusedContents();
  }

  Result<void> dropUnusedContents() {
    HF_TRY(Query query, db_->query("DELETE FROM contents WHERE NOT EXISTS "
                                   "(SELECT 1 FROM modules WHERE content = contents.sha256)"));
    return query.run();
  }

  Result<void> deleteScript(const std::string& tag) {
    HF_TRY(const std::vector<NamespaceRow> rows, namespaces());
    for (const NamespaceRow& row : rows) {
      if (row.scriptTag == tag) HF_TRY_VOID(queueDeletion(row.id));
    }
    {
      HF_TRY(Query query, db_->query("DELETE FROM scripts WHERE tag = ?"));
      HF_TRY_VOID(query.bind(tag).run());
    }
    return dropUnusedContents();
  }

  Result<NameTables> nameTables() {
    NameTables names;
    HF_TRY(const std::vector<ScriptRow> scriptRows, scripts());
    for (const ScriptRow& row : scriptRows) names.scriptNames[row.tag] = row.name;
    HF_TRY(const std::vector<NamespaceRow> namespaceRows, namespaces());
    for (const NamespaceRow& row : namespaceRows) names.namespaces[row.id] = row;
    return names;
  }

  Result<SnapshotPtr> buildSnapshot() {
    auto next = std::make_shared<Snapshot>();
    next->generation = snapshot_ ? snapshot_->generation + 1 : 1;
    HF_TRY(const NameTables names, nameTables());
    for (const auto& [id, row] : names.namespaces) {
      const std::string& script = names.scriptNames.at(row.scriptTag);
      next->namespaces[id] = Namespace{.id = id,
                                       .name = script + "_" + row.className,
                                       .script = script,
                                       .className = row.className,
                                       .useSqlite = row.useSqlite};
    }
    HF_TRY(const std::vector<ScriptRow> scriptRows, scripts());
    for (const ScriptRow& row : scriptRows) {
      Script script;
      script.name = row.name;
      script.tag = row.tag;
      script.workersDevEnabled = row.subdomainEnabled;
      HF_TRY(const std::optional<DeploymentRow> deployment, currentDeployment(row.tag));
      if (deployment) {
        script.updateMode = deployment->updateMode;
        script.updateMaxDelay = deployment->updateMaxDelay;
        for (const DeploymentRow::Part& part : deployment->parts) {
          HF_TRY(auto version, loadVersion(row, part.versionId, names));
          script.parts.push_back({.version = std::move(version), .percentage = part.percentage});
        }
        HF_CHECK(script.parts.size() <= 2, "a deployment has one or two versions");
        if (script.parts.size() == 2 && script.parts[0].percentage < script.parts[1].percentage) {
          std::swap(script.parts[0], script.parts[1]);
        }
      }
      next->scripts.emplace(row.name, std::move(script));
    }
    return next;
  }

  Result<std::optional<DeploymentRow>> currentDeployment(const std::string& scriptTag) {
    HF_TRY(std::vector<DeploymentRow> rows, deployments(scriptTag));
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
  }

  // The pointer of the last snapshot where nothing that it resolves to has changed.
  Result<std::shared_ptr<const Version>> loadVersion(const ScriptRow& script, const std::string& id,
                                                     const NameTables& names) {
    HF_TRY(const std::optional<VersionRow> row, version(script.tag, id));
    if (!row) return fail(Errc::kCorrupt, "catalog: a deployment of '" + script.name + "' names no version");
    std::shared_ptr<const Version> known = knownVersion(script.name, id);
    if (!known) {
      HF_TRY(std::vector<Module> parts, modules(id));
      return std::make_shared<const Version>(makeVersion(script.name, *row, std::move(parts), names));
    }
    std::vector<Binding> bindings = resolveBindings(row->bindings, script.name, known->modules, names);
    if (bindings == known->bindings) return known;
    auto changed = std::make_shared<Version>(*known);
    changed->bindings = std::move(bindings);
    return changed;
  }

  [[nodiscard]] std::shared_ptr<const Version> knownVersion(const std::string& script, const std::string& id) const {
    if (!snapshot_) return nullptr;
    const auto found = snapshot_->scripts.find(script);
    if (found == snapshot_->scripts.end()) return nullptr;
    for (const Script::Part& part : found->second.parts) {
      if (part.version->id == id) return part.version;
    }
    return nullptr;
  }

  // Fixed once open
  const Clock& clock_;
  const CatalogOptions options_;
  const std::unique_ptr<Connection> db_;

  // Control thread only
  SnapshotPtr snapshot_;
};

}  // namespace

Result<std::unique_ptr<Catalog>> openCatalog(const Clock& clock, CatalogOptions options) {
  HF_TRY(std::unique_ptr<Connection> db, Connection::open(options.file));
  HF_TRY_VOID(migrateSchema(*db, clock, options.accountId));
  auto catalog = std::make_unique<SqliteCatalog>(clock, std::move(options), std::move(db));
  HF_TRY_VOID(catalog->load());
  return catalog;
}

}  // namespace hf::catalog
