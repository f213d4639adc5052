#include "server/restart.h"

#include <gtest/gtest.h>

namespace hf::server {
namespace {

TEST(Restart, TheFirstComesAtOnceAndLaterOnesWaitLongerUpToThirtySeconds) {
  EXPECT_EQ(parseRestarted(nullptr).times, 0U);
  EXPECT_EQ(parseRestarted("0000001").wait.count(), 0);
  EXPECT_EQ(parseRestarted("0000001").times, 1U);
  EXPECT_EQ(parseRestarted("0000002").wait.count(), 200);
  EXPECT_EQ(parseRestarted("0000003").wait.count(), 400);
  EXPECT_EQ(parseRestarted("0000009").wait.count(), 25'600);
  EXPECT_EQ(parseRestarted("0000010").wait.count(), 30'000);
  EXPECT_EQ(parseRestarted("1000000").wait.count(), 30'000);
}

TEST(Restart, WhatIsNotANumberCountsAsNone) {
  for (const char* text : {"", "x", "1x", "-1", "99999999999999999999"}) EXPECT_EQ(parseRestarted(text).times, 0U);
}

}  // namespace
}  // namespace hf::server
