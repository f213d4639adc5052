#include "storage/checkpointer.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hf::storage {

Checkpointer::Checkpointer(Disk& disk, const Clock& clock, const Log& log, OverlayContext& context, ObjectFiles& files,
                           OverlaySource& source, CheckpointerOptions options)
    : disk_(disk),
      clock_(clock),
      log_(log),
      context_(context),
      files_(files),
      source_(source),
      options_(std::move(options)) {}

Checkpointer::~Checkpointer() { stop(); }

void Checkpointer::start() {
  HF_CHECK(!thread_.joinable(), "a checkpointer is started once");
  thread_ = std::thread([this] { loop(); });
}

void Checkpointer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::wake() {
  if (woken_.exchange(true, std::memory_order_relaxed)) return;
  // Under the lock, so that the thread is not between looking and sleeping.
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void Checkpointer::request() {
  const std::lock_guard lock(mutex_);
  requested_ = true;
  changed_.notify_all();
}

void Checkpointer::objectClosed(const ObjectKey& object) {
  const std::lock_guard lock(mutex_);
  const bool isFirst = closed_.empty();
  if (isFirst) closedSince_ = clock_.steady();
  closed_.insert(object);
  if (isFirst) changed_.notify_all();
}

void Checkpointer::memoryReleased() {
  const std::lock_guard lock(mutex_);
  if (++releases_ < options_.releasesBeforeTrim || trimAt_) return;
  trimAt_ = clock_.steady() + options_.trimDelay;
  changed_.notify_all();
}

// Drops the lock while the heap is gone through.
void Checkpointer::trimIfDue(std::unique_lock<std::mutex>& lock) {
  if (!trimAt_ || clock_.steady() < *trimAt_) return;
  trimAt_.reset();
  releases_ = 0;
  lock.unlock();
  malloc_trim(0);
  lock.lock();
}

bool Checkpointer::enough() const {
  return context_.bytes.load(std::memory_order_relaxed) > context_.bytesWanted ||
         context_.ledger->bytesSinceRetired() > context_.ledgerBytesWanted;
}

void Checkpointer::loop() {
  std::chrono::milliseconds retryDelay{0};
  SteadyTime notBefore = clock_.steady();
  while (true) {
    bool full = false;
    std::vector<ObjectKey> closed;
    {
      std::unique_lock lock(mutex_);
      while (true) {
        trimIfDue(lock);
        if (stopping_) return;
        const SteadyTime now = clock_.steady();
        woken_.store(false, std::memory_order_relaxed);
        std::optional<SteadyTime> next;
        if (requested_ || enough()) {
          full = now >= notBefore;
          next = notBefore;
        }
        if (!closed_.empty()) {
          const SteadyTime due = std::max(closedSince_ + options_.closedDelay, notBefore);
          if (now >= due) closed.assign(closed_.begin(), closed_.end());
          next = next ? std::min(*next, due) : due;
        }
        if (full || !closed.empty()) break;
        if (trimAt_) next = next ? std::min(*next, *trimAt_) : *trimAt_;
        if (next) {
          changed_.wait_for(lock, *next - now);
        } else {
          changed_.wait(lock);
        }
      }
      if (full) requested_ = false;
      closed_.clear();
    }
    Result<void> done = full ? run() : closedRound(closed);
    if (done) {
      retryDelay = std::chrono::milliseconds{0};
      continue;
    }
    log_.error("checkpoint failed, to be tried again: " + done.error().message);
    retryDelay = std::clamp(retryDelay * 2, options_.retryDelayMin, options_.retryDelayMax);
    notBefore = clock_.steady() + retryDelay;
    const std::lock_guard lock(mutex_);
    requested_ = requested_ || full;
    if (closed_.empty()) closedSince_ = clock_.steady();
    closed_.insert(closed.begin(), closed.end());
  }
}

Result<void> Checkpointer::run() {
  const std::lock_guard round(roundMutex_);
  return fullRound();
}

Result<void> Checkpointer::runExclusive(const std::function<Result<void>()>& task) {
  const std::lock_guard round(roundMutex_);
  return task();
}

// Snapshots of those that have something to copy; `overlays` keeps only these.
std::vector<OverlaySnapshot> Checkpointer::takeDown(Overlays& overlays) {
  std::vector<OverlaySnapshot> snapshots;
  std::erase_if(overlays, [&](const std::shared_ptr<Overlay>& overlay) {
    std::optional<OverlaySnapshot> snapshot = overlay->snapshot();
    if (!snapshot) return true;
    snapshots.push_back(*std::move(snapshot));
    return false;
  });
  HF_CHECK(snapshots.size() == overlays.size(), "each overlay kept has its snapshot");
  return snapshots;
}

Result<void> Checkpointer::copy(const Overlays& overlays, const std::vector<OverlaySnapshot>& snapshots) {
  std::vector<ObjectFiles::Copy> copies;
  copies.reserve(snapshots.size());
  for (std::size_t i = 0; i < snapshots.size(); i++) {
    copies.push_back({.object = overlays[i]->object(), .snapshot = &snapshots[i]});
  }
  HF_TRY_VOID(files_.write(copies));
  for (std::size_t i = 0; i < snapshots.size(); i++) overlays[i]->finish(snapshots[i]);
  return {};
}

Result<void> Checkpointer::fullRound() {
  HF_TRY_VOID(source_.removeDeleted());
  context_.wholeOnly.store(true, std::memory_order_release);
  for (const auto& overlay : source_.allOverlays()) overlay->awaitCommit();
  const ledger::Position upTo = context_.ledger->tail();
  // Asked again: an object may have been opened and written in between.
  Overlays overlays = source_.allOverlays();
  const std::vector<OverlaySnapshot> snapshots = takeDown(overlays);
  context_.wholeOnly.store(false, std::memory_order_release);
  const std::optional<AlarmIndex::Encoded> alarms = context_.alarms.encode();

  HF_TRY_VOID(context_.ledger->waitDurable(context_.ledger->tail()));
  HF_TRY_VOID(copy(overlays, snapshots));
  if (alarms) {
    HF_TRY_VOID(AlarmIndex::write(disk_, options_.directory, alarms->bytes));
    context_.alarms.saved(alarms->version);
  }
  source_.onCheckpointed(overlays);
  if (upTo > context_.ledger->retired()) HF_TRY_VOID(context_.ledger->retire(upTo));
  return {};
}

Result<void> Checkpointer::closedRound(std::span<const ObjectKey> objects) {
  const std::lock_guard round(roundMutex_);
  // Afterwards it would take what is written here with it.
  HF_TRY_VOID(source_.removeDeleted());
  Overlays overlays = source_.overlaysOf(objects);
  const Overlays asked = overlays;
  const std::vector<OverlaySnapshot> snapshots = takeDown(overlays);
  if (!snapshots.empty()) {
    HF_TRY_VOID(context_.ledger->waitDurable(context_.ledger->tail()));
    HF_TRY_VOID(copy(overlays, snapshots));
  }
  source_.onCheckpointed(asked);
  return {};
}

}  // namespace hf::storage
