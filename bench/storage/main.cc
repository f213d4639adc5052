// bench_storage CASE DIRECTORY [--quick]: measures one case in DIRECTORY and prints its figures as one line of JSON.
// bench/storage/run.mjs runs them all and compares them with what issue and README promise.
#include <linux/magic.h>
#include <sys/vfs.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "measure.h"

int main(int argc, char** argv) {
  using namespace hf::bench;
  const std::map<std::string, Json (*)(const Settings&)> cases{
      {"one-object", oneObject},     {"checkpointing", checkpointing},  {"many-objects", manyObjects},
      {"open-objects", openObjects}, {"closed-objects", closedObjects}, {"cold-open", coldOpen},
  };
  const bool isQuick = argc == 4 && std::string_view(argv[3]) == "--quick";
  const auto chosen = argc >= 2 ? cases.find(argv[1]) : cases.end();
  if (argc < 3 || (argc > 3 && !isQuick) || chosen == cases.end()) {
    std::string names;
    for (const auto& [name, run] : cases) names += " " + name;
    fail("usage: bench_storage CASE DIRECTORY [--quick]; cases:" + names);
  }
  const Settings settings{.directory = argv[2], .isQuick = isQuick};
  std::filesystem::create_directories(settings.directory);
  struct statfs status{};
  if (statfs(settings.directory.c_str(), &status) != 0) fail(settings.directory + ": cannot be looked at");
  if (status.f_type == TMPFS_MAGIC) fail(settings.directory + ": is memory, not a disk; HF_BENCH_DIR names another");
  std::printf("%s\n", chosen->second(settings).dump().c_str());
  return 0;
}
