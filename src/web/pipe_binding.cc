#include "web/pipe_binding.h"

#include <utility>

#include "js/convert.h"

namespace hf::web {

struct PipeBinding::Natives {
  using Info = v8::FunctionCallbackInfo<v8::Value>;

  static PipeBinding& self(const Info& info) { return js::selfOf<PipeBinding>(info); }
  static PipeEnd end(const Info& info) { return static_cast<PipeEnd>(info[0].As<v8::Number>()->Value()); }

  static void create(const Info& info) {
    const auto [first, second] = self(info).pipes_.create();
    v8::Local<v8::Value> both[] = {v8::Number::New(info.GetIsolate(), static_cast<double>(first)),
                                   v8::Number::New(info.GetIsolate(), static_cast<double>(second))};
    info.GetReturnValue().Set(v8::Array::New(info.GetIsolate(), both, 2));
  }

  static void attach(const Info& info) {
    PipeBinding& binding = self(info);
    if (!binding.attached_.insert(end(info)).second) return;
    binding.pipes_.attach(end(info), binding);
  }

  static void send(const Info& info) {
    PipeMessage message;
    if (info[1]->IsString()) {
      const std::string text = js::toUtf8(info.GetIsolate(), info[1]);
      message.data.assign(text.begin(), text.end());
    } else {
      message.kind = PipeKind::kBinary;
      const BytesView bytes = js::bytesOf(info[1]).value_or(BytesView{});
      message.data.assign(bytes.begin(), bytes.end());
    }
    info.GetReturnValue().Set(self(info).pipes_.send(end(info), std::move(message)));
  }

  static void close(const Info& info) {
    PipeMessage message{.kind = PipeKind::kClose, .data = {}, .code = 0, .reason = {}};
    message.code = info[1].As<v8::Int32>()->Value();
    message.reason = js::toUtf8(info.GetIsolate(), info[2]);
    self(info).pipes_.send(end(info), std::move(message));
  }

  static void abort(const Info& info) {
    self(info).attached_.erase(end(info));
    self(info).pipes_.abort(end(info));
  }

  static void ack(const Info& info) { self(info).pipes_.ack(end(info)); }

  static void autoResponse(const Info& info) {
    std::unique_ptr<AutoResponse> pair;
    if (info[1]->IsString()) {
      pair = std::make_unique<AutoResponse>(AutoResponse{.request = js::toUtf8(info.GetIsolate(), info[1]),
                                                         .response = js::toUtf8(info.GetIsolate(), info[2])});
    }
    self(info).pipes_.setAutoResponse(end(info), std::move(pair));
  }

  static void autoResponseTime(const Info& info) {
    info.GetReturnValue().Set(static_cast<double>(self(info).pipes_.autoResponseTime(end(info))));
  }
};

void PipeBinding::install(v8::Local<v8::Context> context, v8::Local<v8::Object> native) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    js::setMethod(context, native, name, callback, this);
  };
  add("pipeCreate", Natives::create);
  add("pipeAttach", Natives::attach);
  add("pipeSend", Natives::send);
  add("pipeClose", Natives::close);
  add("pipeAbort", Natives::abort);
  add("pipeAck", Natives::ack);
  add("pipeAutoResponse", Natives::autoResponse);
  add("pipeAutoResponseTime", Natives::autoResponseTime);
}

void PipeBinding::letGo(PipeEnd end) {
  if (attached_.erase(end) != 0) pipes_.hold(end);
}

void PipeBinding::abortAll() {
  for (const PipeEnd end : std::exchange(attached_, {})) pipes_.abort(end);
}

void PipeBinding::onPipeMessage(PipeEnd end, PipeMessage message) {
  static constexpr const char* kKinds[] = {"text", "binary", "close", "gone", "error"};
  if (host_.isSuspended()) {
    host_.afterTurn([this, end, message = std::move(message)]() mutable {
      if (attached_.contains(end)) return onPipeMessage(end, std::move(message));
      pipes_.redeliver(end, std::move(message));  // let go meanwhile
    });
    return;
  }
  if (message.kind == PipeKind::kGone) attached_.erase(end);
  host_.tellRuntime("socketEvent", [&](v8::Isolate* isolate, v8::LocalVector<v8::Value>& out) {
    out.push_back(v8::Number::New(isolate, static_cast<double>(end)));
    out.push_back(js::internalized(isolate, kKinds[static_cast<std::size_t>(message.kind)]));
    if (message.kind == PipeKind::kText) {
      out.push_back(js::string(isolate, asText(message.data)));
    } else if (message.kind == PipeKind::kBinary) {
      v8::Local<v8::ArrayBuffer> buffer;
      // Beyond the isolate's budget the message is lost to it, and the runtime sees that it is not there.
      if (js::arrayBuffer(isolate, message.data).ToLocal(&buffer)) {
        out.push_back(buffer);
      } else {
        out.push_back(v8::Undefined(isolate));
      }
    } else {
      out.push_back(v8::Undefined(isolate));
    }
    out.push_back(v8::Integer::New(isolate, message.code));
    out.push_back(js::string(isolate, message.reason));
  });
}

void PipeBinding::onPipeAck(PipeEnd /*end*/) {
  // JavaScript that sends is bounded by what waits in the pipe, not by acknowledgements.
}

}  // namespace hf::web
