// WebSocket pipes as TypeScript sees them: the pipe part of `Native` and Runtime.socketEvent (web/native.ts).
// Thread:  the isolate's shard.
#pragma once

#include <v8.h>

#include <unordered_set>

#include "web/binding_host.h"
#include "web/pipe.h"

namespace hf::web {

class PipeBinding final : public PipeSink {
 public:
  PipeBinding(PipeTable& pipes, BindingHost& host) : pipes_(pipes), host_(host) {}

  void install(v8::Local<v8::Context> context, v8::Local<v8::Object> native);
  // Another isolate of this shard will attach `end`: what comes out of it waits.
  void letGo(PipeEnd end);
  // The isolate is going away: the other sides see the connection cut.
  void abortAll();

  void onPipeMessage(PipeEnd end, PipeMessage message) override;
  void onPipeAck(PipeEnd end) override;

 private:
  struct Natives;
  friend struct Natives;

  PipeTable& pipes_;
  BindingHost& host_;
  std::unordered_set<PipeEnd> attached_;
};

}  // namespace hf::web
