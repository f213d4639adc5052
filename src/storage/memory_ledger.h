// For tests: a ledger that remembers records, refuses them when told, and is durable when told.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "ledger/ledger.h"

namespace hf::storage {

struct RememberedCommit {
  ObjectKey object;
  std::uint64_t transaction = 0;
  std::uint32_t pageCount = 0;
  bool reset = false;
  std::vector<std::uint32_t> wholePages;
  std::vector<std::uint32_t> changedPages;
  std::optional<ledger::AlarmChange> alarm;
};

class MemoryLedger final : public ledger::Ledger {
 public:
  Result<ledger::Position> append(const ledger::CommitRecord& record) override {
    const std::lock_guard lock(mutex_);
    if (refusal) return std::unexpected(*refusal);
    remember(record);
    return advance();
  }
  Result<ledger::Position> append(std::span<const ledger::CommitRecord> group) override {
    const std::lock_guard lock(mutex_);
    if (refusal) return std::unexpected(*refusal);
    groups.push_back(group.size());
    for (const ledger::CommitRecord& record : group) remember(record);
    return advance();
  }
  void remember(const ledger::CommitRecord& record) {
    RememberedCommit commit{.object = record.object,
                            .transaction = record.transaction,
                            .pageCount = record.pageCount,
                            .reset = record.reset,
                            .alarm = record.alarm};
    for (const ledger::PageImage& page : record.pages) {
      (page.previous.empty() ? commit.wholePages : commit.changedPages).push_back(page.number);
    }
    commits.push_back(std::move(commit));
  }
  Result<ledger::Position> append(const ledger::NamespaceDeletion& deletion) override {
    const std::lock_guard lock(mutex_);
    deletions.push_back(deletion.ns);
    return advance();
  }
  Result<ledger::Position> append(const ledger::UndoRecord& undo) override {
    const std::lock_guard lock(mutex_);
    for (const ledger::PageImage& page : undo.pages) undone.push_back({undo.object, page.number});
    return advance();
  }
  Result<ledger::Position> append(const ledger::RestoreRequest& request) override {
    const std::lock_guard lock(mutex_);
    requests.push_back(request);
    return advance();
  }
  ledger::LedgerId id() const override { return {}; }
  ledger::Position tail() const override {
    if (beforeTail) std::exchange(beforeTail, nullptr)();
    ledger::Position tail;
    {
      const std::lock_guard lock(mutex_);
      tail = {tail_};
    }
    if (afterTail) std::exchange(afterTail, nullptr)();
    return tail;
  }
  ledger::Position durable() const override {
    const std::lock_guard lock(mutex_);
    return {durable_};
  }
  Result<void> waitDurable(ledger::Position position) override {
    std::unique_lock lock(mutex_);
    waiting_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return durable_ >= position.value; });
    waiting_--;
    return {};
  }
  void addListener(Executor&, ledger::DurabilityListener&) override {}
  void removeListener(ledger::DurabilityListener&) override {}
  Result<void> retire(ledger::Position upTo) override {
    const std::lock_guard lock(mutex_);
    retired_ = upTo.value;
    return {};
  }
  ledger::Position retired() const override {
    const std::lock_guard lock(mutex_);
    return {retired_};
  }
  Result<void> read(ledger::Position, ledger::Position, ledger::RecordSink&) override {
    return fail(Errc::kUnsupported, "a ledger for tests keeps no bytes");
  }
  std::unique_ptr<Hold> hold() override { return nullptr; }
  ledger::LedgerStats stats() const override { return {}; }
  const ledger::RecoveryReport& recovery() const override { return report_; }

  // Nothing becomes durable until release().
  void holdBack() {
    const std::lock_guard lock(mutex_);
    held = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    held = false;
    durable_ = tail_;
    changed_.notify_all();
  }
  void waitUntilSomebodyWaits() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ > 0; });
  }

  // The test's thread, while nobody else uses the store.
  std::optional<Error> refusal;
  // Run once, by the next call of tail(): before and after it has looked.
  mutable std::function<void()> beforeTail;
  mutable std::function<void()> afterTail;
  std::vector<RememberedCommit> commits;
  std::vector<std::size_t> groups;  // their sizes
  std::vector<NamespaceId> deletions;
  std::vector<std::pair<ObjectKey, std::uint32_t>> undone;
  std::vector<ledger::RestoreRequest> requests;
  bool held = false;

 private:
  ledger::Position advance() {
    tail_ += 100;
    if (!held) durable_ = tail_;
    return ledger::Position{tail_};
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0;
  std::uint64_t tail_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t retired_ = 0;
  ledger::RecoveryReport report_;
};

}  // namespace hf::storage
