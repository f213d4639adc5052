#include "storage/past_state.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "base/page_checksum.h"
#include "ledger/record.h"

namespace hf::storage {
namespace {

class FunctionSink final : public ledger::RecordSink {
 public:
  using Function = std::function<Result<void>(BytesView record, ledger::Position end, WallMs time)>;
  FunctionSink(const ObjectKey& object, Function function) : object_(object), function_(std::move(function)) {}
  Result<void> onRecord(BytesView record, ledger::Position end, WallMs time) override {
    if (ledger::objectOf(record) != object_) return {};
    return function_(record, end, time);
  }

 private:
  const ObjectKey object_;
  const Function function_;
};

std::unexpected<Error> notKept(ledger::Position position) {
  return fail(Errc::kNotFound,
              "The bookmark is older than the history that is kept (position " + std::to_string(position.value) + ")");
}

// The object's records that end in (from, durable], in order.
Result<void> readRecords(const ObjectKey& object, ledger::Position from, const PastSources& sources,
                         const FunctionSink::Function& function) {
  FunctionSink sink(object, function);
  ledger::Position live = std::max(from, sources.ledger.retired());
  if (sources.history != nullptr) {
    const ledger::Position end = sources.history->stats().end;
    HF_TRY_VOID(sources.history->read(object, from, end, sink));
    live = std::max(live, end);
  }
  return sources.ledger.read(live, sources.ledger.durable(), sink);
}

// Builds the state at the end of an interval's base and of the commits after it.
class Builder {
 public:
  // Undo images of one file version on, in order: the first of a page counts.
  Result<void> undo(const ledger::RecoveredUndo& record) {
    for (const ledger::RecoveredPage& page : record.pages) {
      if (state.pages.contains(page.number)) continue;
      auto image = std::make_shared<Page>();
      HF_TRY_VOID(page.applyTo(*image));
      if (!pageChecksumFits(*image)) {
        return fail(Errc::kCorrupt, "history: page " + std::to_string(page.number) + " of object " +
                                        record.object.id.hex() + " was damaged in its file when it was saved");
      }
      state.pages.emplace(page.number, std::move(image));
    }
    return {};
  }

  Result<void> commit(const ledger::RecoveredCommit& commit) {
    if (commit.reset) {
      state.pages.clear();
      state.fileLimit = 0;
    }
    if (commit.endsRestore) {
      std::erase_if(state.pages, [&](const auto& page) { return page.first > commit.pageCount; });
      state.fileLimit = std::min(state.fileLimit, commit.pageCount);
    }
    for (const ledger::RecoveredPage& page : commit.pages) {
      auto image = std::make_shared<Page>();
      PageRef& place = state.pages[page.number];
      if (!page.isWhole) {
        if (place == nullptr) {
          return fail(Errc::kCorrupt, "history: page " + std::to_string(page.number) + " of object " +
                                          commit.object.id.hex() + " is a change to an image that is not kept");
        }
        *image = *place;
      }
      HF_TRY_VOID(page.applyTo(*image));
      place = std::move(image);
    }
    state.pageCount = commit.pageCount;
    return {};
  }

  PastState state;
};

// What is known about the object's life since `oldest`.
struct Life {
  std::vector<ledger::Position> commits;               // their ends
  std::map<ledger::Position, std::uint32_t> versions;  // of the file that were overwritten: their sizes
  std::optional<ledger::Position> restoration;         // the first one after the bookmark
};

Result<Life> lifeOf(const ObjectKey& object, ledger::Position oldest, ledger::Position after,
                    const PastSources& sources) {
  Life life;
  HF_TRY_VOID(readRecords(object, oldest, sources, [&](BytesView record, ledger::Position end, WallMs) -> Result<void> {
    HF_TRY(const ledger::RecoveredRecord decoded, ledger::decodeRecord(record, end));
    if (const auto* commit = std::get_if<ledger::RecoveredCommit>(&decoded)) {
      life.commits.push_back(end);
      if (commit->endsRestore && end > after && !life.restoration) life.restoration = end;
    }
    if (const auto* undo = std::get_if<ledger::RecoveredUndo>(&decoded)) {
      // A recovery can take the file back to an earlier version (its namespace had been deleted): those after it went.
      life.versions.erase(life.versions.upper_bound(undo->from), life.versions.end());
      life.versions.emplace(undo->from, undo->filePages);
    }
    return {};
  }));
  return life;
}

}  // namespace

ledger::Position oldestKept(const PastSources& sources) {
  return sources.history == nullptr ? sources.ledger.retired() : sources.history->stats().start;
}

Result<ledger::Position> pointOf(const ObjectKey& object, const Bookmark& bookmark, const PastSources& sources) {
  if (!bookmark.isUndo) return bookmark.position;
  const ledger::Position oldest = oldestKept(sources);
  if (bookmark.position < oldest) return notKept(bookmark.position);
  HF_TRY(const Life life, lifeOf(object, oldest, bookmark.position, sources));
  return life.restoration ? ledger::Position{life.restoration->value - 1} : sources.ledger.durable();
}

Result<std::set<ObjectKey>> recordedTree(const ObjectKey& root, const PastSources& sources) {
  std::set<ObjectKey> found;
  ledger::Position live = sources.ledger.retired();
  if (sources.history != nullptr) {
    HF_TRY_VOID(sources.history->collectObjects([&](const ObjectKey& object) {
      if (isOfTree(object, root)) found.insert(object);
    }));
    live = std::max(live, sources.history->stats().end);
  }
  class TreeSink final : public ledger::RecordSink {
   public:
    TreeSink(const ObjectKey& root, std::set<ObjectKey>& found) : root_(root), found_(found) {}
    Result<void> onRecord(BytesView record, ledger::Position, WallMs) override {
      if (const auto object = ledger::objectOf(record); object && isOfTree(*object, root_)) found_.insert(*object);
      return {};
    }

   private:
    const ObjectKey& root_;
    std::set<ObjectKey>& found_;
  };
  TreeSink sink(root, found);
  HF_TRY_VOID(sources.ledger.read(live, sources.ledger.durable(), sink));
  return found;
}

Result<void> addStoredTree(const ObjectKey& root, ObjectFiles& files, std::set<ObjectKey>& tree) {
  constexpr std::size_t kFilesAtOnce = 64;
  ObjectKey from = root;
  std::fill(from.id.bytes.begin() + 16, from.id.bytes.end(), std::uint8_t{0});
  while (true) {
    HF_TRY(const std::vector<ObjectId> stored, files.list(root.ns, from.id, kFilesAtOnce));
    for (const ObjectId& id : stored) {
      from.id = id;
      if (!isOfTree(from, root)) return {};
      tree.insert(from);
    }
    if (stored.size() < kFilesAtOnce) return {};
  }
}

Result<PastState> pastState(const ObjectKey& object, const Bookmark& bookmark, const Overlay& overlay,
                            const PastSources& sources) {
  const ledger::Position oldest = oldestKept(sources);
  if (bookmark.position < oldest) return notKept(bookmark.position);
  HF_TRY(Life life, lifeOf(object, oldest, bookmark.position, sources));
  ledger::Position at = bookmark.position;
  if (bookmark.isUndo) at = life.restoration ? ledger::Position{life.restoration->value - 1} : sources.ledger.durable();

  // The file as it is now is the newest version: complete, or as of the commits that wait in the overlay.
  const bool isComplete = !overlay.fileVersion();
  ledger::Position now = overlay.fileVersion().value_or(oldest);
  if (isComplete && !life.commits.empty()) now = std::max(now, life.commits.back());
  HF_TRY(const std::optional<std::uint32_t> filePages,
         sources.files.pageCount(
             object, isComplete ? ObjectFiles::Completeness::kComplete : ObjectFiles::Completeness::kUnknown));
  life.versions.emplace(now, filePages.value_or(0));

  // From the newest version at or before the point its commits lead there. A later one will do when nothing was
  // committed in between, and must when the commits from the earlier one are not kept.
  auto base = life.versions.upper_bound(at);
  const auto commitsIn = [&](ledger::Position from, ledger::Position to) {
    return std::ranges::any_of(life.commits, [&](ledger::Position end) { return end > from && end <= to; });
  };
  const bool laterWillDo = base != life.versions.end() && !commitsIn(at, base->first);
  if (!laterWillDo) {
    if (base == life.versions.begin()) return notKept(at);
    --base;
    if (base->first < oldest) return notKept(at);
  }
  const ledger::Position from = base->first;

  Builder builder;
  builder.state.pageCount = builder.state.fileLimit = base->second;
  std::vector<std::pair<ledger::Position, Bytes>> commits;
  std::map<ledger::Position, std::vector<Bytes>> undone;
  HF_TRY_VOID(readRecords(object, oldest, sources, [&](BytesView record, ledger::Position end, WallMs) -> Result<void> {
    HF_TRY(const ledger::RecoveredRecord decoded, ledger::decodeRecord(record, end));
    if (std::holds_alternative<ledger::RecoveredCommit>(decoded) && end > from && end <= at) {
      commits.emplace_back(end, Bytes(record.begin(), record.end()));
    }
    if (const auto* undo = std::get_if<ledger::RecoveredUndo>(&decoded); undo != nullptr) {
      undone.erase(undone.upper_bound(undo->from), undone.end());
      if (undo->from >= from) undone[undo->from].emplace_back(record.begin(), record.end());
    }
    return {};
  }));
  for (const auto& [version, records] : undone) {
    for (const Bytes& record : records) {
      HF_TRY(const ledger::RecoveredRecord decoded, ledger::decodeRecord(record, at));
      HF_TRY_VOID(builder.undo(std::get<ledger::RecoveredUndo>(decoded)));
    }
  }
  // Later versions of the file may have had more pages.
  std::erase_if(builder.state.pages, [&](const auto& page) { return page.first > base->second; });
  for (const auto& [end, record] : commits) {
    HF_TRY(const ledger::RecoveredRecord decoded, ledger::decodeRecord(record, end));
    HF_TRY_VOID(builder.commit(std::get<ledger::RecoveredCommit>(decoded)));
  }
  return std::move(builder.state);
}

Result<ledger::Position> positionAt(const ObjectKey& object, WallMs time, const PastSources& sources) {
  const ledger::Position oldest = oldestKept(sources);
  ledger::Position from = sources.ledger.retired();
  if (sources.history != nullptr) {
    const HistoryStats stats = sources.history->stats();
    // What was before the ledger's first record is known: nothing.
    if (stats.oldest && time < *stats.oldest && oldest.value > 0) return notKept(oldest);
    from = sources.history->startOfRangeAt(time).value_or(std::max(stats.end, from));
  }
  ledger::Position last = from;
  HF_TRY_VOID(
      readRecords(object, from, sources, [&](BytesView record, ledger::Position end, WallMs at) -> Result<void> {
        if (at <= time) last = end;
        return {};
      }));
  return last;
}

}  // namespace hf::storage
