// How the process ends itself when V8 cannot go on (exit_codes.h).
// Thread:  any.
#pragma once

namespace hf::js {

// Ends the process at once: no destructor runs, as in a crash. The hook goes first.
[[noreturn]] void endProcess(int code);

// Called by endProcess(), on a thread in an unknown state: allocates nothing, takes no lock. It may replace the
// process; when it returns, the process ends. nullptr: none.
void setProcessEndHook(void (*hook)(int code));

}  // namespace hf::js
