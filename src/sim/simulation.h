// A node's storage through several lives, on one thread: the real ledger and the real storage code, over a disk, a
// clock and chances that come from one seed. The same seed and the same build give the same run.
//
// A life: the store is opened, what it recovered is compared with the model, and then chance picks who does the next
// piece of work: an object a turn, the ledger's writer, its pool, the checkpointer, the shard's loop. It ends by power
// loss at some operation of the disk, by the end of the process, after the ledger was poisoned, or by a clean close.
// What goes wrong besides is the plan's (plan.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/sabotage.h"
#include "sim/shard.h"
#include "sim/world.h"
#include "storage/store.h"

namespace hf::sim {

struct SimulationOptions {
  std::uint64_t seed = 0;
  Sabotage sabotage = Sabotage::kNone;
  bool isTraced = false;
};

class Simulation final {
 public:
  explicit Simulation(const SimulationOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // An error says what the code did that it must never do.
  Result<void> run();

  [[nodiscard]] const Coverage& coverage() const { return world_.coverage; }
  // Of everything that happened and everything that is on disk.
  [[nodiscard]] std::uint64_t digest() const;

 private:
  struct Damage {
    std::string path;
    std::uint64_t offset = 0;
    std::uint8_t mask = 0;
    bool wasBefore = false;  // something else is damaged already
    bool isAlone = false;    // in its sector: it may as well never have been written
  };

  Result<void> life();
  // Recovers, through whatever goes wrong meanwhile.
  Result<void> start();
  Result<std::unique_ptr<storage::Store>> openStore();
  Result<void> failedToOpen(const Error& error);
  Result<void> compareRecovered();
  Result<void> step();
  Result<void> backgroundStep();
  Result<void> checkpointStep();
  Result<void> spaceStep();
  // Space is back: all goes on without a restart.
  Result<void> spaceReturned();
  Result<void> end();
  Result<void> closeCleanly();
  Result<void> compareFiles();
  void planFaults();
  void damageSomething();
  void repairDamage();
  void dropStore();
  void losePower();
  void endProcess();

  World world_;
  const Sabotage sabotage_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<Shard> shard_;
  ledger::Ledger* ledger_ = nullptr;
  std::optional<Damage> damage_;
  bool wasClosedCleanly_ = false;
  std::uint64_t fullSteps_ = 0;
};

// The objects' files as a stranger would read them: SQLite without our VFS. An error is a violation.
Result<void> compareFile(const World& world, std::size_t object, const std::string& directory);

}  // namespace hf::sim
