#include "storage/checkpoint_round.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hf::storage {
namespace {

// Images of a file in one record: a few megabytes, so that a large object costs no large buffers.
constexpr std::size_t kUndoPagesPerRecord = 512;
// Objects whose images are saved, or copied, by one step.
constexpr std::size_t kObjectsPerStep = 16;

}  // namespace

CheckpointRound::~CheckpointRound() { parts_.context.wholeOnly.store(false, std::memory_order_release); }

Result<CheckpointRound::Progress> CheckpointRound::step() {
  switch (state_) {
    case State::kBegin:
      HF_TRY_VOID(begin());
      state_ = isFull() ? State::kPosition : State::kSnapshot;
      return Progress::kMore;
    case State::kPosition:
      upTo_ = parts_.context.ledger->tail();
      state_ = State::kSnapshot;
      return Progress::kMore;
    case State::kSnapshot:
      snapshot();
      state_ = parts_.history == nullptr || snapshots_.empty() ? State::kDurable : State::kUndo;
      awaited_ = parts_.context.ledger->tail();
      return state_ == State::kDurable ? Progress::kWaitsForLedger : Progress::kMore;
    case State::kUndo:
      HF_TRY_VOID(saveUndo());
      if (next_ < snapshots_.size()) return Progress::kMore;
      awaited_ = parts_.context.ledger->tail();
      state_ = State::kDurable;
      return Progress::kWaitsForLedger;
    case State::kDurable: {
      HF_TRY_VOID(parts_.context.ledger->waitDurable(awaited_));
      if (sabotages(Sabotage::kRetiredBeforeFiles) && isFull()) HF_TRY_VOID(parts_.context.ledger->retire(upTo_));
      HF_TRY(writer_, parts_.files.writer(snapshots_.size()));
      next_ = 0;
      state_ = snapshots_.empty() ? State::kFinish : State::kCopy;
      return Progress::kMore;
    }
    case State::kCopy:
      for (std::size_t i = 0; i < kObjectsPerStep && next_ < snapshots_.size(); i++) HF_TRY_VOID(copyOne());
      if (next_ == snapshots_.size()) state_ = State::kSync;
      return Progress::kMore;
    case State::kSync:
      HF_TRY_VOID(writer_->sync());
      state_ = State::kFinish;
      return Progress::kMore;
    case State::kFinish:
      HF_TRY_VOID(finish());
      state_ = isFull() ? State::kArchive : State::kDone;
      return state_ == State::kDone ? Progress::kDone : Progress::kMore;
    case State::kArchive:
      if (parts_.history != nullptr && !sabotages(Sabotage::kArchiveSkipped)) {
        HF_TRY_VOID(parts_.history->archive(*parts_.context.ledger, upTo_));
        HF_TRY_VOID(parts_.history->prune());
      }
      state_ = State::kRetire;
      return Progress::kMore;
    case State::kRetire:
      if (upTo_ > parts_.context.ledger->retired()) HF_TRY_VOID(parts_.context.ledger->retire(upTo_));
      state_ = State::kDone;
      return Progress::kDone;
    case State::kDone:
      break;
  }
  HF_CHECK(false, "a round that is done takes no step");
  return Progress::kDone;
}

Result<void> CheckpointRound::begin() {
  // Later it would take with it what is written for objects that came after the deletion.
  HF_TRY_VOID(parts_.source.removeDeleted());
  if (!isFull()) return {};
  parts_.context.wholeOnly.store(true, std::memory_order_release);
  // Whoever has begun to commit without seeing this is with the ledger when the position is read.
  for (const auto& overlay : parts_.source.allOverlays()) overlay->awaitCommit();
  return {};
}

void CheckpointRound::snapshot() {
  // A full round asks again: an object may have been opened and written since the position was read.
  asked_ = isFull() ? parts_.source.allOverlays() : parts_.source.overlaysOf(*closed_);
  for (const auto& overlay : asked_) {
    std::optional<OverlaySnapshot> snapshot = overlay->snapshot();
    if (!snapshot) continue;
    snapshots_.push_back(*std::move(snapshot));
    overlays_.push_back(overlay);
  }
  if (!isFull()) return;
  parts_.context.wholeOnly.store(false, std::memory_order_release);
  alarms_ = parts_.context.alarms.encode();
  restores_ = parts_.context.restores.encode();
}

Result<void> CheckpointRound::saveUndo() {
  for (std::size_t i = 0; i < kObjectsPerStep && next_ < snapshots_.size(); i++, next_++) {
    Overlay& overlay = *overlays_[next_];
    HF_TRY(const std::optional<std::uint32_t> filePages,
           parts_.files.pageCount(overlay.object(), ObjectFiles::Completeness::kUnknown));
    UndoPlan plan = overlay.planUndo(snapshots_[next_], filePages.value_or(0));
    // A file that has become shorter was cut by a checkpoint that had saved what it cut; the record of that may be
    // retired, so that recovery did not see it.
    std::erase_if(plan.pages, [&](std::uint32_t number) { return number > filePages.value_or(0); });
    if (sabotages(Sabotage::kUndoSkipped)) continue;
    // Also if a round before this one has saved all: recovery must learn from what it replays, which begins at upTo_,
    // that the file may hold commits behind it.
    if (plan.pages.empty()) HF_TRY_VOID(appendUndo(overlay, plan, 0, 0));
    for (std::size_t at = 0; at < plan.pages.size(); at += kUndoPagesPerRecord) {
      HF_TRY_VOID(appendUndo(overlay, plan, at, std::min(kUndoPagesPerRecord, plan.pages.size() - at)));
    }
    overlay.undoSaved(plan);
  }
  return {};
}

Result<void> CheckpointRound::appendUndo(const Overlay& overlay, const UndoPlan& plan, std::size_t from,
                                         std::size_t count) {
  ledger::UndoRecord record{.object = overlay.object(), .from = plan.from, .filePages = plan.filePages, .pages = {}};
  std::vector<Page> images(count);
  for (std::size_t i = 0; i < count; i++) {
    const std::uint32_t number = plan.pages[from + i];
    // A damaged page is saved as it is: who goes back to it finds that its checksum is wrong.
    HF_TRY_VOID(parts_.files.readDamagedPage(overlay.object(), number, images[i]));
    record.pages.push_back({.number = number, .bytes = images[i], .previous = {}});
  }
  while (true) {
    const Result<ledger::Position> end = parts_.context.ledger->append(record);
    if (end) return {};
    if (end.error().code != Errc::kOverloaded) return std::unexpected(end.error());
    HF_TRY_VOID(parts_.context.ledger->waitDurable(parts_.context.ledger->tail()));
  }
}

Result<void> CheckpointRound::copyOne() {
  HF_TRY_VOID(writer_->write(overlays_[next_]->object(), snapshots_[next_]));
  next_++;
  return {};
}

Result<void> CheckpointRound::finish() {
  for (std::size_t i = 0; i < snapshots_.size(); i++) overlays_[i]->finish(snapshots_[i]);
  if (alarms_ && !sabotages(Sabotage::kAlarmsNotSaved))
    HF_TRY_VOID(parts_.context.alarms.save(parts_.disk, parts_.directory, *alarms_));
  if (restores_) HF_TRY_VOID(parts_.context.restores.save(parts_.disk, parts_.directory, *restores_));
  parts_.source.onCheckpointed(asked_);
  return {};
}

}  // namespace hf::storage
