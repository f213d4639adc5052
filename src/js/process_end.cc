#include "js/process_end.h"

#include <unistd.h>

#include <atomic>

namespace hf::js {

namespace {
std::atomic<void (*)(int)> endHook{nullptr};
}  // namespace

void setProcessEndHook(void (*hook)(int code)) { endHook.store(hook); }

void endProcess(int code) {
  // The first thread only: others may fail while it is at it.
  if (auto* hook = endHook.exchange(nullptr); hook != nullptr) hook(code);
  _exit(code);  // hf-allow(exit): this is where the process ends
}

}  // namespace hf::js
