#include "actor/two_queues.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace hf::actor {
namespace {

class TwoQueuesTest : public testing::Test {
 protected:
  void use(TwoQueues::Key key) {
    queues_.use(key, places_[key]);
    while (const auto key2 = queues_.excess()) {
      removed_.push_back(*key2);
      queues_.remove(places_[*key2]);
    }
  }
  TwoQueues queues_{2, 3};
  std::map<TwoQueues::Key, TwoQueues::Place> places_;
  std::vector<TwoQueues::Key> removed_;
};

TEST_F(TwoQueuesTest, WhatIsUsedOnceGoesAfterAFew) {
  for (const TwoQueues::Key key : {1, 2, 3, 4, 5}) use(key);
  EXPECT_EQ(removed_, (std::vector<TwoQueues::Key>{1, 2, 3}));
}

TEST_F(TwoQueuesTest, WhatIsUsedAgainStaysThroughABurst) {
  use(1);
  use(1);
  for (TwoQueues::Key key = 10; key < 100; key++) use(key);
  EXPECT_EQ(places_[1].queue != nullptr, true);
  EXPECT_EQ(removed_.size(), 88U);
}

TEST_F(TwoQueuesTest, WhatComesBackAfterItWentIsUsedAgain) {
  for (const TwoQueues::Key key : {1, 2, 3}) use(key);
  EXPECT_EQ(removed_, (std::vector<TwoQueues::Key>{1}));
  use(1);
  for (TwoQueues::Key key = 10; key < 20; key++) use(key);
  EXPECT_TRUE(places_[1].queue != nullptr);
}

TEST_F(TwoQueuesTest, TheLeastRecentlyUsedOfTheLongQueueGoes) {
  for (const TwoQueues::Key key : {1, 2, 3, 4}) {
    use(key);
    use(key);
    use(1);
  }
  EXPECT_EQ(removed_, (std::vector<TwoQueues::Key>{2}));
}

TEST_F(TwoQueuesTest, ARemovedEntryIsInNoQueue) {
  use(1);
  queues_.remove(places_[1]);
  queues_.remove(places_[1]);
  for (const TwoQueues::Key key : {2, 3}) use(key);
  EXPECT_TRUE(removed_.empty());
}

}  // namespace
}  // namespace hf::actor
