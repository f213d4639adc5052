// For the tests of this room: an ApiServer over real HTTP with a runtime that only reads source text.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "api/api_server.h"
#include "api/reply.h"
#include "net/test_support.h"

namespace hf::api {

// Finds exports by their text. Control thread, apart from what a test sets before it sends a request.
class TextRuntime final : public Runtime {
 public:
  void check(std::shared_ptr<const catalog::Version> version, Completion<Result<ScriptReport>> done) override {
    ++checks;
    std::string source;
    for (const auto& module : version->modules) {
      if (module.name == version->mainModule) source = std::string(asText(module.content));
    }
    if (source.find("throw at start") != std::string::npos) {
      return done(fail(Errc::kScript, "Uncaught Error: at start\n  at index.js:1:7"));
    }
    if (failNextCheck) {
      failNextCheck = false;
      return done(fail(Errc::kInternal, "the runtime is out of order"));
    }
    ScriptReport report{.exports = {}, .startupMs = 2.5};
    if (source.find("export default") != std::string::npos) {
      report.exports.push_back({.name = "default", .kind = ExportKind::kHandlerObject, .handlers = {"fetch"}});
    }
    static const std::regex classes(R"(export class (\w+))");
    for (std::sregex_iterator at(source.begin(), source.end(), classes), end; at != end; ++at) {
      report.exports.push_back({.name = (*at)[1], .kind = ExportKind::kDurableObject, .handlers = {"fetch"}});
    }
    if (hold) {
      held.push_back([done = std::move(done), report]() mutable { done(report); });
      return;
    }
    done(report);
  }
  void activate(catalog::SnapshotPtr next, Completion<Result<void>> done) override {
    snapshot = std::move(next);
    done({});
  }
  void deleteNamespaces(std::vector<NamespaceId> ids, Completion<Result<void>> done) override {
    deleted.insert(deleted.end(), ids.begin(), ids.end());
    if (failDeletions) return done(fail(Errc::kIo, "no disk"));
    done({});
  }
  void listObjects(NamespaceId ns, std::optional<ObjectId> after, std::size_t limit,
                   Completion<Result<std::vector<StoredObject>>> done) override {
    std::vector<StoredObject> out;
    for (std::uint8_t number = 1; number <= 5 && out.size() < limit; ++number) {
      const std::array<std::uint8_t, 16> base{number};
      const ObjectId id = IdFactory(ns.hex()).fromRandom(base);
      if (!after || *after < id) out.push_back({.id = id, .hasStoredData = number != 3});
    }
    done(std::move(out));
  }

  int checks = 0;
  bool failNextCheck = false;
  bool hold = false;
  bool failDeletions = false;
  std::vector<Task> held;
  catalog::SnapshotPtr snapshot;
  std::vector<NamespaceId> deleted;
};

struct ApiAnswer {
  int status = 0;
  Json json;
  std::string head;

  [[nodiscard]] int code() const {
    const bool failed = json.is_object() && json.contains("errors") && !json["errors"].empty();
    return failed ? json["errors"][0]["code"].get<int>() : 0;
  }
  [[nodiscard]] std::string message() const { return json["errors"].empty() ? "" : json["errors"][0]["message"]; }
  [[nodiscard]] const Json& result() const { return json["result"]; }
};

class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    const std::filesystem::path parent = std::filesystem::temp_directory_path();  // hf-allow(files): a test of its own
    std::string pattern = parent.string() + "/holdfast-api-XXXXXX";
    directory_ = mkdtemp(pattern.data());  // hf-allow(files): a test of its own directory
    start();
  }
  ~ApiTest() override {
    stop();
    std::filesystem::remove_all(directory_);  // hf-allow(files): a test of its own directory
  }

  void start() {
    thread_ = std::make_unique<net::LoopThread>();
    thread_->run([this] {
      auto opened = catalog::openCatalog(systemClock(), {.file = directory_ + "/catalog.sqlite", .accountId = "acc"});
      ASSERT_TRUE(opened) << opened.error().message;
      catalog_ = *std::move(opened);
      server_ = makeApiServer(thread_->loop, *catalog_, runtime_, log_, systemClock(), systemRandom(),
                              {.accountId = "acc", .token = "t0ken", .domain = "localhost", .publicPort = 8787});
      auto port = server_->start("127.0.0.1", 0);
      ASSERT_TRUE(port) << port.error().message;
      port_ = *port;
    });
  }
  void stop() {
    thread_->run([this] {
      server_.reset();
      catalog_.reset();
    });
    thread_.reset();
  }

  // Raw headers and body; the path is below /client/v4.
  ApiAnswer send(const std::string& method, const std::string& path, const std::string& body,
                 const std::string& headers) const {
    net::Client client(port_);
    client.send(method + " " + path + " HTTP/1.1\r\nHost: api\r\nConnection: close\r\n" + headers +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string text = client.readToEnd();
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) return {.status = 0, .json = nullptr, .head = text};
    return {.status = std::stoi(text.substr(9, 3)),
            .json = Json::parse(text.substr(end + 4), nullptr, false),
            .head = text.substr(0, end)};
  }
  ApiAnswer call(const std::string& method, const std::string& path, const std::string& body = "",
                 const std::string& type = "text/plain;charset=UTF-8") const {
    return send(method, "/client/v4" + path, body,
                "Authorization: Bearer t0ken\r\nUser-Agent: wrangler/4.164.0\r\nContent-Type: " + type + "\r\n");
  }
  ApiAnswer account(const std::string& method, const std::string& path, const Json& body = nullptr) const {
    return call(method, "/accounts/acc" + path, body.is_null() ? "" : body.dump());
  }

  // A multipart upload of one module.
  ApiAnswer upload(const std::string& method, const std::string& path, const std::string& source,
                   Json metadata = Json::object()) const {
    if (!metadata.contains("main_module")) metadata["main_module"] = "index.js";
    const std::string body =
        "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n" + metadata.dump() +
        "\r\n--b\r\nContent-Disposition: form-data; name=\"index.js\"; filename=\"index.js\"\r\nContent-Type: "
        "application/javascript+module\r\n\r\n" +
        source + "\r\n--b--\r\n";
    return call(method, "/accounts/acc/workers/scripts/" + path, body, "multipart/form-data; boundary=b");
  }
  ApiAnswer put(const std::string& script, const std::string& source, Json metadata = Json::object()) const {
    return upload("PUT", script + "?excludeScript=true&bindings_inherit=strict", source, std::move(metadata));
  }

  static Json objectBinding(const std::string& name, const std::string& className, const std::string& script = "") {
    Json out{{"name", name}, {"type", "durable_object_namespace"}, {"class_name", className}};
    if (!script.empty()) out["script_name"] = script;
    return out;
  }
  static Json withClass(const std::string& className) {
    return Json{
        {"bindings", Json::array({objectBinding("OBJ", className)})},
        {"migrations", {{"new_tag", "v1"}, {"steps", Json::array({Json{{"new_sqlite_classes", {className}}}})}}}};
  }

  std::string directory_;
  Log log_{2, LogFormat::kText, LogLevel::kError};
  TextRuntime runtime_;
  std::unique_ptr<net::LoopThread> thread_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<ApiServer> server_;
  std::uint16_t port_ = 0;
};

}  // namespace hf::api
