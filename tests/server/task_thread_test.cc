#include "server/task_thread.h"

#include <algorithm>
#include <future>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(TaskThreadTest, RunsEverythingPostedInOrderBeforeItEnds) {
  std::vector<int> order;
  {
    TaskThread thread;
    for (int i = 0; i < 100; ++i) thread.Post([&order, i] { order.push_back(i); });
  }
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(TaskThreadTest, ATaskMayPostAnother) {
  bool ran = false;
  TaskThread other;
  {
    TaskThread thread;
    thread.Post([&] { other.Post([&ran] { ran = true; }); });
  }
  std::promise<void> done;
  other.Post([&done] { done.set_value(); });
  done.get_future().wait();
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace runahead
