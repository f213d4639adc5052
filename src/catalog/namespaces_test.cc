#include "catalog/namespaces.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "catalog/catalog.h"
#include "catalog/sql.h"

namespace hf::catalog {
namespace {

namespace fs = std::filesystem;

Namespace make(std::uint8_t number, const std::string& script, const std::string& className) {
  Namespace ns{.name = script + "_" + className, .script = script, .className = className};
  ns.id.bytes.fill(number);
  return ns;
}

std::map<NamespaceId, Namespace> some() {
  std::map<NamespaceId, Namespace> all;
  for (const Namespace& ns : {make(1, "chat", "Room"), make(2, "game", "Room"), make(3, "game", "Board")}) {
    all.emplace(ns.id, ns);
  }
  return all;
}

TEST(Namespaces, AreFoundByWhatTheyAreCalled) {
  const auto all = some();
  for (const char* text : {"03030303030303030303030303030303", "game/Board", "game_Board", "Board"}) {
    const auto found = findNamespace(all, text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->id, make(3, "", "").id) << text;
  }
  EXPECT_EQ(findNamespace(all, "chat/Room")->id, make(1, "", "").id);
}

TEST(Namespaces, WhatIsAmbiguousOrMissingIsRefusedWithTheChoices) {
  const auto all = some();
  const auto several = findNamespace(all, "Room");
  EXPECT_EQ(several.error().code, Errc::kInvalidArgument);
  EXPECT_NE(several.error().message.find("chat/Room, game/Room"), std::string::npos);
  const auto none = findNamespace(all, "chat/Board");
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  EXPECT_NE(none.error().message.find("game/Board"), std::string::npos);
  EXPECT_EQ(findNamespace({}, "x").error().code, Errc::kNotFound);
}

class CatalogFileTest : public ::testing::Test {
 protected:
  CatalogFileTest() {
    root_ = (fs::temp_directory_path() / "hf-names-XXXXXX").string();
    EXPECT_NE(mkdtemp(root_.data()), nullptr);
    auto opened = openCatalog(systemClock(), {.file = file(), .accountId = "local"});
    EXPECT_TRUE(opened);
    catalog_ = std::move(*opened);
    ScriptRow script{.tag = std::string(32, 'a'), .name = "chat"};
    NamespaceRow ns{.scriptTag = script.tag, .className = "Room"};
    ns.id.bytes.fill(7);
    EXPECT_TRUE(catalog_->commit({.script = script, .namespaces = {ns}}));
  }
  ~CatalogFileTest() override { fs::remove_all(root_); }
  std::string file() const { return root_ + "/catalog.sqlite"; }
  std::string root_;
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogFileTest, ACopyMadeWhileItGoesOnHoldsWhatIsCommitted) {
  const std::string copy = root_ + "/copy.sqlite";
  {
    const auto backup = catalog_->beginBackup(copy);
    ASSERT_TRUE(backup);
    NamespaceRow late{.scriptTag = std::string(32, 'a'), .className = "Late"};
    late.id.bytes.fill(9);
    ASSERT_TRUE(catalog_->commit({.namespaces = {late}}));
    Result<bool> done = false;
    while (done && !*done) done = (*backup)->step();
    ASSERT_TRUE(done) << done.error().message;
  }
  EXPECT_TRUE(checkCatalog(copy)->empty());
  const auto names = readNamespaces(copy);
  ASSERT_TRUE(names);
  EXPECT_EQ(names->size(), 2U);
  EXPECT_EQ(names->begin()->second.className, "Room");
  EXPECT_TRUE(openCatalog(systemClock(), {.file = copy, .accountId = "local"}));
}

TEST_F(CatalogFileTest, WhatAKillHasLeftIsRead) {
  fs::copy(file(), root_ + "/killed.sqlite");
  if (fs::exists(file() + "-journal")) fs::copy(file() + "-journal", root_ + "/killed.sqlite-journal");
  const auto names = readNamespaces(root_ + "/killed.sqlite");
  ASSERT_TRUE(names);
  EXPECT_EQ(names->size(), 1U);
}

}  // namespace
}  // namespace hf::catalog
