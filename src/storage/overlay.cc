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

// What is accepted must find its place in the files: asked anew with every megabyte, and while the answer is no.
Result<void> Overlay::checkRoom(std::uint64_t more) {
  constexpr std::uint64_t kStepBytes = 1024UL * 1024;
  if (!context_.hasRoom || more == 0) return {};
  const std::uint64_t bytes = context_.bytes.load(std::memory_order_relaxed);
  const bool asks =
      context_.isFull.load(std::memory_order_relaxed) || bytes / kStepBytes != (bytes + more) / kStepBytes;
  if (!asks) return {};
  const bool isFull = !context_.hasRoom(more);
  context_.isFull.store(isFull, std::memory_order_relaxed);
  // A checkpoint turns what is held twice into what is held once.
  if (isFull && context_.wake) context_.wake();
  if (isFull) return fail(Errc::kNoSpace, "the disk has no room left for what waits to be written to objects' files");
  return {};
}

Result<void> Overlay::accepts(std::uint64_t more) {
  HF_TRY_VOID(checkRoom(more));
  if (context_.bytes.load(std::memory_order_relaxed) > context_.bytesMax) {
    return fail(Errc::kOverloaded, "database or disk is full: too much waits to be written to the objects' files");
  }
  return {};
}

bool Overlay::takesWholeOnly() const {
  return context_.wholeOnly.load(std::memory_order_acquire) && !sabotages(Sabotage::kStaleBase);
}

ledger::CommitRecord Overlay::recordOf(const PendingCommit& pending, bool wholeOnly) const {
  HF_CHECK(pending.reset || pending.endsRestore || pending.pageCount >= pageCount_,
           "a database shrinks only by a reset, or when it is taken back");
  ledger::CommitRecord record{.object = object_,
                              .transaction = transaction_ + 1,
                              .pageCount = pending.pageCount,
                              .reset = pending.reset,
                              .endsRestore = pending.endsRestore,
                              .pages = {},
                              .alarm = pending.alarm};
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
  return record;
}

std::uint64_t Overlay::installed(PendingCommit pending, bool wholeOnly, ledger::Position end) {
  if (pending.alarm) context_.alarms.apply(object_, *pending.alarm);
  if (pending.endsRestore) context_.restores.apply({.object = object_, .to = std::nullopt});
  if (isClean()) beginDirty(end);
  if (pending.reset) {
    clearPages();
    fileCounts_ = false;
    generation_++;
  }
  if (pending.endsRestore) shrunkTo(pending.pageCount);
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
  return context_.bytes.fetch_add(added, std::memory_order_relaxed) + added;
}

void Overlay::wakeCheckpointer(std::uint64_t bytesNow, ledger::Position end) {
  if (context_.wake &&
      (bytesNow > context_.bytesWanted || end.value - context_.ledger->retired().value > context_.ledgerBytesWanted)) {
    context_.wake();
  }
}

Result<ledger::Position> Overlay::commit(PendingCommit pending) {
  HF_TRY_VOID(accepts(pending.pages.size() * kPageBytes));
  std::uint64_t bytesNow = 0;
  ledger::Position end;
  {
    const std::lock_guard lock(mutex_);
    const bool wholeOnly = takesWholeOnly();
    HF_TRY(end, context_.ledger->append(recordOf(pending, wholeOnly)));
    bytesNow = installed(std::move(pending), wholeOnly, end);
  }
  wakeCheckpointer(bytesNow, end);
  return end;
}

Result<ledger::Position> Overlay::commitTogether(std::span<GroupMember> members) {
  HF_CHECK(!members.empty(), "a group has members");
  // In one order for all, so that no two groups wait for each other. (A checkpoint holds one lock at a time.)
  std::ranges::sort(members, {}, [](const GroupMember& member) { return member.overlay->object(); });
  Overlay& first = *members.front().overlay;
  std::uint64_t more = 0;
  for (const GroupMember& member : members) more += member.pending.pages.size() * kPageBytes;
  HF_TRY_VOID(first.accepts(more));
  std::uint64_t bytesNow = 0;
  ledger::Position end;
  {
    std::vector<std::unique_lock<std::mutex>> locks;
    locks.reserve(members.size());
    for (const GroupMember& member : members) locks.emplace_back(member.overlay->mutex_);
    const bool wholeOnly = first.takesWholeOnly();
    std::vector<ledger::CommitRecord> records;
    records.reserve(members.size());
    for (const GroupMember& member : members) records.push_back(member.overlay->recordOf(member.pending, wholeOnly));
    HF_TRY(end, first.context_.ledger->append(std::span<const ledger::CommitRecord>(records)));
    for (GroupMember& member : members) {
      bytesNow = member.overlay->installed(std::move(member.pending), wholeOnly, end);
    }
  }
  first.wakeCheckpointer(bytesNow, end);
  return end;
}

void Overlay::beginDirty(ledger::Position firstCommit) {
  HF_CHECK(firstCommit.value > 0, "a record has a length");
  // Everything that ends before this commit is in the file.
  dirtySince_ = ledger::Position{firstCommit.value - 1};
  saved_.reset();
}

void Overlay::shrunkTo(std::uint32_t pageCount) {
  const std::size_t dropped = std::erase_if(pages_, [&](const auto& entry) { return entry.first > pageCount; });
  context_.bytes.fetch_sub(dropped * kPageBytes, std::memory_order_relaxed);
  fileLimit_ = std::min(fileLimit_, pageCount);
}

Overlay::Found Overlay::find(std::uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const auto it = pages_.find(number);
  return {.page = it == pages_.end() ? nullptr : it->second.page, .fileCounts = fileCounts_ && number <= fileLimit_};
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

bool Overlay::isSizeKnown() const {
  const std::lock_guard lock(mutex_);
  return sizeKnown_;
}

bool Overlay::isFileKnown() const {
  const std::lock_guard lock(mutex_);
  return fileKnown_;
}

Result<void> Overlay::replay(const ledger::RecoveredCommit& commit) {
  const std::lock_guard lock(mutex_);
  if (isClean()) beginDirty(commit.end);
  if (commit.reset) {
    clearPages();
    fileCounts_ = false;
    generation_++;
  }
  if (commit.endsRestore) shrunkTo(commit.pageCount);
  const std::uint64_t before = pages_.size() * kPageBytes;
  for (const ledger::RecoveredPage& found : commit.pages) {
    Entry& entry = pages_[found.number];
    if (entry.page == nullptr && !found.isWhole) {
      return fail(Errc::kCorrupt, "ledger: object " + object_.id.hex() + " page " + std::to_string(found.number) +
                                      " is a change to an image that no earlier record holds");
    }
    auto page = std::make_shared<Page>();
    if (entry.page != nullptr) *page = *entry.page;
    HF_TRY_VOID(found.applyTo(*page));
    // No base for what comes: the file may be of a version behind this image, and history begins there.
    entry = {.page = std::move(page), .isBase = false};
  }
  if (!sabotages(Sabotage::kSizeForgotten)) pageCount_ = commit.pageCount;
  transaction_ = commit.transaction;
  lastCommit_ = commit.end;
  sizeKnown_ = true;
  context_.bytes.fetch_add(pages_.size() * kPageBytes - before, std::memory_order_relaxed);
  return {};
}

void Overlay::install(const std::map<std::uint32_t, PageRef>& pages, std::uint32_t pageCount, std::uint32_t fileLimit) {
  const std::lock_guard lock(mutex_);
  HF_CHECK(pages_.empty() && !fileKnown_, "an overlay is filled once");
  for (const auto& [number, page] : pages) pages_[number] = Entry{.page = page};
  context_.bytes.fetch_add(pages_.size() * kPageBytes, std::memory_order_relaxed);
  pageCount_ = pageCount;
  fileLimit_ = fileLimit;
  fileCounts_ = fileLimit > 0;
  fileKnown_ = true;
  sizeKnown_ = true;
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
  saved_.reset();
}

void Overlay::replay(const ledger::RecoveredUndo& undo) {
  const std::lock_guard lock(mutex_);
  // A file that was completed, and nothing has been committed since.
  if (isClean()) return;
  // The file went with a deletion of the namespace that recovery carries out again: the object begins without one.
  if (fileKnown_) return;
  if (saved_ == nullptr || undo.from != dirtySince_) {
    // The checkpoint before this one was completed.
    saved_ = std::make_unique<Saved>();
    saved_->filePages = undo.filePages;
    dirtySince_ = undo.from;
  }
  for (const ledger::RecoveredPage& page : undo.pages) saved_->pages.insert(page.number);
}

UndoPlan Overlay::planUndo(const OverlaySnapshot& snapshot, std::uint32_t filePages) const {
  const std::lock_guard lock(mutex_);
  UndoPlan plan{.from = dirtySince_,
                .filePages = saved_ == nullptr ? filePages : saved_->filePages,
                .pages = {},
                .isFirst = saved_ == nullptr};
  const auto need = [&](std::uint32_t number) {
    if (number <= plan.filePages && (saved_ == nullptr || !saved_->pages.contains(number)))
      plan.pages.push_back(number);
  };
  const std::uint32_t kept = snapshot.fileCounts ? std::min(snapshot.pageCount, snapshot.fileLimit) : 0;
  for (const NumberedPage& page : snapshot.pages) {
    if (page.first <= kept) need(page.first);
  }
  for (std::uint32_t number = kept + 1; number <= plan.filePages; number++) need(number);
  return plan;
}

void Overlay::undoSaved(const UndoPlan& plan) {
  const std::lock_guard lock(mutex_);
  if (saved_ == nullptr) {
    saved_ = std::make_unique<Saved>();
    saved_->filePages = plan.filePages;
  }
  saved_->pages.insert(plan.pages.begin(), plan.pages.end());
}

std::optional<ledger::Position> Overlay::fileVersion() const {
  const std::lock_guard lock(mutex_);
  return isClean() ? std::nullopt : std::optional(dirtySince_);
}

OverlaySnapshot Overlay::peek() const {
  const std::lock_guard lock(mutex_);
  return copy();
}

void Overlay::awaitCommit() const { const std::lock_guard lock(mutex_); }

OverlaySnapshot Overlay::copy() const {
  OverlaySnapshot taken{.pages = {},
                        .pageCount = pageCount_,
                        .transaction = transaction_,
                        .generation = generation_,
                        .version = lastCommit_.value_or(ledger::Position{}),
                        .fileCounts = fileCounts_,
                        .fileLimit = fileLimit_};
  taken.pages.reserve(pages_.size());
  for (const auto& [number, entry] : pages_) taken.pages.emplace_back(number, entry.page);
  std::ranges::sort(taken.pages, {}, &NumberedPage::first);
  return taken;
}

std::optional<OverlaySnapshot> Overlay::snapshot() {
  const std::lock_guard lock(mutex_);
  if (isClean()) return std::nullopt;
  for (auto& [number, entry] : pages_) entry.isBase = sabotages(Sabotage::kStaleBase);
  return copy();
}

void Overlay::finish(const OverlaySnapshot& snapshot) {
  const std::lock_guard lock(mutex_);
  HF_CHECK(snapshot.transaction <= transaction_, "a checkpoint copies what has been committed");
  saved_.reset();
  dirtySince_ = snapshot.version;
  if (snapshot.generation != generation_) {
    // Reset meanwhile: the file is of no use any more, but history wants to know what is in it.
    fileTransaction_ = snapshot.transaction;
    return;
  }
  std::uint64_t dropped = 0;
  for (const auto& [number, page] : snapshot.pages) {
    const auto it = pages_.find(number);
    // Taken back meanwhile: the page may be gone.
    if (it != pages_.end() && (it->second.page == page || sabotages(Sabotage::kChangedPageDropped))) {
      pages_.erase(it);
      dropped += kPageBytes;
    }
  }
  context_.bytes.fetch_sub(dropped, std::memory_order_relaxed);
  fileCounts_ = snapshot.pageCount > 0;
  if (snapshot.fileLimit == fileLimit_) fileLimit_ = std::numeric_limits<std::uint32_t>::max();
  fileKnown_ = true;
  fileTransaction_ = snapshot.transaction;
}

bool Overlay::isDirty() const {
  const std::lock_guard lock(mutex_);
  return !isClean();
}

}  // namespace hf::storage
