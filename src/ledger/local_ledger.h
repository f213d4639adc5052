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
  Result<Position> append(const NamespaceDeletion& deletion) override;
  [[nodiscard]] Position tail() const override { return Position{tail_}; }
  [[nodiscard]] Position durable() const override { return Position{durable_}; }
  Result<void> waitDurable(Position position) override;
  void addListener(Executor& executor, DurabilityListener& listener) override { notifier_.add(executor, listener); }
  void removeListener(DurabilityListener& listener) override { notifier_.remove(listener); }
  Result<void> retire(Position upTo) override;
  [[nodiscard]] Position retired() const override { return Position{retired_}; }
  Result<std::unique_ptr<LedgerBackup>> beginBackup() override;
  [[nodiscard]] Result<void> hasSpace() override;
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
    RecordQueue::Batch batch;
  };

  class Backup;  // local_backup.cc
  Result<Position> push(Bytes& record);
  void writeLoop();
  Write planWrite();       // mutex_ held
  void activateSegment();  // mutex_ held
  Result<void> write(const Write& plan);
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
  // Guarded by mutex_
  RecordQueue queue_;
  std::deque<LiveSegment> live_;
  bool isActive_ = false;  // the last of live_ is being written
  SegmentHeader active_;
  std::uint64_t activeOffset_ = 0;
  std::uint64_t activeLeft_ = 0;
  std::uint64_t lastSequence_;
  std::uint64_t taken_;  // position up to which batches were taken from the queue
  std::optional<Error> poisoned_;
  std::optional<Error> refused_;       // the last want of space, until hasSpace() finds some
  std::multiset<std::uint64_t> held_;  // positions after which a backup needs every segment
  bool writerWaits_ = false;
  bool stopping_ = false;

  std::jthread writer_;  // last: joined before the rest goes
};

}  // namespace hf::ledger
