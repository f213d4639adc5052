#include "net/url.h"

#include <gtest/gtest.h>

#include <rapidcheck.h>

namespace hf::net {
namespace {

TEST(Url, SplitsTargets) {
  const auto check = [](std::string_view target, std::string_view authority, std::string_view path,
                        std::string_view query) {
    const TargetParts parts = splitTarget(target);
    EXPECT_EQ(parts.authority, authority) << target;
    EXPECT_EQ(parts.path, path) << target;
    EXPECT_EQ(parts.query, query) << target;
  };
  check("/", "", "/", "");
  check("/a/b?c=d?e", "", "/a/b", "c=d?e");
  check("/a?x=http://y/z", "", "/a", "x=http://y/z");
  check("/a#b?c", "", "/a", "");
  check("http://host:80/p?q", "host:80", "/p", "q");
  check("http://host?q", "host", "/", "q");
  check("http://host", "host", "/", "");
  check("*", "", "*", "");
  check("", "", "/", "");
}

TEST(Url, DecodesQueriesAsForms) {
  const QueryList expected = {{"a", "1 2"}, {"b", ""}, {"c", "=%zz"}, {"a", "\xc3\xa4&"}, {"", "x"}};
  const QueryList query = parseQuery("a=1+2&b&&c==%zz&a=%C3%a4%26&=x");
  EXPECT_EQ(query, expected);
  EXPECT_EQ(*findQuery(query, "a"), "1 2");
  EXPECT_EQ(findQuery(query, "d"), nullptr);
  EXPECT_TRUE(parseQuery("").empty());
}

TEST(Url, DecodesWhatItEncodes) {
  EXPECT_EQ(percentEncode("a b/ä+'~"), "a%20b%2F%C3%A4%2B'~");
  EXPECT_EQ(percentDecode("a%2Fb+c"), "a/b+c");
  for (const std::string_view broken : {"%", "%4", "%zz", "a%4", "%4g"}) EXPECT_EQ(percentDecode(broken), std::nullopt);
  rc::check([](const std::string& text) { RC_ASSERT(percentDecode(percentEncode(text)) == text); });
}

}  // namespace
}  // namespace hf::net
