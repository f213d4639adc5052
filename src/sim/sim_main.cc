// sim: one seed with its trace, many seeds, or the sabotages. See tools/sim.
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "sim/runner.h"
#include "sim/simulation.h"

namespace hf::sim {
namespace {

constexpr char kUsage[] =
    "usage: sim --seed N [--trace] [--sabotage NAME]          one seed\n"
    "       sim --seeds COUNT [--from N] [--jobs J] [--seconds S]  many, S seconds at most\n"
    "       sim --sabotages [--seeds COUNT] [--jobs J]       each sabotage until it is noticed, COUNT seeds at most\n";

struct Arguments {
  std::uint64_t seed = 0;
  bool isOne = false;
  bool isTraced = false;
  bool areSabotages = false;
  Sabotage sabotage = Sabotage::kNone;
  RunOptions run;
};

bool parseNumber(const char* text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), out);
  return error == std::errc() && *end == '\0';
}

bool parse(int count, char** words, Arguments& out) {
  for (int i = 1; i < count; i++) {
    const std::string_view word = words[i];
    if (word == "--trace") {
      out.isTraced = true;
      continue;
    }
    if (word == "--sabotages") {
      out.areSabotages = true;
      continue;
    }
    if (i + 1 == count) return false;
    const char* value = words[++i];
    std::uint64_t number = 0;
    if (word == "--sabotage") {
      for (std::uint8_t k = 0; k < static_cast<std::uint8_t>(Sabotage::kCount); k++) {
        if (std::strcmp(name(static_cast<Sabotage>(k)), value) == 0) out.sabotage = static_cast<Sabotage>(k);
      }
      if (out.sabotage == Sabotage::kNone) return false;
      continue;
    }
    if (!parseNumber(value, number)) return false;
    if (word == "--seed") {
      out.isOne = true;
      out.seed = number;
    } else if (word == "--seeds") {
      out.run.seeds = number;
    } else if (word == "--from") {
      out.run.firstSeed = number;
    } else if (word == "--jobs") {
      out.run.processes = static_cast<int>(number);
    } else if (word == "--seconds") {
      out.run.secondsMax = number;
    } else {
      return false;
    }
  }
  return count > 1;
}

int runOne(const Arguments& arguments) {
  Simulation simulation({.seed = arguments.seed, .sabotage = arguments.sabotage, .isTraced = arguments.isTraced});
  const Result<void> outcome = simulation.run();
  std::printf("seed %llu: %s\n%s\ndigest %016llx\n", static_cast<unsigned long long>(arguments.seed),
              outcome ? "passed" : ("FAILED: " + outcome.error().message).c_str(), simulation.coverage().text().c_str(),
              static_cast<unsigned long long>(simulation.digest()));
  return outcome ? 0 : 1;
}

int runMany(const Arguments& arguments) {
  const RunOutcome outcome = runSeeds(arguments.run);
  std::printf("%llu seeds from %llu in %.1f s (%.0f a second): %s\n", static_cast<unsigned long long>(outcome.seedsRun),
              static_cast<unsigned long long>(arguments.run.firstSeed), outcome.seconds,
              static_cast<double>(outcome.seedsRun) / outcome.seconds, outcome.coverage.c_str());
  if (!outcome.failedSeed) return 0;
  std::printf("seed %llu FAILED: %s\nreplay: make sim SEED=%llu\n",
              static_cast<unsigned long long>(*outcome.failedSeed), outcome.failure.c_str(),
              static_cast<unsigned long long>(*outcome.failedSeed));
  return 1;
}

int runSabotages(const Arguments& arguments) {
  int missed = 0;
  for (std::uint8_t i = 1; i < static_cast<std::uint8_t>(Sabotage::kCount); i++) {
    RunOptions run = arguments.run;
    run.sabotage = static_cast<Sabotage>(i);
    run.isQuiet = true;
    const RunOutcome outcome = runSeeds(run);
    if (outcome.failedSeed) {
      std::printf("%-28s noticed after %llu seeds (%.1f s): %s\n", name(run.sabotage),
                  static_cast<unsigned long long>(outcome.seedsRun), outcome.seconds, outcome.failure.c_str());
    } else {
      missed++;
      std::printf("%-28s NOT NOTICED in %llu seeds (%.1f s)\n", name(run.sabotage),
                  static_cast<unsigned long long>(outcome.seedsRun), outcome.seconds);
    }
    std::fflush(stdout);
  }
  std::printf("%d sabotages, %d not noticed\n", static_cast<int>(Sabotage::kCount) - 1, missed);
  return missed == 0 ? 0 : 1;
}

int run(int count, char** words) {
  Arguments arguments;
  if (!parse(count, words, arguments)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (arguments.areSabotages) return runSabotages(arguments);
  return arguments.isOne ? runOne(arguments) : runMany(arguments);
}

}  // namespace
}  // namespace hf::sim

int main(int count, char** words) { return hf::sim::run(count, words); }
