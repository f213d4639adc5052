// What an object's database was at an earlier position: its file, the images that checkpoints saved before they
// overwrote it, and the commits up to that position (docs/formats/history.md).
// Thread:  any, while no checkpoint runs and nobody commits to the object.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "storage/bookmark.h"
#include "storage/history.h"
#include "storage/object_files.h"
#include "storage/overlay.h"

namespace hf::storage {

struct PastSources {
  ObjectFiles& files;
  ledger::Ledger& ledger;
  History* history = nullptr;  // nullptr: what is not retired only
};

// The database as its file with these pages in front. No page behind `fileLimit` is the file's.
struct PastState {
  std::map<std::uint32_t, PageRef> pages;
  std::uint32_t pageCount = 0;
  std::uint32_t fileLimit = 0;
};

// kNotFound: what led to the bookmark is not kept any more. kCorrupt: it is damaged.
Result<PastState> pastState(const ObjectKey& object, const Bookmark& bookmark, const Overlay& overlay,
                            const PastSources& sources);

// Where a bookmark of the object leads: for those that are taken back together with it.
Result<ledger::Position> pointOf(const ObjectKey& object, const Bookmark& bookmark, const PastSources& sources);

// Whatever is known to be stored, or to have been, under ids that begin as this object's does: itself and its facets.
Result<std::set<ObjectKey>> recordedTree(const ObjectKey& root, const PastSources& sources);

// The same of what lies in files.
Result<void> addStoredTree(const ObjectKey& root, ObjectFiles& files, std::set<ObjectKey>& tree);

// The end of the object's last commit at or before `time`, as far as it is kept: kNotFound if nothing of that time is.
Result<ledger::Position> positionAt(const ObjectKey& object, WallMs time, const PastSources& sources);

// The oldest position that can be gone back to.
ledger::Position oldestKept(const PastSources& sources);

}  // namespace hf::storage
