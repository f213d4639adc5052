// The envelope, authentication, uploads and migrations over real HTTP. What wrangler and the SDK make of it: test/api/.
#include "api/api_server.h"

#include <gmock/gmock.h>

#include "api/api_test_support.h"

namespace hf::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kPlain = "export default { fetch() {} }";
const std::string kCounter = kPlain + "\nexport class Counter {}";

TEST_F(ApiTest, AuthenticationErrorsAreCloudflares) {
  const auto with = [this](const std::string& headers) { return send("GET", "/client/v4/accounts", "", headers); };
  EXPECT_EQ(with("").status, 400);
  EXPECT_EQ(with("").code(), 9106);
  EXPECT_EQ(with("Authorization: Basic x\r\n").status, 400);
  EXPECT_EQ(with("Authorization: Basic x\r\n").code(), 6003);
  EXPECT_EQ(with("Authorization: Basic x\r\n").json["errors"][0]["error_chain"][0]["code"], 6111);
  EXPECT_EQ(with("Authorization: Bearer wrong\r\n").status, 403);
  EXPECT_EQ(with("Authorization: Bearer wrong\r\n").code(), 10000);
  EXPECT_EQ(with("Authorization: Bearer t0ken\r\n").status, 200);
  EXPECT_EQ(with("X-Auth-Key: t0ken\r\nX-Auth-Email: a@b\r\n").status, 200);
  const ApiAnswer verify = send("GET", "/client/v4/user/tokens/verify", "", "Authorization: Bearer wrong\r\n");
  EXPECT_EQ(verify.status, 401);
  EXPECT_EQ(verify.code(), 1000);
  EXPECT_EQ(call("GET", "/accounts/other/workers/scripts").status, 403);
  EXPECT_EQ(call("GET", "/accounts/other/workers/scripts").code(), 10000);
}

TEST_F(ApiTest, UnknownRoutesAndMethods) {
  EXPECT_EQ(account("GET", "/workers/nonsense").status, 404);
  EXPECT_EQ(account("GET", "/workers/nonsense").code(), 7003);
  EXPECT_EQ(account("PUT", "/workers/subdomain").status, 405);
  EXPECT_EQ(account("PUT", "/workers/subdomain").code(), 7001);
  EXPECT_EQ(send("GET", "/client/v44/user", "", "Authorization: Bearer t0ken\r\n").code(), 7003);
  EXPECT_EQ(send("GET", "/", "", "").status, 404);
}

TEST_F(ApiTest, HealthNeedsNoToken) {
  EXPECT_EQ(send("GET", "/healthz", "", "").status, 200);
  thread_->run([this] { server_->setHealth(false, "the disk is full"); });
  const ApiAnswer sick = send("GET", "/healthz", "", "");
  EXPECT_EQ(sick.status, 503);
  EXPECT_EQ(sick.json["reason"], "the disk is full");
}

TEST_F(ApiTest, IdentityHasOneOfEach) {
  EXPECT_EQ(call("GET", "/user/tokens/verify").result()["status"], "active");
  const ApiAnswer accounts = call("GET", "/accounts?page=1");
  EXPECT_EQ(accounts.result()[0]["id"], "acc");
  EXPECT_EQ(accounts.json["result_info"]["total_count"], 1);
  EXPECT_TRUE(call("GET", "/accounts?page=2").result().empty());
  EXPECT_EQ(call("GET", "/memberships?page=1").result()[0]["account"]["id"], "acc");
  EXPECT_EQ(call("GET", "/accounts/acc").result()["id"], "acc");
}

TEST_F(ApiTest, AFirstDeployIsSeenEverywhere) {
  EXPECT_EQ(account("GET", "/workers/services/app").status, 404);
  EXPECT_EQ(account("GET", "/workers/services/app").code(), 10090);
  EXPECT_EQ(account("GET", "/workers/scripts/app/secrets").code(), 10007);
  EXPECT_EQ(account("GET", "/workers/scripts/app/deployments").code(), 10007);
  const ApiAnswer done = put("app", kCounter, withClass("Counter"));
  ASSERT_EQ(done.status, 200) << done.message();
  EXPECT_EQ(done.result()["migration_tag"], "v1");
  EXPECT_EQ(done.result()["startup_time_ms"], 3);
  EXPECT_EQ(done.result()["named_handlers"][0]["name"], "Counter");
  const std::string id = done.result()["deployment_id"];
  EXPECT_EQ(id.size(), 32U);

  const ApiAnswer service = account("GET", "/workers/services/app");
  EXPECT_EQ(service.result()["default_environment"]["script"]["migration_tag"], "v1");
  EXPECT_EQ(service.result()["default_environment"]["script"]["last_deployed_from"], "wrangler");
  EXPECT_EQ(account("GET", "/workers/scripts").result()[0]["migration_tag"], "v1") << "older clients look here";
  const ApiAnswer worker = account("GET", "/workers/workers/app");
  EXPECT_EQ(worker.result()["subdomain"]["url"], "http://app.localhost:8787");
  EXPECT_EQ(worker.result()["id"], service.result()["default_environment"]["script"]["tag"]);
  const ApiAnswer namespaces = account("GET", "/workers/durable_objects/namespaces");
  ASSERT_EQ(namespaces.result().size(), 1U);
  const Json& ns = namespaces.result()[0];
  EXPECT_EQ(ns["name"], "app_Counter");
  EXPECT_EQ(ns["use_sqlite"], true);
  const Json bound = account("GET", "/workers/scripts/app/settings").result()["bindings"][0];
  EXPECT_EQ(bound["namespace_id"], ns["id"]);

  ASSERT_TRUE(runtime_.snapshot);
  EXPECT_EQ(runtime_.snapshot->scripts.at("app").parts.at(0).version->bindings.at(0).ns.hex(),
            ns["id"].get<std::string>());
}

TEST_F(ApiTest, AScriptWithoutTagShowsNone) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  EXPECT_FALSE(
      account("GET", "/workers/services/app").result()["default_environment"]["script"].contains("migration_tag"));
}

TEST_F(ApiTest, ARefusedDeployChangesNothing) {
  ASSERT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
  const catalog::SnapshotPtr before = runtime_.snapshot;
  const auto refused = [&](const ApiAnswer& answer, int status, int code, const std::string& text) {
    EXPECT_EQ(answer.status, status);
    EXPECT_EQ(answer.code(), code);
    EXPECT_THAT(answer.message(), HasSubstr(text));
    EXPECT_EQ(runtime_.snapshot, before);
    EXPECT_EQ(account("GET", "/workers/scripts/app/versions").json["result_info"]["total_count"], 1);
  };
  const auto migrate = [](const char* json) { return Json{{"migrations", Json::parse(json)}}; };
  refused(put("app", kCounter + "//2", withClass("Counter")), 412, 10079, "got tag '' when expected tag is 'v1'");
  refused(put("app", kCounter, migrate(R"({"old_tag":"v1","new_tag":"v2","new_sqlite_classes":["Counter"]})")), 400,
          10074, "Cannot apply new-sqlite-class migration to class 'Counter'");
  refused(put("app", kCounter, migrate(R"({"old_tag":"v1","new_classes":["X"]})")), 400, 10070, "class X");
  refused(put("app", kPlain), 400, 10064, "does not export class 'Counter'");
  refused(put("app", kCounter, Json{{"bindings", {objectBinding("X", "X")}}}), 400, 10061,
          "class X that is not exported");
  refused(put("app", kCounter, Json{{"bindings", {objectBinding("X", "X", "nobody")}}}), 400, 10061,
          "script 'nobody' that does not exist");
  refused(put("app", kCounter,
              Json::parse(
                  R"({"bindings":[{"name":"N","type":"durable_object_namespace","namespace_id":"not one of ours"}]})")),
          400, 10061, "no Durable Object namespace with the id 'not one of ours'");
  refused(put("app", "throw at start"), 400, 10021, "Uncaught Error: at start\n  at index.js:1:7");
  refused(put("app", "const nothing = 1"), 400, 10068, "no registered event handlers");
  refused(put("app", kCounter, Json{{"main_module", "other.js"}}), 400, 10021, "No such module \"other.js\"");
  refused(put("app", kCounter, Json{{"main_module", nullptr}, {"body_part", "index.js"}}), 400, 10021,
          "service-worker format");
  refused(put("app", kCounter, Json{{"assets", {{"jwt", "x"}}}}), 400, 10021, "assets are not part");
  refused(put("app", kCounter, Json::parse(R"({"bindings":[{"name":"KV","type":"kv_namespace","namespace_id":"1"}]})")),
          400, 10021, "The binding 'KV' of type 'kv_namespace'");
  refused(put("app", kCounter, Json::parse(R"({"bindings":[{"name":"S","type":"service","service":"nobody"}]})")), 400,
          10144, "Target script 'nobody' not found");
  refused(put("app", kCounter,
              Json::parse(R"({"bindings":[{"name":"I","type":"inherit"},{"name":"J","type":"inherit"}]})")),
          400, 10057, "inherit binding 'I' is invalid");
  refused(put("app", kCounter, Json::parse(R"({"compatibility_date":"yesterday"})")), 400, 10021, "compatibility_date");
  refused(put("app", kCounter, Json::parse(R"({"compatibility_date":"2026-02-29"})")), 400, 10021,
          "compatibility_date");
  refused(upload("POST", "app/versions", kCounter, withClass("Counter")), 400, 10211, "migration");
  EXPECT_EQ(put("Bad.Name", kPlain).code(), 10016);
}

TEST_F(ApiTest, AFailingRuntimeIsA5xxAndTheRetryWorks) {
  runtime_.failNextCheck = true;
  const ApiAnswer failed = put("app", kCounter, withClass("Counter"));
  EXPECT_EQ(failed.status, 500);
  EXPECT_EQ(account("GET", "/workers/services/app").status, 404);
  EXPECT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
}

TEST_F(ApiTest, ARepeatedMigrationWhoseAnswerWasLostIsAnsweredAgain) {
  const ApiAnswer first = put("app", kCounter, withClass("Counter"));
  const ApiAnswer again = put("app", kCounter, withClass("Counter"));
  EXPECT_EQ(again.status, 200) << again.message();
  EXPECT_EQ(again.result()["deployment_id"], first.result()["deployment_id"]);
  Json rename{
      {"bindings", Json::array({objectBinding("OBJ", "Counter2")})},
      {"migrations",
       Json::parse(R"({"old_tag":"v1","new_tag":"v2","renamed_classes":[{"from":"Counter","to":"Counter2"}]})")}};
  const std::string source = kPlain + "\nexport class Counter2 {}";
  const ApiAnswer renamed = put("app", source, rename);
  ASSERT_EQ(renamed.status, 200) << renamed.message();
  const ApiAnswer repeated = put("app", source, rename);
  EXPECT_EQ(repeated.status, 200) << repeated.message();
  EXPECT_EQ(repeated.result()["deployment_id"], renamed.result()["deployment_id"]);
  EXPECT_EQ(put("app", source + " ", rename).code(), 10079) << "other bytes are another request";
}

TEST_F(ApiTest, RenameKeepsTheNamespaceAndDeleteQueuesItsData) {
  ASSERT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
  const std::string id = account("GET", "/workers/durable_objects/namespaces").result()[0]["id"];
  Json rename{
      {"bindings", Json::array({objectBinding("OBJ", "Counter2")})},
      {"migrations",
       Json::parse(
           R"({"old_tag":"v1","new_tag":"v2","steps":[{"renamed_classes":[{"from":"Counter","to":"Counter2"}]}]})")}};
  ASSERT_EQ(put("app", kPlain + "\nexport class Counter2 {}", rename).status, 200);
  const Json renamed = account("GET", "/workers/durable_objects/namespaces").result()[0];
  EXPECT_EQ(renamed["id"], id);
  EXPECT_EQ(renamed["class"], "Counter2");
  Json remove{
      {"migrations", Json::parse(R"({"old_tag":"v2","new_tag":"v3","steps":[{"deleted_classes":["Counter2"]}]})")}};
  EXPECT_EQ(put("app", kPlain, Json{{"bindings", rename["bindings"]}, {"migrations", remove["migrations"]}}).code(),
            10061);
  ASSERT_EQ(put("app", kPlain, remove).status, 200);
  EXPECT_TRUE(account("GET", "/workers/durable_objects/namespaces").result().empty());
  EXPECT_EQ(account("GET", "/workers/durable_objects/namespaces/" + id).code(), 10066);
  ASSERT_EQ(runtime_.deleted.size(), 1U);
  EXPECT_EQ(runtime_.deleted[0].hex(), id);
  thread_->run([this] { EXPECT_TRUE(catalog_->pendingDeletions()->empty()); });
}

TEST_F(ApiTest, ADeletionThatFailedIsResumedAtTheNextStart) {
  ASSERT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
  runtime_.failDeletions = true;
  ASSERT_EQ(account("DELETE", "/workers/services/app?force=false").status, 200);
  stop();
  runtime_.failDeletions = false;
  runtime_.deleted.clear();
  start();
  EXPECT_EQ(runtime_.deleted.size(), 1U);
  thread_->run([this] { EXPECT_TRUE(catalog_->pendingDeletions()->empty()); });
}

TEST_F(ApiTest, DeployedScriptsAreThereAfterARestart) {
  ASSERT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
  stop();
  start();
  EXPECT_EQ(account("GET", "/workers/services/app").status, 200);
  EXPECT_EQ(account("GET", "/workers/durable_objects/namespaces").result().size(), 1U);
}

TEST_F(ApiTest, DeployedChangesWaitForEachOther) {
  runtime_.hold = true;
  std::vector<std::thread> clients;
  std::vector<ApiAnswer> answers(3);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    clients.emplace_back(
        [this, i, &answers] { answers[i] = put("app", kCounter + "//" + std::to_string(i), withClass("Counter")); });
  }
  // One at a time is checked; the first to end gives the others a tag that they did not expect.
  for (int done = 0; done < 1;) {
    std::size_t waiting = 0;
    thread_->run([&] { waiting = runtime_.held.size(); });
    ASSERT_LE(waiting, 1U);
    if (waiting == 0) {
      std::this_thread::yield();
      continue;
    }
    thread_->run([&] {
      runtime_.hold = false;
      runtime_.held.front()();
      runtime_.held.clear();
    });
    ++done;
  }
  for (std::thread& client : clients) client.join();
  std::vector<int> statuses;
  for (const ApiAnswer& answer : answers) statuses.push_back(answer.status);
  EXPECT_THAT(statuses, testing::UnorderedElementsAre(200, 412, 412));
}

TEST_F(ApiTest, UploadsAboveTheLimitAreRefused) {
  const std::string huge(limits::kUploadBytesMax + 1, ' ');
  const ApiAnswer answer = call("PUT", "/accounts/acc/workers/scripts/app", huge);
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.code(), 10027);
}

TEST_F(ApiTest, WhatDescribesAWorkerHasALimit) {
  const std::string text(limits::kVersionTextBytesMax, 'x');
  ASSERT_EQ(put("app", kPlain).status, 200);
  const ApiAnswer upload =
      put("app", kPlain, Json{{"bindings", {Json{{"name", "T"}, {"type", "plain_text"}, {"text", text}}}}});
  EXPECT_EQ(upload.status, 413);
  EXPECT_EQ(upload.code(), 10027);
  const ApiAnswer secret = account("PUT", "/workers/scripts/app/secrets", Json{{"name", "S"}, {"text", text}});
  EXPECT_EQ(secret.code(), 10027);
  const ApiAnswer settings =
      account("PATCH", "/workers/scripts/app/script-settings", Json{{"tags", Json::array({text})}});
  EXPECT_EQ(settings.code(), 10027);
  EXPECT_EQ(account("GET", "/workers/scripts/app/versions").json["result_info"]["total_count"], 1);
}

TEST_F(ApiTest, ServicesOfOtherWorkersHoldADeleteBack) {
  ASSERT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
  Json web{{"bindings", Json::array({objectBinding("X", "Counter", "app"),
                                     Json{{"name", "APP"}, {"type", "service"}, {"service", "app"}}})}};
  ASSERT_EQ(put("web", kPlain, web).status, 200);
  const ApiAnswer references = account("GET", "/workers/scripts/app/references");
  EXPECT_EQ(references.result()["durable_objects"][0]["service"], "web");
  EXPECT_EQ(references.result()["services"]["incoming"][0]["name"], "APP");
  const ApiAnswer held = account("DELETE", "/workers/services/app?force=false");
  EXPECT_EQ(held.status, 400);
  EXPECT_THAT(held.message(), HasSubstr("'web'"));
  Json remove{{"migrations", Json::parse(R"({"old_tag":"v1","new_tag":"v2","deleted_classes":["Counter"]})")}};
  EXPECT_EQ(put("app", kPlain, remove).code(), 10061) << "another Worker is bound to the class";
  EXPECT_EQ(account("DELETE", "/workers/services/app?force=true").status, 200);
  EXPECT_EQ(account("GET", "/workers/services/app").status, 404);
  EXPECT_EQ(account("DELETE", "/workers/services/app?force=true").code(), 10090);
  EXPECT_EQ(account("DELETE", "/workers/scripts/app").code(), 10007);
}

TEST_F(ApiTest, ObjectsArePagedByCursor) {
  ASSERT_EQ(put("app", kCounter, withClass("Counter")).status, 200);
  const std::string id = account("GET", "/workers/durable_objects/namespaces").result()[0]["id"];
  const std::string path = "/workers/durable_objects/namespaces/" + id + "/objects?limit=2";
  std::vector<std::string> seen;
  std::string cursor;
  for (int page = 0; page < 3; ++page) {
    const ApiAnswer answer = account("GET", path + (cursor.empty() ? "" : "&cursor=" + cursor));
    for (const Json& object : answer.result()) {
      seen.push_back(object["id"].get<std::string>().substr(0, 2) + (object["hasStoredData"] == true ? "" : " empty"));
    }
    const Json info = answer.json["result_info"];
    EXPECT_EQ(info.contains("cursors"), page < 2);
    if (page < 2) cursor = info["cursors"]["after"];
    if (page < 2) EXPECT_EQ(info["cursor"], info["cursors"]["after"]);
  }
  EXPECT_THAT(seen, ElementsAre("01", "02", "03 empty", "04", "05"));
  EXPECT_EQ(account("GET", path + "&cursor=zz").code(), 10077);
  for (const char* limit : {"0", "-1", "x", "10001", "2x"}) {
    EXPECT_EQ(account("GET", "/workers/durable_objects/namespaces/" + id + "/objects?limit=" + limit).code(), 10077);
  }
  EXPECT_EQ(account("GET", "/workers/durable_objects/namespaces/0/objects").code(), 10066);
}

TEST_F(ApiTest, NamespacesArePagedByNumber) {
  std::string source = kPlain;
  Json names = Json::array();
  for (int i = 0; i < 23; ++i) {
    names.push_back("C" + std::to_string(i));
    source += "\nexport class C" + std::to_string(i) + " {}";
  }
  ASSERT_EQ(put("app", source, Json{{"migrations", {{"new_tag", "v1"}, {"new_sqlite_classes", names}}}}).status, 200);
  const auto sizeOf = [this](const std::string& query) {
    return account("GET", "/workers/durable_objects/namespaces" + query).result().size();
  };
  EXPECT_EQ(sizeOf(""), 20U);
  EXPECT_EQ(sizeOf("?page=2"), 3U);
  EXPECT_EQ(sizeOf("?page=3"), 0U);
  EXPECT_EQ(sizeOf("?per_page=1000&page=1"), 23U);
  const Json info = account("GET", "/workers/durable_objects/namespaces?page=2").json["result_info"];
  EXPECT_EQ(info, Json::parse(R"({"page":2,"per_page":20,"count":3,"total_count":23,"total_pages":2})"));
  EXPECT_EQ(account("GET", "/workers/durable_objects/namespaces?page=0").code(), 10077);
}

TEST_F(ApiTest, WhatIsNotBuiltSaysSo) {
  ASSERT_EQ(put("app", kPlain).status, 200);
  EXPECT_THAT(account("POST", "/workers/scripts/app/tails", Json::object()).message(), HasSubstr("Tails"));
  EXPECT_THAT(account("POST", "/workers/scripts/app/assets-upload-session", Json::object()).message(),
              HasSubstr("assets"));
  EXPECT_THAT(account("PUT", "/workers/scripts/app/schedules", Json::parse(R"([{"cron":"* * * * *"}])")).message(),
              HasSubstr("Cron triggers are not part"));
  EXPECT_EQ(account("PUT", "/workers/scripts/app/schedules", Json::array()).status, 200);
  EXPECT_THAT(account("PUT", "/workers/scripts/app/routes", Json::parse(R"([{"pattern":"a/*"}])")).message(),
              HasSubstr("Routes and custom domains"));
  EXPECT_EQ(account("GET", "/storage/kv/namespaces?per_page=100&page=1").json["result_info"]["total_count"], 0);
  // What wrangler asks for before it uploads a Worker with such bindings.
  EXPECT_THAT(account("POST", "/storage/kv/namespaces", Json::object()).message(), HasSubstr("KV namespaces are not"));
  EXPECT_THAT(account("GET", "/r2/buckets/pictures").message(), HasSubstr("R2 buckets are not"));
  EXPECT_THAT(account("POST", "/d1/database", Json::object()).message(), HasSubstr("D1 databases are not"));
  EXPECT_THAT(account("GET", "/queues?name=q").message(), HasSubstr("Queues are not"));
  EXPECT_THAT(account("GET", "/workers/dispatch/namespaces").message(), HasSubstr("Dispatch namespaces"));
}

TEST_F(ApiTest, DeclaredClassesAreReconciled) {
  const Json exports = Json::parse(R"({"Counter":{"type":"durable-object","storage":"sqlite"}})");
  const Json binding = Json::array({objectBinding("OBJ", "Counter")});
  const ApiAnswer created = put("app", kCounter, Json{{"bindings", binding}, {"exports", exports}});
  ASSERT_EQ(created.status, 200) << created.message();
  EXPECT_EQ(created.result()["exports_reconciliation"]["created"], Json::parse(R"(["Counter"])"));
  const ApiAnswer missing =
      put("app", kCounter, Json{{"exports", Json::parse(R"({"X":{"type":"durable-object","storage":"sqlite"}})")}});
  EXPECT_EQ(missing.code(), 100402);
  EXPECT_EQ(missing.json["errors"][0]["meta"]["details"].size(), 2U);
  EXPECT_EQ(put("app", kCounter, withClass("Counter")).code(), 100402) << "no way back to migrations";
  EXPECT_EQ(put("app", kCounter, Json{{"exports", exports}, {"migrations", {{"new_tag", "v1"}}}}).code(), 100402);
}

}  // namespace
}  // namespace hf::api
