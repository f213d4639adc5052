#include "server/runtime_adapter.h"

#include <utility>

namespace hf::server {
namespace {

api::ExportKind kindOf(const std::string& name) {
  if (name == "handler-object") return api::ExportKind::kHandlerObject;
  if (name == "entrypoint") return api::ExportKind::kEntrypoint;
  if (name == "durable-object") return api::ExportKind::kDurableObject;
  return api::ExportKind::kOther;
}

}  // namespace

void RuntimeAdapter::check(std::shared_ptr<const catalog::Version> version,
                           Completion<Result<api::ScriptReport>> done) {
  shards_.check(std::move(version), catalog_.snapshot(), control_,
                [done = std::move(done)](Result<worker::CheckReport> report) mutable {
                  if (!report) {
                    done(std::unexpected(std::move(report).error()));
                    return;
                  }
                  api::ScriptReport out;
                  out.startupMs = report->startupMs;
                  for (worker::ExportedName& exported : report->exports) {
                    out.exports.push_back({.name = std::move(exported.name),
                                           .kind = kindOf(exported.kind),
                                           .handlers = std::move(exported.handlers)});
                  }
                  done(std::move(out));
                });
}

void RuntimeAdapter::activate(catalog::SnapshotPtr snapshot, Completion<Result<void>> done) {
  shards_.activate(std::move(snapshot), control_, std::move(done));
}

void RuntimeAdapter::deleteNamespaces(std::vector<NamespaceId> namespaces, Completion<Result<void>> done) {
  // The objects close their databases first: only then may their data go.
  auto after = [this, namespaces, done = std::move(done)](Result<void> reset) mutable {
    for (const NamespaceId& ns : namespaces) {
      if (reset) reset = store_.deleteNamespace(ns);
    }
    done(std::move(reset));
  };
  shards_.resetNamespaces(namespaces, control_, std::move(after));
}

void RuntimeAdapter::listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                                 Completion<Result<std::vector<StoredObject>>> done) {
  auto stored = store_.listObjects(ns, after, limit);
  if (!stored) {
    done(std::unexpected(std::move(stored).error()));
    return;
  }
  std::vector<StoredObject> objects;
  objects.reserve(stored->size());
  for (const storage::StoredObject& object : *stored) {
    objects.push_back({.id = object.id, .hasStoredData = object.hasStoredData});
  }
  done(std::move(objects));
}

}  // namespace hf::server
