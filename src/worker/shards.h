// The shards of a node: one thread each, with its event loop, its worker isolates and its Durable Objects.
// No V8 here: gateway/ and server/ include this.
// Thread:  create, start, stop and the control functions: the control thread. `fetch`: the shard's own thread.
// Owns:    the threads and everything that lives on them. Borrows what Dependencies names.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/log.h"
#include "base/object_id.h"
#include "base/result.h"
#include "catalog/snapshot.h"
#include "net/event_loop.h"
#include "net/http_server.h"
#include "storage/store.h"

namespace hf::js {
class Platform;
class Watchdog;
}  // namespace hf::js

namespace hf::worker {

struct ShardsOptions {
  unsigned count = 1;
  std::size_t heapBytesMax = 0;             // 0: limits::kHeapBytesDefault
  std::chrono::milliseconds cpuPerTurn{0};  // 0: limits::kCpuPerTurnDefault
  std::chrono::milliseconds second{1000};   // Config.secondMs of web/native.ts
  std::string runtimeSource;                // runtime.js
};

struct ShardsDependencies {
  js::Platform& platform;
  js::Watchdog& watchdog;
  storage::Store& store;
  const Log& log;
  const Clock& clock;
};

// What the code of a version exports (api/runtime.h has the same shape, above us).
struct ExportedName {
  std::string name;
  std::string kind;  // 'handler-object', 'entrypoint', 'durable-object', 'other' (web/native.ts)
  std::vector<std::string> handlers;
};
struct CheckReport {
  std::vector<ExportedName> exports;
  double startupMs = 0;
};

// An HTTP request on its way to a script.
struct FetchRequest {
  std::string script;
  std::string method;
  std::string url;                   // absolute
  std::vector<std::string> headers;  // name, value, ...
  std::shared_ptr<net::Exchange> exchange;
};

class Shards {
 public:
  virtual ~Shards() = default;

  [[nodiscard]] virtual unsigned count() const = 0;
  [[nodiscard]] virtual net::EventLoop& loop(unsigned shard) = 0;

  // Starts the threads. Alarms that the store recovered are scheduled.
  virtual void start() = 0;

  // Shard thread. What this shard runs now, never null after the first activate.
  [[nodiscard]] virtual const catalog::Snapshot& snapshot(unsigned shard) const = 0;
  // Shard thread. Answers through the exchange, also when the script fails or does not exist.
  virtual void fetch(unsigned shard, FetchRequest request) = 0;

  // Control thread; `done` runs on `control`.
  virtual void activate(catalog::SnapshotPtr snapshot, Executor& control, Completion<Result<void>> done) = 0;
  virtual void check(std::shared_ptr<const catalog::Version> version, catalog::SnapshotPtr snapshot, Executor& control,
                     Completion<Result<CheckReport>> done) = 0;
  // Resets the namespaces' objects and forgets their alarms.
  virtual void resetNamespaces(std::vector<NamespaceId> namespaces, Executor& control,
                               Completion<Result<void>> done) = 0;
  // Resets the object, wherever it lives, and runs `then` on its shard before anything else can open its storage: what
  // takes hold of the storage there (storage::StoreTools::hold) has it. Any thread.
  virtual void resetObject(const ObjectKey& object, Task then) = 0;
  // The object's alarm is now `at`, committed by somebody else than itself; then `then` runs, on its shard, before the
  // alarm can fire. Any thread.
  virtual void setAlarm(const ObjectKey& object, std::optional<WallMs> at, std::string name, Task then) = 0;
  // Waits until running requests, objects' events and background tasks have ended.
  virtual void drain(Executor& control, Completion<Result<void>> done) = 0;
  // Frees every isolate (databases close) and joins the threads.
  virtual void stop() = 0;
};

Result<std::unique_ptr<Shards>> createShards(ShardsDependencies dependencies, ShardsOptions options);

}  // namespace hf::worker
