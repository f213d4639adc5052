// What the tests of this room share: an executor that the test drives, a replayer that collects.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/executor.h"
#include "base/random.h"
#include "ledger/ledger.h"

namespace hf::ledger {

// Runs posted tasks on the test's thread, when the test says so.
class ManualExecutor final : public Executor {
 public:
  void post(Task task) override {
    {
      const std::scoped_lock lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    arrived_.notify_one();
  }
  [[nodiscard]] bool isCurrent() const override { return std::this_thread::get_id() == owner_; }
  std::uint64_t addTimer(SteadyTime when, Task task) override { HF_CHECK(false, "the ledger sets no timer"); }
  void cancelTimer(std::uint64_t id) override {}

  // Waits for one task and runs it.
  void runOne() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !tasks_.empty(); });
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
  }
  [[nodiscard]] std::size_t waiting() {
    const std::scoped_lock lock(mutex_);
    return tasks_.size();
  }

 private:
  const std::thread::id owner_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Task> tasks_;  // guarded by mutex_
};

using Pages = std::map<std::uint32_t, Bytes>;

struct ReplayedCommit {
  Position end;
  ObjectKey object;
  std::uint64_t transaction = 0;
  std::uint32_t pageCount = 0;
  bool reset = false;
  std::optional<AlarmChange> alarm;
};

// Keeps what it was told and applies the pages to `pages`, which may hold what a checkpoint saved.
class CollectingReplayer final : public Replayer {
 public:
  std::map<ObjectKey, Pages> pages;
  std::vector<ReplayedCommit> commits;
  std::vector<std::pair<NamespaceId, Position>> deletions;

  Result<void> onCommit(const RecoveredCommit& commit) override {
    Pages& of = pages[commit.object];
    if (commit.reset) of.clear();
    for (const RecoveredPage& page : commit.pages) {
      Bytes& image = of[page.number];
      if (image.empty() && !page.isWhole) return fail(Errc::kCorrupt, "test: a change to a page that is not there");
      image.resize(kPageBytes);
      HF_TRY_VOID(page.applyTo(image));
    }
    std::erase_if(of, [&](const auto& page) { return page.first > commit.pageCount; });
    commits.push_back({commit.end, commit.object, commit.transaction, commit.pageCount, commit.reset, commit.alarm});
    return {};
  }
  Result<void> onNamespaceDeleted(const NamespaceDeletion& deletion, Position end) override {
    std::erase_if(pages, [&](const auto& object) { return object.first.ns == deletion.ns; });
    deletions.emplace_back(deletion.ns, end);
    return {};
  }
};

inline ObjectKey keyOf(std::uint8_t number) {
  ObjectKey key;
  key.ns.bytes.fill(0xaa);
  key.id.bytes.fill(number);
  return key;
}

inline Bytes pageOf(SeededRandom& random) {
  Bytes page(kPageBytes);
  random.fill(page);
  return page;
}

// A page as SQLite might leave it: a few bytes changed, rows moved, or everything new.
inline Bytes changedPage(const Bytes& before, SeededRandom& random) {
  Bytes page = before;
  switch (random.below(5)) {
    case 0:
      return pageOf(random);
    case 1:
      return Bytes(kPageBytes, 0);
    case 2: {  // rows move by some bytes
      const std::size_t at = random.below(kPageBytes / 2);
      std::rotate(page.begin() + static_cast<std::ptrdiff_t>(at),
                  page.begin() + static_cast<std::ptrdiff_t>(at + 1 + random.below(200)), page.end());
      return page;
    }
    default:
      for (std::uint64_t i = 1 + random.below(6); i > 0; i--) {
        page[random.below(kPageBytes)] = static_cast<std::uint8_t>(random.below(256));
      }
      return page;
  }
}

inline CommitRecord commitOf(const ObjectKey& object, std::uint64_t transaction, const Bytes& page) {
  CommitRecord record;
  record.object = object;
  record.transaction = transaction;
  record.pageCount = 1;
  record.pages.push_back({.number = 1, .bytes = page, .previous = {}});
  return record;
}

// Waits until the ledger has its spare segment and its pool's thread is idle.
inline void awaitSpare(Ledger& ledger, const LedgerOptions& options) {
  while (ledger.stats().spareSegments < options.spareSegments) std::this_thread::yield();
}

inline LedgerOptions smallOptions() {
  LedgerOptions options;
  options.directory = "/ledger";
  options.segmentBytes = 64 * 1024;
  return options;
}

}  // namespace hf::ledger
