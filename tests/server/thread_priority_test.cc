#include "server/thread_priority.h"

#include <thread>

#include "gtest/gtest.h"
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace runahead {
namespace {

// Whether it helps is for bench/serve_load.py to say; here, that it takes nothing away.
TEST(ThreadPriority, ShortTurnsChangeNeitherPolicyNorNice) {
  std::thread([] {
    const auto self = static_cast<id_t>(gettid());
    setpriority(PRIO_PROCESS, self, 3);
    AskForShortTurns();
    EXPECT_EQ(getpriority(PRIO_PROCESS, self), 3);
    EXPECT_EQ(sched_getscheduler(0), SCHED_OTHER);
  }).join();
}

TEST(ThreadPriority, ThreadsInheritHowFarTheirStarterGivesWay) {
  const int own = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
  int started = 0;
  std::thread([&started] {
    GiveWay(5);
    std::thread([&started] {
      started = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()));
    }).join();
  }).join();
  EXPECT_EQ(started, 5);
  EXPECT_EQ(getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())), own);
}

}  // namespace
}  // namespace runahead
