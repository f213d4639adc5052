// Takes an object back to a bookmark: one commit of the pages that differ from what the object is now.
// Thread:  any, while no checkpoint runs and nobody else has the object open. What it was before must be durable.
// Errors:  those of pastState; kLimit: more has changed since than one transaction may hold. Nothing has changed then.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "storage/past_state.h"

namespace hf::storage {

// The end of the commit, which is not durable yet. `name`: the object's, kept beside its alarm.
Result<ledger::Position> restoreObject(Overlay& overlay, const Bookmark& bookmark, const std::string& name,
                                       const PastSources& sources, const Clock& clock);

}  // namespace hf::storage
