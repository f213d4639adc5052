#include "storage/restoration.h"

#include <cstring>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/page_checksum.h"
#include "storage/connection.h"

namespace hf::storage {
namespace {

// A page of a database that is its file with some pages in front; zeroes where there is none.
Result<void> readPage(const ObjectKey& object, const PageRef& inFront, bool fileCounts, std::uint32_t number,
                      ObjectFiles& files, Page& out) {
  if (inFront != nullptr) {
    out = *inFront;
    return {};
  }
  if (fileCounts) return files.readPage(object, number, out);
  out.fill(0);
  return {};
}

// The checksum is the file's matter.
bool isSame(const Page& a, const Page& b) {
  return std::memcmp(a.data(), b.data(), kPageBytes - kPageChecksumBytes) == 0;
}

// What differs between what was and what is.
Result<std::vector<NumberedPage>> differences(const Overlay& overlay, const PastState& past, ObjectFiles& files) {
  const OverlaySnapshot now = overlay.peek();
  std::map<std::uint32_t, PageRef> current(now.pages.begin(), now.pages.end());
  const std::uint32_t nowLimit = now.fileCounts ? std::min(now.fileLimit, now.pageCount) : 0;
  // Where neither has a page in front both have the file's, if it counts for both.
  std::set<std::uint32_t> candidates;
  for (const auto& [number, page] : past.pages) candidates.insert(number);
  for (const auto& [number, page] : current) candidates.insert(number);
  for (std::uint32_t n = std::min(nowLimit, past.fileLimit) + 1; n <= past.pageCount; n++) candidates.insert(n);
  std::vector<NumberedPage> pages;
  for (const std::uint32_t number : candidates) {
    if (number > past.pageCount) break;
    const auto was = past.pages.find(number);
    const auto is = current.find(number);
    auto target = std::make_shared<Page>();
    HF_TRY_VOID(readPage(overlay.object(), was == past.pages.end() ? nullptr : was->second, number <= past.fileLimit,
                         number, files, *target));
    if (number <= now.pageCount) {
      Page present;
      HF_TRY_VOID(readPage(overlay.object(), is == current.end() ? nullptr : is->second, number <= nowLimit, number,
                           files, present));
      if (isSame(*target, present)) continue;
    }
    pages.emplace_back(number, std::move(target));
    if (pages.size() * kPageBytes > limits::kTransactionBytesMax) {
      return fail(Errc::kLimit, "more than " + std::to_string(limits::kTransactionBytesMax) +
                                    " bytes of the database have changed since the bookmark");
    }
  }
  return pages;
}

// The alarm that the database held.
Result<std::optional<WallMs>> alarmIn(const ObjectKey& object, const PastState& past, ObjectFiles& files,
                                      const Clock& clock) {
  if (past.pageCount == 0) return std::nullopt;
  OverlayContext alone;
  Overlay overlay(object, alone);
  overlay.install(past.pages, past.pageCount, past.fileLimit);
  DatabaseFile file{.overlay = overlay, .files = files};
  const Result<std::unique_ptr<Connection>> opened = Connection::open(file, clock);
  // The disk's reason, if it has one, and not what SQLite makes of it.
  if (!opened) return std::unexpected(file.refusal.value_or(opened.error()));
  const std::unique_ptr<Connection>& connection = *opened;
  const Result<bool> hasTable = connection->hasTable("_cf_METADATA");
  if (!hasTable) return std::unexpected(file.refusal.value_or(hasTable.error()));
  std::optional<WallMs> at;
  if (*hasTable) {
    HF_TRY(sqlite3_stmt* const statement, connection->internal(Internal::kAlarmGet));
    const int code = connection->stepTrusted(statement);
    if (code == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_INTEGER) {
      at = sqlite3_column_int64(statement, 0) / kAlarmUnitsPerMs;
    }
    sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      return std::unexpected(
          file.refusal.value_or(Error{Errc::kCorrupt, "the database at the bookmark cannot be read"}));
    }
  }
  return at;
}

// Gives back what it has taken.
class Taken final {
 public:
  explicit Taken(const OverlayKeeper& keeper) : keeper_(keeper) {}
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  ~Taken() {
    for (const auto& overlay : overlays_) keeper_.giveBack(overlay->object());
  }
  Result<Overlay*> add(const ObjectKey& object) {
    HF_TRY(std::shared_ptr<Overlay> overlay, keeper_.take(object));
    return overlays_.emplace_back(std::move(overlay)).get();
  }

 private:
  const OverlayKeeper& keeper_;
  // Two owners, as with an open database: this and the store's table.
  std::vector<std::shared_ptr<Overlay>> overlays_;
};

// What takes `overlay` back to what it was.
Result<PendingCommit> wayBack(const Overlay& overlay, const PastState& past, ObjectFiles& files) {
  PendingCommit pending{.pages = {}, .pageCount = past.pageCount, .reset = past.pageCount == 0, .endsRestore = true};
  HF_TRY(pending.pages, differences(overlay, past, files));
  return pending;
}

}  // namespace

Result<ledger::Position> restoreTree(const ObjectKey& object, const std::set<ObjectKey>& tree,
                                     const OverlayKeeper& keeper, const Bookmark& bookmark, const std::string& name,
                                     const PastSources& sources, const Clock& clock) {
  Taken taken(keeper);
  HF_TRY(Overlay* const root, taken.add(object));
  HF_TRY(const PastState past, pastState(object, bookmark, *root, sources));
  std::vector<GroupMember> members(1);
  members.front().overlay = root;
  HF_TRY(members.front().pending, wayBack(*root, past, sources.files));
  HF_TRY(const std::optional<WallMs> alarm, alarmIn(object, past, sources.files, clock));
  members.front().pending.alarm = ledger::AlarmChange{.at = alarm, .objectName = name};
  if (tree.size() == 1) return root->commit(std::move(members.front().pending));
  HF_TRY(const ledger::Position point, pointOf(object, bookmark, sources));
  for (const ObjectKey& facet : tree) {
    if (facet == object) continue;
    // Also one that is as it was: an undo wants to find the restoration in each one's life.
    HF_TRY(Overlay* const overlay, taken.add(facet));
    HF_TRY(const PastState was, pastState(facet, {.position = point}, *overlay, sources));
    HF_TRY(PendingCommit pending, wayBack(*overlay, was, sources.files));
    members.push_back({.overlay = overlay, .pending = std::move(pending)});
  }
  return Overlay::commitTogether(members);
}

}  // namespace hf::storage
