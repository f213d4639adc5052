#include "base/log.h"

#include <unistd.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

namespace hf {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};

std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char tail[8];
  std::snprintf(tail, sizeof tail, ".%03dZ", static_cast<int>(ms));
  return std::string(text, size) + tail;
}

std::string quoted(std::string_view value) {
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void appendText(std::string& line, std::string_view value) {
  const bool plain = !value.empty() && value.find_first_of(" \t\r\n\"=") == std::string_view::npos;
  if (plain) {
    line += value;
  } else {
    line += quoted(value);
  }
}

}  // namespace

void Log::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const {
  if (!wants(level)) return;
  const std::string_view name = kLevelNames[static_cast<std::size_t>(level)];
  std::string line;
  if (format_ == LogFormat::kJson) {
    line = R"({"time":")" + timestamp() + R"(","level":")" + std::string(name) + R"(","message":)" + quoted(message);
    for (const auto& [key, value] : fields) line += "," + quoted(key) + ":" + quoted(value);
    line += "}\n";
  } else {
    line = timestamp() + " " + std::string(name) + " " + std::string(message);
    for (const auto& [key, value] : fields) {
      line += " ";
      line += key;
      line += "=";
      appendText(line, value);
    }
    line += "\n";
  }
  // A log line that cannot be written has nowhere to be reported.
  [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
}

}  // namespace hf
