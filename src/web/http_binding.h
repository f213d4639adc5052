// HTTP requests of one isolate as TypeScript sees them: the answering part of `Native`, and requestChunk, responseDrain
// and responseClosed of `Runtime` (web/native.ts).
// Thread:  the isolate's shard.
// Owns:    nothing but its share of each exchange under way.
#pragma once

#include <v8.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "net/http_server.h"
#include "web/binding_host.h"
#include "web/pipe.h"

namespace hf::web {

class HttpBinding final {
 public:
  HttpBinding(PipeTable& pipes, BindingHost& host) : pipes_(pipes), host_(host), alive_(std::make_shared<bool>(true)) {}
  HttpBinding(const HttpBinding&) = delete;
  HttpBinding& operator=(const HttpBinding&) = delete;
  ~HttpBinding();

  void install(v8::Local<v8::Context> context, v8::Local<v8::Object> native);
  // The number under which the runtime answers this exchange.
  std::uint64_t add(std::shared_ptr<net::Exchange> exchange);
  // The isolate is going away: what is not answered yet gets an error page or is cut.
  void failAll();
  // Exchanges under way.
  [[nodiscard]] std::size_t count() const { return exchanges_.size(); }

 private:
  struct Natives;
  friend struct Natives;
  struct Open {
    std::shared_ptr<net::Exchange> exchange;
    bool started = false;     // the head has been sent
    std::size_t writing = 0;  // bytes handed over and not yet taken by the socket
    bool drainWanted = false;
  };

  Open* find(v8::Local<v8::Value> id);
  void closed(std::uint64_t id);
  void tell(const char* function, std::uint64_t id);
  void tellChunk(std::uint64_t id, Result<Bytes> chunk);

  PipeTable& pipes_;
  BindingHost& host_;
  const std::shared_ptr<bool> alive_;  // shared with completions that may come after us
  std::uint64_t next_ = 1;
  std::unordered_map<std::uint64_t, Open> exchanges_;
};

// A short page with Cloudflare's error number: 1101 for a script that threw. `detail` may be empty.
void respondWithErrorPage(net::Exchange& exchange, int status, const std::string& detail);

}  // namespace hf::web
