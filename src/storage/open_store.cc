#include "storage/store_impl.h"

namespace hf::storage {

Result<std::unique_ptr<Store>> openStore(Disk& disk, const Clock& clock, const Log& log, StoreOptions options) {
  ledger::LedgerOptions ledgerOptions{.directory = options.directory + "/ledger"};
  return openStoreOn(disk, clock, log, std::move(options),
                     [&](ledger::Replayer& replayer) { return ledger::openLedger(disk, ledgerOptions, replayer); });
}

}  // namespace hf::storage
