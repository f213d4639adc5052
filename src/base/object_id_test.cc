#include "base/object_id.h"

#include <gtest/gtest.h>

#include <set>

namespace hf {
namespace {

TEST(IdFactory, NamesGiveTheIdsThatWorkerdGives) {
  const IdFactory mykey("mykey");
  EXPECT_EQ(mykey.fromName("http://foo/").hex(), "59002eb8cf872e541722977a258a12d6a93bbe8192b502e1c0cb250aa91af234");
  EXPECT_EQ(mykey.fromName("http://foo/bar").hex(), "02b496f65dd35cbac90e3e72dc5a398ee93926ea4a3821e26677082d2e6f9b79");
  EXPECT_EQ(mykey.fromName("name").hex(), "3652ef6221834806dc8df802d1d216e27b7d07e0a6b7adf6cfdaeec90f06459a");
  EXPECT_EQ(IdFactory("mykey2").fromName("http://foo/").hex(),
            "1ca00c9dcc649c352c0f3629f816a5589c2a320897d166d977be848c7e6b33d0");
}

TEST(IdFactory, ParseAcceptsOwnIdsInEitherCaseAndRefusesOthers) {
  const IdFactory mine("a");
  const ObjectId id = mine.fromName("x");
  std::string upper = id.hex();
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  ASSERT_TRUE(mine.parse(id.hex()));
  EXPECT_EQ(*mine.parse(upper), id);
  EXPECT_EQ(IdFactory("b").parse(id.hex()).error().message, "Durable Object ID is not valid for this namespace.");
  EXPECT_EQ(mine.parse(id.hex().substr(1)).error().message, "Invalid Durable Object ID: must be 64 hex digits");
  EXPECT_EQ(mine.parse(std::string(64, 'g')).error().message, "Invalid Durable Object ID: must be 64 hex digits");
}

TEST(NamespaceIds, WithoutAJurisdictionTheyAreWorkerds) {
  const NamespaceIds ids("mykey");
  EXPECT_EQ(ids.of(Jurisdiction::kNone).fromName("http://foo/"), IdFactory("mykey").fromName("http://foo/"));
}

TEST(NamespaceIds, AnIdSaysItsJurisdiction) {
  const NamespaceIds ids("mykey");
  std::set<ObjectId> seen;
  for (std::size_t i = 0; i < kJurisdictionNames.size(); i++) {
    const auto jurisdiction = static_cast<Jurisdiction>(i);
    const ObjectId id = ids.of(jurisdiction).fromName("x");
    EXPECT_TRUE(seen.insert(id).second) << "the name gives another id in each";
    const auto parsed = ids.parse(id.hex());
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->id, id);
    EXPECT_EQ(parsed->jurisdiction, jurisdiction);
    EXPECT_TRUE(ids.isNamed(id, "x"));
    EXPECT_FALSE(ids.isNamed(id, "y"));
    EXPECT_EQ(NamespaceIds("other").parse(id.hex()).error().message,
              "Durable Object ID is not valid for this namespace.");
  }
  EXPECT_EQ(ids.parse("zz").error().message, "Invalid Durable Object ID: must be 64 hex digits");
}

TEST(NamespaceIds, JurisdictionalIdsStayTheSame) {
  EXPECT_EQ(NamespaceIds("mykey").of(Jurisdiction::kEu).fromName("name").hex(),
            "06a589e10a068d77b8ce1261e03fb21eb3db8c90c7671b76cfbd9cd1ea709104");
}

}  // namespace
}  // namespace hf
