#include "tests/cuda_emulator/fiber.h"

#include <vector>

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

struct Counting {
  Fiber* fiber;
  std::vector<int>* seen;
  int id;

  static void Run(void* argument) {
    auto& self = *static_cast<Counting*>(argument);
    for (int i = 0; i < 3; ++i) {
      self.seen->push_back(10 * self.id + i);
      self.fiber->Suspend();
    }
  }
};

TEST(FiberTest, TakeTurnsAndEnd) {
  FiberStacks stacks(2);
  Fiber a(stacks.base(0), stacks.size(0));
  Fiber b(stacks.base(1), stacks.size(1));
  std::vector<int> seen;
  Counting of_a{&a, &seen, 1};
  Counting of_b{&b, &seen, 2};
  a.Start(Counting::Run, &of_a);
  b.Start(Counting::Run, &of_b);
  while (!a.has_ended() || !b.has_ended()) {
    if (!a.has_ended()) a.Resume();
    if (!b.has_ended()) b.Resume();
  }
  EXPECT_EQ(seen, (std::vector<int>{10, 20, 11, 21, 12, 22}));
}

TEST(FiberTest, ADroppedOneStartsAgain) {
  FiberStacks stacks(1);
  Fiber fiber(stacks.base(0), stacks.size(0));
  std::vector<int> seen;
  Counting argument{&fiber, &seen, 0};
  for (int i = 0; i < 100; ++i) {
    fiber.Start(Counting::Run, &argument);
    fiber.Resume();
    fiber.Resume();
  }
  EXPECT_EQ(seen.size(), 200u);
}

TEST(FiberTest, StacksKnowTheirMemory) {
  FiberStacks stacks(3);
  EXPECT_TRUE(stacks.Contains(stacks.base(2) + stacks.size(2) - 1));
  int outside = 0;
  EXPECT_FALSE(stacks.Contains(&outside));
}

}  // namespace
}  // namespace runahead::emulator
