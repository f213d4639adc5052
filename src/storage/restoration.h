// Takes an object and its facets back to a bookmark: one commit of the pages that differ from what they are now.
// Thread:  any, while no checkpoint runs and nobody else has them open.
// Errors:  those of pastState; kLimit: more has changed since than one transaction may hold. Nothing has changed then.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "storage/past_state.h"

namespace hf::storage {

// Nobody else opens what is taken until it is given back.
struct OverlayKeeper {
  std::function<Result<std::shared_ptr<Overlay>>(const ObjectKey&)> take;
  std::function<void(const ObjectKey&)> giveBack;
};

// The end of the commit, which is not durable yet. `name`: the object's, kept beside its alarm. `tree`: the object, and
// all facets that it has or may have had at the bookmark. What all of them were before must be durable.
Result<ledger::Position> restoreTree(const ObjectKey& object, const std::set<ObjectKey>& tree,
                                     const OverlayKeeper& keeper, const Bookmark& bookmark, const std::string& name,
                                     const PastSources& sources, const Clock& clock);

}  // namespace hf::storage
