#include "api/router.h"

#include <gtest/gtest.h>

namespace hf::api {
namespace {

Task<Answer> first(Core&, const ApiRequest&) { co_return ok("first"); }
Task<Answer> second(Core&, const ApiRequest&) { co_return ok("second"); }

const Router& router() {
  static const Router made({{"GET", "/a/{x}", &first}, {"GET", "/a/fixed", &second}, {"PUT", "/a/{x}/b/{y}", &first}});
  return made;
}

TEST(Router, FindsByMethodAndPathAndReadsParameters) {
  const auto match = router().find("PUT", "/a/one/b/two%2Fthree");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->handler, &first);
  EXPECT_EQ(match->params.at("x"), "one");
  EXPECT_EQ(match->params.at("y"), "two/three");
}

TEST(Router, APathThatIsNamedWinsOverAParameter) {
  EXPECT_EQ(router().find("GET", "/a/fixed")->handler, &second);
  EXPECT_EQ(router().find("GET", "/a/other")->handler, &first);
  EXPECT_EQ(router().find("HEAD", "/a/other")->handler, &first);
}

TEST(Router, UnknownPathsAre7003AndOtherMethods7001) {
  for (const char* path : {"/", "", "/b", "/a", "/a/", "/a/x/b", "/a/x/", "/a/%zz"}) {
    const auto match = router().find("GET", path);
    ASSERT_FALSE(match) << path;
    EXPECT_EQ(match.error().status, 404);
    EXPECT_EQ(match.error().entries.at(0).code, 7003);
  }
  const auto match = router().find("DELETE", "/a/x");
  ASSERT_FALSE(match);
  EXPECT_EQ(match.error().status, 405);
  EXPECT_EQ(match.error().entries.at(0).code, 7001);
}

}  // namespace
}  // namespace hf::api
