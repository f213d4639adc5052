// The simulator itself: what it runs, that it repeats, and that it goes where it should. Thousands of seeds: tools/sim.
#include "sim/simulation.h"

#include <gtest/gtest.h>

#include "sim/runner.h"

namespace hf::sim {
namespace {

TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 40; seed++) {
    Simulation first({.seed = seed});
    Simulation second({.seed = seed});
    const auto outcome = first.run();
    EXPECT_TRUE(outcome) << "seed " << seed << ": " << outcome.error().message;
    EXPECT_EQ(outcome.has_value(), second.run().has_value());
    EXPECT_EQ(first.digest(), second.digest()) << "seed " << seed;
  }
}

TEST(Simulation, GoesEverywhere) {
  Coverage coverage;
  for (std::uint64_t seed = 1000; seed < 1300; seed++) {
    Simulation simulation({.seed = seed});
    const auto outcome = simulation.run();
    ASSERT_TRUE(outcome) << "seed " << seed << ": " << outcome.error().message << "\nreplay: make sim SEED=" << seed;
    coverage += simulation.coverage();
  }
  EXPECT_TRUE(coverage.reachesAll()) << coverage.text();
}

// The simulator's model is not what decides: a run whose code is broken on purpose fails, whatever the break.
class Sabotages : public testing::TestWithParam<std::uint8_t> {};

TEST_P(Sabotages, AreNoticed) {
  const auto sabotage = static_cast<Sabotage>(GetParam());
  const RunOutcome outcome = runSeeds({.firstSeed = 1, .seeds = 10'000, .sabotage = sabotage, .isQuiet = true});
  EXPECT_TRUE(outcome.failedSeed) << name(sabotage) << " was not noticed in " << outcome.seedsRun << " seeds";
  RecordProperty("seeds", std::to_string(outcome.seedsRun));
  if (outcome.failedSeed) {
    GTEST_LOG_(INFO) << name(sabotage) << ": noticed by seed " << *outcome.failedSeed << " after " << outcome.seedsRun
                     << ": " << outcome.failure;
  }
}

INSTANTIATE_TEST_SUITE_P(Simulation, Sabotages,
                         testing::Range(std::uint8_t{1}, static_cast<std::uint8_t>(Sabotage::kCount)),
                         [](const auto& info) {
                           std::string text = name(static_cast<Sabotage>(info.param));
                           for (char& c : text) c = c == '-' ? '_' : c;
                           return text;
                         });

}  // namespace
}  // namespace hf::sim
