#include "storage/read_only_store.h"

#include <map>
#include <utility>

#include "base/limits.h"
#include "storage/object_files.h"
#include "storage/overlay.h"

namespace hf::storage {
namespace {

constexpr std::size_t kOpenFilesMax = 64;

class ReadOnlyStoreImpl final : public ReadOnlyStore, public ledger::Replayer {
 public:
  ReadOnlyStoreImpl(Disk& disk, std::string directory)
      : disk_(disk), directory_(std::move(directory)), files_(disk, directory_ + "/objects", kOpenFilesMax) {}

  Result<void> recover(ledger::ScanObserver* observer) {
    if (Result<void> loaded = context_.alarms.load(disk_, directory_); !loaded) {
      if (loaded.error().code != Errc::kCorrupt) return loaded;
      findings_.push_back({.file = directory_ + "/alarms", .offset = 0, .what = loaded.error().message});
    }
    HF_TRY(inspection_, ledger::inspectLedger(disk_, directory_ + "/ledger", *this, observer));
    findings_.insert(findings_.end(), inspection_.findings.begin(), inspection_.findings.end());
    return {};
  }

  [[nodiscard]] const ledger::Inspection& inspection() const override { return inspection_; }
  [[nodiscard]] const std::vector<ledger::Finding>& findings() const override { return findings_; }
  [[nodiscard]] std::vector<ScheduledAlarm> alarms() const override { return context_.alarms.all(); }
  [[nodiscard]] const std::set<NamespaceId>& deleted() const override { return deleted_; }
  [[nodiscard]] std::size_t replayedObjects() const override { return overlays_.size(); }

  [[nodiscard]] bool replaces(const ObjectKey& object, std::uint32_t page) const override {
    const auto it = overlays_.find(object);
    if (it == overlays_.end()) return deleted_.contains(object.ns);
    const Overlay::Found found = it->second->find(page);
    return found.page != nullptr || !found.fileCounts;
  }

  Result<std::vector<StoredObject>> listObjects(const NamespaceId& ns, const std::optional<ObjectId>& after,
                                                std::size_t limit) override {
    std::map<ObjectId, bool> found;
    auto it = overlays_.lower_bound(ObjectKey{.ns = ns, .id = after.value_or(ObjectId())});
    for (; it != overlays_.end() && it->first.ns == ns; ++it) {
      if (!after || it->first.id > *after) found[it->first.id] = it->second->pageCount() > 0;
    }
    if (!deleted_.contains(ns)) {
      HF_TRY(const std::vector<ObjectId> stored, files_.list(ns, after, limit + found.size()));
      for (const ObjectId& id : stored) found.emplace(id, true);
    }
    std::vector<StoredObject> objects;
    for (const auto& [id, hasData] : found) {
      if (objects.size() == limit) break;
      objects.push_back({.id = id, .hasStoredData = hasData});
    }
    return objects;
  }

  Result<std::optional<ObjectImage>> image(const ObjectKey& object) override {
    if (!findings_.empty()) {
      return fail(Errc::kCorrupt, "the directory is damaged, so what an object holds is not certain: " +
                                      findings_.front().file + ": " + findings_.front().what);
    }
    if (const auto it = overlays_.find(object); it != overlays_.end()) {
      if (std::optional<OverlaySnapshot> snapshot = it->second->snapshot()) {
        if (snapshot->pageCount == 0) return std::nullopt;
        return ObjectImage(files_, object, *std::move(snapshot));
      }
    }
    if (deleted_.contains(object.ns)) return std::nullopt;
    HF_TRY(const std::optional<std::uint32_t> pages, files_.pageCount(object, ObjectFiles::Completeness::kComplete));
    if (!pages || *pages == 0) return std::nullopt;
    return ObjectImage(files_, object, *pages);
  }

  // --- Replayer

  Result<void> onCommit(const ledger::RecoveredCommit& commit) override {
    if (commit.alarm) context_.alarms.apply(commit.object, *commit.alarm);
    std::unique_ptr<Overlay>& overlay = overlays_[commit.object];
    if (overlay == nullptr) {
      overlay = std::make_unique<Overlay>(commit.object, context_);
      if (deleted_.contains(commit.object.ns)) overlay->setFile(std::nullopt);
    }
    return overlay->replay(commit);
  }

  Result<void> onNamespaceDeleted(const ledger::NamespaceDeletion& deletion, ledger::Position /*end*/) override {
    context_.alarms.removeNamespace(deletion.ns);
    std::erase_if(overlays_, [&](const auto& entry) { return entry.first.ns == deletion.ns; });
    deleted_.insert(deletion.ns);
    return {};
  }

 private:
  Disk& disk_;
  const std::string directory_;
  OverlayContext context_;
  ObjectFiles files_;
  std::map<ObjectKey, std::unique_ptr<Overlay>> overlays_;
  std::set<NamespaceId> deleted_;
  ledger::Inspection inspection_;
  std::vector<ledger::Finding> findings_;
};

}  // namespace

Result<std::unique_ptr<ReadOnlyStore>> openStoreReadOnly(Disk& disk, const std::string& directory,
                                                         ledger::ScanObserver* observer) {
  auto store = std::make_unique<ReadOnlyStoreImpl>(disk, directory);
  HF_TRY_VOID(store->recover(observer));
  return store;
}

}  // namespace hf::storage
