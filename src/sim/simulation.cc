#include "sim/simulation.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "ledger/checksum.h"
#include "storage/store_impl.h"

namespace hf::sim {
namespace {

constexpr char kDirectory[] = "/node/data";
constexpr std::uint64_t kNever = UINT64_MAX / 4;

}  // namespace

Simulation::Simulation(const SimulationOptions& options)
    : world_(options.seed, options.isTraced), sabotage_(options.sabotage) {
  HF_CHECK(world_.disk.makeDirectories(kDirectory), "an empty disk takes a directory");
  HF_CHECK(world_.disk.syncDirectory(""), "an empty disk can be synced");
  HF_CHECK(world_.disk.syncDirectory("/node"), "an empty disk can be synced");
}

Simulation::~Simulation() { dropStore(); }

std::uint64_t Simulation::digest() const {
  std::uint64_t digest = world_.digest;
  for (const auto& [path, size] : world_.disk.files()) {
    digest = ledger::checksum(asBytes(path), digest);
    digest = ledger::checksum(*world_.disk.content(path), digest);
  }
  return digest;
}

Result<void> Simulation::run() {
  if (world_.isTraced) {
    world_.disk.observe([this](std::string_view operation, const std::string& path) {
      world_.say("    " + std::string(operation) + " " + path);
    });
    const Plan& plan = world_.plan;
    world_.say("plan: " + std::to_string(world_.model.size()) + " objects, segments of " +
               std::to_string(plan.segmentBytes) + ", queue " + std::to_string(plan.queueBytesMax) + ", overlays " +
               std::to_string(plan.overlayBytesMax) + ", ledger " + std::to_string(plan.ledgerBytesMax) +
               (plan.historyMs > 0 ? ", history" : "") + (plan.hasFullDisk ? ", full disk" : "") +
               (plan.hasFailures ? ", failures" : "") + (plan.hasDamage ? ", damage" : ""));
  }
  for (int i = 0; i < world_.plan.lives; i++) HF_TRY_VOID(life());
  // What is there in the end is read once more, and then as files. A file may still owe an error of the last start: a
  // machine that is started anew has none.
  wasClosedCleanly_ = false;
  for (int i = 0; i < 3 && !wasClosedCleanly_; i++) {
    world_.disk.powerOn(SimDisk::Unsynced::kKept);
    HF_TRY_VOID(start());
    world_.mayFail = false;
    world_.isSpaceShort = false;
    world_.disk.setCapacity(UINT64_MAX);
    HF_TRY_VOID(closeCleanly());
  }
  if (!wasClosedCleanly_) return violation("the last close failed");
  return {};
}

Result<void> Simulation::life() {
  world_.coverage.lives++;
  if (world_.isTraced) world_.say("a life begins");
  HF_TRY_VOID(start());
  planFaults();
  for (int i = 0; i < world_.plan.stepsPerLife; i++) {
    HF_TRY_VOID(step());
    HF_TRY_VOID(shard_->complaint());
    world_.mix(world_.disk.operations());
    if (!world_.disk.hasPower()) break;
    // The node resets its objects, says why and ends; a little goes on until it has.
    if (world_.isPoisoned && world_.chance(6)) break;
  }
  return end();
}

// --- the beginning

Result<std::unique_ptr<storage::Store>> Simulation::openStore() {
  const Plan& plan = world_.plan;
  const storage::StoreOptions options{.directory = kDirectory,
                                      .overlayBytesMax = plan.overlayBytesMax,
                                      .ledgerBytesMax = plan.ledgerBytesMax,
                                      .historyRetention = std::chrono::milliseconds(plan.historyMs),
                                      .closedDelay = std::chrono::milliseconds(500),
                                      .drive = ledger::Drive::kSteps,
                                      .sabotage = sabotage_};
  const ledger::LedgerOptions ledgerOptions{.directory = std::string(kDirectory) + "/ledger",
                                            .segmentBytes = plan.segmentBytes,
                                            .spareSegments = plan.spareSegments,
                                            .queueBytesMax = plan.queueBytesMax,
                                            .random = &world_.random,
                                            .clock = &world_.clock,
                                            .drive = ledger::Drive::kSteps,
                                            .sabotage = sabotage_};
  return storage::openStoreOn(world_.disk, world_.clock, world_.log, options, [&](ledger::Replayer& replayer) {
    return ledger::openLedger(world_.disk, ledgerOptions, replayer);
  });
}

Result<void> Simulation::start() {
  if (world_.plan.hasDamage && world_.chance(3)) damageSomething();
  world_.mayFail = false;
  if (world_.chance(4)) {
    world_.disk.losePowerAt(1 + world_.random.below(20));
  } else if (world_.plan.hasFailures && world_.chance(3)) {
    world_.mayFail = true;
    world_.disk.failAt(static_cast<SimDisk::Operation>(world_.random.below(SimDisk::kOperations)),
                       1 + world_.random.below(8), Errc::kIo);
  }
  world_.isPoisoned = false;
  while (true) {
    Result<std::unique_ptr<storage::Store>> opened = openStore();
    if (opened) {
      store_ = *std::move(opened);
      break;
    }
    HF_TRY_VOID(failedToOpen(opened.error()));
  }
  world_.disk.losePowerAt(kNever);
  world_.disk.clearFailures();
  ledger_ = &store_->ledger();
  shard_ = std::make_unique<Shard>(world_, *store_);
  if (world_.disk.hasPower()) return compareRecovered();
  // It went with the last operation of the recovery.
  dropStore();
  losePower();
  return start();
}

Result<void> Simulation::failedToOpen(const Error& error) {
  if (world_.isTraced) world_.say("recovery failed: " + error.message);
  if (!world_.disk.hasPower()) {
    world_.coverage.powerLossesInRecovery++;
    losePower();
    return {};
  }
  if (world_.mayFail) {
    world_.mayFail = false;
    world_.disk.clearFailures();
    endProcess();
    return {};
  }
  if (!damage_ || error.code != Errc::kCorrupt) return violation("the store does not open: " + error.message);
  if (error.message.find(kDirectory) == std::string::npos) {
    return violation("damage in " + damage_->path + " is reported without a file: " + error.message);
  }
  world_.coverage.damageReported++;
  repairDamage();
  damage_.reset();
  return {};
}

Result<void> Simulation::compareRecovered() {
  const ledger::RecoveryReport& report = ledger_->recovery();
  const std::uint64_t tail = ledger_->tail().value;
  if (world_.isTraced) {
    world_.say("recovered " + std::to_string(report.records) + " records up to " + std::to_string(tail) +
               (report.droppedBytes > 0 ? ", dropped the end in " + report.droppedAt : ""));
  }
  if (report.droppedBytes > 0) world_.coverage.tornEnds++;
  // The images that the last checkpoint saved for history come after what it retired.
  if (wasClosedCleanly_ && report.records > 0 && world_.plan.historyMs == 0)
    return violation("after a clean close there is something to replay");
  wasClosedCleanly_ = false;
  // One byte alone in its sector, or one in a batch too long to be searched, cannot be told from a torn write.
  if (damage_ && (damage_->isAlone || report.droppedBytes > 60'000) && tail < world_.model.acknowledgedUpTo()) {
    world_.model.forgetAcknowledged(tail);
  }
  HF_TRY_VOID(world_.model.recovered(tail));
  HF_TRY_VOID(shard_->compareAlarms());
  HF_TRY_VOID(shard_->compareRestores());
  shard_->restoreAtOpening(false);
  HF_TRY_VOID(shard_->compareAll(Shard::Thoroughly::kYes));
  if (damage_ && damage_->path.contains("/objects/")) {
    // Whoever read it was told. It is as it was again, so that the rest can be seen.
    repairDamage();
    shard_->closeAll();
    world_.isDamaged = damage_->wasBefore;
    HF_TRY_VOID(shard_->compareAll(Shard::Thoroughly::kYes));
  }
  shard_->restoreAtOpening(true);
  for (std::size_t ns = 0; ns < world_.model.namespaces(); ns++) HF_TRY_VOID(shard_->listNamespace(ns));
  if (damage_) world_.coverage.damageHarmless++;
  damage_.reset();
  world_.mix(tail);
  return {};
}

void Simulation::planFaults() {
  world_.mayFail = false;
  fullSteps_ = 0;
  if (world_.chance(5)) return;
  if (world_.plan.hasFailures && world_.chance(2)) {
    world_.mayFail = true;
    const auto operation = static_cast<SimDisk::Operation>(world_.random.below(SimDisk::kOperations));
    world_.disk.failAt(operation, 1 + world_.random.below(25), world_.chance(4) ? Errc::kNoSpace : Errc::kIo);
  }
  if (!world_.chance(4)) world_.disk.losePowerAt(1 + world_.random.below(world_.chance(3) ? 300 : 40));
}

// Bits that are part of something are changed more often than those that are not.
void Simulation::damageSomething() {
  std::vector<std::pair<std::string, std::uint64_t>> files = world_.disk.files();
  std::erase_if(files, [](const auto& file) { return file.second == 0; });
  if (files.empty()) return;
  Damage damage;
  std::uint64_t size = 0;
  std::tie(damage.path, size) = files[world_.random.below(files.size())];
  damage.offset = world_.random.below(size);
  damage.mask = static_cast<std::uint8_t>(1U << world_.random.below(8));
  const Bytes content = *world_.disk.content(damage.path);
  if (world_.chance(2)) damage.offset = world_.random.below(std::min<std::uint64_t>(size, 20'000));
  if (!world_.chance(4)) {
    while (damage.offset + 1 < size && content[damage.offset] == 0) damage.offset++;
  }
  const std::uint64_t sector = damage.offset / SimDisk::kSectorBytes * SimDisk::kSectorBytes;
  const auto begin = content.begin() + static_cast<std::ptrdiff_t>(sector);
  const auto end = content.begin() + static_cast<std::ptrdiff_t>(std::min(size, sector + SimDisk::kSectorBytes));
  damage.isAlone = end - begin - std::count(begin, end, 0) <= 1;
  if (world_.isTraced) world_.say("a bit changes in " + damage.path + " at offset " + std::to_string(damage.offset));
  world_.disk.damage(damage.path, damage.offset, damage.mask);
  damage.wasBefore = world_.isDamaged;
  world_.isDamaged = true;
  damage_ = std::move(damage);
}

// Unless the recovery has removed the file.
void Simulation::repairDamage() {
  const std::optional<Bytes> content = world_.disk.content(damage_->path);
  if (content && damage_->offset < content->size()) {
    world_.disk.damage(damage_->path, damage_->offset, damage_->mask);
  }
}

// --- the middle

Result<void> Simulation::step() {
  HF_TRY_VOID(spaceStep());
  const std::size_t object = world_.random.below(world_.model.size());
  switch (world_.random.below(40)) {
    case 0:
      shard_->close(object);
      return {};
    case 1:
      shard_->releaseMemory(object);
      return {};
    case 2:
      return shard_->compare(object, Shard::Thoroughly::kNo);
    case 3:
      return shard_->listNamespace(world_.random.below(world_.model.namespaces()));
    case 8:
      return world_.plan.historyMs > 0 ? shard_->requestRestore(object) : Result<void>();
    case 4:
      return world_.chance(4) ? shard_->deleteNamespace(world_.random.below(world_.model.namespaces()))
                              : Result<void>();
    case 5:
    case 6:
      world_.clock.advance(static_cast<WallMs>(world_.random.below(world_.chance(4) ? 30'000 : 1000)));
      return shard_->runDueAlarms();
    case 7: {
      const Result<void> waited = ledger_->waitDurable(ledger_->tail());
      if (!waited) return world_.excuse("waiting for the ledger", waited.error());
      return {};
    }
    default:
      break;
  }
  switch (world_.random.below(8)) {
    case 0:
      return world_.chance(6) ? checkpointStep() : backgroundStep();
    case 1:
    case 2:
      return backgroundStep();
    case 3:
      shard_->runTasks();
      return {};
    case 4:
      if (world_.chance(2)) {
        const std::size_t all = world_.model.size();
        std::vector<std::size_t> objects = {object};
        for (std::uint64_t more = 1 + world_.random.below(2); more > 0 && objects.size() < all; more--) {
          objects.push_back((objects.back() + 1) % all);
        }
        return shard_->turnsTogether(std::move(objects));
      }
      [[fallthrough]];
    default:
      return shard_->turn(object);
  }
}

Result<void> Simulation::backgroundStep() {
  for (std::uint64_t left = 1 + world_.random.below(6); left > 0 && store_->step(); left--) {
    if (world_.chance(2)) shard_->runTasks();
  }
  return {};
}

Result<void> Simulation::checkpointStep() {
  world_.coverage.checkpoints++;
  const Result<void> done = store_->checkpoint();
  if (!done) return world_.excuse("a checkpoint", done.error());
  return {};
}

Result<void> Simulation::spaceStep() {
  if (fullSteps_ > 0) return --fullSteps_ == 0 ? spaceReturned() : Result<void>();
  if (!world_.plan.hasFullDisk || !world_.chance(15)) return {};
  fullSteps_ = 3 + world_.random.below(25);
  world_.isSpaceShort = true;
  world_.disk.setCapacity(world_.disk.usedBytes() + (world_.chance(2) ? 0 : world_.random.below(150'000)));
  if (world_.isTraced) world_.say("the disk is full");
  return {};
}

Result<void> Simulation::spaceReturned() {
  if (world_.isTraced) world_.say("there is space again");
  world_.disk.setCapacity(UINT64_MAX);
  // A planned failure would be another reason for what fails.
  if (world_.isPoisoned || !world_.disk.clearFailures() || world_.mayFail) return {};
  world_.coverage.spaceReturned++;
  const auto isExcused = [&](const char* what, const Result<void>& result) -> Result<void> {
    if (result || !world_.disk.hasPower()) return {};
    return violation(std::string(what) + " although there is space again: " + result.error().message);
  };
  HF_TRY_VOID(isExcused("nothing becomes durable", ledger_->waitDurable(ledger_->tail())));
  if (!world_.disk.hasPower()) return {};
  HF_TRY_VOID(isExcused("checkpoints fail", store_->checkpoint()));
  if (!world_.disk.hasPower()) return {};
  HF_TRY_VOID(isExcused("the store says that it is not well", store_->health()));
  HF_TRY_VOID(shard_->plainTurn(world_.random.below(world_.model.size())));
  world_.isSpaceShort = false;
  return {};
}

// --- the end

Result<void> Simulation::end() {
  if (world_.disk.hasPower()) {
    shard_->runTasks();
    HF_TRY_VOID(shard_->complaint());
  }
  const bool isWell = world_.disk.hasPower() && !world_.isPoisoned;
  if (isWell && world_.chance(4)) return closeCleanly();
  if (world_.disk.hasPower() && world_.chance(2)) {
    world_.coverage.kills++;
    endProcess();
    dropStore();
    // Power may go after that.
    if (world_.chance(3)) losePower();
  } else {
    world_.coverage.powerLosses++;
    losePower();
    dropStore();
  }
  // A recovery must get on with the space that there is.
  if (world_.chance(2)) {
    world_.disk.setCapacity(UINT64_MAX);
    world_.isSpaceShort = false;
  }
  return {};
}

Result<void> Simulation::closeCleanly() {
  shard_->closeAll();
  shard_.reset();
  const Result<void> closed = store_->close();
  const bool hadPower = world_.disk.hasPower();
  if (!closed) HF_TRY_VOID(world_.excuse("closing", closed.error()));
  store_.reset();
  ledger_ = nullptr;
  if (!hadPower) {
    losePower();
    return {};
  }
  if (closed) {
    if (world_.isTraced) world_.say("closed");
    world_.coverage.cleanCloses++;
    wasClosedCleanly_ = true;
    world_.model.acknowledgedAll();
    for (std::size_t i = 0; i < world_.model.size(); i++) HF_TRY_VOID(compareFile(world_, i, kDirectory));
  }
  world_.disk.setCapacity(UINT64_MAX);
  world_.isSpaceShort = false;
  endProcess();
  return {};
}

void Simulation::dropStore() {
  if (shard_ != nullptr) shard_->closeAll();
  shard_.reset();
  store_.reset();
  ledger_ = nullptr;
}

void Simulation::losePower() {
  const std::uint64_t dice = world_.random.below(6);
  const auto unsynced = dice == 0   ? SimDisk::Unsynced::kKept
                        : dice == 1 ? SimDisk::Unsynced::kForgotten
                                    : SimDisk::Unsynced::kByChance;
  if (world_.isTraced) world_.say("power is lost");
  world_.disk.powerOn(unsynced);
}

void Simulation::endProcess() {
  if (world_.isTraced) world_.say("the process ends");
  world_.disk.clearFailures();
  world_.disk.losePowerAt(kNever);
  world_.disk.endProcess();
}

}  // namespace hf::sim
