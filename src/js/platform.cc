#include "js/platform.h"

#include <atomic>
#include <string>
#include <utility>

#include "base/check.h"
#include "js/convert.h"
#include "js/engine_fatal.h"
#include "js/exit_codes.h"
#include "js/node_setup.h"
#include "js/process_end.h"

namespace hf::js {

namespace {

// V8's fatal callbacks carry no data.
std::atomic<const Log*> fatalLog{nullptr};

[[noreturn]] void failEngine(int code, const char* what, const char* location, const char* message) {
  if (const Log* log = fatalLog.load(); log != nullptr) {
    log->error(what, {{"location", location == nullptr ? "" : location},
                      {"message", message == nullptr ? "" : message},
                      {"exitCode", std::to_string(code)}});
  }
  // The heap is unusable: no destructor may run.
  endProcess(code);
}

}  // namespace

void onEngineFatal(const char* location, const char* message) {
  failEngine(kExitEngineFatal, "the JavaScript engine failed; the process ends", location, message);
}

void onEngineOutOfMemory(const char* location, const v8::OOMDetails& details) {
  failEngine(kExitOutOfMemory, "the JavaScript engine ran out of memory; the process ends", location, details.detail);
}

Platform::Platform(node::MultiIsolatePlatform& node, node::EmbedderSnapshotData::Pointer snapshot, const Log& log)
    : node_(&node), snapshot_(std::move(snapshot)), log_(log), nodeSetupScript_(makeNodeSetupScript()) {
  const Log* none = nullptr;
  HF_CHECK(fatalLog.compare_exchange_strong(none, &log), "there is one Platform in a process");
  node::SetAbortHandler(&onEngineFatal);
}

Platform::~Platform() {
  node::SetAbortHandler(nullptr);
  fatalLog.store(nullptr);
}

Result<std::unique_ptr<Platform>> Platform::create(v8::Local<v8::Context> mainContext, const Log& log) {
  node::Environment* main = node::GetCurrentEnvironment(mainContext);
  if (main == nullptr) return fail(Errc::kInternal, "the addon was not loaded by Node's main environment");
  node::MultiIsolatePlatform* node = node::GetMultiIsolatePlatform(main);
  if (node == nullptr) return fail(Errc::kInternal, "this Node binary has no platform for further isolates");
  node::EmbedderSnapshotData::Pointer snapshot = node::EmbedderSnapshotData::BuiltinSnapshotData();
  if (snapshot == nullptr) return fail(Errc::kInternal, "this Node binary has no built-in start-up snapshot");
  return std::unique_ptr<Platform>(new Platform(*node, std::move(snapshot), log));
}

}  // namespace hf::js
