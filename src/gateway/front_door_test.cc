#include "gateway/front_door.h"

#include <gtest/gtest.h>

namespace hf::gateway {
namespace {

TEST(Route, HostNamesLeadToScripts) {
  const FrontDoorOptions options{.domain = "Example.test", .defaultScript = {}};
  EXPECT_EQ(routeOf("chat.example.test", options).script, "chat");
  EXPECT_EQ(routeOf("CHAT.example.TEST:8787", options).script, "chat");
  EXPECT_EQ(routeOf("chat.example.test.", options).script, "chat");
  EXPECT_EQ(routeOf("evilexample.test", options).kind, Route::Kind::kUnknown);
  EXPECT_EQ(routeOf("chat.example.test.evil", options).kind, Route::Kind::kUnknown);
  EXPECT_EQ(routeOf("", options).kind, Route::Kind::kUnknown);
}

TEST(Route, TheDomainAndBareAddressesLeadToTheDefaultScriptOrTheWelcomePage) {
  const FrontDoorOptions none{.domain = "localhost", .defaultScript = {}};
  const FrontDoorOptions some{.domain = "localhost", .defaultScript = "home"};
  for (const char* host : {"localhost", "localhost:8787", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8787"}) {
    EXPECT_EQ(routeOf(host, none).kind, Route::Kind::kWelcome) << host;
    EXPECT_EQ(routeOf(host, some).script, "home") << host;
  }
}

}  // namespace
}  // namespace hf::gateway
