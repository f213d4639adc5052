// The open databases of one isolate's objects, as TypeScript sees them: the storage part of `Native` (web/native.ts).
// Numbers each database's commits, ends turns, and turns rows and values into JavaScript.
// Thread:  the isolate's shard.
// Owns:    the databases and cursors that the isolate has open. Borrows the Store and the host.
// Errors:  thrown into JavaScript with the text that user code shall see; a commit that fails at the end of a turn goes
//          to DatabaseHost::onCommitFailed.
#pragma once

#include <v8.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "actor/durability.h"
#include "actor/two_queues.h"
#include "base/limits.h"
#include "base/object_id.h"
#include "js/serializer.h"
#include "storage/store.h"

namespace hf::actor {

class DatabaseHost {
 public:
  virtual ~DatabaseHost() = default;
  // nullopt: nothing was written, it is durable already.
  virtual void onCommit(DatabaseHandle database, std::uint64_t commit, std::optional<ledger::Position> position) = 0;
  virtual void onCommitFailed(DatabaseHandle database, const Error& why) = 0;
  // The committed alarm of an object is now `at`.
  virtual void onAlarmStored(const ObjectKey& object, std::optional<WallMs> at, const std::string& name) = 0;
  // The shard's thread, and what tells Runtime.storageReply there that a job of the store has ended.
  virtual Executor& executor() = 0;
  virtual Completion<Result<std::string>> storageReply(std::uint64_t job) = 0;
  virtual Completion<Result<std::optional<WallMs>>> restoreReply(std::uint64_t job, const ObjectKey& object,
                                                                 std::string name) = 0;
};

class DatabaseTable final {
 public:
  DatabaseTable(storage::Store& store, DatabaseHost& host) : store_(store), host_(host) {}
  DatabaseTable(const DatabaseTable&) = delete;
  DatabaseTable& operator=(const DatabaseTable&) = delete;
  ~DatabaseTable();

  // Puts the storage functions onto `native`. `serializer` outlives the functions.
  void install(v8::Local<v8::Context> context, v8::Local<v8::Object> native, js::Serializer& serializer);
  void installBookmarks(v8::Local<v8::Context> context, v8::Local<v8::Object> native);
  void installFacets(v8::Local<v8::Context> context, v8::Local<v8::Object> native);

  // Commits the implicit transaction of every database written since the last call; those of objects with facets wait
  // for endRound(). Runs no JavaScript. Databases in little use lose their connection (Database::releaseMemory).
  void endTurn();
  // Before control goes back to the event loop: commits, as one group each, what objects and their facets have written
  // in the turns since the last call. kMore: further turns are queued; what can wait for them does, for a few rounds.
  enum class Round : bool { kEnds, kMore };
  void endRound(Round round);
  // Drops what is not committed and closes everything.
  void closeAll();
  // The database of an object, if this isolate has it open.
  [[nodiscard]] storage::Database* find(const ObjectKey& object);
  // Everything open.
  [[nodiscard]] std::vector<DatabaseHandle> handles() const;
  // A write made from C++ into find()'s database: commit it with the next endTurn().
  void touch(const ObjectKey& object);

 private:
  struct Open {
    ObjectKey object;
    std::string name;
    std::unique_ptr<storage::Database> database;
    std::uint64_t commits = 0;
    bool listed = false;        // in dirty_
    bool alarmTouched = false;  // since the last commit
    // The root's handle, of an object with open facets and of these; 0: of an object alone.
    DatabaseHandle tree = 0;
    // A facet's that ended: goes with the next commit of its tree.
    bool closing = false;
    std::uint64_t usedInTurn = 0;
    TwoQueues::Place place;
  };
  struct OpenCursor {
    DatabaseHandle database = 0;
    std::unique_ptr<storage::Cursor> cursor;
  };
  // An object and its facets, as far as they are open. They count commits together: those of the root.
  struct Tree {
    std::vector<DatabaseHandle> facets;
    DatabaseHandle index = 0;  // one of them: the list of the facets
    bool listed = false;       // in dirtyTrees_
    int roundsWaited = 0;
    std::optional<ledger::Position> last;  // of its commits
  };
  struct Natives;  // the functions themselves, in databases.cc; the rest is in database_turns.cc
  friend struct Natives;
  struct BookmarkNatives;  // in bookmarks.cc
  friend struct BookmarkNatives;
  struct FacetNatives;  // in facets.cc
  friend struct FacetNatives;

  Open* get(v8::Isolate* isolate, v8::Local<v8::Value> handle);
  std::uint64_t markWritten(DatabaseHandle handle, Open& open);
  // Where the commits of `open` are counted.
  Open& counterOf(Open& open) { return open.tree == 0 ? open : open_.at(open.tree); }
  void close(DatabaseHandle handle);
  void erase(DatabaseHandle handle);

  // --- trees: in database_trees.cc. `root`: its handle.
  // From now on.
  void beginTree(DatabaseHandle root);
  Result<DatabaseHandle> openFacet(DatabaseHandle root, std::string_view path);
  void markTreeWritten(DatabaseHandle root);
  // Everything written so far, in one group. False: the tree is to be reset, the host knows.
  bool commitTree(DatabaseHandle root);
  void endTreeTurns();
  void closeInTree(DatabaseHandle handle, Open& open);

  // Counts a commit that has just happened and tells the host.
  void committed(DatabaseHandle handle, Open& open, std::optional<ledger::Position> position);
  void closeCursorsOf(DatabaseHandle handle);
  // A connection costs twenty kilobytes and more: those used least go.
  void releaseExcess();

  storage::Store& store_;
  DatabaseHost& host_;
  js::Serializer* serializer_ = nullptr;
  DatabaseHandle nextHandle_ = 1;
  std::uint64_t nextCursor_ = 1;
  std::unordered_map<DatabaseHandle, Open> open_;
  std::unordered_map<ObjectKey, DatabaseHandle> byObject_;
  std::unordered_map<std::uint64_t, OpenCursor> cursors_;
  std::vector<DatabaseHandle> dirty_;
  std::unordered_map<DatabaseHandle, Tree> trees_;
  std::vector<DatabaseHandle> dirtyTrees_;
  std::uint64_t turn_ = 1;
  TwoQueues connections_{limits::kDatabaseConnectionsUsedOnceMax, limits::kDatabaseConnectionsMax};
};

}  // namespace hf::actor
