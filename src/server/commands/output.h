// What commands print: results to standard output, progress and errors to standard error.
// Thread:  one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/result.h"
#include "ledger/inspect.h"

namespace hf::server {

// Keys in the order in which they are put.
using OutputJson = nlohmann::ordered_json;

inline constexpr int kToolDone = 0;
inline constexpr int kToolFailed = 1;  // also: damage was found
inline constexpr int kToolUsage = 2;

enum class ShowProgress : std::uint8_t { kOnTerminal, kAlways };

// "12.3 MiB". One line, drawn over on a terminal; a line now and then elsewhere, if it is wanted there.
class Progress final {
 public:
  Progress(ShowProgress show, std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::uint64_t bytes, std::optional<std::uint64_t> total = std::nullopt);

 private:
  const std::string what_;
  const bool isTerminal_;
  const bool isShown_;
  SteadyTime next_;
  bool drawn_ = false;
};

void print(std::string_view text);
void printJson(const OutputJson& json);
// "holdfast: ..." to standard error; the exit code for it.
int failTool(const Error& error);
int failTool(std::string_view message, int code = kToolFailed);

std::string humanBytes(std::uint64_t bytes);
// "FILE at offset N: what"
std::string findingText(const ledger::Finding& finding);
OutputJson findingJson(const ledger::Finding& finding);
// Columns under their heads, as wide as their widest cell.
std::string tableText(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows);

// The machine's files; under HOLDFAST_TEST_DISK, what a test lets us do to them (docs/debugging.md).
Disk& toolDisk();

}  // namespace hf::server
