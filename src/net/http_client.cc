#include "net/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <utility>

#include "base/check.h"

namespace hf::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::size_t kPieceBytes = 256UL * 1024;

}  // namespace

class HttpClient::Impl final {
 public:
  Impl() : socket_(io_) {}

  Result<void> connect(const std::string& host, std::uint16_t port) {
    name_ = host + ":" + std::to_string(port);
    error_code error;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(host, std::to_string(port), error);
    if (!error) asio::connect(socket_, found, error);
    if (error) return fail(Errc::kDisconnected, "cannot reach the server at " + name_ + ": " + error.message());
    socket_.set_option(tcp::no_delay(true), error);
    return {};
  }

  Result<Response> send(const Request& asked, const BodySource& body) {
    http::request<http::buffer_body> request;
    request.version(11);
    request.method_string(asked.method);
    request.target(asked.target);
    request.set(http::field::host, name_);
    request.set(http::field::connection, "close");
    for (const Header& header : asked.headers) request.insert(header.name, header.value);
    if (asked.bodyBytes > 0 || asked.method == "PUT" || asked.method == "POST") {
      request.content_length(asked.bodyBytes);
    }
    request.body().data = nullptr;
    request.body().more = asked.bodyBytes > 0;
    http::request_serializer<http::buffer_body> serializer(request);
    error_code error;
    http::write_header(socket_, serializer, error);
    Bytes piece(asked.bodyBytes > 0 ? kPieceBytes : 0);
    for (std::uint64_t sent = 0; !error && sent < asked.bodyBytes;) {
      const std::size_t wanted = std::min<std::uint64_t>(piece.size(), asked.bodyBytes - sent);
      HF_TRY(const std::size_t got, body(std::span(piece).first(wanted)));
      if (got == 0) return fail(Errc::kIo, "the file became shorter while it was sent");
      sent += got;
      request.body().data = piece.data();
      request.body().size = got;
      request.body().more = sent < asked.bodyBytes;
      http::write(socket_, serializer, error);
      if (error == http::error::need_buffer) error = {};
    }
    // A server that does not want the body answers and closes: its answer says why.
    const error_code writing = error;
    parser_.body_limit(boost::none);
    error = {};
    http::read_header(socket_, buffer_, parser_, error);
    if (error) return failed(writing ? writing : error);
    Response response;
    response.status = static_cast<int>(parser_.get().result_int());
    for (const auto& field : parser_.get()) {
      response.headers.push_back({.name = std::string(field.name_string()), .value = std::string(field.value())});
    }
    return response;
  }

  Result<std::size_t> read(std::span<std::uint8_t> out) {
    HF_CHECK(!out.empty(), "there is room to read into");
    while (!parser_.is_done()) {
      parser_.get().body().data = out.data();
      parser_.get().body().size = out.size();
      error_code error;
      http::read_some(socket_, buffer_, parser_, error);
      if (error == http::error::need_buffer) error = {};
      if (error) return failed(error);
      if (const std::size_t got = out.size() - parser_.get().body().size; got > 0) return got;
    }
    return 0;
  }

 private:
  std::unexpected<Error> failed(const error_code& error) const {
    if (error == http::error::partial_message || error == http::error::end_of_stream ||
        error.category() != make_error_code(http::error::end_of_stream).category()) {
      return fail(Errc::kDisconnected, "the server at " + name_ + " broke off before the end: " + error.message());
    }
    return fail(Errc::kInvalidArgument, "what listens at " + name_ + " does not speak HTTP: " + error.message());
  }

  asio::io_context io_;
  tcp::socket socket_;
  std::string name_;
  boost::beast::flat_buffer buffer_;
  http::response_parser<http::buffer_body> parser_;
};

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() = default;

Result<std::unique_ptr<HttpClient>> HttpClient::connect(const std::string& host, std::uint16_t port) {
  auto impl = std::make_unique<Impl>();
  HF_TRY_VOID(impl->connect(host, port));
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(impl)));
}

Result<HttpClient::Response> HttpClient::send(const Request& request, const BodySource& body) {
  return impl_->send(request, body);
}

Result<std::size_t> HttpClient::read(std::span<std::uint8_t> out) { return impl_->read(out); }

Result<Bytes> HttpClient::readAll(std::size_t most) {
  Bytes all;
  Bytes piece(kPieceBytes);
  while (true) {
    HF_TRY(const std::size_t got, read(piece));
    if (got == 0) return all;
    if (all.size() + got > most) {
      return fail(Errc::kLimit, "the server's answer is longer than " + std::to_string(most) + " bytes");
    }
    all.insert(all.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(got));
  }
}

}  // namespace hf::net
