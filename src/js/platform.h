// Platform: what all Node environments of the process share.
// Thread:  made and destroyed on Node's main thread; then any thread may make environments with it.
// Owns:    the handle to Node's built-in start-up snapshot. Borrows Node's platform and the Log, which outlive it.
// Errors:  V8's and Node's own fatal errors end the process through here, with a line on the log (exit_codes.h).
#pragma once

#include <node.h>
#include <v8.h>

#include <memory>

#include "base/log.h"
#include "base/result.h"

namespace hf::js {

class CachedScript;

class Platform final {
 public:
  // From the addon's initialiser: `mainContext` is the context that Node loaded the addon into.
  // One per process: V8's fatal error callbacks carry no data, so they report to the last one made.
  static Result<std::unique_ptr<Platform>> create(v8::Local<v8::Context> mainContext, const Log& log);
  ~Platform();
  Platform(const Platform&) = delete;
  Platform& operator=(const Platform&) = delete;

  [[nodiscard]] node::MultiIsolatePlatform& node() const { return *node_; }
  [[nodiscard]] const node::EmbedderSnapshotData* snapshot() const { return snapshot_.get(); }
  [[nodiscard]] const Log& log() const { return log_; }
  [[nodiscard]] CachedScript& nodeSetupScript() const { return *nodeSetupScript_; }

 private:
  Platform(node::MultiIsolatePlatform& node, node::EmbedderSnapshotData::Pointer snapshot, const Log& log);

  // Fixed once made
  node::MultiIsolatePlatform* const node_;
  const node::EmbedderSnapshotData::Pointer snapshot_;
  const Log& log_;
  const std::unique_ptr<CachedScript> nodeSetupScript_;
};

}  // namespace hf::js
