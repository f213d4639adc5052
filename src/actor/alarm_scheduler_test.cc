#include "actor/alarm_scheduler.h"

#include <gtest/gtest.h>

namespace hf::actor {
namespace {

ObjectKey object(std::uint8_t n) {
  ObjectKey key;
  key.id.bytes[0] = n;
  return key;
}

TEST(AlarmScheduler, FiresInOrderOfTimeAndNotBefore) {
  AlarmScheduler alarms;
  alarms.set(object(1), 200, "one");
  alarms.set(object(2), 100, "two");
  EXPECT_EQ(alarms.nextDue(), 100);
  EXPECT_TRUE(alarms.takeDue(99, 10).empty());
  const auto due = alarms.takeDue(200, 10);
  ASSERT_EQ(due.size(), 2U);
  EXPECT_EQ(due[0].name, "two");
  EXPECT_EQ(due[1].scheduledAt, 200);
  EXPECT_FALSE(alarms.nextDue());
}

TEST(AlarmScheduler, RetriesSixTimesWithGrowingDelayThenGivesUp) {
  AlarmScheduler alarms;
  alarms.set(object(1), 0, "");
  WallMs now = 0;
  WallMs delay = AlarmScheduler::kFirstDelayMs;
  for (int retry = 0; retry < AlarmScheduler::kCountedRetriesMax; retry++) {
    const auto due = alarms.takeDue(now, 1);
    ASSERT_EQ(due.size(), 1U) << retry;
    EXPECT_EQ(due[0].retryCount, retry);
    EXPECT_EQ(due[0].scheduledAt, 0);
    EXPECT_EQ(alarms.done(object(1), AlarmOutcome::kRetry, now, 0), AlarmScheduler::Next::kNothing);
    EXPECT_EQ(alarms.nextDue(), now + delay);
    now += delay;
    delay *= 2;
  }
  ASSERT_EQ(alarms.takeDue(now, 1).size(), 1U);
  EXPECT_EQ(alarms.done(object(1), AlarmOutcome::kRetry, now, 0), AlarmScheduler::Next::kClearStored);
  EXPECT_EQ(alarms.size(), 0U);
}

TEST(AlarmScheduler, AnAlarmSetDuringTheRunReplacesTheRetry) {
  AlarmScheduler alarms;
  alarms.set(object(1), 5, "n");
  ASSERT_EQ(alarms.takeDue(5, 1).size(), 1U);
  alarms.set(object(1), 77, "");
  alarms.done(object(1), AlarmOutcome::kRetry, 6, 0.5);
  EXPECT_EQ(alarms.nextDue(), 77);
  const auto due = alarms.takeDue(77, 1);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].retryCount, 0);
  EXPECT_EQ(due[0].name, "n");
}

TEST(AlarmScheduler, AClockThatIsSetMovesRetriesAndNotAlarms) {
  AlarmScheduler alarms;
  alarms.set(object(1), 100'000, "");
  alarms.set(object(2), 150'000, "");
  ASSERT_EQ(alarms.takeDue(100'000, 1).size(), 1U);
  alarms.done(object(1), AlarmOutcome::kRetry, 100'000, 0);
  EXPECT_EQ(alarms.nextDue(), 102'000);
  alarms.clockSet(-90'000);
  EXPECT_EQ(alarms.nextDue(), 12'000) << "two seconds after the try, whatever the clock says now";
  const auto retry = alarms.takeDue(12'000, 9);
  ASSERT_EQ(retry.size(), 1U);
  EXPECT_EQ(retry[0].scheduledAt, 100'000);
  EXPECT_EQ(retry[0].retryCount, 1);
  EXPECT_EQ(alarms.nextDue(), 150'000) << "never before its time";
  alarms.done(object(1), AlarmOutcome::kRetry, 12'000, 0);
  alarms.clockSet(1'000'000);
  EXPECT_EQ(alarms.nextDue(), 150'000);
  EXPECT_EQ(alarms.takeDue(1'012'000, 9).size(), 1U) << "what the clock has jumped over is due, the retry is not";
  EXPECT_EQ(alarms.nextDue(), 1'016'000);
}

TEST(AlarmScheduler, ASetAlarmIsNoRetryAnyMore) {
  AlarmScheduler alarms;
  alarms.set(object(1), 5, "");
  ASSERT_EQ(alarms.takeDue(5, 1).size(), 1U);
  alarms.done(object(1), AlarmOutcome::kRetryUncounted, 5, 0);
  alarms.set(object(1), 10'000, "");
  alarms.clockSet(-5000);
  EXPECT_EQ(alarms.nextDue(), 10'000);
}

TEST(AlarmScheduler, UncountedRetriesGoOnForEver) {
  AlarmScheduler alarms;
  alarms.set(object(1), 0, "");
  WallMs now = 0;
  for (int i = 0; i < 40; i++) {
    ASSERT_EQ(alarms.takeDue(now, 1).size(), 1U);
    EXPECT_EQ(alarms.done(object(1), AlarmOutcome::kRetryUncounted, now, 0), AlarmScheduler::Next::kNothing);
    now = *alarms.nextDue();
  }
  ASSERT_EQ(alarms.takeDue(now, 1).size(), 1U);
  alarms.done(object(1), AlarmOutcome::kRetry, now, 0);
  EXPECT_EQ(alarms.nextDue(), now + AlarmScheduler::kFirstDelayMs)
      << "a counted failure after uncounted ones starts anew";
}

TEST(AlarmScheduler, RemovedAlarmsAndNamespacesAreForgotten) {
  AlarmScheduler alarms;
  alarms.set(object(1), 10, "");
  alarms.set(object(2), 20, "");
  alarms.remove(object(1));
  EXPECT_EQ(alarms.nextDue(), 20);
  alarms.removeNamespace(NamespaceId{});
  EXPECT_FALSE(alarms.nextDue());
}

}  // namespace
}  // namespace hf::actor
