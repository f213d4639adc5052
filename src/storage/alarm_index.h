// Every object's committed alarm, kept so that a start need not open objects. The truth is the object's own row; this
// follows what is committed. Bytes on disk: docs/formats/objects.md.
// Thread:  any.
// Errors:  kCorrupt when the file is not what save() wrote.
// Crash:   save() leaves the old file or the new one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "storage/store.h"

namespace hf::storage {

class AlarmIndex final {
 public:
  // Never fails a commit: the ledger holds the change already.
  void apply(const ObjectKey& object, const ledger::AlarmChange& change);
  void removeNamespace(const NamespaceId& ns);
  [[nodiscard]] std::optional<WallMs> find(const ObjectKey& object) const;
  [[nodiscard]] std::vector<ScheduledAlarm> all() const;
  [[nodiscard]] std::size_t size() const;

  Result<void> load(Disk& disk, const std::string& directory);

  // The file's content as of now, or nullopt if it is what was saved last. save() makes it durable.
  struct Encoded {
    Bytes bytes;
    std::uint64_t version = 0;
  };
  [[nodiscard]] std::optional<Encoded> encode() const;
  Result<void> save(Disk& disk, const std::string& directory, const Encoded& encoded);

 private:
  struct Entry {
    WallMs at = 0;
    std::string name;
  };
  mutable std::mutex mutex_;
  // Guarded by mutex_
  std::map<ObjectKey, Entry> entries_;
  std::uint64_t version_ = 0;
  std::uint64_t savedVersion_ = 0;
};

}  // namespace hf::storage
