#include "storage/checkpointer.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hf::storage {
namespace {

constexpr std::chrono::milliseconds kSpacedLook{50};

}  // namespace

Checkpointer::Checkpointer(const Clock& clock, RoundParts parts, SpaceReserve& reserve, CheckpointerOptions options)
    : clock_(clock), parts_(std::move(parts)), reserve_(reserve), options_(options), notBefore_(clock.steady()) {}

Checkpointer::~Checkpointer() { stop(); }

void Checkpointer::start() {
  HF_CHECK(!thread_.joinable(), "a checkpointer is started once");
  if (options_.drive == ledger::Drive::kSteps) return;
  thread_ = std::thread([this] { loop(); });
}

void Checkpointer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  stepped_.reset();
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

bool Checkpointer::isUrgent() const {
  return parts_.context.isFull.load(std::memory_order_relaxed) ||
         parts_.context.bytes.load(std::memory_order_relaxed) > parts_.context.bytesWanted;
}

bool Checkpointer::isLedgerLong() const {
  return parts_.context.ledger->bytesSinceRetired() > parts_.context.ledgerBytesWanted;
}

Checkpointer::Due Checkpointer::look(SteadyTime now) {
  Due due;
  // Each commit would wake us as long as the ledger is too long: while its round has to wait, we look by ourselves.
  bool isSpaced = false;
  if (requested_ || isUrgent() || isLedgerLong()) {
    isSpaced = !requested_ && !isUrgent() && now < ledgerNotBefore_;
    due.full = now >= notBefore_ && !isSpaced;
    due.next = isSpaced ? std::min(ledgerNotBefore_, now + kSpacedLook) : notBefore_;
  }
  woken_.store(isSpaced, std::memory_order_relaxed);
  if (!closed_.empty()) {
    const SteadyTime at = std::max(closedSince_ + options_.closedDelay, notBefore_);
    if (now >= at) due.closed.assign(closed_.begin(), closed_.end());
    due.next = due.next ? std::min(*due.next, at) : at;
  }
  if (!due.isRound()) return due;
  if (due.full) requested_ = false;
  // A full round copies those that were closed as well.
  closed_.clear();
  return due;
}

std::unique_ptr<CheckpointRound> Checkpointer::begin(const Due& due) {
  if (due.full) return std::make_unique<CheckpointRound>(parts_);
  return std::make_unique<CheckpointRound>(parts_, due.closed);
}

bool Checkpointer::makeRoom() {
  if (reserve_.release()) {
    parts_.log.warn("the disk is full: the space that was kept in reserve is given up for a checkpoint");
    return true;
  }
  if (parts_.history == nullptr) return false;
  // Never without saving what is overwritten: whoever went back then would find something that never was.
  const Result<bool> dropped = parts_.history->dropOldest();
  if (!dropped || !*dropped) return false;
  parts_.log.warn("the disk is full: the oldest history is given up for a checkpoint");
  return true;
}

void Checkpointer::ended(const Due& due, const Result<void>& result) {
  if (result) {
    if (Result<void> kept = reserve_.keep(); !kept) parts_.log.warn("no space in reserve: " + kept.error().message);
    const std::lock_guard lock(mutex_);
    retryDelay_ = std::chrono::milliseconds{0};
    if (due.full) ledgerNotBefore_ = clock_.steady() + options_.ledgerSpacing;
    return;
  }
  const bool atOnce = result.error().code == Errc::kNoSpace && makeRoom();
  if (!atOnce) parts_.log.error("checkpoint failed, to be tried again: " + result.error().message);
  const std::lock_guard lock(mutex_);
  retryDelay_ = atOnce ? std::chrono::milliseconds{0}
                       : std::clamp(retryDelay_ * 2, options_.retryDelayMin, options_.retryDelayMax);
  notBefore_ = clock_.steady() + retryDelay_;
  requested_ = requested_ || due.full;
  if (closed_.empty()) closedSince_ = clock_.steady();
  closed_.insert(due.closed.begin(), due.closed.end());
}

void Checkpointer::loop() {
  while (true) {
    Due due;
    {
      std::unique_lock lock(mutex_);
      while (true) {
        trimIfDue(lock);
        if (stopping_) return;
        const SteadyTime now = clock_.steady();
        due = look(now);
        if (due.isRound()) break;
        if (trimAt_) due.next = due.next ? std::min(*due.next, *trimAt_) : *trimAt_;
        if (due.next) {
          changed_.wait_for(lock, *due.next - now);
        } else {
          changed_.wait(lock);
        }
      }
    }
    const std::lock_guard one(roundMutex_);
    const std::unique_ptr<CheckpointRound> round = begin(due);
    ended(due, finish(*round));
  }
}

bool Checkpointer::step() {
  if (stepped_ == nullptr) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return false;
      steppedFor_ = look(clock_.steady());
    }
    if (!steppedFor_.isRound()) return false;
    stepped_ = begin(steppedFor_);
  }
  const Result<CheckpointRound::Progress> progress = stepped_->step();
  if (progress && *progress != CheckpointRound::Progress::kDone) return true;
  stepped_.reset();
  ended(steppedFor_, progress ? Result<void>() : std::unexpected(progress.error()));
  return true;
}

Result<void> Checkpointer::finish(CheckpointRound& round) {
  while (true) {
    HF_TRY(const CheckpointRound::Progress progress, round.step());
    if (progress == CheckpointRound::Progress::kDone) return {};
  }
}

Result<void> Checkpointer::run() {
  return runExclusive([this]() -> Result<void> {
    const Due due{.full = true, .closed = {}, .next = {}};
    while (true) {
      const std::unique_ptr<CheckpointRound> round = begin(due);
      Result<void> done = finish(*round);
      if (done || done.error().code != Errc::kNoSpace || !makeRoom()) return done;
    }
  });
}

Result<void> Checkpointer::runExclusive(const std::function<Result<void>()>& task) {
  const std::lock_guard one(roundMutex_);
  while (stepped_ != nullptr) HF_IGNORE(step(), "the round ends, well or not");
  return task();
}

}  // namespace hf::storage
