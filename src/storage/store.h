// All objects' databases of a node: opens them on their shard, checkpoints them, recovers them after a crash.
// Thread:  openStore, close: the control thread. open, dropNamespace...: as each says.
// Owns:    the ledger, the overlays, the checkpointer's thread, DIR/objects and DIR/ledger.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/object_id.h"
#include "base/result.h"
#include "base/sabotage.h"
#include "ledger/ledger.h"
#include "storage/database.h"
#include "storage/history.h"

namespace hf::storage {

struct StoreOptions {
  std::string directory;  // DIR of the command line
  // Pages that are newer than their files. Checkpoints begin at half of it. Beyond it isBehind(), so that outputs wait;
  // at four times it commits are refused (kOverloaded), which happens when checkpoints fail and code does not wait.
  std::uint64_t overlayBytesMax = 256ULL * 1024 * 1024;
  // What a recovery would replay, before a checkpoint begins.
  std::uint64_t ledgerBytesMax = 64ULL * 1024 * 1024;
  // Disk space that is kept for checkpoints when everything else is full; 0: none.
  std::uint64_t reserveBytes = 0;
  // How long an object can be taken back; 0: not at all.
  std::chrono::milliseconds historyRetention{0};
  // How long after its last Database went an object's file becomes complete.
  std::chrono::milliseconds closedDelay{1000};
  // kSteps: no threads; step() does their work (the ledger's opener has to agree).
  ledger::Drive drive = ledger::Drive::kThreads;
  Sabotage sabotage = Sabotage::kNone;
};

// An alarm known to the index, which is rebuilt at start without opening objects.
struct ScheduledAlarm {
  ObjectKey object;
  WallMs at = 0;
  std::string objectName;
};

struct StoredObject {
  ObjectId id;
  bool hasStoredData = false;
};

// What the request for a restoration gives back.
struct RestoreRequested {
  std::string undo;           // the bookmark of what will have been there before it
  ledger::Position position;  // the request is durable when the ledger is up to here
};
class StoreTools;

class Store {
 public:
  virtual ~Store() = default;

  // Opens (creating nothing on disk) the database of `object`. Any shard; the database then belongs to that shard.
  // `name`: the name the object was reached by, kept beside its alarm. One Database per object at a time:
  // kAlreadyExists while there is another.
  virtual Result<std::unique_ptr<Database>> open(const ObjectKey& object, std::string name) = 0;

  // Ends the turns of several databases as endTurn() does, with what they commit in one group of the ledger: a crash
  // leaves all of it or nothing. Returns the position that covers all of them. An error: all are broken, none has
  // committed. An explicit transaction that is open stays open.
  virtual Result<std::optional<ledger::Position>> commitTogether(std::span<Database* const> databases) = 0;

  // Whether the object has facets (base/object_id.h). Any thread; asks the disk for one file.
  [[nodiscard]] virtual Result<bool> hasFacets(const ObjectKey& object) = 0;

  // Every alarm known after recovery. Once, before the shards start.
  virtual std::vector<ScheduledAlarm> recoveredAlarms() = 0;

  // Objects of a namespace in order of id, after `after` (exclusive), at most `limit`. Any thread.
  virtual Result<std::vector<StoredObject>> listObjects(const NamespaceId& ns, const std::optional<ObjectId>& after,
                                                        std::size_t limit) = 0;

  // Deletes every object of a namespace, durably. No Database of it may be open. Any thread.
  virtual Result<void> deleteNamespace(const NamespaceId& ns) = 0;

  // --- Point-in-time recovery (spec durable-objects 5.7). Any thread.
  // kUnsupported while no history is kept.
  virtual Result<std::string> bookmark(const ObjectKey& object, ledger::Position position) = 0;
  // The last commit at or before `time`. Reads the disk elsewhere; `done` runs on `executor`.
  virtual void bookmarkForTime(const ObjectKey& object, WallMs time, Executor& executor,
                               Completion<Result<std::string>> done) = 0;
  // The object shall be what it was at the bookmark when it is opened next. kInvalidArgument, kNotFound: the bookmark
  // is not one of this object, or older than what is kept.
  virtual Result<RestoreRequested> requestRestore(const ObjectKey& object, std::string_view bookmark) = 0;
  [[nodiscard]] virtual bool hasRestoreRequest(const ObjectKey& object) = 0;
  // Carries the request out; nobody may have the object open, and nobody can open it meanwhile. One commit, durable
  // when `done` runs (on `executor`) with the alarm that the object has now. An error: the object is as it was, and
  // there is no request any more.
  virtual void restore(const ObjectKey& object, std::string name, Executor& executor,
                       Completion<Result<std::optional<WallMs>>> done) = 0;
  // Nothing is told to an executor any more, from when it returns. Before the executors end.
  virtual void stopJobs() = 0;
  // nullopt: no history is kept.
  [[nodiscard]] virtual std::optional<HistoryStats> historyStats() = 0;

  virtual ledger::Ledger& ledger() = 0;
  // What operators' tools ask for (store_tools.h).
  virtual StoreTools& tools() = 0;

  // StoreOptions::drive kSteps: one piece of the work of all threads. False: there is none.
  virtual bool step() = 0;

  // More waits for the objects' files than StoreOptions::overlayBytesMax: who has written should wait until it does
  // not. Any thread.
  [[nodiscard]] virtual bool isBehind() const = 0;

  // Why writes are refused at present, if they are. Asks the disk: not on a shard.
  virtual Result<void> health() = 0;

  // Makes every object's file as new as its database was when this was called, and the ledger forget what led there.
  // Databases may be open and written meanwhile. Blocks on the disk: not on a shard.
  virtual Result<void> checkpoint() = 0;

  // Makes everything durable, checkpoints every object's file and stops the threads. No Database may be open.
  virtual Result<void> close() = 0;
};

// Recovers, then serves. kCorrupt with file and offset if the ledger is damaged in the middle.
Result<std::unique_ptr<Store>> openStore(Disk& disk, const Clock& clock, const Log& log, StoreOptions options);

}  // namespace hf::storage
