// The ledger of one machine: a queue that shards fill, a thread that writes what has arrived with one sync.
// Invariants:
//  1. A batch is written after the sync of the batch before, so at most one batch on disk is not durable.
//  2. What waits in the queue fits into the active segment and the pool, whichever way it is split into batches.
//  3. After the first failed write or sync the disk is not touched by the writer again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "ledger/ledger.h"
#include "ledger/notifier.h"
#include "ledger/record_queue.h"
#include "ledger/recovery.h"
#include "ledger/segment_pool.h"

namespace hf::ledger {

class LocalLedger final : public Ledger {
 public:
  LocalLedger(Disk& disk, LedgerOptions options, Recovered recovered);
  ~LocalLedger() override;

  // Takes over the recovered spare files and starts the threads.
  Result<void> start(std::vector<std::unique_ptr<SegmentFile>> spares);

  Result<Position> append(const CommitRecord& record) override;
  Result<Position> append(std::span<const CommitRecord> group) override;
  Result<Position> append(const NamespaceDeletion& deletion) override;
  Result<Position> append(const UndoRecord& undo) override;
  Result<Position> append(const RestoreRequest& request) override;
  [[nodiscard]] LedgerId id() const override { return id_; }
  [[nodiscard]] Position tail() const override { return Position{tail_}; }
  [[nodiscard]] Position durable() const override { return Position{durable_}; }
  Result<void> waitDurable(Position position) override;
  void addListener(Executor& executor, DurabilityListener& listener) override { notifier_.add(executor, listener); }
  void removeListener(DurabilityListener& listener) override { notifier_.remove(listener); }
  Result<void> retire(Position upTo) override;
  [[nodiscard]] Position retired() const override { return Position{retired_}; }
  Result<void> read(Position from, Position to, RecordSink& sink) override;
  std::unique_ptr<Hold> hold() override;
  Result<std::unique_ptr<LedgerBackup>> beginBackup() override;
  [[nodiscard]] Result<void> hasSpace() override;
  bool step() override;
  [[nodiscard]] LedgerStats stats() const override;
  [[nodiscard]] const RecoveryReport& recovery() const override { return report_; }

 private:
  // What the writer does with one sync.
  struct Write {
    SegmentFile* segment = nullptr;
    std::uint64_t offset = 0;
    std::optional<SegmentHeader> header;  // the first batch of a segment brings it along
    std::uint64_t salt = 0;
    std::uint64_t position = 0;
    WallMs time = 0;
    RecordQueue::Batch batch;
  };
  class RetentionHold;

  template <class Record>
  Result<Position> encodeAndPush(const Record& record);
  class Backup;  // local_backup.cc
  Result<Position> push(Bytes& record);
  void writeLoop();
  void writeOne(Write plan);
  // Drive::kSteps: a batch is written in one step and synced in another, so that others come in between.
  void writeHalf();
  [[nodiscard]] bool sabotages(Sabotage which) const { return options_.sabotage == which; }
  Result<void> mark();
  // Of the newest segment that is on disk and holds what is not retired; 0: there is none.
  [[nodiscard]] std::uint64_t newestSequence(std::uint64_t retired) const;  // mutex_ held
  Write planWrite();                                                        // mutex_ held
  void activateSegment();                                                   // mutex_ held
  Result<void> write(const Write& plan);
  Result<void> syncWritten(const Write& plan);
  void publish(const Write& plan);
  void poison(const Error& why);

  // Fixed once open
  Disk& disk_;
  const LedgerOptions options_;
  const LedgerId id_;
  const RecoveryReport report_;
  SegmentPool pool_;
  Notifier notifier_;

  // Written by one thread, read by any
  std::atomic<std::uint64_t> tail_;
  std::atomic<std::uint64_t> durable_;
  std::atomic<std::uint64_t> retired_;
  std::atomic<std::uint64_t> records_ = 0;
  std::atomic<std::uint64_t> syncs_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable durableChanged_;
  // One mark at a time; before mutex_.
  std::mutex markMutex_;
  // Guarded by mutex_
  RecordQueue queue_;
  std::deque<LiveSegment> live_;
  bool isActive_ = false;  // the last of live_ is being written
  SegmentHeader active_;
  std::uint64_t activeOffset_ = 0;
  std::uint64_t activeLeft_ = 0;
  std::uint64_t lastSequence_;
  std::uint64_t durableSequence_;       // of the newest segment with a batch on disk
  std::uint64_t taken_;                 // position up to which batches were taken from the queue
  WallMs lastTime_;                     // of a batch
  std::multiset<std::uint64_t> holds_;  // positions after which every segment is wanted
  std::optional<Error> poisoned_;
  std::optional<Error> refused_;  // the last want of space, until hasSpace() finds some
  bool writerWaits_ = false;
  bool stopping_ = false;

  std::optional<Write> halfWritten_;  // Drive::kSteps

  std::jthread writer_;  // last: joined before the rest goes
};

}  // namespace hf::ledger
