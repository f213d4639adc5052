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
#include "storage/job_thread.h"
#include "storage/object_files.h"
#include "storage/overlay.h"
#include "storage/past_state.h"
#include "storage/restoration.h"
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
        options_(options),
        files_(disk, options.directory + "/objects", limits::kOpenObjectFilesMax),
        reserve_(disk, options.directory, options.reserveBytes),
        jobs_(options.drive) {
    context_.bytesMax = options.overlayBytesMax * 4;
    context_.bytesWanted = options.overlayBytesMax / 2;
    context_.ledgerBytesWanted = options.ledgerBytesMax;
    context_.sabotage = options.sabotage;
    files_.sabotage(options.sabotage);
  }

  ~StoreImpl() override {
    jobs_.stop();
    if (checkpointer_ != nullptr) checkpointer_->stop();
    HF_CHECK(openCount() == 0, "databases are closed before their store");
  }

  Result<void> recover(const LedgerOpener& openLedger) {
    HF_TRY(kvPages_, makeStartingPages(kMakeKvTable));
    HF_TRY_VOID(disk_.makeDirectories(directory_));
    HF_TRY_VOID(context_.alarms.load(disk_, directory_));
    HF_TRY_VOID(context_.restores.load(disk_, directory_));
    HF_TRY(ledger_, openLedger(*this));
    context_.ledger = ledger_.get();
    HF_TRY_VOID(openHistory());
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
    checkpointer_ = std::make_unique<Checkpointer>(
        clock_,
        RoundParts{.disk = disk_,
                   .log = log_,
                   .context = context_,
                   .files = files_,
                   .source = *this,
                   .history = history_.get(),
                   .directory = directory_},
        reserve_, CheckpointerOptions{.drive = options_.drive, .closedDelay = options_.closedDelay});
    if (Result<void> kept = reserve_.keep(); !kept) log_.warn("no space in reserve: " + kept.error().message);
    if (options_.reserveBytes > 0) context_.hasRoom = [this](std::uint64_t more) { return hasRoom(more); };
    context_.wake = [this] { checkpointer_->wake(); };
    checkpointer_->start();
    if (report.records > 0) checkpointer_->request();
    return {};
  }

  // --- Store

  Result<std::unique_ptr<Database>> open(const ObjectKey& object, std::string name) override {
    Result<std::shared_ptr<Overlay>> overlay = take(object);
    if (!overlay) {
      const Error& why = overlay.error();
      if (why.code == Errc::kAlreadyExists) return std::unexpected(why);
      // The path is the operator's, not the application's.
      log_.error("storage: " + why.message, {{"object", object.id.hex()}});
      return fail(why.code, why.code == Errc::kCorrupt ? "database disk image is malformed: SQLITE_CORRUPT"
                                                       : "disk I/O error: SQLITE_IOERR");
    }
    return std::make_unique<DatabaseImpl>(DatabaseContext{.overlay = *std::move(overlay),
                                                          .files = files_,
                                                          .clock = clock_,
                                                          .log = log_,
                                                          .owner = *this,
                                                          .ledger = *ledger_,
                                                          .kvPages = kvPages_},
                                          std::move(name));
  }

  Result<std::optional<ledger::Position>> commitTogether(std::span<Database* const> databases) override {
    return storage::commitTogether(databases);
  }

  Result<bool> hasFacets(const ObjectKey& object) override {
    const ObjectKey index{.ns = object.ns, .id = facetId(object.id, kFacetIndex)};
    {
      const std::lock_guard lock(mutex_);
      const auto it = objects_.find(index);
      if (it != objects_.end() && (it->second.overlay->isFileKnown() || it->second.overlay->isSizeKnown())) {
        return it->second.overlay->pageCount() > 0;
      }
      if (deleted_.contains(object.ns)) return false;
    }
    HF_TRY(const std::optional<std::uint32_t> pages, files_.pageCount(index, ObjectFiles::Completeness::kComplete));
    return pages.value_or(0) > 0;
  }

  std::vector<ScheduledAlarm> recoveredAlarms() override { return context_.alarms.all(); }

  Result<std::vector<StoredObject>> listObjects(const NamespaceId& ns, const std::optional<ObjectId>& after,
                                                std::size_t limit) override {
    // Files second: an object that is checkpointed and forgotten in between is then seen twice, not missed.
    std::map<ObjectId, bool> found;
    bool isDeleted = false;  // the files that are still there belong to nobody
    {
      const std::lock_guard lock(mutex_);
      isDeleted = deleted_.contains(ns);
      auto it = objects_.lower_bound(ObjectKey{.ns = ns, .id = after.value_or(ObjectId())});
      for (; it != objects_.end() && it->first.ns == ns; ++it) {
        if (after && it->first.id <= *after) continue;
        const Overlay& overlay = *it->second.overlay;
        const bool hasData = overlay.pageCount() > 0;
        if (hasData || overlay.isFileKnown()) found[it->first.id] = hasData;  // else its file says
      }
    }
    if (!isDeleted) {
      HF_TRY(const std::vector<ObjectId> stored, files_.list(ns, after, limit + found.size()));
      for (const ObjectId& id : stored) found.emplace(id, true);
    }
    std::vector<StoredObject> objects;
    for (const auto& [id, hasStoredData] : found) {
      if (objects.size() == limit) break;
      objects.push_back({.id = id, .hasStoredData = hasStoredData});
    }
    return objects;
  }

  Result<void> deleteNamespace(const NamespaceId& ns) override {
    return checkpointer_->runExclusive([&]() -> Result<void> {
      {
        const std::lock_guard lock(mutex_);
        for (auto it = firstOf(ns); it != objects_.end() && it->first.ns == ns; ++it) {
          if (it->second.isOpen) return fail(Errc::kAlreadyExists, "an object of the namespace is open");
        }
      }
      HF_TRY(const ledger::Position end, ledger_->append(ledger::NamespaceDeletion{.ns = ns}));
      forgetNamespace(ns, end);
      HF_TRY_VOID(ledger_->waitDurable(end));
      return removeDeleted();
    });
  }

  // --- Point-in-time recovery

  Result<std::string> bookmark(const ObjectKey& object, ledger::Position position) override {
    HF_TRY_VOID(hasHistory());
    return formatBookmark({.position = position}, object, ledger_->id());
  }

  void bookmarkForTime(const ObjectKey& object, WallMs time, Executor& executor,
                       Completion<Result<std::string>> done) override {
    runJob<std::string>(executor, std::move(done), [this, object, time]() -> Result<std::string> {
      HF_TRY_VOID(hasHistory());
      std::string text;
      HF_TRY_VOID(checkpointer_->runExclusive([&]() -> Result<void> {
        HF_TRY_VOID(ledger_->waitDurable(ledger_->tail()));
        HF_TRY(const bool hasTree, hasFacets(object));
        HF_TRY(const auto tree, hasTree ? treeOf(object) : std::set<ObjectKey>{object});
        ledger::Position position;
        for (const ObjectKey& member : tree) {
          HF_TRY(const ledger::Position last, positionAt(member, time, pastSources()));
          position = std::max(position, last);
        }
        text = formatBookmark({.position = position}, object, ledger_->id());
        return {};
      }));
      return text;
    });
  }

  Result<RestoreRequested> requestRestore(const ObjectKey& object, std::string_view text) override {
    HF_TRY_VOID(hasHistory());
    HF_TRY(const Bookmark bookmark, parseBookmark(text, object, ledger_->id()));
    if (bookmark.position > ledger_->tail()) {
      return fail(Errc::kInvalidArgument, "The bookmark is one of the future");
    }
    if (bookmark.position < oldestKept(pastSources())) {
      return fail(Errc::kNotFound, "The bookmark is older than the history that is kept");
    }
    const ledger::RestoreRequest request{.object = object, .to = bookmark.position, .isUndo = bookmark.isUndo};
    HF_TRY(const ledger::Position end, ledger_->append(request));
    context_.restores.apply(request);
    return RestoreRequested{.undo = formatBookmark({.position = end, .isUndo = true}, object, ledger_->id()),
                            .position = end};
  }

  [[nodiscard]] bool hasRestoreRequest(const ObjectKey& object) override {
    return context_.restores.find(object).has_value();
  }
  void restore(const ObjectKey& object, std::string name, Executor& executor,
               Completion<Result<std::optional<WallMs>>> done) override {
    using Alarm = std::optional<WallMs>;
    runJob<Alarm>(executor, std::move(done), [this, object, name = std::move(name)]() -> Result<Alarm> {
      HF_TRY_VOID(restoreNow(object, name));
      return context_.alarms.find(object);
    });
  }

  void stopJobs() override { jobs_.stop(); }

  [[nodiscard]] std::optional<HistoryStats> historyStats() override {
    return history_ == nullptr ? std::nullopt : std::optional(history_->stats());
  }

  ledger::Ledger& ledger() override { return *ledger_; }
  StoreTools& tools() override { return *this; }

  // In turns, so that none waits until the others have nothing to do.
  bool step() override {
    for (int i = 0; i < 3; i++) {
      const std::uint32_t who = nextToStep_++ % 3;
      if (who == 0 ? ledger_->step() : who == 1 ? checkpointer_->step() : jobs_.step()) return true;
    }
    return false;
  }

  [[nodiscard]] bool isBehind() const override {
    return context_.bytes.load(std::memory_order_relaxed) > options_.overlayBytesMax;
  }

  Result<void> health() override {
    HF_TRY_VOID(ledger_->hasSpace());
    if (context_.isFull.load(std::memory_order_relaxed) && !hasRoom(0)) {
      return fail(Errc::kNoSpace, "the disk is full: no room for objects' files in " + directory_);
    }
    return {};
  }

  Result<void> checkpoint() override { return checkpointer_->run(); }

  Result<void> close() override {
    jobs_.stop();
    HF_CHECK(openCount() == 0, "databases are closed before their store");
    checkpointer_->stop();
    return checkpointer_->run();
  }

  // --- StoreTools

  Result<std::uint64_t> copyObject(const ObjectKey& object, File& out, const ObjectImage::Progress& progress) override {
    std::uint64_t bytes = 0;
    HF_TRY_VOID(checkpointer_->runExclusive([&]() -> Result<void> {
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
    HF_TRY(const std::optional<std::uint32_t> pages, files_.pageCount(object, ObjectFiles::Completeness::kComplete));
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
    if (dirty) checkpointer_->objectClosed(object);
  }

  void onMemoryReleased() override { checkpointer_->memoryReleased(); }

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
      std::optional<std::pair<NamespaceId, ledger::Position>> deleted;
      {
        const std::lock_guard lock(mutex_);
        if (deleted_.empty()) return {};
        deleted = *deleted_.begin();
      }
      // A deletion that is lost with the power must leave everything as it was.
      HF_TRY_VOID(ledger_->waitDurable(deleted->second));
      HF_TRY_VOID(files_.removeNamespace(deleted->first));
      const std::lock_guard lock(mutex_);
      deleted_.erase(deleted->first);
    }
  }

  // --- Replayer

  Result<void> onUndo(const ledger::RecoveredUndo& undo) override {
    const std::lock_guard lock(mutex_);
    // One that is unknown has a complete file.
    if (const auto it = objects_.find(undo.object); it != objects_.end()) it->second.overlay->replay(undo);
    return {};
  }

  Result<void> onRestoreRequest(const ledger::RestoreRequest& request) override {
    if (options_.sabotage != Sabotage::kRestoreForgotten) context_.restores.apply(request);
    return {};
  }

  Result<void> onCommit(const ledger::RecoveredCommit& commit) override {
    if (commit.endsRestore) context_.restores.apply({.object = commit.object, .to = std::nullopt});
    if (commit.alarm && options_.sabotage != Sabotage::kAlarmForgotten) {
      context_.alarms.apply(commit.object, *commit.alarm);
    }
    const std::lock_guard lock(mutex_);
    const bool isNew = !objects_.contains(commit.object);
    Overlay& overlay = *slotOf(commit.object).overlay;
    // Its file, if there is one, belongs to an object that was deleted.
    if (isNew && deleted_.contains(commit.object.ns)) overlay.setFile(std::nullopt);
    return overlay.replay(commit);
  }

  Result<void> onNamespaceDeleted(const ledger::NamespaceDeletion& deletion, ledger::Position end) override {
    if (options_.sabotage == Sabotage::kNamespaceDeletionIgnored) return {};
    forgetNamespace(deletion.ns, end);
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
      if (overlay->isDirty()) return ObjectImage(files_, object, overlay->peek());
      if (overlay->isFileKnown()) return ObjectImage(files_, object, overlay->pageCount());
    }
    HF_TRY(const std::optional<std::uint32_t> pages, files_.pageCount(object, ObjectFiles::Completeness::kComplete));
    return ObjectImage(files_, object, pages.value_or(0));
  }

  Objects::iterator firstOf(const NamespaceId& ns) { return objects_.lower_bound(ObjectKey{.ns = ns, .id = {}}); }

  Slot& slotOf(const ObjectKey& object) {
    Slot& slot = objects_[object];
    if (slot.overlay == nullptr) slot.overlay = std::make_shared<Overlay>(object, context_);
    return slot;
  }

  void forgetNamespace(const NamespaceId& ns, ledger::Position end) {
    context_.alarms.removeNamespace(ns);
    context_.restores.removeNamespace(ns);
    const std::lock_guard lock(mutex_);
    auto it = firstOf(ns);
    while (it != objects_.end() && it->first.ns == ns) it = objects_.erase(it);
    deleted_[ns] = end;
  }

  // What a checkpoint may need: files grow by at most what the overlays hold; with history the images that they hold
  // now go to the ledger, which takes whole segments, and the ledger's records to files; and a little for directories.
  [[nodiscard]] bool hasRoom(std::uint64_t more) {
    constexpr std::uint64_t kMarginBytes = 4UL * 1024 * 1024;
    const Result<std::uint64_t> freeBytes = disk_.freeBytes(directory_);
    if (!freeBytes) return true;
    const std::uint64_t bytes = context_.bytes.load(std::memory_order_relaxed) + more;
    const std::uint64_t need = history_ == nullptr ? bytes : 2 * bytes;
    return *freeBytes + reserve_.heldBytes() >= need + kMarginBytes;
  }

  Result<void> openHistory() {
    const std::string directory = directory_ + "/history";
    if (options_.historyRetention.count() == 0) return History::removeAll(disk_, directory);
    HF_TRY(history_, History::open(disk_, clock_, log_,
                                   {.directory = directory, .retention = options_.historyRetention}, *ledger_));
    return {};
  }

  [[nodiscard]] Result<void> hasHistory() const {
    if (history_ != nullptr) return {};
    return fail(Errc::kUnsupported,
                "This Durable Object's storage back-end does not implement point-in-time recovery.");
  }

  [[nodiscard]] PastSources pastSources() { return {.files = files_, .ledger = *ledger_, .history = history_.get()}; }

  template <class T>
  void runJob(Executor& executor, Completion<Result<T>> done, std::move_only_function<Result<T>()> job) {
    jobs_.post([&executor, done = std::move(done), job = std::move(job)]() mutable {
      executor.post([done = std::move(done), result = job()]() mutable { done(std::move(result)); });
    });
  }

  Result<void> restoreNow(const ObjectKey& object, const std::string& name) {
    const std::optional<ledger::RestoreRequest> request = context_.restores.find(object);
    if (!request) return {};
    Result<void> restored = checkpointer_->runExclusive([&]() -> Result<void> {
      HF_TRY_VOID(ledger_->waitDurable(ledger_->tail()));
      HF_TRY(const std::set<ObjectKey> tree, treeOf(object));
      const OverlayKeeper keeper{.take = [this](const ObjectKey& one) { return take(one); },
                                 .giveBack = [this](const ObjectKey& one) { onDatabaseClosed(one); }};
      const Bookmark to{.position = *request->to, .isUndo = request->isUndo};
      HF_TRY(const ledger::Position end, restoreTree(object, tree, keeper, to, name, pastSources(), clock_));
      return ledger_->waitDurable(end);
    });
    if (restored) {
      log_.info("storage: taken back to a bookmark", {{"object", object.id.hex()}});
      return {};
    }
    log_.error("storage: could not take an object back to a bookmark: " + restored.error().message,
               {{"object", object.id.hex()}});
    if (restored.error().code == Errc::kAlreadyExists) return restored;  // the next session tries again
    const ledger::RestoreRequest none{.object = object, .to = std::nullopt};
    if (const auto dropped = ledger_->append(none); !dropped) return std::unexpected(dropped.error());
    context_.restores.apply(none);
    return restored;
  }

  Result<std::set<ObjectKey>> treeOf(const ObjectKey& object) {
    HF_TRY(std::set<ObjectKey> tree, recordedTree(object, pastSources()));
    tree.insert(object);
    ObjectKey from = object;
    std::fill(from.id.bytes.begin() + 16, from.id.bytes.end(), std::uint8_t{0});
    {
      const std::lock_guard lock(mutex_);
      for (auto it = objects_.lower_bound(from); it != objects_.end() && isOfTree(it->first, object); ++it) {
        tree.insert(it->first);
      }
    }
    HF_TRY_VOID(addStoredTree(object, files_, tree));
    return tree;
  }

  // Marks the object as open, and looks its file up.
  Result<std::shared_ptr<Overlay>> take(const ObjectKey& object) {
    std::shared_ptr<Overlay> overlay;
    {
      const std::lock_guard lock(mutex_);
      Slot& slot = slotOf(object);
      if (slot.isOpen) return fail(Errc::kAlreadyExists, "the storage of this Durable Object is open already");
      slot.isOpen = true;
      overlay = slot.overlay;
      // A file that is still there belongs to an object that was deleted.
      if (deleted_.contains(object.ns) && !overlay->isFileKnown()) overlay->setFile(std::nullopt);
    }
    if (!overlay->isFileKnown()) {
      Result<std::optional<std::uint32_t>> pages = files_.pageCount(
          object, overlay->isSizeKnown() ? ObjectFiles::Completeness::kUnknown : ObjectFiles::Completeness::kComplete);
      if (!pages) {
        onDatabaseClosed(object);
        return std::unexpected(pages.error());
      }
      overlay->setFile(*pages);
    }
    return overlay;
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
  const StoreOptions options_;
  std::vector<PageRef> kvPages_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<History> history_;  // nullptr: none is kept

  OverlayContext context_;
  ObjectFiles files_;

  std::mutex mutex_;
  // Guarded by mutex_
  Objects objects_;
  std::map<NamespaceId, ledger::Position> deleted_;  // whose files are still to be removed; the ends of the deletions

  SpaceReserve reserve_;
  std::unique_ptr<Checkpointer> checkpointer_;
  JobThread jobs_;
  std::uint32_t nextToStep_ = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> openStoreOn(Disk& disk, const Clock& clock, const Log& log, StoreOptions options,
                                           const LedgerOpener& openLedger) {
  auto store = std::make_unique<StoreImpl>(disk, clock, log, options);
  HF_TRY_VOID(store->recover(openLedger));
  return store;
}

}  // namespace hf::storage
