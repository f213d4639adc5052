#include "web/http_binding.h"

#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "js/convert.h"
#include "web/socket_bridge.h"

namespace hf::web {
namespace {

Bytes bodyOf(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  if (value->IsString()) {
    const std::string text = js::toUtf8(isolate, value);
    return {text.begin(), text.end()};
  }
  const BytesView bytes = js::bytesOf(value).value_or(BytesView{});
  return {bytes.begin(), bytes.end()};
}

}  // namespace

struct HttpBinding::Natives {
  using Info = v8::FunctionCallbackInfo<v8::Value>;

  static HttpBinding& self(const Info& info) { return js::selfOf<HttpBinding>(info); }
  static std::uint64_t id(const Info& info) { return static_cast<std::uint64_t>(info[0].As<v8::Number>()->Value()); }

  static net::ResponseHead head(const Info& info, int status, int text, int headers) {
    v8::Isolate* isolate = info.GetIsolate();
    const auto context = isolate->GetCurrentContext();
    net::ResponseHead head;
    head.status = status;
    if (text >= 0) head.reason = js::toUtf8(isolate, info[text]);
    const auto list = info[headers].As<v8::Array>();
    for (std::uint32_t i = 0; i + 1 < list->Length(); i += 2) {
      v8::Local<v8::Value> name;
      v8::Local<v8::Value> value;
      if (!list->Get(context, i).ToLocal(&name) || !list->Get(context, i + 1).ToLocal(&value)) break;
      head.headers.push_back({.name = js::toUtf8(isolate, name), .value = toLatin1(isolate, value.As<v8::String>())});
    }
    return head;
  }

  // Header values are bytes: JavaScript holds each as a code unit below 256.
  static std::string toLatin1(v8::Isolate* isolate, v8::Local<v8::String> text) {
    std::string out(static_cast<std::size_t>(text->Length()), '\0');
    text->WriteOneByteV2(isolate, 0, static_cast<std::uint32_t>(out.size()),
                         reinterpret_cast<std::uint8_t*>(out.data()));
    return out;
  }

  static void respond(const Info& info) {
    HttpBinding& binding = self(info);
    const auto it = binding.exchanges_.find(id(info));
    if (it == binding.exchanges_.end()) return;
    const std::shared_ptr<net::Exchange> exchange = std::move(it->second.exchange);
    binding.exchanges_.erase(it);
    Bytes body;
    if (!info[4]->IsUndefined()) body = bodyOf(info.GetIsolate(), info[4]);
    exchange->respond(head(info, info[1].As<v8::Int32>()->Value(), 2, 3), std::move(body));
  }

  static void respondStart(const Info& info) {
    Open* open = self(info).find(info[0]);
    if (open == nullptr || open->started) return;
    open->started = true;
    const double length = info[4].As<v8::Number>()->Value();
    std::optional<std::uint64_t> known;
    if (length >= 0) known = static_cast<std::uint64_t>(length);
    open->exchange->startResponse(head(info, info[1].As<v8::Int32>()->Value(), 2, 3), known);
  }

  static void respondWrite(const Info& info) {
    HttpBinding& binding = self(info);
    Open* open = binding.find(info[0]);
    // Its responseClosed is on the way: a source that was read on meanwhile would come to its end instead.
    if (open == nullptr) return info.GetReturnValue().Set(false);
    Bytes chunk = bodyOf(info.GetIsolate(), info[1]);
    const std::size_t size = chunk.size();
    open->writing += size;
    const std::weak_ptr<bool> alive = binding.alive_;
    open->exchange->write(std::move(chunk), [&binding, alive, key = id(info), size](Result<void> done) {
      if (alive.expired()) return;
      const auto it = binding.exchanges_.find(key);
      if (it == binding.exchanges_.end()) return;
      it->second.writing -= size;
      if (!done) return binding.closed(key);
      if (!it->second.drainWanted || it->second.writing > limits::kBodyWindowBytes / 2) return;
      it->second.drainWanted = false;
      binding.tell("responseDrain", key);
    });
    open = binding.find(info[0]);
    if (open == nullptr) return info.GetReturnValue().Set(false);
    open->drainWanted = open->writing > limits::kBodyWindowBytes;
    info.GetReturnValue().Set(!open->drainWanted);
  }

  static void respondEnd(const Info& info) {
    HttpBinding& binding = self(info);
    const auto it = binding.exchanges_.find(id(info));
    if (it == binding.exchanges_.end()) return;
    const std::shared_ptr<net::Exchange> exchange = std::move(it->second.exchange);
    binding.exchanges_.erase(it);
    exchange->finish();
  }

  static void respondAbort(const Info& info) {
    HttpBinding& binding = self(info);
    const auto it = binding.exchanges_.find(id(info));
    if (it == binding.exchanges_.end()) return;
    const std::shared_ptr<net::Exchange> exchange = std::move(it->second.exchange);
    binding.exchanges_.erase(it);
    exchange->abort();
  }

  static void respondUpgrade(const Info& info) {
    HttpBinding& binding = self(info);
    const auto it = binding.exchanges_.find(id(info));
    if (it == binding.exchanges_.end()) return;
    const std::shared_ptr<net::Exchange> exchange = std::move(it->second.exchange);
    binding.exchanges_.erase(it);
    const auto end = static_cast<PipeEnd>(info[2].As<v8::Number>()->Value());
    SocketBridge::join(*exchange, head(info, 101, -1, 1).headers, binding.pipes_, end,
                       info[3]->BooleanValue(info.GetIsolate()));
  }

  static void respondError(const Info& info) {
    HttpBinding& binding = self(info);
    const auto it = binding.exchanges_.find(id(info));
    if (it == binding.exchanges_.end()) return;
    const Open open = std::move(it->second);
    binding.exchanges_.erase(it);
    if (open.started) {
      open.exchange->abort();
    } else {
      respondWithErrorPage(*open.exchange, info[1]->BooleanValue(info.GetIsolate()) ? 503 : 500, "");
    }
  }

  static void requestRead(const Info& info) {
    HttpBinding& binding = self(info);
    Open* open = binding.find(info[0]);
    if (open == nullptr) return;
    const std::weak_ptr<bool> alive = binding.alive_;
    open->exchange->readBody([&binding, alive, key = id(info)](Result<Bytes> chunk) {
      if (!alive.expired()) binding.tellChunk(key, std::move(chunk));
    });
  }

  static void requestCancel(const Info& /*info*/) {
    // What is not asked for is not read; the connection deals with the rest when the response is complete.
  }
};

HttpBinding::~HttpBinding() { failAll(); }

void HttpBinding::install(v8::Local<v8::Context> context, v8::Local<v8::Object> native) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    js::setMethod(context, native, name, callback, this);
  };
  add("respond", Natives::respond);
  add("respondStart", Natives::respondStart);
  add("respondWrite", Natives::respondWrite);
  add("respondEnd", Natives::respondEnd);
  add("respondAbort", Natives::respondAbort);
  add("respondUpgrade", Natives::respondUpgrade);
  add("respondError", Natives::respondError);
  add("requestRead", Natives::requestRead);
  add("requestCancel", Natives::requestCancel);
}

std::uint64_t HttpBinding::add(std::shared_ptr<net::Exchange> exchange) {
  const std::uint64_t id = next_++;
  const std::weak_ptr<bool> alive = alive_;
  exchange->onClosed([this, alive, id] {
    if (!alive.expired()) closed(id);
  });
  exchanges_.emplace(id, Open{.exchange = std::move(exchange)});
  return id;
}

void HttpBinding::closed(std::uint64_t id) {
  const auto it = exchanges_.find(id);
  if (it == exchanges_.end()) return;
  // A client that has only finished sending still reads: what is not begun can be answered all the same.
  if (it->second.started) exchanges_.erase(it);
  tell("responseClosed", id);
}

void HttpBinding::tell(const char* function, std::uint64_t id) {
  if (host_.isSuspended()) return host_.afterTurn([this, function, id] { tell(function, id); });
  host_.tellRuntime(function, [&](v8::Isolate* isolate, auto& out) {
    out.push_back(v8::Number::New(isolate, static_cast<double>(id)));
  });
}

void HttpBinding::tellChunk(std::uint64_t id, Result<Bytes> chunk) {
  if (host_.isSuspended()) {
    host_.afterTurn([this, id, chunk = std::move(chunk)]() mutable { tellChunk(id, std::move(chunk)); });
    return;
  }
  host_.tellRuntime("requestChunk", [&](v8::Isolate* isolate, auto& out) {
    out.push_back(v8::Number::New(isolate, static_cast<double>(id)));
    v8::Local<v8::ArrayBuffer> buffer;
    if (!chunk) {
      const bool gone = chunk.error().code == Errc::kDisconnected;
      out.push_back(js::string(isolate, gone ? "Network connection lost." : chunk.error().message));
    } else if (chunk->empty()) {
      out.push_back(v8::Null(isolate));
    } else if (js::arrayBuffer(isolate, *chunk).ToLocal(&buffer)) {
      out.push_back(buffer);
    } else {
      out.push_back(js::string(isolate, "The request's body does not fit into the Worker's memory."));
    }
  });
}

void HttpBinding::failAll() {
  for (auto& [id, open] : std::exchange(exchanges_, {})) {
    if (open.started) {
      open.exchange->abort();
    } else {
      respondWithErrorPage(*open.exchange, 503, "The Worker was restarted.");
    }
  }
}

HttpBinding::Open* HttpBinding::find(v8::Local<v8::Value> id) {
  const auto it = exchanges_.find(static_cast<std::uint64_t>(id.As<v8::Number>()->Value()));
  return it == exchanges_.end() ? nullptr : &it->second;
}

void respondWithErrorPage(net::Exchange& exchange, int status, const std::string& detail) {
  std::string page = detail;
  if (page.empty()) {
    page = status == 503 ? "Error 1102: the Worker is overloaded.\n" : "Error 1101: the Worker threw an exception.\n";
  } else {
    page += "\n";
  }
  net::ResponseHead head;
  head.status = status;
  head.headers = {{"content-type", "text/plain; charset=utf-8"}};
  exchange.respond(std::move(head), Bytes(page.begin(), page.end()));
}

}  // namespace hf::web
