// How V8's and Node's own fatal errors end the process: one line on the log, then _exit (exit_codes.h).
#pragma once

#include <v8.h>

namespace hf::js {

void onEngineFatal(const char* location, const char* message);
void onEngineOutOfMemory(const char* location, const v8::OOMDetails& details);

}  // namespace hf::js
