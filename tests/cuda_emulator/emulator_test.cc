#include "tests/cuda_emulator/emulator.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"

namespace runahead::RA_CUDA {
namespace {

struct Params {
  int* count = nullptr;
  int* order = nullptr;  // [blocks, threads]: when each ran
};

__global__ void OrderKernel(const __grid_constant__ Params params) {
  params.order[BlockX() * BlockSizeX() + ThreadX()] = AtomicAdd(params.count, 1);
}

class EmulatorTest : public testing::Test {
 protected:
  static constexpr int kBlocks = 3;
  static constexpr int kThreads = 48;

  EmulatorTest() : order_(kBlocks * kThreads) {
    emulator::AddMemory(&count_, sizeof(count_));
    emulator::AddMemory(order_.data(), kBlocks * kThreads * 4);
  }
  ~EmulatorTest() override {
    emulator::RemoveMemory(&count_);
    emulator::RemoveMemory(order_.data());
  }
  void Run(Stream stream) {
    Launch(OrderKernel, {.x = kBlocks}, {.x = kThreads}, 0, stream, Params{&count_, order_.data()});
  }

  int count_ = 0;
  std::vector<int> order_;
};

TEST_F(EmulatorTest, EveryThreadOfEveryBlockRunsOnceInAnOrderOfTheSeed) {
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    for (int repeat = 0; repeat < 2; ++repeat) {
      emulator::SetSeed(seed);
      count_ = 0;
      Run(nullptr);
      EXPECT_EQ(std::set<int>(order_.begin(), order_.end()).size(), order_.size());
      orders.insert(order_);
    }
  }
  EXPECT_EQ(orders.size(), 5u) << "the same for the same seed, another for each other";
}

TEST_F(EmulatorTest, StreamsWaitUntilSomeoneWaits) {
  emulator::Stream stream;
  Run(&stream);
  EXPECT_EQ(count_, 0);
  stream.Synchronize();
  EXPECT_EQ(count_, kBlocks * kThreads);
  stream.Synchronize();
  EXPECT_EQ(count_, kBlocks * kThreads) << "done once";
  Run(&stream);
  EXPECT_EQ(stream.TakeWork().size(), 1u);
  stream.Synchronize();
  EXPECT_EQ(count_, kBlocks * kThreads) << "taken away";
}

TEST_F(EmulatorTest, ABugEndsItsLaunchAndNoOther) {
  if (!emulator::HasAccessChecks()) GTEST_SKIP() << "a sanitizer build has no access checks";
  {
    emulator::BugCollector collector;
    Launch(OrderKernel, {.x = 1}, {.x = kThreads}, 0, nullptr,
           Params{&count_, order_.data() + 1000});
    ASSERT_EQ(collector.bugs().size(), 1u);
    EXPECT_TRUE(collector.Has(emulator::BugKind::kOutOfBounds));
  }
  count_ = 0;
  Run(nullptr);
  EXPECT_EQ(count_, kBlocks * kThreads);
}

using EmulatorDeathTest = EmulatorTest;

TEST_F(EmulatorDeathTest, ABugThatNobodyCollectsEndsTheProcess) {
  EXPECT_DEATH(Launch(OrderKernel, {.x = 0}, {.x = 1}, 0, nullptr, Params{}), "no device takes");
}

}  // namespace
}  // namespace runahead::RA_CUDA
