#include "api/upload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "catalog/planner.h"

namespace hf::api {
namespace {

using catalog::ModuleKind;
using testing::HasSubstr;

struct Part {
  std::string head;  // behind "form-data; "
  std::string type;
  std::string data;
};

std::string multipart(const std::vector<Part>& parts) {
  std::string out;
  for (const Part& part : parts) {
    out += "--b0undary\r\nContent-Disposition: form-data; " + part.head + "\r\n";
    if (!part.type.empty()) out += "Content-Type: " + part.type + "\r\n";
    out += "\r\n" + part.data + "\r\n";
  }
  return out + "--b0undary--\r\n";
}

Part field(const std::string& name, const std::string& value) { return {"name=\"" + name + "\"", "", value}; }
Part file(const std::string& name, const std::string& filename, const std::string& type, const std::string& data) {
  return {"name=\"" + name + "\"; filename=\"" + filename + "\"", type, data};
}

const std::string kType = "multipart/form-data; boundary=b0undary";
const std::string kEsm = "application/javascript+module";

std::string refusal(const Checked<Upload>& upload) {
  if (upload) return "accepted";
  return std::to_string(upload.error().status) + " " + std::to_string(upload.error().entries.at(0).code) + " " +
         upload.error().entries.at(0).message;
}

// The metadata that the SDK's serialiser makes fields of.
Json decoded(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::vector<Part> parts;
  for (const auto& [name, value] : fields) parts.push_back(field(name, value));
  const Checked<Upload> upload = decodeUpload(asBytes(multipart(parts)), "application/javascript", "metadata");
  EXPECT_TRUE(upload) << refusal(upload);
  return upload ? upload->metadata : Json();
}

TEST(Upload, AsWranglerSendsIt) {
  const std::string body = multipart({field("metadata", R"({"main_module":"index.js","bindings":[]})"),
                                      file("index.js", "index.js", kEsm, "export default {}"),
                                      file("./a-add.wasm", "./a-add.wasm", "application/wasm", std::string("\0asm", 4)),
                                      file("lib/x.txt", "lib/x.txt", "text/plain; charset=utf-8", "text"),
                                      file("index.js.map", "index.js.map", "application/source-map", "{}")});
  const auto upload = decodeUpload(asBytes(body), kType, "metadata");
  ASSERT_TRUE(upload) << refusal(upload);
  EXPECT_EQ(upload->metadata["main_module"], "index.js");
  ASSERT_EQ(upload->modules.size(), 4U);
  EXPECT_EQ(upload->modules[0].kind, ModuleKind::kEsm);
  EXPECT_EQ(upload->modules[1].name, "a-add.wasm");
  EXPECT_EQ(upload->modules[1].content.size(), 4U);
  EXPECT_EQ(upload->modules[2].kind, ModuleKind::kText);
  EXPECT_EQ(upload->modules[3].kind, ModuleKind::kSourceMap);
}

TEST(Upload, TheBoundaryIsFoundWithoutItsHeader) {
  const std::string body =
      multipart({field("metadata[main_module]", "index.js"), file("files[]", "index.js", kEsm, "export default {}")});
  for (const char* type : {"application/javascript", "multipart/form-data", ""}) {
    const auto upload = decodeUpload(asBytes(body), type, "metadata");
    ASSERT_TRUE(upload) << type << ": " << refusal(upload);
    EXPECT_EQ(upload->metadata["main_module"], "index.js");
    EXPECT_EQ(upload->modules.at(0).name, "index.js") << "the part's name is useless";
  }
}

TEST(Upload, JsonWithoutFiles) {
  const auto upload =
      decodeUpload(asBytes(R"({"metadata":{"main_module":"x.js"}})"), "application/javascript", "metadata");
  ASSERT_TRUE(upload);
  EXPECT_EQ(upload->metadata["main_module"], "x.js");
}

TEST(Upload, MetadataAsAFileOfJson) {
  const std::string body =
      multipart({file("metadata", "metadata.json", "application/json", R"({"main_module":"i.js"})")});
  const auto upload = decodeUpload(asBytes(body), kType, "metadata");
  ASSERT_TRUE(upload);
  EXPECT_EQ(upload->metadata["main_module"], "i.js");
  EXPECT_TRUE(upload->modules.empty());
}

TEST(Upload, WhatCannotBeReadIsRefused) {
  EXPECT_THAT(refusal(decodeUpload(asBytes("hello"), "text/plain", "metadata")), HasSubstr("400 10001"));
  EXPECT_THAT(refusal(decodeUpload(asBytes("--b0undary\r\nnonsense"), kType, "metadata")), HasSubstr("400 10001"));
  EXPECT_THAT(refusal(decodeUpload(asBytes(multipart({field("other", "x")})), kType, "metadata")),
              HasSubstr("400 10001 The multipart body has no part named 'metadata'."));
  EXPECT_THAT(refusal(decodeUpload(asBytes(multipart({field("metadata", "{")})), kType, "metadata")),
              HasSubstr("400 10001 The part 'metadata' is not a JSON object."));
  EXPECT_THAT(
      refusal(decodeUpload(asBytes(multipart({field("metadata", std::string(100'000, '['))})), kType, "metadata")),
      HasSubstr("400 10001"))
      << "depth is bounded";
  EXPECT_THAT(refusal(decodeUpload(asBytes(multipart({field("metadata[a", "1")})), kType, "metadata")),
              HasSubstr("400 10001 The form field"));
}

TEST(Upload, PartsThatAreNoModulesOfOurs) {
  const auto with = [](const std::string& type) {
    return refusal(
        decodeUpload(asBytes(multipart({field("metadata", "{}"), file("x", "x", type, "")})), kType, "metadata"));
  };
  EXPECT_THAT(with("application/javascript"),
              HasSubstr("400 10021 The part 'x' is in service-worker format or a CommonJS module"));
  EXPECT_THAT(with("text/x-python"), HasSubstr("400 10021 The part 'x' is Python"));
  EXPECT_THAT(with("image/png"), HasSubstr("400 10021 The part 'x' has the type 'image/png'"));
  const std::string twice =
      multipart({field("metadata", "{}"), file("x", "x.js", kEsm, ""), file("y", "./x.js", kEsm, "")});
  EXPECT_THAT(refusal(decodeUpload(asBytes(twice), kType, "metadata")), HasSubstr("uploaded twice"));
}

TEST(Bracket, BindingsEndWhereAScalarRepeatsOrAMemberComesBack) {
  EXPECT_EQ(decoded({{"metadata[main_module]", "i.js"},
                     {"metadata[bindings][][type]", "durable_object_namespace"},
                     {"metadata[bindings][][name]", "A"},
                     {"metadata[bindings][][class_name]", "A"},
                     {"metadata[bindings][][type]", "plain_text"},
                     {"metadata[bindings][][name]", "B"},
                     {"metadata[bindings][][text]", "true"},
                     {"metadata[bindings][][name]", "C"},
                     {"metadata[bindings][][type]", "version_metadata"},
                     {"metadata[compatibility_flags][]", "x"},
                     {"metadata[compatibility_flags][]", "y"}}),
            Json::parse(R"({"main_module":"i.js","bindings":[
              {"type":"durable_object_namespace","name":"A","class_name":"A"},
              {"type":"plain_text","name":"B","text":"true"},
              {"name":"C","type":"version_metadata"}],"compatibility_flags":["x","y"]})"));
}

TEST(Bracket, NumbersAndBooleansAreRestoredBySchema) {
  EXPECT_EQ(decoded({{"metadata[logpush]", "false"},
                     {"metadata[limits][cpu_ms]", "100"},
                     {"metadata[observability][enabled]", "true"},
                     {"metadata[observability][head_sampling_rate]", "0.5"},
                     {"metadata[annotations][workers/message]", "1"},
                     {"metadata[code_update_strategy][max_delay]", "30"}}),
            Json::parse(R"({"logpush":false,"limits":{"cpu_ms":100},
                            "observability":{"enabled":true,"head_sampling_rate":0.5},
                            "annotations":{"workers/message":"1"},"code_update_strategy":{"max_delay":30}})"));
}

TEST(Bracket, StepsStayApartWhereTheSerialiserLetsThem) {
  // [{new: [A, B]}, {renamed: [A -> C, B -> D], new: [E]}]: the second step begins where "new" comes back.
  EXPECT_EQ(decoded({{"metadata[migrations][new_tag]", "v2"},
                     {"metadata[migrations][steps][][new_sqlite_classes][]", "A"},
                     {"metadata[migrations][steps][][new_sqlite_classes][]", "B"},
                     {"metadata[migrations][steps][][renamed_classes][][from]", "A"},
                     {"metadata[migrations][steps][][renamed_classes][][to]", "C"},
                     {"metadata[migrations][steps][][renamed_classes][][from]", "B"},
                     {"metadata[migrations][steps][][renamed_classes][][to]", "D"},
                     {"metadata[migrations][steps][][new_sqlite_classes][]", "E"}}),
            Json::parse(R"({"migrations":{"new_tag":"v2","steps":[
              {"new_sqlite_classes":["A","B"],"renamed_classes":[{"from":"A","to":"C"},{"from":"B","to":"D"}]},
              {"new_sqlite_classes":["E"]}]}})"));
}

// What the border between two steps loses, the planner's order within a step gives back.
TEST(Bracket, MergedStepsPlanAsTheyWereMeant) {
  const Json metadata = decoded({{"metadata[migrations][new_tag]", "v2"},
                                 {"metadata[migrations][steps][][new_sqlite_classes][]", "A"},
                                 {"metadata[migrations][steps][][renamed_classes][][from]", "A"},
                                 {"metadata[migrations][steps][][renamed_classes][][to]", "B"}});
  const auto migrations = catalog::parseMigrations(metadata["migrations"]);
  ASSERT_TRUE(migrations);
  catalog::PlanInput input{.script = "app", .scriptTag = "t", .codeClasses = {"B"}};
  input.newId = [] { return NamespaceId{}; };
  const auto plan = catalog::planMigrations(input, *migrations);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->namespaces.size(), 1U);
  EXPECT_EQ(plan->namespaces[0].className, "B");
}

TEST(Bracket, ContradictionsAreRefused) {
  EXPECT_FALSE(decodeBracketFields({{"[a]", "1"}, {"[a][b]", "2"}}));
  EXPECT_FALSE(decodeBracketFields({{"[a][]", "1"}, {"[a][b]", "2"}}));
  EXPECT_FALSE(decodeBracketFields({{"[a]", "1"}, {"[a]", "2"}}));
  EXPECT_FALSE(decodeBracketFields({{"[]", "1"}}));
  EXPECT_FALSE(decodeBracketFields({{"", "1"}}));
  EXPECT_FALSE(decodeBracketFields({{"[a]b", "1"}}));
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "[a]";
  EXPECT_FALSE(decodeBracketFields({{deep, "1"}}));
}

}  // namespace
}  // namespace hf::api
