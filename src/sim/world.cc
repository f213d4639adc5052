#include "sim/world.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"

namespace hf::sim {

std::uint64_t SimExecutor::addTimer(SteadyTime when, Task task) { HF_CHECK(false, "storage sets no timer"); }

void SimExecutor::run() {
  while (!tasks_.empty()) {
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }
}

namespace {

using Field = std::pair<const char*, std::uint64_t Coverage::*>;
constexpr Field kFields[] = {{"lives", &Coverage::lives},
                             {"turns", &Coverage::turns},
                             {"commits", &Coverage::commits},
                             {"checkpoints", &Coverage::checkpoints},
                             {"power losses", &Coverage::powerLosses},
                             {"power losses in recovery", &Coverage::powerLossesInRecovery},
                             {"kills", &Coverage::kills},
                             {"clean closes", &Coverage::cleanCloses},
                             {"torn ends", &Coverage::tornEnds},
                             {"poisonings", &Coverage::poisonings},
                             {"refused for space", &Coverage::refusedForSpace},
                             {"refused for load", &Coverage::refusedForLoad},
                             {"space returned", &Coverage::spaceReturned},
                             {"I/O errors", &Coverage::ioErrors},
                             {"damage reported", &Coverage::damageReported},
                             {"damage harmless", &Coverage::damageHarmless},
                             {"alarms run", &Coverage::alarmsRun},
                             {"namespaces deleted", &Coverage::namespacesDeleted},
                             {"restores", &Coverage::restores},
                             {"groups", &Coverage::groups}};
static_assert(sizeof(Coverage) == sizeof(std::uint64_t) * (sizeof kFields / sizeof kFields[0]));

}  // namespace

Coverage& Coverage::operator+=(const Coverage& other) {
  for (const auto& [text, field] : kFields) this->*field += other.*field;
  return *this;
}

bool Coverage::reachesAll() const {
  return std::ranges::all_of(kFields, [this](const Field& field) { return this->*field.second > 0; });
}

std::string Coverage::text() const {
  std::string all;
  for (const auto& [text, field] : kFields) {
    if (!all.empty()) all += ", ";
    all += std::string(text) + " " + std::to_string(this->*field);
  }
  return all;
}

World::World(std::uint64_t seedGiven, bool isTracedGiven)
    : seed(seedGiven),
      isTraced(isTracedGiven),
      log(2, LogFormat::kText, isTracedGiven ? LogLevel::kInfo : static_cast<LogLevel>(9)),
      random(seedGiven),
      plan(planOf(random)),
      disk(random.next64(), plan.directories),
      model(plan.namespaces, plan.objectsPerNamespace) {}

void World::say(const std::string& text) const {
  if (isTraced) std::fprintf(stderr, "%s\n", text.c_str());
}

Result<void> World::excuse(const std::string& what, const Error& error) {
  if (isTraced) say(what + ": " + error.message);
  if (!disk.hasPower()) return {};
  switch (error.code) {
    case Errc::kNoSpace:
      if (!isSpaceShort && !mayFail) break;
      coverage.refusedForSpace++;
      return {};
    case Errc::kIo:
    case Errc::kLedgerPoisoned:
      // The disk may say later what went wrong while it was allowed to.
      if (!mayFail && !error.message.contains(SimDisk::kOwedError)) break;
      coverage.ioErrors++;
      return {};
    case Errc::kOverloaded:
      coverage.refusedForLoad++;
      return {};
    case Errc::kCorrupt:
      if (!isDamaged) break;
      return {};
    default:
      break;
  }
  return violation(what + " failed for no reason: " + error.message + " (" +
                   std::to_string(static_cast<int>(error.code)) + ")");
}

}  // namespace hf::sim
