// What the control plane asks of the shards and the store (api::Runtime).
// Thread: control.
#pragma once

#include <memory>
#include <vector>

#include "api/runtime.h"
#include "base/executor.h"
#include "catalog/catalog.h"
#include "storage/store.h"
#include "worker/shards.h"

namespace hf::server {

class RuntimeAdapter final : public api::Runtime {
 public:
  RuntimeAdapter(worker::Shards& shards, storage::Store& store, catalog::Catalog& catalog, Executor& control)
      : shards_(shards), store_(store), catalog_(catalog), control_(control) {}

  void check(std::shared_ptr<const catalog::Version> version, Completion<Result<api::ScriptReport>> done) override;
  void activate(catalog::SnapshotPtr snapshot, Completion<Result<void>> done) override;
  void deleteNamespaces(std::vector<NamespaceId> namespaces, Completion<Result<void>> done) override;
  void listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                   Completion<Result<std::vector<StoredObject>>> done) override;

 private:
  worker::Shards& shards_;
  storage::Store& store_;
  catalog::Catalog& catalog_;
  Executor& control_;
};

}  // namespace hf::server
