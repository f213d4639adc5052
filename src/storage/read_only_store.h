// What a node's directory holds, committed and durable, without changing a byte of it: a recovery into memory. For
// tools, on a directory whose server has stopped, in whatever way.
// Thread:  one at a time. Blocks on the disk.
// Owns:    the overlays it has replayed, in memory: as much as a recovery takes. Borrows the Disk.
// Errors:  open: kNotFound when the directory holds no ledger. Damage is in findings(), and what it spoils is refused
//          with kCorrupt.
// Nobody may write to the directory meanwhile: the caller holds its lock.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/inspect.h"
#include "storage/object_image.h"
#include "storage/store.h"

namespace hf::storage {

class ReadOnlyStore {
 public:
  virtual ~ReadOnlyStore() = default;

  [[nodiscard]] virtual const ledger::Inspection& inspection() const = 0;
  // Of the ledger and of the alarms' file; empty: both are whole.
  [[nodiscard]] virtual const std::vector<ledger::Finding>& findings() const = 0;

  [[nodiscard]] virtual std::vector<ScheduledAlarm> alarms() const = 0;
  // As Store::listObjects.
  virtual Result<std::vector<StoredObject>> listObjects(const NamespaceId& ns, const std::optional<ObjectId>& after,
                                                        std::size_t limit) = 0;
  // nullopt: it stores nothing.
  virtual Result<std::optional<ObjectImage>> image(const ObjectKey& object) = 0;
  // Namespaces that the ledger says are deleted, though files of them may be there.
  [[nodiscard]] virtual const std::set<NamespaceId>& deleted() const = 0;
  // Whether the ledger holds this page's newest image, so that what the file has there does not matter. Page 0: the
  // file does not matter at all.
  [[nodiscard]] virtual bool replaces(const ObjectKey& object, std::uint32_t page) const = 0;
  // Objects that the ledger holds something of which their file does not.
  [[nodiscard]] virtual std::size_t replayedObjects() const = 0;
};

Result<std::unique_ptr<ReadOnlyStore>> openStoreReadOnly(Disk& disk, const std::string& directory,
                                                         ledger::ScanObserver* observer = nullptr);

}  // namespace hf::storage
