// A blocking HTTP/1.1 client: one connection, one request. For commands; the server speaks to nobody with it.
// Thread:  one.
// Errors:  kDisconnected: there is no server, or it broke off before the end. kInvalidArgument: it does not speak HTTP.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "net/http_server.h"

namespace hf::net {

class HttpClient final {
 public:
  static Result<std::unique_ptr<HttpClient>> connect(const std::string& host, std::uint16_t port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  struct Request {
    std::string method;
    std::string target;
    HeaderList headers;
    std::uint64_t bodyBytes = 0;
  };
  struct Response {
    int status = 0;
    HeaderList headers;
  };
  // Fills the span as far as it can; 0 only when nothing is left.
  using BodySource = std::function<Result<std::size_t>(std::span<std::uint8_t>)>;
  // Once. An answer that comes before the body is through is taken as the answer.
  Result<Response> send(const Request& request, const BodySource& body = {});
  // The next bytes of the answer's body, at least one; 0: its end.
  Result<std::size_t> read(std::span<std::uint8_t> out);
  // What is left of it; kLimit beyond `most` bytes.
  Result<Bytes> readAll(std::size_t most);

 private:
  class Impl;
  explicit HttpClient(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace hf::net
