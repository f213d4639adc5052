#include "net/event_loop.h"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "net/test_support.h"

namespace hf::net {
namespace {

SteadyTime inMs(int ms) { return std::chrono::steady_clock::now() + std::chrono::milliseconds(ms); }

void signal(int fd) {
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(fd, &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

void clear(int fd) {
  std::uint64_t count = 0;
  ASSERT_EQ(::read(fd, &count, sizeof count), static_cast<ssize_t>(sizeof count));
}

TEST(EventLoop, TasksOfEachPosterRunInOrderOnTheLoopsThread) {
  LoopThread thread;
  constexpr int kPosters = 4;
  constexpr int kTasks = 2000;
  std::array<std::vector<int>, kPosters> seen;
  std::atomic<bool> elsewhere = false;
  std::vector<std::thread> posters;
  for (int p = 0; p < kPosters; p++) {
    posters.emplace_back([&, p] {
      for (int i = 0; i < kTasks; i++) {
        thread.loop.post([&, p, i] {
          if (!thread.loop.isCurrent()) elsewhere = true;
          seen[static_cast<std::size_t>(p)].push_back(i);
        });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  thread.run([] {});
  EXPECT_FALSE(elsewhere);
  EXPECT_FALSE(thread.loop.isCurrent());
  for (const std::vector<int>& list : seen) {
    ASSERT_EQ(list.size(), static_cast<std::size_t>(kTasks));
    EXPECT_TRUE(std::ranges::is_sorted(list));
  }
}

TEST(EventLoop, ATaskThatPostsForEverStarvesNeitherTimersNorOthers) {
  LoopThread thread;
  std::promise<void> timer;
  std::atomic<bool> on = true;
  std::function<void()> again = [&] {
    if (on) thread.loop.post([&] { again(); });
  };
  thread.run([&] {
    again();
    thread.loop.addTimer(inMs(5), [&] { timer.set_value(); });
  });
  EXPECT_EQ(timer.get_future().wait_for(kTestPatience), std::future_status::ready);
  thread.run([] {});
  on = false;
  thread.run([] {});
}

TEST(EventLoop, TimersRunInOrderOfTimeAndNotWhenCancelled) {
  LoopThread thread;
  EventQueue<int> fired;
  thread.run([&] {
    thread.loop.addTimer(inMs(30), [&] { fired.push(3); });
    thread.loop.addTimer(inMs(10), [&] { fired.push(1); });
    const std::uint64_t cancelled = thread.loop.addTimer(inMs(15), [&] { fired.push(99); });
    thread.loop.addTimer(inMs(20), [&] { fired.push(2); });
    EXPECT_NE(cancelled, 0U);
    thread.loop.cancelTimer(cancelled);
    thread.loop.cancelTimer(cancelled);
    thread.loop.addTimer(inMs(-1000), [&] { fired.push(0); });
  });
  for (int i = 0; i < 4; i++) EXPECT_EQ(fired.next(), i);
}

TEST(EventLoop, WatchesTheEpollDescriptorOfAnotherLoop) {
  LoopThread thread;
  const int inner = ::epoll_create1(EPOLL_CLOEXEC);
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event wanted{.events = EPOLLIN, .data = {}};
  ASSERT_EQ(::epoll_ctl(inner, EPOLL_CTL_ADD, event, &wanted), 0);
  EventQueue<int> seen;
  std::atomic<bool> leaveUnread = true;
  std::uint64_t watch = 0;
  thread.run([&] {
    watch = thread.loop.watchFd(inner, [&] {
      // Readable as long as the inner loop has something: it is told again.
      if (leaveUnread.exchange(false)) {
        seen.push(1);
      } else {
        clear(event);
        seen.push(2);
      }
    });
  });
  for (int round = 0; round < 3; round++) {
    leaveUnread = true;
    signal(event);
    EXPECT_EQ(seen.next(), 1);
    EXPECT_EQ(seen.next(), 2);
  }
  thread.run([&] {
    thread.loop.unwatchFd(watch);
    thread.loop.unwatchFd(watch);
    signal(event);
  });
  thread.run([] {});
  EXPECT_TRUE(seen.isEmpty());
  // Not ours: still open.
  clear(event);
  EXPECT_EQ(::close(inner), 0);
  EXPECT_EQ(::close(event), 0);
}

TEST(EventLoop, AManualWatchFiresOnceForEachArming) {
  LoopThread thread;
  const int event = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  EventQueue<int> seen;
  std::uint64_t watch = 0;
  thread.run([&] { watch = thread.loop.watchFd(event, [&] { seen.push(1); }, Rearm::kManual); });
  EXPECT_EQ(seen.next(), 1);
  thread.run([] {});
  thread.run([] {});
  EXPECT_TRUE(seen.isEmpty());
  thread.run([&] { thread.loop.rearmFd(watch); });
  EXPECT_EQ(seen.next(), 1);
  // May unwatch itself from the callback.
  thread.run([&] {
    thread.loop.unwatchFd(watch);
    watch = thread.loop.watchFd(event, [&] {
      thread.loop.unwatchFd(watch);
      seen.push(2);
    });
  });
  EXPECT_EQ(seen.next(), 2);
  thread.run([] {});
  EXPECT_TRUE(seen.isEmpty());
  ::close(event);
}

TEST(EventLoop, ARoundHookRunsAfterABatchOfTasks) {
  LoopThread thread;
  EventQueue<std::string> seen;
  std::string gathered;
  std::uint64_t hook = 0;
  thread.run([&] {
    hook = thread.loop.addRoundHook([&] {
      if (!gathered.empty()) seen.push(std::exchange(gathered, {}));
    });
    for (const char* piece : {"a", "b", "c"}) thread.loop.post([&, piece] { gathered += piece; });
  });
  EXPECT_EQ(seen.next(), "abc");
  thread.run([&] {
    thread.loop.removeRoundHook(hook);
    gathered = "d";
  });
  thread.run([] {});
  EXPECT_TRUE(seen.isEmpty());
}

TEST(EventLoop, ANestedRoundGoesOnWithWhatTheOuterOneHasLeft) {
  LoopThread thread;
  std::promise<void> ended;
  std::vector<int> order;
  std::atomic<bool> fired = false;
  std::atomic<int> watched = 0;
  const int event = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  std::uint64_t watch = 0;
  thread.run([&] {
    thread.loop.post([&] {
      order.push_back(1);
      thread.loop.post([&] { order.push_back(5); });
      thread.loop.addTimer(inMs(-1), [&] {
        EXPECT_FALSE(thread.loop.canNest());
        fired = true;
      });
      watch = thread.loop.watchFd(event, [&] {
        EXPECT_FALSE(thread.loop.canNest());
        clear(event);
        watched++;
        thread.loop.post([&] { order.push_back(6); });
      });
      ASSERT_TRUE(thread.loop.canNest());
      EXPECT_EQ(thread.loop.nesting(), 0U);
      thread.loop.runNested(std::chrono::milliseconds(5000));  // ends long before: nothing is ready
      EXPECT_EQ(thread.loop.nesting(), 0U);
      EXPECT_TRUE(thread.loop.canNest());
      order.push_back(7);
      ended.set_value();
    });
    thread.loop.post([&] {
      EXPECT_EQ(thread.loop.nesting(), 1U);
      order.push_back(2);
      thread.loop.runNested(std::chrono::milliseconds(5000));
      order.push_back(4);
    });
    thread.loop.post([&] {
      EXPECT_EQ(thread.loop.nesting(), 2U);
      order.push_back(3);
    });
  });
  ASSERT_EQ(ended.get_future().wait_for(kTestPatience), std::future_status::ready);
  EXPECT_TRUE(fired);
  EXPECT_EQ(watched, 1);
  // Innermost first, each thing once: 5 and 6 are run by the second nested round, before its task goes on.
  EXPECT_EQ(order, (std::vector{1, 2, 3, 5, 6, 4, 7}));
  thread.run([&] { thread.loop.unwatchFd(watch); });
  ::close(event);
}

TEST(EventLoop, ANestedRoundRunsTasksOfOtherThreadsAndEndsInTime) {
  // Before the thread, which is joined first: its outermost task still looks at them.
  std::atomic<int> seen = 0;
  std::atomic<bool> on = true;
  std::function<void()> again;
  std::promise<void> started;
  LoopThread thread;
  thread.loop.post([&] {
    started.set_value();
    while (seen < 3) thread.loop.runNested(std::chrono::milliseconds(1));
  });
  started.get_future().wait();
  for (int i = 0; i < 3; i++) thread.run([&] { seen++; });
  again = [&] {
    if (on) thread.loop.post([&] { again(); });
  };
  thread.run([&] {
    again();
    thread.loop.runNested(std::chrono::milliseconds(20));  // never idle: the time ends it
  });
  on = false;
  thread.run([] {});
}

TEST(EventLoop, WhatIsPostedOutermostWaitsForAnOrdinaryRound) {
  EventQueue<unsigned> nesting;
  LoopThread thread;
  thread.run([&] {
    thread.loop.postOutermost([&] { nesting.push(thread.loop.nesting()); });
    thread.loop.runNested(std::chrono::milliseconds(20));
    EXPECT_TRUE(nesting.isEmpty());
  });
  EXPECT_EQ(nesting.next(), 0U);
}

TEST(EventLoop, WhatWasPostedBeforeTheStopRunsAndWhatComesLaterIsDestroyed) {
  EventLoop loop;
  bool ran = false;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> late = owned;
  loop.addTimer(inMs(60'000), [keep = std::make_shared<int>(2)] {});
  std::thread thread([&] { loop.run(); });
  loop.post([&] { ran = true; });
  loop.stop();
  thread.join();
  EXPECT_TRUE(ran);
  loop.post([owned = std::move(owned)] { FAIL(); });
  EXPECT_TRUE(late.expired());
}

}  // namespace
}  // namespace hf::net
