// openStore() with the ledger's opener given: for tests that hold syncs back or put another ledger below.
#pragma once

#include <functional>
#include <memory>

#include "storage/store.h"

namespace hf::storage {

using LedgerOpener = std::function<Result<std::unique_ptr<ledger::Ledger>>(ledger::Replayer&)>;

Result<std::unique_ptr<Store>> openStoreOn(Disk& disk, const Clock& clock, const Log& log, StoreOptions options,
                                           const LedgerOpener& openLedger);

}  // namespace hf::storage
