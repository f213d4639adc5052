// The admin API from the client's side: /client/v4/accounts/{a}/holdfast/...
// Thread:  one.
// Errors:  what the server refuses, with its text: kNotFound (404), kPermission (400 with an authentication code, 401,
//          403), kInvalidArgument (other 4xx), kIo (5xx).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/http_client.h"
#include "server/commands/output.h"
#include "server/commands/target.h"

namespace hf::server {

class AdminClient final {
 public:
  explicit AdminClient(const RemoteTarget& target) : target_(target) {}

  // `path`: after /holdfast, with its query. The envelope's "result"; `info` gets its "result_info".
  Result<OutputJson> get(const std::string& path, OutputJson* info = nullptr) const;
  // Sends a body and gives "result".
  Result<OutputJson> put(const std::string& path, std::uint64_t bodyBytes,
                         const net::HttpClient::BodySource& body) const;
  // An answer that is a stream of bytes: read it from the client.
  Result<std::unique_ptr<net::HttpClient>> stream(const std::string& method, const std::string& path) const;

 private:
  Result<std::unique_ptr<net::HttpClient>> call(const std::string& method, const std::string& path,
                                                std::uint64_t bodyBytes, const net::HttpClient::BodySource& body) const;
  const RemoteTarget& target_;
};

}  // namespace hf::server
