// What operators' tools ask of a store that serves. Beside store.h, because nothing on an object's way needs it.
// Thread:  any but a shard's, except hold(): the disk is waited for.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.h"
#include "base/object_id.h"
#include "base/result.h"
#include "ledger/ledger.h"
#include "storage/object_image.h"
#include "storage/overlay.h"

namespace hf::storage {

// Keeps an object's storage shut as long as it lives: Store::open answers kAlreadyExists. Goes before the store.
class ObjectHold {
 public:
  virtual ~ObjectHold() = default;
  // The object's database is these pages (number 1 and up, without a gap) and nothing else, in one commit, durable when
  // it returns. `alarm` is what its alarm row says.
  virtual Result<void> replace(std::vector<NumberedPage> pages, const ledger::AlarmChange& alarm) = 0;
};

class StoreTools {
 public:
  virtual ~StoreTools() = default;

  // What the object has committed, durable, as a plain SQLite file into the empty `out`, unsynced. Checkpoints wait
  // meanwhile, commits do not. Returns its bytes. kNotFound: the object stores nothing.
  virtual Result<std::uint64_t> copyObject(const ObjectKey& object, File& out,
                                           const ObjectImage::Progress& progress) = 0;
  // 0: it stores nothing.
  virtual Result<std::uint64_t> objectBytes(const ObjectKey& object) = 0;
  // Names by which objects with an alarm were reached.
  virtual std::map<ObjectId, std::string> alarmNames(const NamespaceId& ns) = 0;
  // Any thread, shards too. kAlreadyExists: it is open.
  virtual Result<std::unique_ptr<ObjectHold>> hold(const ObjectKey& object) = 0;
};

}  // namespace hf::storage
