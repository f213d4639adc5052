#include "server/commands/output.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/fault_disk.h"

namespace hf::server {
namespace {

constexpr std::chrono::milliseconds kRedraw{200};
constexpr std::chrono::milliseconds kNextLine{1000};

// Characters, not bytes, of UTF-8.
std::size_t widthOf(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

Progress::Progress(ShowProgress show, std::string what)
    : what_(std::move(what)),
      isTerminal_(::isatty(STDERR_FILENO) == 1),
      isShown_(isTerminal_ || show == ShowProgress::kAlways),
      next_(systemClock().steady()) {}

Progress::~Progress() {
  if (drawn_ && isTerminal_) std::fputs("\n", stderr);
}

void Progress::update(std::uint64_t bytes, std::optional<std::uint64_t> total) {
  if (!isShown_) return;
  const SteadyTime now = systemClock().steady();
  if (now < next_) return;
  next_ = now + (isTerminal_ ? kRedraw : kNextLine);
  std::string line = what_ + ": " + humanBytes(bytes);
  if (total && *total > 0) line += " of " + humanBytes(*total);
  std::fputs((isTerminal_ ? "\r\x1b[K" + line : line + "\n").c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void printJson(const OutputJson& json) {
  print(json.dump(-1, ' ', false, OutputJson::error_handler_t::replace) + "\n");
}

int failTool(const Error& error) { return failTool(error.message); }

int failTool(std::string_view message, int code) {
  std::fflush(stdout);
  std::fputs(("holdfast: " + std::string(message) + "\n").c_str(), stderr);
  return code;
}

std::string humanBytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  constexpr std::array<const char*, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    unit++;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits.at(unit));
  return text.data();
}

std::string findingText(const ledger::Finding& finding) {
  return finding.file + (finding.offset ? " at offset " + std::to_string(*finding.offset) : "") + ": " + finding.what;
}

OutputJson findingJson(const ledger::Finding& finding) {
  OutputJson json{{"file", finding.file}};
  json["offset"] = finding.offset ? OutputJson(*finding.offset) : OutputJson();
  json["what"] = finding.what;
  return json;
}

std::string tableText(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const std::string& head : heads) widths.push_back(widthOf(head));
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], widthOf(row[i]));
  }
  const auto lineOf = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); i++) {
      line += cells[i];
      if (i + 1 < cells.size()) line += std::string(widths[i] - widthOf(cells[i]) + 2, ' ');
    }
    return line + "\n";
  };
  std::string text = lineOf(heads);
  for (const auto& row : rows) text += lineOf(row);
  return text;
}

Disk& toolDisk() {
  const char* control = std::getenv("HOLDFAST_TEST_DISK");
  if (control == nullptr || *control == '\0') return systemDisk();
  static FaultDisk disk(systemDisk(), control);
  return disk;
}

}  // namespace hf::server
