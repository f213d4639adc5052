// One checkpoint, as a state machine: each step is a small piece of it, so that a simulator can put anything between
// two steps. What it does in which order, and why that is safe: checkpointer.h.
//
//   full:    begin → position → snapshot → undo … → durable → copy … → sync → finish → archive → retire → done
//   closed:  begin →            snapshot → undo … → durable → copy … → sync → finish → done
//
// Thread:  one at a time; no two rounds at once.
// Borrows: everything in RoundParts.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/log.h"
#include "base/object_id.h"
#include "base/result.h"
#include "storage/history.h"
#include "storage/object_files.h"
#include "storage/overlay.h"

namespace hf::storage {

// The store's table of objects.
class OverlaySource {
 public:
  virtual ~OverlaySource() = default;
  virtual std::vector<std::shared_ptr<Overlay>> allOverlays() = 0;
  virtual std::vector<std::shared_ptr<Overlay>> overlaysOf(std::span<const ObjectKey> objects) = 0;
  // They may be forgotten if their files are complete and nobody has them open.
  virtual void onCheckpointed(std::span<const std::shared_ptr<Overlay>> overlays) = 0;
  // Before a round: what has to be done to files before the ledger forgets why.
  virtual Result<void> removeDeleted() = 0;
};

struct RoundParts {
  Disk& disk;
  const Log& log;
  OverlayContext& context;
  ObjectFiles& files;
  OverlaySource& source;
  History* history = nullptr;  // nullptr: none is kept
  std::string directory;       // where the alarms are kept
};

class CheckpointRound final {
 public:
  // A full round, or one for these objects as far as they are closed.
  explicit CheckpointRound(const RoundParts& parts) : parts_(parts), state_(State::kBegin) {}
  CheckpointRound(const RoundParts& parts, std::vector<ObjectKey> closed)
      : parts_(parts), closed_(std::move(closed)), state_(State::kBegin) {}
  ~CheckpointRound();
  CheckpointRound(const CheckpointRound&) = delete;
  CheckpointRound& operator=(const CheckpointRound&) = delete;

  enum class Progress : std::uint8_t { kMore, kWaitsForLedger, kDone };
  // kWaitsForLedger: the next step has to wait until awaited() is durable; it does so itself, by blocking.
  // After an error the round is over.
  Result<Progress> step();
  [[nodiscard]] ledger::Position awaited() const { return awaited_; }

 private:
  enum class State : std::uint8_t {
    kBegin,
    kPosition,
    kSnapshot,
    kUndo,
    kDurable,
    kCopy,
    kSync,
    kFinish,
    kArchive,
    kRetire,
    kDone
  };
  using Overlays = std::vector<std::shared_ptr<Overlay>>;

  Result<void> begin();
  void snapshot();
  Result<void> saveUndo();
  Result<void> appendUndo(const Overlay& overlay, const UndoPlan& plan, std::size_t from, std::size_t count);
  Result<void> copyOne();
  Result<void> finish();
  [[nodiscard]] bool sabotages(Sabotage which) const { return parts_.context.sabotage == which; }
  [[nodiscard]] bool isFull() const { return !closed_; }

  const RoundParts parts_;
  const std::optional<std::vector<ObjectKey>> closed_;
  State state_;
  ledger::Position upTo_;     // what a full round retires
  ledger::Position awaited_;  // what the copies may reflect
  Overlays asked_;
  Overlays overlays_;  // with something to copy
  std::vector<OverlaySnapshot> snapshots_;
  std::size_t next_ = 0;  // of them
  std::optional<AlarmIndex::Encoded> alarms_;
  std::optional<RestoreIndex::Encoded> restores_;
  std::unique_ptr<ObjectFiles::Writer> writer_;
};

}  // namespace hf::storage
