// Versions, deployments, settings and secrets over real HTTP.
#include <gmock/gmock.h>

#include "api/api_test_support.h"

namespace hf::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kPlain = "export default { fetch() {} }";

class VersionsTest : public ApiTest {
 protected:
  std::string version(const std::string& source, Json metadata = Json::object()) {
    const ApiAnswer answer = upload("POST", "app/versions?bindings_inherit=strict", source, std::move(metadata));
    EXPECT_EQ(answer.status, 200) << answer.message();
    return answer.status == 200 ? answer.result()["id"].get<std::string>() : "";
  }
  ApiAnswer deploy(const Json& versions, const std::string& query = "") {
    return account("POST", "/workers/scripts/app/deployments" + query,
                   Json{{"strategy", "percentage"},
                        {"versions", versions},
                        {"annotations", {{"workers/message", "m"}}},
                        {"code_update_strategy", {{"mode", "immediate"}, {"max_delay", 7}}}});
  }
  static Json whole(const std::string& id) { return Json::array({Json{{"version_id", id}, {"percentage", 100}}}); }
  Json currentBindings() { return account("GET", "/workers/scripts/app/settings").result()["bindings"]; }
  std::vector<std::string> secrets() {
    std::vector<std::string> out;
    const ApiAnswer answer = account("GET", "/workers/scripts/app/secrets");
    for (const Json& entry : answer.result()) out.push_back(entry["name"]);
    return out;
  }
  std::string secretValue(const std::string& name) {
    std::string out = "(none)";
    thread_->run([&] {
      for (const auto& binding : runtime_.snapshot->scripts.at("app").parts.at(0).version->bindings) {
        if (binding.name == name) out = binding.text;
      }
    });
    return out;
  }
  ApiAnswer putSecret(const std::string& name, const std::string& text) {
    return account("PUT", "/workers/scripts/app/secrets",
                   Json{{"name", name}, {"text", text}, {"type", "secret_text"}});
  }
};

TEST_F(VersionsTest, AVersionIsStoredAndRunsOnlyWhenDeployed) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const std::string first = runtime_.snapshot->scripts.at("app").parts[0].version->id;
  const std::string second = version(kPlain + "//2", Json{{"annotations", {{"workers/tag", "t2"}}}});
  EXPECT_EQ(runtime_.snapshot->scripts.at("app").parts[0].version->id, first);
  const ApiAnswer shown = account("GET", "/workers/scripts/app/versions/" + second);
  EXPECT_EQ(shown.result()["number"], 2);
  EXPECT_EQ(shown.result()["annotations"]["workers/tag"], "t2");
  EXPECT_EQ(shown.result()["annotations"]["workers/triggered_by"], "upload");
  EXPECT_EQ(shown.result()["metadata"]["has_preview"], false);

  const ApiAnswer deployed = deploy(whole(second));
  ASSERT_EQ(deployed.status, 200) << deployed.message();
  EXPECT_EQ(deployed.result()["code_update_strategy"], Json::parse(R"({"mode":"immediate","max_delay":7})"));
  EXPECT_EQ(deployed.result()["annotations"]["workers/message"], "m");
  const catalog::Script& script = runtime_.snapshot->scripts.at("app");
  EXPECT_EQ(script.parts[0].version->id, second);
  EXPECT_EQ(script.updateMode, catalog::CodeUpdateMode::kImmediate);
  EXPECT_EQ(script.updateMaxDelay, std::chrono::seconds(7));
  const Json list = account("GET", "/workers/scripts/app/deployments").result()["deployments"];
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["versions"][0]["version_id"], second) << "the current one comes first";
}

TEST_F(VersionsTest, SplitDeploymentsAreStoredAndEchoed) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const std::string a = version(kPlain + "//a");
  const std::string b = version(kPlain + "//b");
  const Json split =
      Json::array({Json{{"version_id", a}, {"percentage", 30}}, Json{{"version_id", b}, {"percentage", 70}}});
  const ApiAnswer answer = deploy(split);
  ASSERT_EQ(answer.status, 200) << answer.message();
  EXPECT_EQ(answer.result()["versions"], split);
  EXPECT_EQ(runtime_.snapshot->scripts.at("app").parts.at(0).version->id, b);
  EXPECT_EQ(runtime_.snapshot->scripts.at("app").parts.at(1).percentage, 30);
  EXPECT_EQ(putSecret("A", "1").code(), 10215) << "the latest version does not run alone";
}

TEST_F(VersionsTest, DeploymentsThatCannotBe) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const std::string a = runtime_.snapshot->scripts.at("app").parts[0].version->id;
  EXPECT_EQ(deploy(whole("00000000-0000-4000-8000-000000000000")).code(), 10071);
  EXPECT_EQ(deploy(Json::array()).status, 400);
  EXPECT_EQ(deploy(Json::array({Json{{"version_id", a}, {"percentage", 50}}})).status, 400);
  EXPECT_EQ(deploy(Json::array({Json{{"version_id", a}, {"percentage", "100"}}})).status, 400);
  EXPECT_EQ(
      deploy(Json::array({Json{{"version_id", a}, {"percentage", 50}}, Json{{"version_id", a}, {"percentage", 50}}}))
          .status,
      400);
  EXPECT_EQ(account("POST", "/workers/scripts/nobody/deployments", Json::object()).code(), 10007);
  EXPECT_EQ(account("GET", "/workers/scripts/app/versions/nope").code(), 10071);
  EXPECT_EQ(account("GET", "/workers/scripts/app/deployments/nope").code(), 10336);
}

TEST_F(VersionsTest, RollbackAcrossAMigrationIsRefused) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const std::string old = runtime_.snapshot->scripts.at("app").parts[0].version->id;
  ASSERT_EQ(put("app", kPlain + "\nexport class Counter {}", withClass("Counter")).status, 200);
  EXPECT_EQ(deploy(whole(old)).code(), 10064);
  const ApiAnswer deployable = account("GET", "/workers/scripts/app/versions?deployable=true");
  EXPECT_EQ(deployable.result()["items"].size(), 1U);
  EXPECT_EQ(account("GET", "/workers/scripts/app/versions").result()["items"].size(), 2U);
  EXPECT_EQ(account("GET", "/workers/scripts/app/versions?page=2").result()["items"].size(), 0U);
}

TEST_F(VersionsTest, RollbackToOtherSecretsNeedsForce) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const std::string old = runtime_.snapshot->scripts.at("app").parts[0].version->id;
  ASSERT_EQ(putSecret("B", "2").status, 200);
  ASSERT_EQ(putSecret("A", "1").status, 200);
  const ApiAnswer refused = deploy(whole(old));
  EXPECT_EQ(refused.code(), 10220);
  EXPECT_TRUE(refused.message().ends_with("The following secrets have changed: A, B"));
  const ApiAnswer forced = deploy(whole(old), "?force=true");
  ASSERT_EQ(forced.status, 200);
  EXPECT_EQ(forced.result()["annotations"]["workers/triggered_by"], "rollback");
  EXPECT_EQ(secretValue("A"), "(none)");
}

TEST_F(VersionsTest, SecretsMakeVersionsAndStay) {
  EXPECT_EQ(putSecret("A", "1").code(), 10007);
  // What wrangler uploads then, without a compatibility date.
  ASSERT_EQ(upload("PUT", "app", kPlain, Json{{"bindings", Json::array()}, {"logpush", false}}).status, 200);
  const ApiAnswer stored = putSecret("A", "1");
  EXPECT_EQ(stored.result(), Json::parse(R"({"name":"A","type":"secret_text"})"));
  EXPECT_EQ(secretValue("A"), "1");
  const Json latest = account("GET", "/workers/scripts/app/versions").result()["items"][0];
  EXPECT_EQ(latest["annotations"]["workers/triggered_by"], "secret");
  EXPECT_EQ(latest["resources"]["bindings"], Json::parse(R"([{"name":"A","type":"secret_text"}])")) << "never the text";

  ASSERT_EQ(put("app", kPlain, Json{{"keep_bindings", {"secret_text", "secret_key"}}}).status, 200);
  EXPECT_EQ(secretValue("A"), "1");
  ASSERT_EQ(put("app", kPlain).status, 200) << "older clients name nothing to keep";
  EXPECT_EQ(secretValue("A"), "1");
  ASSERT_EQ(put("app", kPlain, Json::parse(R"({"bindings":[{"name":"A","type":"plain_text","text":"p"}]})")).status,
            200);
  EXPECT_EQ(secretValue("A"), "p") << "what the upload defines wins";
  ASSERT_EQ(putSecret("A", "2").status, 200);
  ASSERT_EQ(put("app", kPlain, Json{{"keep_bindings", Json::array()}}).status, 200);
  EXPECT_THAT(secrets(), testing::IsEmpty());
}

TEST_F(VersionsTest, SecretsAreRemovedOneByOneAndInBulk) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const Json bulk = Json::parse(R"({"secrets":{"A":{"name":"A","text":"1","type":"secret_text"},"B":{"text":"2"}}})");
  const ApiAnswer set = account("PATCH", "/workers/scripts/app/secrets-bulk", bulk);
  EXPECT_EQ(set.result()["B"], Json::parse(R"({"name":"B","type":"secret_text"})"));
  EXPECT_THAT(secrets(), ElementsAre("A", "B"));
  EXPECT_EQ(account("GET", "/workers/scripts/app/secrets/A").status, 200);
  EXPECT_EQ(account("DELETE", "/workers/scripts/app/secrets/A?url_encoded=true").status, 200);
  EXPECT_EQ(account("DELETE", "/workers/scripts/app/secrets/A?url_encoded=true").code(), 10056);
  EXPECT_EQ(account("GET", "/workers/scripts/app/secrets/A").code(), 10056);
  EXPECT_EQ(account("PATCH", "/workers/scripts/app/secrets-bulk", Json::parse(R"({"secrets":{"B":null}})")).status,
            200);
  EXPECT_THAT(secrets(), testing::IsEmpty());
  EXPECT_EQ(account("PUT", "/workers/scripts/app/secrets", Json::parse(R"({"name":"X","type":"plain_text","text":""})"))
                .status,
            400);
  EXPECT_EQ(account("PUT", "/workers/scripts/app/secrets", Json::parse(R"({"name":"X","type":"secret_text","text":1})"))
                .status,
            400);
}

TEST_F(VersionsTest, VersionsSecretIsStoredOnly) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const ApiAnswer patched =
      account("PATCH", "/workers/workers/app/versions/latest",
              Json::parse(R"({"env":{"V":{"type":"secret_text","text":"x"}},"annotations":{"workers/message":"m"}})"));
  ASSERT_EQ(patched.status, 200) << patched.message();
  EXPECT_EQ(secretValue("V"), "(none)");
  ASSERT_EQ(deploy(whole(patched.result()["id"])).status, 200);
  EXPECT_EQ(secretValue("V"), "x");
}

TEST_F(VersionsTest, InheritedBindingsFollowARenamedClass) {
  ASSERT_EQ(put("app", kPlain + "\nexport class Counter {}", withClass("Counter")).status, 200);
  Json rename = Json::parse(R"({"bindings":[{"name":"NEW","type":"inherit","old_name":"OBJ"}],
      "migrations":{"old_tag":"v1","new_tag":"v2","renamed_classes":[{"from":"Counter","to":"C2"}]}})");
  const ApiAnswer answer = put("app", kPlain + "\nexport class C2 {}", rename);
  ASSERT_EQ(answer.status, 200) << answer.message();
  EXPECT_EQ(currentBindings()[0]["name"], "NEW");
  EXPECT_EQ(currentBindings()[0]["class_name"], "C2");
}

TEST_F(VersionsTest, SettingsPatchKeepsWhatItOnlyNames) {
  ASSERT_EQ(put("app", kPlain + "\nexport class Counter {}", withClass("Counter")).status, 200);
  const std::string body =
      "--b\r\nContent-Disposition: form-data; name=\"settings\"\r\n\r\n"
      R"({"bindings":[{"type":"durable_object_namespace","name":"OBJ"},{"type":"secret_text","name":"B1","text":"x"}]})"
      "\r\n--b--\r\n";
  const ApiAnswer answer =
      call("PATCH", "/accounts/acc/workers/scripts/app/settings", body, "multipart/form-data; boundary=b");
  ASSERT_EQ(answer.status, 200) << answer.message();
  EXPECT_EQ(currentBindings()[0]["class_name"], "Counter");
  EXPECT_EQ(secretValue("B1"), "x");
}

TEST_F(VersionsTest, ScriptSettingsAreMergedAndEchoed) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  const ApiAnswer answer = account("PATCH", "/workers/scripts/app/script-settings",
                                   Json::parse(R"({"observability":{"enabled":true},"tags":["a"]})"));
  EXPECT_EQ(answer.result(),
            Json::parse(R"({"logpush":false,"observability":{"enabled":true},"tags":["a"],"tail_consumers":null})"));
  EXPECT_EQ(account("PATCH", "/workers/scripts/app/script-settings", Json::parse(R"({"tags":"a"})")).status, 400);
  EXPECT_EQ(
      account("PATCH", "/workers/scripts/app/script-settings", Json::parse(R"({"tail_consumers":[{"service":"x"}]})"))
          .status,
      400);
  EXPECT_EQ(account("GET", "/workers/workers/app").result()["observability"]["enabled"], true);
  EXPECT_EQ(account("POST", "/workers/scripts/app/subdomain", Json::parse(R"({"enabled":false})")).result(),
            Json::parse(R"({"enabled":false,"previews_enabled":false})"));
  EXPECT_FALSE(runtime_.snapshot->scripts.at("app").workersDevEnabled);
  EXPECT_EQ(account("GET", "/workers/scripts/app/script-settings").result()["tags"], Json::array({"a"}));
}

TEST_F(VersionsTest, ContentComesBackAsItWentUp) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  net::Client client(port_);
  client.send(
      "GET /client/v4/accounts/acc/workers/scripts/app HTTP/1.1\r\nHost: api\r\nConnection: close\r\n"
      "Authorization: Bearer t0ken\r\n\r\n");
  const std::string answer = client.readToEnd();
  EXPECT_THAT(answer, HasSubstr("content-type: multipart/form-data; boundary="));
  EXPECT_THAT(answer, HasSubstr("cf-entrypoint: index.js"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n" + kPlain + "\r\n"));
}

}  // namespace
}  // namespace hf::api
