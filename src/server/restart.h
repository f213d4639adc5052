// Starting anew in place. When V8 cannot be stopped or fails (js/exit_codes.h) the process replaces itself by a fresh
// one with the same arguments: process id, standard files and whoever watches the process stay. Acknowledged writes are
// on disk, so to everybody else this is a crash that is over within a second. When it happens again and again the new
// process waits before it starts: 0.2 s, 0.4 s ... 30 s. Thread:  main thread. What is armed runs on whatever thread
// fails.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace hf::server {

// The failures in a row that led to this process, and how long it is to wait before it starts.
struct Restarted {
  unsigned times = 0;
  std::chrono::milliseconds wait{0};
};

// As the process before left it in the environment (kRestartVariable).
Restarted restarted();
// "TIMES" as it is there; what is not understood counts as none.
Restarted parseRestarted(const char* text);

// `command`: the program and its arguments, as execve takes them. Once.
void armRestart(const std::vector<std::string>& command);

inline constexpr const char* kRestartVariable = "HOLDFAST_RESTARTED";

}  // namespace hf::server
