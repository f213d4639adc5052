#include "catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "catalog/namespaces.h"
#include "catalog/sql.h"

namespace hf::catalog {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class CatalogTest : public testing::Test {
 protected:
  CatalogTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-catalog-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~CatalogTest() override {
    catalog_.reset();
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] std::string file() const { return directory_ + "/catalog.sqlite"; }

  Catalog& open(CatalogOptions options = {}) {
    catalog_.reset();
    options.file = file();
    options.accountId = "acc";
    auto opened = openCatalog(systemClock(), options);
    EXPECT_TRUE(opened) << opened.error().message;
    catalog_ = *std::move(opened);
    return *catalog_;
  }

  static ScriptRow scriptRow(const std::string& name) {
    return {.tag = "tag-" + name, .name = name, .createdMs = 1, .modifiedMs = 2};
  }

  // Version `number` of a script with one module, deployed to everybody.
  static Change deploy(const std::string& name, std::uint64_t number, const std::string& source = "code") {
    Change change;
    change.script = scriptRow(name);
    change.script->lastVersionNumber = number;
    VersionRow version{.id = name + "-" + std::to_string(number), .scriptTag = "tag-" + name, .number = number};
    version.metadata["main_module"] = "index.js";
    version.metadata["compatibility_flags"] = Json::array({"nodejs_compat"});
    version.metadata["limits"] = Json{{"cpu_ms", 50}};
    const BytesView bytes = asBytes(source);
    change.deployment = DeploymentRow{.id = "d-" + version.id,
                                      .scriptTag = version.scriptTag,
                                      .source = "wrangler",
                                      .parts = {{.versionId = version.id, .percentage = 100}}};
    change.version = Change::NewVersion{
        .row = std::move(version),
        .modules = {{.name = "index.js", .kind = ModuleKind::kEsm, .content = Bytes(bytes.begin(), bytes.end())}}};
    return change;
  }

  static Json objectBinding(const std::string& name, const NamespaceId& id, const std::string& className) {
    return Json{
        {"name", name}, {"type", "durable_object_namespace"}, {"class_name", className}, {"namespace_id", id.hex()}};
  }

  static NamespaceId idOf(std::uint8_t number) {
    NamespaceId id;
    id.bytes[0] = number;
    return id;
  }

  std::string directory_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, ADeploySurvivesAndIsSeenWhole) {
  Change change = deploy("app", 1);
  change.namespaces.push_back({.id = idOf(1), .scriptTag = "tag-app", .className = "Counter", .useSqlite = false});
  change.version->row.bindings.push_back(objectBinding("COUNTER", idOf(1), "Counter"));
  change.version->row.bindings.push_back(Json{{"name", "S"}, {"type", "secret_text"}, {"text", "s3cret"}});
  change.script->migrationTag = "v1";
  open();
  ASSERT_TRUE(catalog_->commit(change));
  const auto check = [](Catalog& catalog) {
    const SnapshotPtr snapshot = catalog.snapshot();
    ASSERT_TRUE(snapshot->scripts.contains("app"));
    const Script& script = snapshot->scripts.at("app");
    ASSERT_EQ(script.parts.size(), 1U);
    const Version& version = *script.parts[0].version;
    EXPECT_EQ(version.mainModule, "index.js");
    EXPECT_EQ(asText(version.modules.at(0).content), "code");
    EXPECT_EQ(version.limits.cpuPerTurn, std::chrono::milliseconds(50));
    EXPECT_THAT(version.compatibilityFlags, ElementsAre("nodejs_compat"));
    ASSERT_EQ(version.bindings.size(), 2U);
    EXPECT_EQ(version.bindings[0].ns, idOf(1));
    EXPECT_EQ(version.bindings[0].script, "app");
    EXPECT_EQ(version.bindings[1].text, "s3cret");
    EXPECT_EQ(snapshot->namespaces.at(idOf(1)).name, "app_Counter");
    EXPECT_FALSE(snapshot->namespaces.at(idOf(1)).useSqlite);
    EXPECT_EQ((*catalog.script("app"))->migrationTag, "v1");
  };
  check(*catalog_);
  check(open());
}

TEST_F(CatalogTest, ACommitThatFailsInTheMiddleChangesNothing) {
  open();
  ASSERT_TRUE(catalog_->commit(deploy("app", 1)));
  const SnapshotPtr before = catalog_->snapshot();
  Change change = deploy("app", 2);
  change.script->migrationTag = "v2";
  change.namespaces.push_back({.id = idOf(1), .scriptTag = "tag-app", .className = "A"});
  change.deployment->parts[0].versionId = "not there";  // refused by the last statement of the transaction
  EXPECT_FALSE(catalog_->commit(change));
  EXPECT_EQ(catalog_->snapshot(), before);
  open();
  EXPECT_FALSE((*catalog_->script("app"))->migrationTag);
  EXPECT_THAT(*catalog_->namespaces(), IsEmpty());
  EXPECT_EQ(*catalog_->versionCount("tag-app"), 1U);
}

// A process is killed again and again while it commits deploys of which every part depends on the others.
TEST_F(CatalogTest, KilledInTheMiddleADeployIsWholeOrAbsent) {
  open();
  catalog_.reset();
  std::uint64_t seen = 0;
  for (int round = 0; round < 12; ++round) {
    std::array<int, 2> acknowledged{};
    ASSERT_EQ(pipe(acknowledged.data()), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto opened = openCatalog(systemClock(), {.file = file(), .accountId = "acc"});
      if (!opened) _exit(3);
      for (std::uint64_t number = seen + 1;; ++number) {
        Change change = deploy("app", number, std::string(50'000, 'x') + std::to_string(number));
        change.script->migrationTag = "v" + std::to_string(number);
        NamespaceId id;
        id.bytes[0] = static_cast<std::uint8_t>(number >> 8U);
        id.bytes[1] = static_cast<std::uint8_t>(number);
        change.namespaces.push_back({.id = id, .scriptTag = "tag-app", .className = "C" + std::to_string(number)});
        if (!(*opened)->commit(change)) _exit(4);
        if (write(acknowledged[1], &number, sizeof number) != sizeof number) _exit(5);
      }
    }
    close(acknowledged[1]);
    std::uint64_t last = seen;
    // The pipe's reader decides when the child dies: after a few acknowledged deploys, in the middle of the next.
    for (int reads = 0; reads < 3 + round % 3; ++reads) {
      ASSERT_EQ(read(acknowledged[0], &last, sizeof last), static_cast<ssize_t>(sizeof last));
    }
    pollfd next{.fd = acknowledged[0], .events = POLLIN, .revents = 0};
    poll(&next, 1, round % 4);  // or at once, or when the next one is through
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    std::uint64_t more = 0;
    while (read(acknowledged[0], &more, sizeof more) == static_cast<ssize_t>(sizeof more)) last = more;
    close(acknowledged[0]);

    open();
    const auto script = *catalog_->script("app");
    ASSERT_TRUE(script);
    seen = script->lastVersionNumber;
    EXPECT_GE(seen, last) << "an acknowledged deploy is gone";
    EXPECT_EQ(script->migrationTag, "v" + std::to_string(seen));
    EXPECT_EQ(catalog_->namespaces()->size(), seen);
    const Script& running = catalog_->snapshot()->scripts.at("app");
    EXPECT_EQ(running.parts.at(0).version->number, seen);
    EXPECT_TRUE(asText(running.parts.at(0).version->modules.at(0).content).ends_with("x" + std::to_string(seen)));
    catalog_.reset();
  }
}

TEST_F(CatalogTest, ARenameReachesTheBindingsOfOtherScripts) {
  open();
  Change app = deploy("app", 1);
  app.namespaces.push_back({.id = idOf(1), .scriptTag = "tag-app", .className = "A"});
  ASSERT_TRUE(catalog_->commit(app));
  Change web = deploy("web", 1);
  web.version->row.bindings.push_back(objectBinding("X", idOf(1), "A"));
  ASSERT_TRUE(catalog_->commit(web));
  const auto before = catalog_->snapshot()->scripts.at("web").parts[0].version;
  const auto untouched = catalog_->snapshot()->scripts.at("app").parts[0].version;
  EXPECT_EQ(before->bindings.at(0).script, "app");

  Change rename;
  rename.namespaces.push_back({.id = idOf(1), .scriptTag = "tag-app", .className = "B"});
  ASSERT_TRUE(catalog_->commit(rename));
  const auto after = catalog_->snapshot()->scripts.at("web").parts[0].version;
  EXPECT_NE(before, after);
  EXPECT_EQ(after->bindings.at(0).className, "B");
  EXPECT_EQ(before->bindings.at(0).className, "A") << "a snapshot never changes";
  EXPECT_EQ(catalog_->snapshot()->scripts.at("app").parts[0].version, untouched) << "unchanged versions are shared";
}

TEST_F(CatalogTest, DeletedNamespacesStayQueuedUntilTheirDataIsGone) {
  open();
  Change app = deploy("app", 1);
  app.namespaces = {{.id = idOf(1), .scriptTag = "tag-app", .className = "A"},
                    {.id = idOf(2), .scriptTag = "tag-app", .className = "B"},
                    {.id = idOf(3), .scriptTag = "tag-app", .className = "C"}};
  ASSERT_TRUE(catalog_->commit(app));
  Change remove;
  remove.deletedNamespaces = {idOf(2)};
  ASSERT_TRUE(catalog_->commit(remove));
  EXPECT_THAT(*catalog_->pendingDeletions(), ElementsAre(idOf(2)));
  Change whole;
  whole.deletedScripts = {"tag-app"};
  ASSERT_TRUE(catalog_->commit(whole));
  EXPECT_THAT(catalog_->snapshot()->scripts, IsEmpty());
  EXPECT_THAT(catalog_->snapshot()->namespaces, IsEmpty());
  open();
  EXPECT_THAT(*catalog_->pendingDeletions(), ElementsAre(idOf(2), idOf(1), idOf(3)));
  ASSERT_TRUE(catalog_->deletionsDone({idOf(2), idOf(1)}));
  EXPECT_THAT(*open().pendingDeletions(), ElementsAre(idOf(3)));
}

TEST_F(CatalogTest, BindingsToADeletedNamespaceDisappear) {
  open();
  Change app = deploy("app", 1);
  app.namespaces.push_back({.id = idOf(1), .scriptTag = "tag-app", .className = "A"});
  ASSERT_TRUE(catalog_->commit(app));
  Change web = deploy("web", 1);
  web.version->row.bindings.push_back(objectBinding("X", idOf(1), "A"));
  ASSERT_TRUE(catalog_->commit(web));
  Change remove;
  remove.deletedScripts = {"tag-app"};
  ASSERT_TRUE(catalog_->commit(remove));
  EXPECT_THAT(catalog_->snapshot()->scripts.at("web").parts[0].version->bindings, IsEmpty());
}

TEST_F(CatalogTest, SplitDeploymentsPutTheGreaterPartFirst) {
  open();
  ASSERT_TRUE(catalog_->commit(deploy("app", 1)));
  Change second = deploy("app", 2);
  second.deployment->parts = {{.versionId = "app-1", .percentage = 30}, {.versionId = "app-2", .percentage = 70}};
  ASSERT_TRUE(catalog_->commit(second));
  const Script& script = catalog_->snapshot()->scripts.at("app");
  ASSERT_EQ(script.parts.size(), 2U);
  EXPECT_EQ(script.parts[0].version->id, "app-2");
  EXPECT_EQ(script.parts[0].percentage, 70);
  const auto rows = *catalog_->deployments("tag-app");
  EXPECT_EQ(rows.at(0).parts, second.deployment->parts) << "echoed as they came";
}

TEST_F(CatalogTest, OldVersionsGoUnlessADeploymentNeedsThem) {
  open({.versionsKeptPerScript = 3, .deploymentsKeptPerScript = 2});
  ASSERT_TRUE(catalog_->commit(deploy("app", 1)));
  for (std::uint64_t number = 2; number <= 10; ++number) {
    Change change = deploy("app", number, "code " + std::to_string(number));
    change.deployment.reset();
    ASSERT_TRUE(catalog_->commit(change));
  }
  std::vector<std::uint64_t> numbers;
  for (const VersionRow& row : *catalog_->versions("tag-app", {.offset = 0, .limit = 100})) {
    numbers.push_back(row.number);
  }
  EXPECT_THAT(numbers, ElementsAre(10, 9, 8, 1));
  EXPECT_EQ(asText(catalog_->modules("app-1")->at(0).content), "code");
  EXPECT_THAT(*catalog_->modules("app-2"), IsEmpty());
}

TEST_F(CatalogTest, TheSameModuleIsKeptOnce) {
  open();
  const std::string big(1'000'000, 'x');
  for (std::uint64_t number = 1; number <= 20; ++number) {
    ASSERT_TRUE(catalog_->commit(deploy("app", number, big)));
  }
  catalog_.reset();
  EXPECT_LT(std::filesystem::file_size(file()), 3'000'000U);
}

TEST_F(CatalogTest, AModuleMayBeLargerThanOneAllocationOfSqlite) {
  const std::string large(40 * 1024 * 1024, 'x');
  Catalog& catalog = open();
  ASSERT_TRUE(catalog.commit(deploy("big", 1, large)));
  ASSERT_TRUE(catalog.commit(deploy("empty", 1, "")));
  const auto modules = open().modules("big-1");
  ASSERT_TRUE(modules) << modules.error().message;
  EXPECT_EQ(asText(modules->front().content), large);
  EXPECT_TRUE(catalog_->modules("empty-1")->front().content.empty());
}

TEST_F(CatalogTest, ATextLargerThanSqliteTakesIsAnErrorAndChangesNothing) {
  Catalog& catalog = open();
  Change change = deploy("app", 1);
  change.version->row.bindings =
      Json::array({Json{{"name", "T"}, {"type", "plain_text"}, {"text", std::string(20 * 1024 * 1024, 'x')}}});
  EXPECT_FALSE(catalog.commit(change));
  EXPECT_FALSE(*catalog.script("app"));
  EXPECT_TRUE(catalog.commit(deploy("app", 1)));
}

TEST_F(CatalogTest, OnlyTheOwnerMayReadTheFile) {
  open();
  struct stat status{};
  ASSERT_EQ(stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(CatalogTest, AByteThatChangedIsFoundWithFileAndOffset) {
  open();
  ASSERT_TRUE(catalog_->commit(deploy("app", 1)));
  catalog_.reset();
  const auto pages = std::filesystem::file_size(file()) / 4096;
  ASSERT_GT(pages, 4U);
  for (std::uintmax_t page = 0; page < pages; page++) {
    for (const std::uintmax_t at : {page * 4096 + 20, page * 4096 + 100, page * 4096 + 4095}) {
      std::fstream bytes(file(), std::ios::in | std::ios::out | std::ios::binary);
      bytes.seekg(static_cast<std::streamoff>(at));
      const int was = bytes.get();
      const auto put = [&](int value) {
        bytes.seekp(static_cast<std::streamoff>(at));
        bytes.put(static_cast<char>(value));
        bytes.flush();
      };
      put(was ^ 4);
      const auto found = checkCatalog(file());
      ASSERT_TRUE(found && !found->empty()) << at;
      if (page > 0) {
        EXPECT_NE(found->front().find(file() + ": damaged at offset " + std::to_string(page * 4096)), std::string::npos)
            << found->front();
      }
      put(was);
    }
  }
  EXPECT_THAT(checkCatalog(file()).value(), IsEmpty());
}

TEST_F(CatalogTest, AFileOfANewerReleaseIsRefused) {
  open();
  catalog_.reset();
  {
    auto raw = Connection::open(file());
    ASSERT_TRUE(raw && (*raw)->execute("PRAGMA user_version=99"));
  }
  const auto opened = openCatalog(systemClock(), {.file = file(), .accountId = "acc"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kUnsupported);
}

TEST_F(CatalogTest, ScriptsOfAnotherAccountAreNotSeen) {
  open();
  ASSERT_TRUE(catalog_->commit(deploy("app", 1)));
  catalog_.reset();
  auto other = openCatalog(systemClock(), {.file = file(), .accountId = "other"});
  ASSERT_TRUE(other);
  EXPECT_THAT((*other)->snapshot()->scripts, IsEmpty());
  EXPECT_THAT(*(*other)->scripts(), IsEmpty());
}

TEST(Ids, HaveTheirShapes) {
  EXPECT_THAT(makeTag(systemRandom()), testing::MatchesRegex("[0-9a-f]{32}"));
  EXPECT_THAT(makeUuid(systemRandom()),
              testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(rfc3339(1767225600123), "2026-01-01T00:00:00.123000Z");
}

}  // namespace
}  // namespace hf::catalog
