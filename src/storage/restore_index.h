// Which objects are to be taken back to a bookmark when they are opened next (spec durable-objects 5.7). What was
// requested is in the ledger; a checkpoint saves the index before the ledger forgets.
// Thread: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"

namespace hf::storage {

class RestoreIndex final {
 public:
  void apply(const ledger::RestoreRequest& request);
  void removeNamespace(const NamespaceId& ns);
  // nullopt: the object stays as it is.
  [[nodiscard]] std::optional<ledger::RestoreRequest> find(const ObjectKey& object) const;

  // The file DIR/restores. kCorrupt if it is damaged.
  Result<void> load(Disk& disk, const std::string& directory);
  // What save() shall write; nullopt: nothing has changed since.
  struct Encoded {
    Bytes bytes;
    std::uint64_t version = 0;
  };
  [[nodiscard]] std::optional<Encoded> encode() const;
  Result<void> save(Disk& disk, const std::string& directory, const Encoded& encoded);

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_
  std::map<ObjectKey, ledger::RestoreRequest> entries_;
  std::uint64_t version_ = 0;
  std::uint64_t savedVersion_ = 0;
};

}  // namespace hf::storage
