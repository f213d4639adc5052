// Log: one line per event, as text for a person or as JSON for a machine.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace hf {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

// Values are written as they are in text (quoted when they hold blanks) and as strings in JSON.
using LogField = std::pair<std::string_view, std::string_view>;

// Where lines go. Any thread may write; a line is written whole with one write(2).
class Log final {
 public:
  // `fd` stays open for the life of the log and is not owned.
  Log(int fd, LogFormat format, LogLevel least) : fd_(fd), format_(format), least_(least) {}

  void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {}) const;
  [[nodiscard]] bool wants(LogLevel level) const { return level >= least_; }

  void debug(std::string_view m, std::initializer_list<LogField> f = {}) const { write(LogLevel::kDebug, m, f); }
  void info(std::string_view m, std::initializer_list<LogField> f = {}) const { write(LogLevel::kInfo, m, f); }
  void warn(std::string_view m, std::initializer_list<LogField> f = {}) const { write(LogLevel::kWarn, m, f); }
  void error(std::string_view m, std::initializer_list<LogField> f = {}) const { write(LogLevel::kError, m, f); }

 private:
  // Fixed once made
  const int fd_;
  const LogFormat format_;
  const LogLevel least_;
};

}  // namespace hf
