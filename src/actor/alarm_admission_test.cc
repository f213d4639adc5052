#include "actor/alarm_admission.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace hf::actor {
namespace {

using std::chrono::milliseconds;

ObjectKey object(int n) {
  ObjectKey key;
  key.id.bytes[0] = static_cast<std::uint8_t>(n);
  key.id.bytes[1] = static_cast<std::uint8_t>(n >> 8);
  return key;
}
SteadyTime at(int ms) { return SteadyTime(milliseconds(ms)); }

TEST(AlarmAdmission, AnEndedRunMakesRoom) {
  AlarmAdmission admission({.recentMax = 2, .allMax = 10, .longAfter = milliseconds(1000)});
  EXPECT_EQ(admission.room(at(0)), 2U);
  admission.started(object(1), at(0));
  admission.started(object(2), at(5));
  EXPECT_EQ(admission.room(at(10)), 0U);
  admission.ended(object(2));
  admission.ended(object(2));
  EXPECT_EQ(admission.room(at(10)), 1U);
}

TEST(AlarmAdmission, RunsThatTakeLongDoNotHoldUpOthers) {
  AlarmAdmission admission({.recentMax = 2, .allMax = 3, .longAfter = milliseconds(1000)});
  admission.started(object(1), at(0));
  admission.started(object(2), at(100));
  EXPECT_EQ(admission.nextRoom(), at(1000));
  EXPECT_EQ(admission.room(at(999)), 0U);
  EXPECT_EQ(admission.room(at(1000)), 1U);
  admission.started(object(3), at(1000));
  EXPECT_EQ(admission.room(at(9000)), 0U) << "but there is an end to it";
  EXPECT_FALSE(admission.nextRoom());
  admission.ended(object(1));
  EXPECT_EQ(admission.room(at(9000)), 1U);
}

TEST(AlarmAdmission, CountsRightWhateverTheOrder) {
  constexpr int kRecentMax = 5;
  constexpr int kAllMax = 12;
  AlarmAdmission admission({.recentMax = kRecentMax, .allMax = kAllMax, .longAfter = milliseconds(50)});
  std::mt19937 random(7);
  std::unordered_map<int, int> model;  // object → when it started
  for (int now = 0; now < 20'000; now += static_cast<int>(random() % 4)) {
    const auto recent = std::ranges::count_if(model, [&](const auto& entry) { return now - entry.second < 50; });
    const auto room =
        std::min<std::ptrdiff_t>(kRecentMax - recent, kAllMax - static_cast<std::ptrdiff_t>(model.size()));
    ASSERT_EQ(admission.room(at(now)), static_cast<std::size_t>(std::max<std::ptrdiff_t>(room, 0))) << now;
    const int n = static_cast<int>(random() % 40);
    if (model.contains(n)) {
      admission.ended(object(n));
      model.erase(n);
    } else if (room > 0) {
      admission.started(object(n), at(now));
      model[n] = now;
    }
    ASSERT_EQ(admission.running(), model.size());
  }
}

}  // namespace
}  // namespace hf::actor
