#include "net/http_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <optional>

#include "base/check.h"

namespace hf::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

// A chunk's size line with its extensions, or the trailer section.
constexpr std::size_t kChunkHeaderBytesMax = 16 * 1024;
// The shortest chunked body, "0" and two line ends. Beast 1.81 asserts that it has as much when the first chunk is the
// last one and comes in pieces.
constexpr std::size_t kShortestChunkedBytes = 5;

// Collects what Beast finds, into whatever the caller names.
class Collector final : public http::basic_parser<true> {
 public:
  Collector() {
    // Both limits are ours: of the head it is checked before, of the body there is none.
    header_limit(std::numeric_limits<std::uint32_t>::max());
    body_limit(boost::none);
    eager(true);
  }

  RequestParser::Head* head = nullptr;  // while the head is parsed
  Bytes* body = nullptr;                // while the body is parsed

 private:
  void on_request_impl(http::verb /*method*/, string_view method, string_view target, int /*version*/,
                       error_code& /*error*/) override {
    head->method.assign(method.data(), method.size());
    head->target.assign(target.data(), target.size());
  }
  void on_response_impl(int /*code*/, string_view /*reason*/, int /*version*/, error_code& /*error*/) override {}
  void on_field_impl(http::field /*field*/, string_view name, string_view value, error_code& /*error*/) override {
    if (head == nullptr) return;  // a trailer: nobody asks for those
    head->headers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  }
  void on_header_impl(error_code& /*error*/) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, error_code& /*error*/) override {}
  std::size_t on_body_impl(string_view data, error_code& /*error*/) override {
    body->insert(body->end(), data.begin(), data.end());
    return data.size();
  }
  void on_chunk_header_impl(std::uint64_t /*size*/, string_view /*extensions*/, error_code& /*error*/) override {}
  std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, string_view data, error_code& /*error*/) override {
    body->insert(body->end(), data.begin(), data.end());
    return data.size();
  }
  void on_finish_impl(error_code& /*error*/) override {}
};

}  // namespace

// Beast's parser cannot be reset: a new one for each request, in the same place.
class RequestParser::Beast {
 public:
  std::optional<Collector> parser;
  bool bodyBegun = false;
};

RequestParser::RequestParser() : beast_(std::make_unique<Beast>()) {}
RequestParser::~RequestParser() = default;

bool RequestParser::parseHead(std::string_view head, Head& out) {
  Collector& parser = beast_->parser.emplace();
  beast_->bodyBegun = false;
  out.headers.reserve(16);
  parser.head = &out;
  parser.eager(false);  // stops behind the head
  error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
  parser.eager(true);
  parser.head = nullptr;
  return !error && parser.is_header_done() && used == head.size();
}

RequestParser::BodyStep RequestParser::parseBody(BytesView input, std::size_t bytesMax, Bytes& out) {
  HF_CHECK(beast_->parser && beast_->parser->is_header_done(), "a body follows a head");
  Collector& parser = *beast_->parser;
  if (parser.is_done()) return {.step = Step::kDone};
  const BytesView shown = input.first(std::min(input.size(), bytesMax + kChunkHeaderBytesMax));
  if (parser.chunked() && !beast_->bodyBegun && shown.size() < kShortestChunkedBytes) return {};
  beast_->bodyBegun = true;
  parser.body = &out;
  error_code error;
  const std::size_t used = parser.put(boost::asio::const_buffer(shown.data(), shown.size()), error);
  parser.body = nullptr;
  if (error && error != http::error::need_more) return {.step = Step::kBad};
  if (parser.is_done()) return {.step = Step::kDone, .consumed = used};
  // Data is consumed as it comes; what Beast leaves is a chunk's header or the trailers, unfinished.
  if (input.size() - used > kChunkHeaderBytesMax && used == 0) return {.step = Step::kBad};
  return {.step = Step::kMore, .consumed = used};
}

bool RequestParser::isDone() const { return beast_->parser && beast_->parser->is_done(); }

}  // namespace hf::net
