// Backups, exports and imports of a node that serves (api::Maintenance).
// Thread:  control; each job has a thread of its own. No V8 here, but for what Shards hides.
// Owns:    its jobs' threads, which it ends and joins; DIR/tmp, where they keep files that nobody misses.
// Borrows: everything else; all outlive it. It goes before the shards stop and the store closes.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "api/maintenance.h"
#include "base/disk.h"
#include "base/executor.h"
#include "base/log.h"
#include "catalog/catalog.h"
#include "storage/store.h"
#include "worker/shards.h"

namespace hf::server {

class NodeMaintenance final : public api::Maintenance {
 public:
  struct Dependencies {
    Disk& disk;
    std::string directory;
    storage::Store& store;
    catalog::Catalog& catalog;
    worker::Shards& shards;
    Executor& control;
    const Log& log;
  };
  explicit NodeMaintenance(Dependencies dependencies);
  ~NodeMaintenance() override;

  // Ends what streams: backups and exports. For a drain, which would wait for them.
  void cancelStreams();

  void listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                   Completion<Result<std::vector<ObjectDetail>>> done) override;
  void exportObject(ObjectKey object, Completion<Result<StreamPtr>> done) override;
  void importObject(Import import, Completion<Result<ImportReport>> done) override;
  void backup(BackupRequest request, Completion<Result<StreamPtr>> done) override;
  void historySize(Completion<Result<HistorySize>> done) override;

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  // Runs `body` on a thread of its own.
  void start(JobPtr job, std::move_only_function<void(Job&)> body);
  // kOverloaded when there are too many.
  Result<JobPtr> makeJob();
  void reap();

  Result<void> runBackup(Job& job, const BackupRequest& request, ledger::LedgerBackup& held);
  Result<void> copyCatalog(Job& job, const std::string& path);
  void stepCatalog(const JobPtr& job, const std::string& path);
  Result<ImportReport> runImport(Job& job, const Import& import);
  Result<std::uint64_t> spoolExport(Job& job, const ObjectKey& object, std::unique_ptr<File>& file);

  // Fixed once made
  const Dependencies to_;
  // Control thread only
  std::list<JobPtr> jobs_;
  std::uint64_t temporaries_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // with tasks on their way here
};

}  // namespace hf::server
