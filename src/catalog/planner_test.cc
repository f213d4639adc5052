#include "catalog/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hf::catalog {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

NamespaceId idOf(std::uint8_t number) {
  NamespaceId id;
  id.bytes[15] = number;
  return id;
}

// A script "app" with classes, and perhaps others beside it. New namespaces get the ids 100, 101, ...
struct Bench {
  std::optional<std::string> tag;
  PlanInput input;
  std::uint8_t nextId = 100;

  Bench() {
    input.script = "app";
    input.scriptTag = "app-tag";
    input.scriptTags = {{"app", "app-tag"}, {"other", "other-tag"}};
    input.newId = [this] { return idOf(nextId++); };
  }
  Bench& has(std::uint8_t id, const std::string& name, bool useSqlite = true) {
    input.namespaces.push_back({.id = idOf(id), .scriptTag = "app-tag", .className = name, .useSqlite = useSqlite});
    return *this;
  }
  Bench& otherHas(std::uint8_t id, const std::string& name) {
    input.namespaces.push_back({.id = idOf(id), .scriptTag = "other-tag", .className = name, .useSqlite = true});
    return *this;
  }
  Bench& code(std::set<std::string> names) {
    input.codeClasses = std::move(names);
    return *this;
  }
  Bench& binds(std::set<std::string> names) {
    input.boundClasses = std::move(names);
    return *this;
  }
  std::expected<Plan, PlanError> migrate(const char* json) {
    auto migrations = parseMigrations(Json::parse(json));
    if (!migrations) return std::unexpected(migrations.error());
    return planMigrations(input, *migrations);
  }
  std::expected<Plan, PlanError> upload() { return planMigrations(input, std::nullopt); }
  std::expected<Plan, PlanError> declare(const char* json) {
    auto declarations = parseExports(Json::parse(json));
    if (!declarations) return std::unexpected(declarations.error());
    return planExports(input, *declarations);
  }
};

// "id:script:class:kind", in the order of the table.
std::vector<std::string> shown(const std::vector<NamespaceRow>& rows) {
  std::vector<std::string> out;
  for (const NamespaceRow& row : rows) {
    out.push_back(std::to_string(row.id.bytes[15]) + ":" + row.scriptTag.substr(0, row.scriptTag.size() - 4) + ":" +
                  row.className + (row.useSqlite ? ":sqlite" : ":kv"));
  }
  return out;
}

std::vector<std::string> table(const std::expected<Plan, PlanError>& plan) {
  if (!plan) return {"refused " + std::to_string(plan.error().code) + ": " + plan.error().message};
  return shown(plan->namespaces);
}

std::string refusal(const std::expected<Plan, PlanError>& plan) {
  if (plan) return "accepted";
  return std::to_string(plan.error().status) + " " + std::to_string(plan.error().code) + " " + plan.error().message;
}

TEST(Migrations, NewClassesGetNamespacesOfTheirKind) {
  const auto plan = Bench()
                        .code({"A", "B"})
                        .binds({"A"})
                        .migrate(R"({"new_tag":"v1","steps":[{"new_classes":["B"],"new_sqlite_classes":["A"]}]})");
  EXPECT_THAT(table(plan), ElementsAre("100:app:B:kv", "101:app:A:sqlite"));
  EXPECT_EQ(plan->changed.size(), 2U);
  EXPECT_THAT(plan->deleted, IsEmpty());
}

TEST(Migrations, SingleStepShapeMeansTheSame) {
  EXPECT_THAT(table(Bench().code({"A"}).migrate(R"({"new_tag":"v1","new_sqlite_classes":["A"]})")),
              ElementsAre("100:app:A:sqlite"));
  EXPECT_THAT(table(Bench().has(1, "A").code({"B"}).migrate(R"({"renamed_classes":[{"from":"A","to":"B"}]})")),
              ElementsAre("1:app:B:sqlite"));
}

TEST(Migrations, BothShapesAtOnceAreRefused) {
  EXPECT_THAT(refusal(Bench().code({"A"}).migrate(R"({"steps":[],"new_classes":["A"]})")),
              testing::StartsWith("400 10021 "));
}

TEST(Migrations, MalformedOnesAreRefused) {
  for (const char* json : {R"([])", R"({"new_tag":3})", R"({"steps":{}})", R"({"steps":[3]})", R"({"new_classes":"A"})",
                           R"({"new_classes":[3]})", R"({"new_classes":[""]})", R"({"renamed_classes":[{"from":"A"}]})",
                           R"({"renamed_classes":["A"]})", R"({"transferred_classes":[{"from":"A","to":"B"}]})",
                           R"({"deleted_classes":{}})"}) {
    EXPECT_THAT(refusal(Bench().migrate(json)), testing::StartsWith("400 10021 migrations")) << json;
  }
}

TEST(Migrations, RenameKeepsIdAndKind) {
  const auto plan = Bench()
                        .has(1, "A", false)
                        .code({"B"})
                        .binds({"B"})
                        .migrate(R"({"steps":[{"renamed_classes":[{"from":"A","to":"B"}]}]})");
  EXPECT_THAT(table(plan), ElementsAre("1:app:B:kv"));
  EXPECT_THAT(shown(plan->changed), ElementsAre("1:app:B:kv"));
}

TEST(Migrations, TwoClassesMayChangeNames) {
  EXPECT_THAT(table(Bench()
                        .has(1, "A")
                        .has(2, "B")
                        .code({"A", "B"})
                        .migrate(R"({"steps":[{"renamed_classes":[{"from":"A","to":"B"},{"from":"B","to":"A"}]}]})")),
              ElementsAre("1:app:B:sqlite", "2:app:A:sqlite"));
}

TEST(Migrations, DeleteTakesTheNamespaceAway) {
  const auto plan = Bench().has(1, "A").has(2, "B").code({"B"}).migrate(R"({"steps":[{"deleted_classes":["A"]}]})");
  EXPECT_THAT(table(plan), ElementsAre("2:app:B:sqlite"));
  EXPECT_THAT(plan->deleted, ElementsAre(idOf(1)));
  EXPECT_THAT(plan->changed, IsEmpty());
}

TEST(Migrations, DeleteMayLeaveTheClassInTheCode) {
  EXPECT_THAT(table(Bench().has(1, "A").code({"A"}).migrate(R"({"deleted_classes":["A"]})")), IsEmpty());
}

TEST(Migrations, TransferMovesTheNamespace) {
  const auto plan = Bench().otherHas(7, "Room").code({"Place"}).binds({"Place"}).migrate(
      R"({"transferred_classes":[{"from":"Room","from_script":"other","to":"Place"}]})");
  EXPECT_THAT(table(plan), ElementsAre("7:app:Place:sqlite"));
  EXPECT_THAT(shown(plan->changed), ElementsAre("7:app:Place:sqlite"));
}

TEST(Migrations, AWholeHistoryReplaysOnAFreshServer) {
  const auto plan = Bench().code({"Counter3"}).binds({"Counter3"}).migrate(R"({"new_tag":"v5","steps":[
      {"new_sqlite_classes":["Counter"]},
      {"renamed_classes":[{"from":"Counter","to":"Counter2"}],"new_classes":["Temp"]},
      {"deleted_classes":["Temp"]},
      {"renamed_classes":[{"from":"Counter2","to":"Counter3"}]}]})");
  EXPECT_THAT(table(plan), ElementsAre("100:app:Counter3:sqlite"));
  EXPECT_THAT(plan->deleted, IsEmpty()) << "Temp never existed";
}

TEST(Migrations, AClassDeletedInOneStepMayBeMadeAnewInTheNext) {
  const auto plan = Bench()
                        .has(1, "A", false)
                        .code({"A"})
                        .binds({"A"})
                        .migrate(R"({"steps":[{"deleted_classes":["A"]},{"new_sqlite_classes":["A"]}]})");
  EXPECT_THAT(table(plan), ElementsAre("100:app:A:sqlite"));
  EXPECT_THAT(plan->deleted, ElementsAre(idOf(1)));
}

// What clients that send bracket fields make of several steps (spec control-plane 11.2).
TEST(Migrations, StepsMergedIntoOneMeanTheSame) {
  EXPECT_THAT(table(Bench().code({"B"}).migrate(
                  R"({"steps":[{"new_sqlite_classes":["A"],"renamed_classes":[{"from":"A","to":"B"}]}]})")),
              ElementsAre("100:app:B:sqlite"));
  EXPECT_THAT(table(Bench().code({}).migrate(R"({"steps":[{"new_classes":["A"],"deleted_classes":["A"]}]})")),
              IsEmpty());
  EXPECT_THAT(table(Bench().has(1, "A").code({"C"}).migrate(
                  R"({"steps":[{"renamed_classes":[{"from":"B","to":"C"},{"from":"A","to":"B"}]}]})")),
              ElementsAre("1:app:C:sqlite"));
  EXPECT_THAT(
      table(Bench()
                .has(1, "A")
                .code({"A", "B"})
                .migrate(R"({"steps":[{"renamed_classes":[{"from":"A","to":"B"}],"new_sqlite_classes":["A"]}]})")),
      ElementsAre("1:app:B:sqlite", "100:app:A:sqlite"));
  EXPECT_THAT(table(Bench().has(1, "A").has(2, "B").code({"B"}).migrate(
                  R"({"steps":[{"deleted_classes":["B"],"renamed_classes":[{"from":"A","to":"B"}]}]})")),
              ElementsAre("1:app:B:sqlite"));
}

TEST(Migrations, NewClassThatHasANamespace) {
  EXPECT_EQ(refusal(Bench().has(1, "A").code({"A"}).migrate(R"({"steps":[{"new_classes":["A"]}]})")),
            "400 10074 Cannot apply new-class migration to class 'A' that is already depended on by existing Durable "
            "Objects");
  EXPECT_EQ(refusal(Bench().has(1, "A").code({"A"}).migrate(R"({"new_sqlite_classes":["A"]})")),
            "400 10074 Cannot apply new-sqlite-class migration to class 'A' that is already depended on by existing "
            "Durable Objects");
}

TEST(Migrations, NewClassThatTheCodeDoesNotExport) {
  EXPECT_EQ(refusal(Bench().code({}).migrate(R"({"new_classes":["A"]})")),
            "400 10070 Cannot apply new-class migration to class A that is not exported by script");
  EXPECT_EQ(refusal(Bench().code({}).migrate(R"({"new_sqlite_classes":["A"]})")),
            "400 10070 Cannot apply new-sqlite-class migration to class A that is not exported by script");
}

TEST(Migrations, RenameOrTransferToWhatTheCodeDoesNotExport) {
  EXPECT_EQ(refusal(Bench().has(1, "A").code({"A"}).migrate(R"({"renamed_classes":[{"from":"A","to":"B"}]})")),
            "400 10070 Cannot apply rename-class migration to class B that is not exported by script");
  EXPECT_EQ(refusal(Bench().otherHas(1, "A").migrate(
                R"({"transferred_classes":[{"from":"A","from_script":"other","to":"B"}]})")),
            "400 10070 Cannot apply transfer-class migration to class B that is not exported by script");
}

TEST(Migrations, SourceThatDoesNotExist) {
  EXPECT_EQ(refusal(Bench().migrate(R"({"deleted_classes":["A"]})")),
            "400 10074 Cannot apply delete-class migration to class 'A' which was not exported in the previous version "
            "of the script");
  EXPECT_EQ(refusal(Bench().code({"B"}).migrate(R"({"renamed_classes":[{"from":"A","to":"B"}]})")),
            "400 10074 Cannot apply rename-class migration to class 'A' which was not exported in the previous version "
            "of the script");
  // A circle of names that leads nowhere ends too.
  EXPECT_THAT(
      refusal(Bench().code({"A", "B"}).migrate(R"({"renamed_classes":[{"from":"A","to":"B"},{"from":"B","to":"A"}]})")),
      testing::StartsWith("400 10074 Cannot apply rename-class migration to class 'A'"));
}

TEST(Migrations, OneTargetTwice) {
  const std::string text = "400 10074 class 'A' cannot be the target of more than one migration";
  for (const char* json :
       {R"({"new_classes":["A","A"]})", R"({"new_classes":["A"],"new_sqlite_classes":["A"]})",
        R"({"new_classes":["A"],"renamed_classes":[{"from":"X","to":"A"}]})",
        R"({"renamed_classes":[{"from":"X","to":"A"},{"from":"Y","to":"A"}]})",
        R"({"new_classes":["A"],"transferred_classes":[{"from":"R","from_script":"other","to":"A"}]})",
        R"({"deleted_classes":["A","A"]})", R"({"deleted_classes":["A"],"renamed_classes":[{"from":"A","to":"B"}]})"}) {
    EXPECT_EQ(refusal(Bench().has(1, "X").has(2, "Y").otherHas(3, "R").code({"A", "B", "X", "Y"}).migrate(json)), text)
        << json;
  }
  // Objects that exist are not thrown away by a step that also wants the class.
  EXPECT_EQ(refusal(Bench().has(1, "A").code({"A"}).migrate(R"({"deleted_classes":["A"],"new_classes":["A"]})")), text);
}

TEST(Migrations, RenameTargetOccupied) {
  EXPECT_THAT(
      refusal(
          Bench().has(1, "A").has(2, "B").code({"A", "B"}).migrate(R"({"renamed_classes":[{"from":"A","to":"B"}]})")),
      testing::StartsWith("400 10074 Cannot apply rename-class migration to class 'A': class 'B'"));
}

TEST(Migrations, TransferThatCannotBe) {
  EXPECT_THAT(
      refusal(Bench().code({"A"}).migrate(R"({"transferred_classes":[{"from":"A","from_script":"nobody","to":"A"}]})")),
      testing::StartsWith("400 10074 Cannot apply transfer-class migration to class 'A': the script 'nobody'"));
  EXPECT_THAT(
      refusal(Bench().code({"A"}).migrate(R"({"transferred_classes":[{"from":"A","from_script":"other","to":"A"}]})")),
      testing::StartsWith("400 10074 Cannot apply transfer-class migration to class 'A' which does not exist"));
  EXPECT_THAT(refusal(Bench().has(1, "B").otherHas(2, "A").code({"B"}).migrate(
                  R"({"transferred_classes":[{"from":"A","from_script":"other","to":"B"}]})")),
              testing::StartsWith("400 10074 Cannot apply transfer-class migration to class 'B' that is already"));
  EXPECT_THAT(refusal(Bench().has(1, "A").code({"B"}).migrate(
                  R"({"transferred_classes":[{"from":"A","from_script":"app","to":"B"}]})")),
              testing::StartsWith("400 10074 Cannot apply transfer-class migration to class 'A' from the script"));
}

TEST(Migrations, DeleteWhileBound) {
  EXPECT_EQ(refusal(Bench().has(1, "A").code({"A"}).binds({"A"}).migrate(R"({"deleted_classes":["A"]})")),
            "400 10061 Cannot apply --delete-class migration to class 'A' without also removing the binding that "
            "references it.");
  Bench bench;
  bench.has(1, "A").input.boundByOthers[idOf(1)] = {"web", "cron"};
  EXPECT_EQ(refusal(bench.migrate(R"({"deleted_classes":["A"]})")),
            "400 10061 Cannot apply --delete-class migration to class 'A' without also removing the binding that "
            "references it. It is bound by 'cron', 'web'.");
}

TEST(Migrations, RepointingABindingWhileDeletingItsOldClassWorks) {
  EXPECT_THAT(table(Bench().has(1, "A").code({"B"}).binds({"B"}).migrate(
                  R"({"deleted_classes":["A"],"new_sqlite_classes":["B"]})")),
              ElementsAre("100:app:B:sqlite"));
}

TEST(Upload, MustExportWhatHasObjects) {
  EXPECT_THAT(refusal(Bench().has(1, "A").code({}).upload()),
              testing::StartsWith("400 10064 New version of script does not export class 'A' which is depended on by "
                                  "existing Durable Objects."));
  EXPECT_THAT(refusal(Bench().has(1, "A").code({"B"}).migrate(R"({"new_classes":["B"]})")),
              testing::StartsWith("400 10064 "));
  EXPECT_EQ(refusal(Bench().has(1, "A").otherHas(2, "X").code({"A"}).upload()), "accepted");
}

TEST(Upload, MustNotBindWhatHasNoNamespace) {
  EXPECT_EQ(refusal(Bench().code({"A"}).binds({"A"}).upload()),
            "400 10061 Cannot create binding for class 'A' because it is not currently configured to implement Durable "
            "Objects. Ensure a --new-class migration has been applied to it.");
  EXPECT_EQ(refusal(Bench().code({}).binds({"A"}).upload()),
            "400 10061 Cannot create binding for class A that is not exported by the script");
}

TEST(MigrationTag, MustBeTheOneThatTheClientBelievesIn) {
  const auto tagOf = [](std::optional<std::string> old) {
    return Migrations{.oldTag = std::move(old), .newTag = "v9", .steps = {}};
  };
  EXPECT_TRUE(checkMigrationTag(std::nullopt, tagOf(std::nullopt)));
  EXPECT_TRUE(checkMigrationTag("v1", tagOf("v1")));
  const auto wrong = checkMigrationTag("v2", tagOf("v1"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().status, 412);
  EXPECT_EQ(wrong.error().code, 10079);
  EXPECT_EQ(wrong.error().message, "Actor migration tag precondition failed, got tag 'v1' when expected tag is 'v2'.");
  EXPECT_FALSE(checkMigrationTag(std::nullopt, tagOf("v1")));
  EXPECT_FALSE(checkMigrationTag("v1", tagOf(std::nullopt)));
}

TEST(MigrationTag, NullAndEmptyAreNoTag) {
  const auto parsed = parseMigrations(Json::parse(R"({"old_tag":null,"new_tag":"","steps":[]})"));
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->oldTag);
  EXPECT_FALSE(parsed->newTag);
}

std::vector<std::string> scenarios(const std::expected<Plan, PlanError>& plan) {
  if (plan) return {"accepted"};
  EXPECT_EQ(plan.error().code, 100402);
  std::vector<std::string> out;
  for (const Json& entry : plan.error().meta["details"]) {
    out.push_back(entry["class"].get<std::string>() + " " + entry["scenario"].get<std::string>());
  }
  return out;
}

TEST(Exports, LiveEntriesAreProvisionedOnce) {
  const char* json = R"({"A":{"type":"durable-object","storage":"sqlite"},
                         "B":{"type":"durable-object","storage":"legacy-kv"},
                         "default":{"type":"worker","cache":{"enabled":true}}})";
  const auto plan = Bench().has(1, "A").code({"A", "B"}).binds({"A", "B"}).declare(json);
  EXPECT_THAT(table(plan), ElementsAre("1:app:A:sqlite", "100:app:B:kv"));
  EXPECT_EQ(plan->reconciliation["created"], Json::parse(R"(["B"])"));
}

TEST(Exports, DeletedAndRenamedEntries) {
  const auto plan = Bench().has(1, "A").has(2, "B").code({"C"}).binds({"C"}).declare(
      R"({"A":{"type":"durable-object","state":"deleted"},
          "B":{"type":"durable-object","state":"renamed","renamed_to":"C"},
          "C":{"type":"durable-object","storage":"sqlite"},
          "Old":{"type":"durable-object","state":"deleted"}})");
  EXPECT_THAT(table(plan), ElementsAre("2:app:C:sqlite"));
  EXPECT_THAT(plan->deleted, ElementsAre(idOf(1)));
  EXPECT_EQ(plan->reconciliation["deleted"], Json::parse(R"(["A"])"));
  EXPECT_EQ(plan->reconciliation["renamed"], Json::parse(R"([{"from":"B","to":"C"}])"));
  EXPECT_EQ(plan->reconciliation["removable_entries"], Json::parse(R"(["Old"])"));
}

TEST(Exports, EverythingThatDoesNotAgreeIsListed) {
  EXPECT_THAT(scenarios(Bench()
                            .has(1, "A")
                            .has(2, "B")
                            .has(3, "K", false)
                            .code({"A", "K", "D"})
                            .declare(
                                R"({"K":{"type":"durable-object","storage":"sqlite"},
                      "N":{"type":"durable-object","storage":"sqlite"}})")),
              ElementsAre("K storage_type_mismatch", "N config_export_not_in_code",
                          "A provisioned_class_missing_from_config", "B orphaned_provisioned_namespace"));
  EXPECT_THAT(
      scenarios(Bench().has(1, "A").code({"A"}).declare(R"({"A":{"type":"durable-object","state":"deleted"}})")),
      ElementsAre("A tombstone_delete_class_still_in_code"));
  EXPECT_THAT(scenarios(Bench().has(1, "A").has(2, "B").code({"B"}).declare(
                  R"({"A":{"type":"durable-object","state":"renamed","renamed_to":"B"},
                      "B":{"type":"durable-object","storage":"sqlite"}})")),
              ElementsAre("A tombstone_renamed_to_occupied"));
  Bench bound;
  bound.has(1, "A").input.boundByOthers[idOf(1)] = {"web"};
  EXPECT_THAT(scenarios(bound.declare(R"({"A":{"type":"durable-object","state":"deleted"}})")),
              ElementsAre("A tombstone_delete_blocked_by_external_bindings"));
  EXPECT_THAT(scenarios(Bench().declare(R"({"A":{"type":"durable-object"},
                                            "B":{"type":"durable-object","state":"renamed"},
                                            "C":{"type":"durable-object","state":"transferred","transferred_to":"x"},
                                            "D":{"type":"workflow"}})")),
              ElementsAre("A invalid_export", "B invalid_export", "C invalid_export", "D invalid_export"));
}

TEST(Exports, ABindingNeedsADeclaredClass) {
  EXPECT_THAT(refusal(Bench().code({"A"}).binds({"A"}).declare("{}")), testing::StartsWith("400 10061 "));
}

}  // namespace
}  // namespace hf::catalog
