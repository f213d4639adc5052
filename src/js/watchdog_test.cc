#include "js/watchdog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "base/clock.h"
#include "js/exit_codes.h"

namespace hf::js {
namespace {

using namespace std::chrono_literals;

const Log kQuiet{STDERR_FILENO, LogFormat::kText, static_cast<LogLevel>(9)};

void burn(std::chrono::milliseconds time, const std::atomic<bool>& until) {
  const auto end = systemClock().steady() + time;
  while (systemClock().steady() < end && !until) {
  }
}

TEST(Watchdog, CallsBackOnceWhenATurnUsesTooMuch) {
  Watchdog watchdog(kQuiet);
  std::atomic<int> calls{0};
  std::atomic<bool> called{false};
  Watchdog::Entry* entry = watchdog.watch("x", 50ms, [&] {
    ++calls;
    called = true;
  });
  entry->beginTurn();
  entry->beginTurn();  // nested
  entry->endTurn();
  burn(5s, called);
  EXPECT_TRUE(called);
  entry->endTurn();
  entry->beginTurn();
  burn(150ms, std::atomic<bool>{false});
  entry->endTurn();
  watchdog.release(entry);
  EXPECT_EQ(calls, 1);
}

TEST(Watchdog, WakesFromSleepForANewTurn) {
  Watchdog watchdog(kQuiet);
  std::atomic<bool> called{false};
  Watchdog::Entry* entry = watchdog.watch("x", 20ms, [&] { called = true; });
  std::this_thread::sleep_for(200ms);  // several idle ticks: asleep by now
  entry->beginTurn();
  burn(5s, called);
  entry->endTurn();
  EXPECT_TRUE(called);
  watchdog.release(entry);
}

TEST(Watchdog, ShortTurnsAreLeftAlone) {
  Watchdog watchdog(kQuiet);
  std::atomic<bool> called{false};
  Watchdog::Entry* entry = watchdog.watch("x", 100ms, [&] { called = true; });
  for (int i = 0; i < 20; ++i) {
    entry->beginTurn();
    burn(20ms, called);
    entry->endTurn();
  }
  EXPECT_FALSE(called);
  watchdog.release(entry);
}

TEST(Watchdog, TellsALongTurnAgainAndAgain) {
  Watchdog watchdog(kQuiet);
  std::atomic<int> told{0};
  std::atomic<bool> often{false};
  Watchdog::Entry* entry = watchdog.watch("x", 3600s, [] {}, [&] { often = ++told >= 5; });
  for (int i = 0; i < 5; ++i) {
    entry->beginTurn();
    EXPECT_FALSE(entry->isLong());
    burn(10ms, often);
    entry->endTurn();
  }
  EXPECT_EQ(told, 0);
  entry->beginTurn();
  burn(5s, often);
  EXPECT_TRUE(often);
  EXPECT_TRUE(entry->isLong());
  entry->endTurn();
  entry->beginTurn();
  EXPECT_FALSE(entry->isLong());  // that was another turn
  entry->endTurn();
  watchdog.release(entry);
}

TEST(Watchdog, WhatOthersUseDuringASuspensionDoesNotCount) {
  Watchdog watchdog(kQuiet);
  std::atomic<bool> outerEnded{false};
  std::atomic<bool> innerEnded{false};
  Watchdog::Entry* outer = watchdog.watch("outer", 200ms, [&] { outerEnded = true; });
  Watchdog::Entry* inner = watchdog.watch("inner", 200ms, [&] { innerEnded = true; });
  outer->beginTurn();
  for (int i = 0; i < 4; ++i) {
    burn(20ms, outerEnded);
    outer->suspend();
    inner->beginTurn();
    burn(120ms, outerEnded);
    inner->endTurn();
    outer->resume();
  }
  EXPECT_FALSE(outerEnded);
  EXPECT_FALSE(innerEnded);
  // An inner turn has its own limit, and the outer one's goes on where it was.
  outer->suspend();
  inner->beginTurn();
  burn(5s, innerEnded);
  inner->endTurn();
  outer->resume();
  EXPECT_TRUE(innerEnded);
  EXPECT_FALSE(outerEnded);
  burn(5s, outerEnded);
  EXPECT_TRUE(outerEnded);
  outer->endTurn();
  watchdog.release(outer);
  watchdog.release(inner);
}

TEST(Watchdog, EndsTheProcessWhenATurnDoesNotStop) {
  std::atomic<int> exitCode{0};
  std::atomic<bool> exited{false};
  Watchdog watchdog(kQuiet, {.grace = 50ms, .exitProcess = [&](int code) {
                               exitCode = code;
                               exited = true;
                             }});
  Watchdog::Entry* entry = watchdog.watch("x", 30ms, [] {});
  entry->beginTurn();
  burn(5s, exited);
  entry->endTurn();
  EXPECT_EQ(exitCode, kExitRunawayTurn);
  watchdog.release(entry);
}

TEST(Watchdog, GraceCanBeStartedByTheHeapLimit) {
  std::atomic<bool> exited{false};
  Watchdog watchdog(kQuiet, {.grace = 50ms, .exitProcess = [&](int) { exited = true; }});
  Watchdog::Entry* entry = watchdog.watch("x", 3600s, [] {});
  entry->beginTurn();
  entry->startGrace();
  burn(5s, exited);
  entry->endTurn();
  EXPECT_TRUE(exited);
  watchdog.release(entry);
}

}  // namespace
}  // namespace hf::js
