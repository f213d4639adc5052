#include "server/commands/admin_client.h"

#include <utility>

#include "net/url.h"

namespace hf::server {
namespace {

constexpr std::size_t kAnswerBytesMax = 64UL * 1024 * 1024;

std::unexpected<Error> refusal(int status, BytesView body) {
  std::string text = "the server answered " + std::to_string(status);
  int code = 0;
  const auto json = OutputJson::parse(asText(body), nullptr, false);
  if (json.is_object() && json.contains("errors") && json["errors"].is_array() && !json["errors"].empty()) {
    const OutputJson& first = json["errors"][0];
    if (first.is_object()) {
      text = "the server refused: " + first.value("message", text);
      code = first.value("code", 0);
    }
  }
  if (status == 401 || status == 403 || code == 10000 || code == 6003) {
    return fail(Errc::kPermission, text + " (is the token right?)");
  }
  if (status == 404) return fail(Errc::kNotFound, std::move(text));
  return fail(status >= 500 ? Errc::kIo : Errc::kInvalidArgument, std::move(text));
}

Result<OutputJson> resultOf(net::HttpClient& client, OutputJson* info) {
  HF_TRY(const Bytes body, client.readAll(kAnswerBytesMax));
  auto json = OutputJson::parse(asText(body), nullptr, false);
  if (!json.is_object() || !json.contains("result")) {
    return fail(Errc::kInvalidArgument, "the server's answer is not one of a Holdfast");
  }
  if (info != nullptr && json.contains("result_info")) *info = json["result_info"];
  return json["result"];
}

}  // namespace

Result<std::unique_ptr<net::HttpClient>> AdminClient::call(const std::string& method, const std::string& path,
                                                           std::uint64_t bodyBytes,
                                                           const net::HttpClient::BodySource& body) const {
  HF_TRY(auto client, net::HttpClient::connect(target_.endpoint.host, target_.endpoint.port));
  net::HttpClient::Request request{
      .method = method,
      .target = "/client/v4/accounts/" + net::percentEncode(target_.accountId) + "/holdfast" + path,
      .headers = {{"authorization", "Bearer " + target_.token}, {"user-agent", "holdfast"}},
      .bodyBytes = bodyBytes};
  if (bodyBytes > 0) request.headers.push_back({"content-type", "application/octet-stream"});
  HF_TRY(const net::HttpClient::Response response, client->send(request, body));
  if (response.status == 200) return client;
  HF_TRY(const Bytes refused, client->readAll(kAnswerBytesMax));
  return refusal(response.status, refused);
}

Result<OutputJson> AdminClient::get(const std::string& path, OutputJson* info) const {
  HF_TRY(const auto client, call("GET", path, 0, {}));
  return resultOf(*client, info);
}

Result<OutputJson> AdminClient::put(const std::string& path, std::uint64_t bodyBytes,
                                    const net::HttpClient::BodySource& body) const {
  HF_TRY(const auto client, call("PUT", path, bodyBytes, body));
  return resultOf(*client, nullptr);
}

Result<std::unique_ptr<net::HttpClient>> AdminClient::stream(const std::string& method, const std::string& path) const {
  return call(method, path, 0, {});
}

}  // namespace hf::server
