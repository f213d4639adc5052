#include "catalog/namespaces.h"

#include <utility>

#include "catalog/checksum_vfs.h"
#include "catalog/schema.h"
#include "catalog/sql.h"

namespace hf::catalog {
namespace {

bool fits(const Namespace& ns, std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return ns.className == text || ns.name == text;
  return ns.script == text.substr(0, slash) && ns.className == text.substr(slash + 1);
}

std::string listOf(const std::vector<const Namespace*>& namespaces) {
  std::string text;
  for (const Namespace* ns : namespaces) text += (text.empty() ? "" : ", ") + ns->script + "/" + ns->className;
  return text;
}

}  // namespace

Result<Namespace> findNamespace(const std::map<NamespaceId, Namespace>& namespaces, std::string_view text) {
  if (const Result<NamespaceId> id = NamespaceId::parse(text)) {
    if (const auto it = namespaces.find(*id); it != namespaces.end()) return it->second;
  }
  std::vector<const Namespace*> all;
  std::vector<const Namespace*> found;
  for (const auto& [id, ns] : namespaces) {
    all.push_back(&ns);
    if (fits(ns, text)) found.push_back(&ns);
  }
  if (found.size() == 1) return *found.front();
  if (found.size() > 1) {
    return fail(Errc::kInvalidArgument,
                "several namespaces are called '" + std::string(text) + "': say which, " + listOf(found));
  }
  return fail(Errc::kNotFound, "there is no Durable Object namespace '" + std::string(text) + "'" +
                                   (all.empty() ? "; none is deployed" : "; there are " + listOf(all)));
}

Result<std::map<NamespaceId, Namespace>> readNamespaces(const std::string& file) {
  HF_TRY(const auto db, Connection::open(file));
  {
    HF_TRY(Query query, db->query("PRAGMA user_version"));
    HF_TRY(const bool row, query.step());
    const std::int64_t version = row ? query.number(0) : 0;
    if (version == 0) return std::map<NamespaceId, Namespace>();
    if (version > static_cast<std::int64_t>(kSchema.size())) {
      return fail(Errc::kUnsupported, "catalog.sqlite was written by a newer release of Holdfast");
    }
  }
  HF_TRY(Query query, db->query("SELECT n.id, s.name, n.class, n.use_sqlite FROM namespaces AS n JOIN scripts AS s ON "
                                "s.tag = n.script ORDER BY n.sequence"));
  std::map<NamespaceId, Namespace> namespaces;
  while (true) {
    HF_TRY(const bool row, query.step());
    if (!row) return namespaces;
    HF_TRY(const NamespaceId id, NamespaceId::parse(query.text(0)));
    Namespace ns{.id = id,
                 .name = query.text(1) + "_" + query.text(2),
                 .script = query.text(1),
                 .className = query.text(2),
                 .useSqlite = query.number(3) != 0};
    namespaces.emplace(id, std::move(ns));
  }
}

Result<std::vector<std::string>> checkCatalog(const std::string& file) {
  std::vector<std::string> found;
  const auto damage = [&](const Error& error) -> Result<std::vector<std::string>> {
    if (error.code == Errc::kNoSpace) return std::unexpected(error);
    found.push_back(error.message);
    return found;
  };
  const auto db = Connection::open(file);
  if (!db) return damage(db.error());
  auto query = (*db)->query("PRAGMA integrity_check");
  if (!query) return damage(query.error());
  while (true) {
    const Result<bool> row = query->step();
    if (!row) return damage(row.error());
    if (!*row) return found;
    const std::string said = query->text(0);
    if (said == "ok") continue;
    // SQLite does not say which file and where; the reader of pages knows.
    const bool couldNotRead = said.contains("unable to get the page") || said.contains("failed to get page");
    found.push_back(couldNotRead && !lastDamage().empty() ? lastDamage() : said);
  }
}

}  // namespace hf::catalog
