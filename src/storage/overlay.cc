#include "storage/overlay.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace hf::storage {

Overlay::~Overlay() { clearPages(); }

void Overlay::clearPages() {
  context_.bytes.fetch_sub(pages_.size() * kPageBytes, std::memory_order_relaxed);
  pages_.clear();
}

Result<ledger::Position> Overlay::commit(PendingCommit pending) {
  if (context_.bytes.load(std::memory_order_relaxed) > context_.bytesMax) {
    return fail(Errc::kOverloaded, "database or disk is full: too much waits to be written to the objects' files");
  }
  std::uint64_t bytesNow = 0;
  ledger::Position end;
  {
    const std::lock_guard lock(mutex_);
    HF_CHECK(pending.reset || pending.pageCount >= pageCount_, "a database shrinks only by a reset");
    const bool wholeOnly = context_.wholeOnly.load(std::memory_order_acquire);
    ledger::CommitRecord record{.object = object_,
                                .transaction = transaction_ + 1,
                                .pageCount = pending.pageCount,
                                .reset = pending.reset,
                                .pages = {},
                                .alarm = std::move(pending.alarm)};
    record.pages.reserve(pending.pages.size());
    for (const auto& [number, page] : pending.pages) {
      HF_CHECK(number >= 1 && number <= pending.pageCount, "a commit's pages lie inside its database");
      ledger::PageImage image{.number = number, .bytes = *page, .previous = {}};
      if (!pending.reset && !wholeOnly) {
        const auto it = pages_.find(number);
        if (it != pages_.end() && it->second.isBase) image.previous = *it->second.page;
      }
      record.pages.push_back(image);
    }
    HF_TRY(end, context_.ledger->append(record));
    if (record.alarm) context_.alarms.apply(object_, *record.alarm);
    if (pending.reset) {
      clearPages();
      fileCounts_ = false;
      generation_++;
    }
    const std::size_t before = pages_.size();
    for (auto& [number, page] : pending.pages) {
      pages_[number] = Entry{.page = std::move(page), .isBase = !wholeOnly};
    }
    pageCount_ = pending.pageCount;
    transaction_++;
    lastCommit_ = end;
    sizeKnown_ = true;
    fileKnown_ = true;
    const std::uint64_t added = (pages_.size() - before) * kPageBytes;
    bytesNow = context_.bytes.fetch_add(added, std::memory_order_relaxed) + added;
  }
  if (context_.wake &&
      (bytesNow > context_.bytesWanted || end.value - context_.ledger->retired().value > context_.ledgerBytesWanted)) {
    context_.wake();
  }
  return end;
}

Overlay::Found Overlay::find(std::uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const auto it = pages_.find(number);
  return {.page = it == pages_.end() ? nullptr : it->second.page, .fileCounts = fileCounts_};
}

std::uint32_t Overlay::pageCount() const {
  const std::lock_guard lock(mutex_);
  return pageCount_;
}

std::optional<ledger::Position> Overlay::lastCommit() const {
  const std::lock_guard lock(mutex_);
  return lastCommit_;
}

void Overlay::setFile(std::optional<std::uint32_t> filePages) {
  const std::lock_guard lock(mutex_);
  if (fileKnown_) return;  // a checkpoint or a commit came between looking and telling, and knows better
  if (!sizeKnown_) pageCount_ = filePages.value_or(0);
  if (!filePages) fileCounts_ = false;
  fileKnown_ = true;
}

bool Overlay::isFileKnown() const {
  const std::lock_guard lock(mutex_);
  return fileKnown_;
}

Result<void> Overlay::replay(const ledger::RecoveredCommit& commit) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t before = pages_.size() * kPageBytes;
  if (commit.reset) {
    pages_.clear();
    fileCounts_ = false;
    generation_++;
  }
  for (const ledger::RecoveredPage& found : commit.pages) {
    Entry& entry = pages_[found.number];
    if (entry.page == nullptr && !found.isWhole) {
      return fail(Errc::kCorrupt, "ledger: object " + object_.id.hex() + " page " + std::to_string(found.number) +
                                      " is a change to an image that no earlier record holds");
    }
    auto page = std::make_shared<Page>();
    if (entry.page != nullptr) *page = *entry.page;
    HF_TRY_VOID(found.applyTo(*page));
    entry = {.page = std::move(page), .isBase = true};
  }
  pageCount_ = commit.pageCount;
  transaction_ = commit.transaction;
  lastCommit_ = commit.end;
  sizeKnown_ = true;
  context_.bytes.fetch_add(pages_.size() * kPageBytes - before, std::memory_order_relaxed);
  return {};
}

void Overlay::forget() {
  const std::lock_guard lock(mutex_);
  clearPages();
  pageCount_ = 0;
  transaction_ = 0;
  fileTransaction_ = 0;
  generation_++;
  lastCommit_.reset();
  fileCounts_ = false;
  fileKnown_ = true;
}

void Overlay::awaitCommit() const { const std::lock_guard lock(mutex_); }

std::optional<OverlaySnapshot> Overlay::snapshot() {
  const std::lock_guard lock(mutex_);
  if (transaction_ == fileTransaction_ && pages_.empty()) return std::nullopt;
  OverlaySnapshot taken{.pages = {},
                        .pageCount = pageCount_,
                        .transaction = transaction_,
                        .generation = generation_,
                        .fileCounts = fileCounts_};
  taken.pages.reserve(pages_.size());
  for (auto& [number, entry] : pages_) {
    entry.isBase = false;
    taken.pages.emplace_back(number, entry.page);
  }
  std::ranges::sort(taken.pages, {}, &NumberedPage::first);
  return taken;
}

void Overlay::finish(const OverlaySnapshot& snapshot) {
  const std::lock_guard lock(mutex_);
  HF_CHECK(snapshot.transaction <= transaction_, "a checkpoint copies what has been committed");
  if (snapshot.generation != generation_) return;  // reset meanwhile: the file is of no use any more
  std::uint64_t dropped = 0;
  for (const auto& [number, page] : snapshot.pages) {
    const auto it = pages_.find(number);
    HF_CHECK(it != pages_.end(), "a page leaves the overlay by one checkpoint at a time");
    if (it->second.page == page) {
      pages_.erase(it);
      dropped += kPageBytes;
    }
  }
  context_.bytes.fetch_sub(dropped, std::memory_order_relaxed);
  fileCounts_ = snapshot.pageCount > 0;
  fileKnown_ = true;
  fileTransaction_ = snapshot.transaction;
}

bool Overlay::isDirty() const {
  const std::lock_guard lock(mutex_);
  return transaction_ != fileTransaction_ || !pages_.empty();
}

}  // namespace hf::storage
