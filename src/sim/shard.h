// The objects of one shard and what their code does: turns with random reads and writes, transactions that nest and
// roll back, alarms that fire. Everything that is read is compared with the model; everything that is committed is
// noted in it; what the world may see waits for the ledger, as behind an output gate.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "actor/alarm_scheduler.h"
#include "base/result.h"
#include "sim/world.h"
#include "storage/store.h"

namespace hf::sim {

class Shard final : public ledger::DurabilityListener {
 public:
  Shard(World& world, storage::Store& store);
  ~Shard() override;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // Each: an error is a violation. What a fault explains is none; the object is then reset, as the actor does.
  Result<void> turn(std::size_t object);
  // Turns of several objects that are committed together, as those of an object and its facets.
  Result<void> turnsTogether(std::vector<std::size_t> objects);
  // One that must succeed.
  Result<void> plainTurn(std::size_t object);
  // Reads everything.
  enum class Thoroughly : bool { kNo, kYes };
  Result<void> compare(std::size_t object, Thoroughly thoroughly);
  Result<void> compareAll(Thoroughly thoroughly);
  // The index of alarms as recovery found it. Once, at the start.
  Result<void> compareAlarms();
  Result<void> runDueAlarms();
  Result<void> listNamespace(std::size_t ns);
  Result<void> deleteNamespace(std::size_t ns);

  // Asks that the object be taken back to one of its commits, or to before its last restoration.
  Result<void> requestRestore(std::size_t object);
  [[nodiscard]] Result<void> compareRestores() const;
  // Opening carries out what was requested, or, while what was recovered is compared, does not.
  void restoreAtOpening(bool does) { restoresAtOpening_ = does; }

  void close(std::size_t object);
  void closeAll();
  void releaseMemory(std::size_t object);

  // Tells the world what is durable.
  void runTasks() { executor_.run(); }
  [[nodiscard]] bool isPoisoned() const { return world_.isPoisoned; }
  [[nodiscard]] Result<void> complaint() const;

  void onDurable(ledger::Position durable) override;
  void onPoisoned(const Error& why) override;

 private:
  friend class Turn;
  struct Waiting {
    std::uint64_t position = 0;  // what the database said must be durable
    std::uint64_t end = 0;       // what the world will know then
  };

  // nullptr: an excusable error.
  Result<storage::Database*> open(std::size_t object);
  Result<ObjectState> read(std::size_t object, storage::Database& db, Thoroughly thoroughly);
  void committed(std::size_t object, std::uint64_t end, const ObjectState& state);
  // What the turn showed leaves when it is durable.
  void show(std::size_t object, const std::optional<ledger::Position>& position);
  void noteAlarm(std::size_t object, const std::optional<WallMs>& before, const std::optional<WallMs>& now);
  Result<void> restore(std::size_t object);
  Result<void> excuseRestore(const std::string& what, const Error& error);
  Result<void> restoreEnded(std::size_t object, std::uint64_t before, const ObjectState& expected,
                            const Result<std::optional<WallMs>>& outcome);
  Result<void> runAlarm(const actor::DueAlarm& due);

  World& world_;
  storage::Store& store_;
  SimExecutor executor_;
  actor::AlarmScheduler alarms_;
  std::vector<std::unique_ptr<storage::Database>> databases_;
  std::deque<Waiting> waiting_;
  struct Undo {
    std::string bookmark;
    Wanted wanted;
  };
  std::vector<std::vector<Undo>> undos_;
  bool restoresAtOpening_ = true;
  std::uint64_t durable_ = 0;
  std::string complaint_;
};

}  // namespace hf::sim
