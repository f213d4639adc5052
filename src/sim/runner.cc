#include "sim/runner.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "sim/simulation.h"

namespace hf::sim {
namespace {

constexpr std::uint64_t kNone = UINT64_MAX;
// A seed takes milliseconds.
constexpr unsigned kSeedSecondsMax = 60;

// In memory that the processes share.
struct Shared {
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> stop{false};
  struct Worker {
    std::atomic<std::uint64_t> seed{kNone};
    std::atomic<bool> failed{false};
    char failure[2000] = {};
    Coverage coverage;
  };
  Worker workers[64];
};

double secondsSince(SteadyTime start) { return std::chrono::duration<double>(systemClock().steady() - start).count(); }

[[noreturn]] void work(const RunOptions& options, Shared& shared, Shared::Worker& mine, SteadyTime start) {
  if (options.isQuiet) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) dup2(null, 2);
  }
  while (!shared.stop) {
    if (options.secondsMax > 0 && secondsSince(start) > static_cast<double>(options.secondsMax)) break;
    const std::uint64_t index = shared.next++;
    if (index >= options.seeds) break;
    const std::uint64_t seed = options.firstSeed + index;
    mine.seed = seed;
    alarm(kSeedSecondsMax);
    Simulation simulation({.seed = seed, .sabotage = options.sabotage});
    const Result<void> outcome = simulation.run();
    mine.coverage += simulation.coverage();
    shared.done++;
    if (!outcome) {
      const std::string& text = outcome.error().message;
      std::memcpy(mine.failure, text.data(), std::min(text.size(), sizeof mine.failure - 1));
      mine.failed = true;
      shared.stop = true;
      _exit(1);  // hf-allow(exit): of a child that has nothing to clean up
    }
    mine.seed = kNone;
  }
  _exit(0);  // hf-allow(exit): of a child that has nothing to clean up
}

}  // namespace

RunOutcome runSeeds(const RunOptions& options) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  HF_CHECK(memory != MAP_FAILED, "there is memory for a few counters");
  Shared& shared = *new (memory) Shared;
  const SteadyTime start = systemClock().steady();
  const int processes = std::clamp(options.processes, 1, 64);
  std::vector<pid_t> pids;
  for (int i = 0; i < processes; i++) {
    const pid_t pid = fork();
    HF_CHECK(pid >= 0, "a few processes can be made");
    if (pid == 0) work(options, shared, shared.workers[i], start);
    pids.push_back(pid);
  }
  RunOutcome outcome;
  Coverage coverage;
  for (std::size_t left = pids.size(); left > 0; left--) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    const auto at = std::ranges::find(pids, ended);
    HF_CHECK(at != pids.end(), "only our own processes end");
    Shared::Worker& worker = shared.workers[at - pids.begin()];
    coverage += worker.coverage;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    shared.stop = true;
    if (outcome.failedSeed && *outcome.failedSeed < worker.seed) continue;
    outcome.failedSeed = worker.seed;
    if (worker.failed) {
      outcome.failure = worker.failure;
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
      outcome.failure = "it did not end within " + std::to_string(kSeedSecondsMax) + " s";
    } else {
      outcome.failure =
          "it ended the process: " + std::string(WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit");
    }
  }
  outcome.seedsRun = shared.done;
  outcome.coverage = coverage.text();
  outcome.seconds = secondsSince(start);
  munmap(memory, sizeof(Shared));
  return outcome;
}

}  // namespace hf::sim
