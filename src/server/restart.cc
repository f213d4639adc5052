#include "server/restart.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/clock.h"
#include "js/process_end.h"

namespace hf::server {
namespace {

// Whoever has run for so long has not failed "again".
constexpr std::chrono::minutes kInARow{1};
constexpr unsigned kTimesMax = 1'000'000;

// Everything that the failing thread needs, made beforehand: it may allocate nothing.
struct Armed {
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  char* times = nullptr;  // the digits of kRestartVariable, in `environment`
  unsigned before = 0;
  std::chrono::steady_clock::time_point startedAt;
};

constexpr std::size_t kDigits = 7;

Armed& armed() {
  static Armed instance;
  return instance;
}

void replaceProcess(int /*code*/) {
  Armed& self = armed();
  const bool inARow = systemClock().steady() - self.startedAt < kInARow;
  unsigned times = std::min((inARow ? self.before : 0) + 1, kTimesMax);
  for (std::size_t i = kDigits; i-- > 0; times /= 10) self.times[i] = static_cast<char>('0' + times % 10);
  // Sockets, the lock of the directory, other people's files: nothing but the standard ones goes over.
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return;
  for (int fd = 0; fd < 3; fd++) fcntl(fd, F_SETFD, 0);  // Node has marked these as well
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  execve(self.argv[0], self.argv.data(), self.envp.data());
}

}  // namespace

Restarted parseRestarted(const char* text) {
  Restarted result;
  if (text == nullptr) return result;
  const char* end = text + std::strlen(text);
  unsigned times = 0;
  if (const auto [stop, error] = std::from_chars(text, end, times); error != std::errc() || stop != end) return result;
  result.times = times;
  if (times < 2) return result;
  constexpr std::chrono::milliseconds kFirst{200};
  constexpr std::chrono::milliseconds kMost{30'000};
  result.wait = std::min(kMost, kFirst * (1 << std::min(times - 2, 10U)));
  return result;
}

Restarted restarted() { return parseRestarted(std::getenv(kRestartVariable)); }

void armRestart(const std::vector<std::string>& command) {
  Armed& self = armed();
  HF_CHECK(self.argv.empty() && !command.empty(), "a restart is armed once, with a program");
  self.command = command;
  self.before = restarted().times;
  self.startedAt = systemClock().steady();
  const std::string variable = std::string(kRestartVariable) + "=";
  for (char** entry = environ; *entry != nullptr; entry++) {
    if (!std::string_view(*entry).starts_with(variable)) self.environment.emplace_back(*entry);
  }
  self.environment.push_back(variable + std::string(kDigits, '0'));
  for (std::string& text : self.command) self.argv.push_back(text.data());
  self.argv.push_back(nullptr);
  for (std::string& text : self.environment) self.envp.push_back(text.data());
  self.envp.push_back(nullptr);
  self.times = self.environment.back().data() + variable.size();
  js::setProcessEndHook(&replaceProcess);
}

}  // namespace hf::server
