// RequestParser: Boost.Beast's HTTP/1.1 parser over bytes that checkHead() has let through. Beast stays in the source.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "net/http_server.h"

namespace hf::net {

class RequestParser final {
 public:
  RequestParser();
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  struct Head {
    std::string method;
    std::string target;
    HeaderList headers;
  };
  // A new request. `head` is complete. False: Beast refuses it.
  [[nodiscard]] bool parseHead(std::string_view head, Head& out);

  enum class Step : std::uint8_t { kMore, kDone, kBad };
  struct BodyStep {
    Step step = Step::kMore;
    std::size_t consumed = 0;  // of `input`; what is left must be shown again, with more behind it
  };
  // Decodes what there is of the body and appends it to `out`; at most about `bytesMax`. kMore with nothing consumed
  // and nothing decoded: more input is needed.
  BodyStep parseBody(BytesView input, std::size_t bytesMax, Bytes& out);
  // Head and body have been read.
  [[nodiscard]] bool isDone() const;

 private:
  class Beast;
  std::unique_ptr<Beast> beast_;
};

}  // namespace hf::net
