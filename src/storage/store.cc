#include "storage/store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "storage/checkpointer.h"
#include "storage/database_impl.h"
#include "storage/object_files.h"
#include "storage/overlay.h"
#include "storage/store_impl.h"
#include "storage/store_tools.h"

namespace hf::storage {
namespace {

class StoreImpl final : public Store,
                        public StoreTools,
                        public OverlaySource,
                        public DatabaseOwner,
                        public ledger::Replayer {
 public:
  StoreImpl(Disk& disk, const Clock& clock, const Log& log, const StoreOptions& options)
      : disk_(disk),
        clock_(clock),
        log_(log),
        directory_(options.directory),
        files_(disk, options.directory + "/objects", limits::kOpenObjectFilesMax),
        checkpointer_(disk, clock, log, context_, files_, *this,
                      {.directory = options.directory, .closedDelay = options.closedDelay}) {
    context_.bytesMax = options.overlayBytesMax * 4;
    context_.bytesWanted = options.overlayBytesMax / 2;
    context_.ledgerBytesWanted = options.ledgerBytesMax;
  }

  ~StoreImpl() override {
    checkpointer_.stop();
    HF_CHECK(openCount() == 0, "databases are closed before their store");
  }

  Result<void> recover(const LedgerOpener& openLedger) {
    HF_TRY(kvPages_, makeStartingPages(kMakeKvTable));
    HF_TRY_VOID(disk_.makeDirectories(directory_));
    HF_TRY_VOID(context_.alarms.load(disk_, directory_));
    HF_TRY(ledger_, openLedger(*this));
    context_.ledger = ledger_.get();
    HF_TRY_VOID(removeDeleted());
    const ledger::RecoveryReport& report = ledger_->recovery();
    if (report.records > 0 || report.droppedBytes > 0) {
      log_.info("storage: recovered", {{"records", std::to_string(report.records)},
                                       {"bytes", std::to_string(report.bytes)},
                                       {"objects", std::to_string(objects_.size())},
                                       {"alarms", std::to_string(context_.alarms.size())},
                                       {"droppedBytes", std::to_string(report.droppedBytes)},
                                       {"droppedAt", report.droppedAt}});
    }
    context_.wake = [this] { checkpointer_.wake(); };
    checkpointer_.start();
    if (report.records > 0) checkpointer_.request();
    return {};
  }

  // --- Store

  Result<std::unique_ptr<Database>> open(const ObjectKey& object, std::string name) override {
    std::shared_ptr<Overlay> overlay;
    {
      const std::lock_guard lock(mutex_);
      Slot& slot = slotOf(object);
      if (slot.isOpen) return fail(Errc::kAlreadyExists, "the storage of this Durable Object is open already");
      slot.isOpen = true;
      overlay = slot.overlay;
    }
    if (!overlay->isFileKnown()) {
      Result<std::optional<std::uint32_t>> pages = files_.pageCount(object);
      if (!pages) {
        onDatabaseClosed(object);
        // The path is the operator's, not the application's.
        log_.error("storage: " + pages.error().message, {{"object", object.id.hex()}});
        const bool isCorrupt = pages.error().code == Errc::kCorrupt;
        return fail(pages.error().code,
                    isCorrupt ? "database disk image is malformed: SQLITE_CORRUPT" : "disk I/O error: SQLITE_IOERR");
      }
      overlay->setFile(*pages);
    }
    return std::make_unique<DatabaseImpl>(DatabaseContext{.overlay = std::move(overlay),
                                                          .files = files_,
                                                          .clock = clock_,
                                                          .log = log_,
                                                          .owner = *this,
                                                          .kvPages = kvPages_},
                                          std::move(name));
  }

  std::vector<ScheduledAlarm> recoveredAlarms() override { return context_.alarms.all(); }

  Result<std::vector<StoredObject>> listObjects(const NamespaceId& ns, const std::optional<ObjectId>& after,
                                                std::size_t limit) override {
    // Files second: an object that is checkpointed and forgotten in between is then seen twice, not missed.
    std::map<ObjectId, bool> found;
    {
      const std::lock_guard lock(mutex_);
      auto it = objects_.lower_bound(ObjectKey{.ns = ns, .id = after.value_or(ObjectId())});
      for (; it != objects_.end() && it->first.ns == ns; ++it) {
        if (after && it->first.id <= *after) continue;
        const Overlay& overlay = *it->second.overlay;
        const bool hasData = overlay.pageCount() > 0;
        if (hasData || overlay.isFileKnown()) found[it->first.id] = hasData;  // else its file says
      }
    }
    HF_TRY(const std::vector<ObjectId> stored, files_.list(ns, after, limit + found.size()));
    for (const ObjectId& id : stored) found.emplace(id, true);
    std::vector<StoredObject> objects;
    for (const auto& [id, hasStoredData] : found) {
      if (objects.size() == limit) break;
      objects.push_back({.id = id, .hasStoredData = hasStoredData});
    }
    return objects;
  }

  Result<void> deleteNamespace(const NamespaceId& ns) override {
    return checkpointer_.runExclusive([&]() -> Result<void> {
      {
        const std::lock_guard lock(mutex_);
        for (auto it = firstOf(ns); it != objects_.end() && it->first.ns == ns; ++it) {
          if (it->second.isOpen) return fail(Errc::kAlreadyExists, "an object of the namespace is open");
        }
      }
      HF_TRY(const ledger::Position end, ledger_->append(ledger::NamespaceDeletion{.ns = ns}));
      forgetNamespace(ns);
      HF_TRY_VOID(ledger_->waitDurable(end));
      return removeDeleted();
    });
  }

  ledger::Ledger& ledger() override { return *ledger_; }
  StoreTools& tools() override { return *this; }

  Result<void> health() override { return ledger_->hasSpace(); }

  Result<void> checkpoint() override { return checkpointer_.run(); }

  Result<void> close() override {
    HF_CHECK(openCount() == 0, "databases are closed before their store");
    checkpointer_.stop();
    return checkpointer_.run();
  }

  // --- StoreTools

  Result<std::uint64_t> copyObject(const ObjectKey& object, File& out, const ObjectImage::Progress& progress) override {
    std::uint64_t bytes = 0;
    HF_TRY_VOID(checkpointer_.runExclusive([&]() -> Result<void> {
      HF_TRY(const ObjectImage image, imageOf(object));
      if (image.pageCount() == 0) return fail(Errc::kNotFound, "the object stores nothing");
      // What is copied must not be gone after a power loss.
      HF_TRY_VOID(ledger_->waitDurable(ledger_->tail()));
      bytes = image.bytes();
      return image.copyTo(out, progress);
    }));
    return bytes;
  }

  Result<std::uint64_t> objectBytes(const ObjectKey& object) override {
    {
      const std::lock_guard lock(mutex_);
      const auto it = objects_.find(object);
      if (it != objects_.end() && (it->second.overlay->isFileKnown() || it->second.overlay->pageCount() > 0)) {
        return std::uint64_t{it->second.overlay->pageCount()} * kPageBytes;
      }
    }
    HF_TRY(const std::optional<std::uint32_t> pages, files_.pageCount(object));
    return std::uint64_t{pages.value_or(0)} * kPageBytes;
  }

  std::map<ObjectId, std::string> alarmNames(const NamespaceId& ns) override {
    std::map<ObjectId, std::string> names;
    for (ScheduledAlarm& alarm : context_.alarms.all()) {
      if (alarm.object.ns == ns && !alarm.objectName.empty()) names[alarm.object.id] = std::move(alarm.objectName);
    }
    return names;
  }

  Result<std::unique_ptr<ObjectHold>> hold(const ObjectKey& object) override {
    const std::lock_guard lock(mutex_);
    Slot& slot = slotOf(object);
    if (slot.isOpen) return fail(Errc::kAlreadyExists, "the storage of this Durable Object is in use");
    slot.isOpen = true;
    return std::make_unique<Hold>(*this, slot.overlay);
  }

  // --- DatabaseOwner

  void onDatabaseClosed(const ObjectKey& object) override {
    bool dirty = false;
    {
      const std::lock_guard lock(mutex_);
      const auto it = objects_.find(object);
      HF_CHECK(it != objects_.end() && it->second.isOpen, "an object is closed once");
      it->second.isOpen = false;
      dirty = it->second.overlay->isDirty();
      if (!dirty) objects_.erase(it);
    }
    if (dirty) checkpointer_.objectClosed(object);
  }

  void onMemoryReleased() override { checkpointer_.memoryReleased(); }

  // --- OverlaySource

  std::vector<std::shared_ptr<Overlay>> allOverlays() override {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Overlay>> overlays;
    overlays.reserve(objects_.size());
    for (const auto& [key, slot] : objects_) overlays.push_back(slot.overlay);
    return overlays;
  }

  std::vector<std::shared_ptr<Overlay>> overlaysOf(std::span<const ObjectKey> objects) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Overlay>> overlays;
    for (const ObjectKey& object : objects) {
      const auto it = objects_.find(object);
      if (it != objects_.end() && !it->second.isOpen) overlays.push_back(it->second.overlay);
    }
    return overlays;
  }

  void onCheckpointed(std::span<const std::shared_ptr<Overlay>> overlays) override {
    const std::lock_guard lock(mutex_);
    for (const auto& overlay : overlays) {
      const auto it = objects_.find(overlay->object());
      if (it == objects_.end() || it->second.overlay != overlay) continue;
      if (!it->second.isOpen && !overlay->isDirty()) objects_.erase(it);
    }
  }

  Result<void> removeDeleted() override {
    while (true) {
      std::optional<NamespaceId> ns;
      {
        const std::lock_guard lock(mutex_);
        if (deleted_.empty()) return {};
        ns = *deleted_.begin();
      }
      HF_TRY_VOID(files_.removeNamespace(*ns));
      const std::lock_guard lock(mutex_);
      deleted_.erase(*ns);
    }
  }

  // --- Replayer

  Result<void> onCommit(const ledger::RecoveredCommit& commit) override {
    if (commit.alarm) context_.alarms.apply(commit.object, *commit.alarm);
    const std::lock_guard lock(mutex_);
    const bool isNew = !objects_.contains(commit.object);
    Overlay& overlay = *slotOf(commit.object).overlay;
    // Its file, if there is one, belongs to an object that was deleted.
    if (isNew && deleted_.contains(commit.object.ns)) overlay.setFile(std::nullopt);
    return overlay.replay(commit);
  }

  Result<void> onNamespaceDeleted(const ledger::NamespaceDeletion& deletion, ledger::Position) override {
    forgetNamespace(deletion.ns);
    return {};
  }

 private:
  struct Slot {
    // Two owners: this table, and the open database or a checkpoint under way.
    std::shared_ptr<Overlay> overlay;
    bool isOpen = false;
  };
  using Objects = std::map<ObjectKey, Slot>;

  class Hold final : public ObjectHold {
   public:
    Hold(StoreImpl& store, std::shared_ptr<Overlay> overlay) : store_(store), overlay_(std::move(overlay)) {}
    ~Hold() override { store_.onDatabaseClosed(overlay_->object()); }
    Result<void> replace(std::vector<NumberedPage> pages, const ledger::AlarmChange& alarm) override {
      const auto pageCount = static_cast<std::uint32_t>(pages.size());
      HF_TRY(const ledger::Position end,
             overlay_->commit({.pages = std::move(pages), .pageCount = pageCount, .reset = true, .alarm = alarm}));
      return store_.ledger_->waitDurable(end);
    }

   private:
    StoreImpl& store_;
    // Two owners, as with an open database: this and the table.
    const std::shared_ptr<Overlay> overlay_;
  };

  // While no round runs.
  Result<ObjectImage> imageOf(const ObjectKey& object) {
    std::shared_ptr<Overlay> overlay;
    {
      const std::lock_guard lock(mutex_);
      if (const auto it = objects_.find(object); it != objects_.end()) overlay = it->second.overlay;
    }
    if (overlay != nullptr) {
      if (std::optional<OverlaySnapshot> taken = overlay->snapshot()) {
        return ObjectImage(files_, object, *std::move(taken));
      }
      if (overlay->isFileKnown()) return ObjectImage(files_, object, overlay->pageCount());
    }
    HF_TRY(const std::optional<std::uint32_t> pages, files_.pageCount(object));
    return ObjectImage(files_, object, pages.value_or(0));
  }

  Objects::iterator firstOf(const NamespaceId& ns) { return objects_.lower_bound(ObjectKey{.ns = ns, .id = {}}); }

  Slot& slotOf(const ObjectKey& object) {
    Slot& slot = objects_[object];
    if (slot.overlay == nullptr) slot.overlay = std::make_shared<Overlay>(object, context_);
    return slot;
  }

  void forgetNamespace(const NamespaceId& ns) {
    context_.alarms.removeNamespace(ns);
    const std::lock_guard lock(mutex_);
    auto it = firstOf(ns);
    while (it != objects_.end() && it->first.ns == ns) it = objects_.erase(it);
    deleted_.insert(ns);
  }

  std::size_t openCount() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(
        std::ranges::count_if(objects_, [](const auto& entry) { return entry.second.isOpen; }));
  }

  // Fixed once open
  Disk& disk_;
  const Clock& clock_;
  const Log& log_;
  const std::string directory_;
  std::vector<PageRef> kvPages_;
  std::unique_ptr<ledger::Ledger> ledger_;

  OverlayContext context_;
  ObjectFiles files_;

  std::mutex mutex_;
  // Guarded by mutex_
  Objects objects_;
  std::set<NamespaceId> deleted_;  // whose files are still to be removed

  Checkpointer checkpointer_;
};

}  // namespace

Result<std::unique_ptr<Store>> openStoreOn(Disk& disk, const Clock& clock, const Log& log, StoreOptions options,
                                           const LedgerOpener& openLedger) {
  auto store = std::make_unique<StoreImpl>(disk, clock, log, options);
  HF_TRY_VOID(store->recover(openLedger));
  return store;
}

}  // namespace hf::storage
