// Kernels with a race in global memory each, within a block or between blocks: the emulator must
// find it, and must find nothing in the same kernel without it.
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "tests/cuda_emulator/emulator.h"

namespace runahead::RA_CUDA {
namespace {

using emulator::BugCollector;
using emulator::BugKind;

constexpr int kThreads = 64;
constexpr int kBlocks = 3;

struct Params {
  int32_t* values = nullptr;  // [kBlocks, kThreads]
  int32_t* sum = nullptr;
  bool has_bug = false;
};

// The bugs of `num_launches` launches of three blocks.
std::vector<emulator::Bug> BugsOf(void (*kernel)(Params), bool has_bug, uint64_t seed = 1,
                                  int num_launches = 1) {
  emulator::SetSeed(seed);
  std::vector<int32_t> memory(kBlocks * kThreads + 1);
  emulator::AddMemory(memory.data(), static_cast<int64_t>(memory.size() * 4));
  BugCollector collector;
  for (int i = 0; i < num_launches; ++i) {
    Launch(kernel, {.x = kBlocks}, {.x = kThreads}, 1024, nullptr,
           Params{memory.data(), memory.data() + kBlocks * kThreads, has_bug});
  }
  emulator::RemoveMemory(memory.data());
  return collector.bugs();
}

void ExpectFound(void (*kernel)(Params)) {
  if (!emulator::HasAccessChecks()) GTEST_SKIP() << "a sanitizer build has no access checks";
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto none = BugsOf(kernel, false, seed, 2);
    EXPECT_TRUE(none.empty()) << none[0].message;
    const std::vector<emulator::Bug> bugs = BugsOf(kernel, true, seed);
    ASSERT_EQ(bugs.size(), 1u) << "seed " << seed;
    EXPECT_EQ(bugs[0].kind, BugKind::kRace) << bugs[0].message;
  }
}

RA_DEVICE int32_t* OwnRow(const Params& params) { return params.values + BlockX() * kThreads; }

// A thread reads what its neighbour wrote.
__global__ void HandOver(const __grid_constant__ Params params) {
  int32_t* row = OwnRow(params);
  row[ThreadX()] = 1;
  if (!params.has_bug) SyncThreads();
  const int32_t other = row[(ThreadX() + 33) % kThreads];
  SyncThreads();
  row[ThreadX()] += other;
}
TEST(PlantedGlobalBugsTest, MissingSyncThreads) { ExpectFound(HandOver); }

// A thread overwrites what another is still to read.
__global__ void Reuse(const __grid_constant__ Params params) {
  int32_t* row = OwnRow(params);
  const int32_t other = row[(ThreadX() + 33) % kThreads];
  if (!params.has_bug) SyncThreads();
  row[ThreadX()] = other + 1;
}
TEST(PlantedGlobalBugsTest, MissingSyncThreadsBeforeReuse) { ExpectFound(Reuse); }

// All blocks leave something at one place.
__global__ void OnePlace(const __grid_constant__ Params params) {
  if (ThreadX() != 0) return;
  if (params.has_bug || BlockX() == 0) *params.sum = BlockX();
}
TEST(PlantedGlobalBugsTest, TwoBlocksWriteAWord) { ExpectFound(OnePlace); }

// A block reads what another one writes: before or after, as their order has it.
__global__ void Neighbours(const __grid_constant__ Params params) {
  const int block = params.has_bug ? (BlockX() + 1) % kBlocks : BlockX();
  const int32_t other = params.values[block * kThreads + ThreadX()];
  OwnRow(params)[ThreadX()] = other + 1;
}
TEST(PlantedGlobalBugsTest, ABlockReadsAnothersRow) { ExpectFound(Neighbours); }

// The same by an asynchronous copy.
__global__ void CopiedNeighbours(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<int32_t>();
  const int block = params.has_bug ? (BlockX() + 1) % kBlocks : BlockX();
  CopyAsync4(shared + ThreadX(), params.values + block * kThreads + ThreadX());
  CommitAsync();
  WaitAsync<0>();
  OwnRow(params)[ThreadX()] = shared[ThreadX()] + 1;
}
TEST(PlantedGlobalBugsTest, ACopyReadsAnothersRow) { ExpectFound(CopiedNeighbours); }

// Atomics of all blocks race with nothing but what is none.
__global__ void Sum(const __grid_constant__ Params params) {
  AtomicAdd(params.sum, 1);
  if (params.has_bug && ThreadX() == 0) OwnRow(params)[0] = *params.sum;
}
TEST(PlantedGlobalBugsTest, PlainReadOfAnAtomic) { ExpectFound(Sum); }

// Two threads write neighbouring bytes of a word: no race.
__global__ void Bytes(const __grid_constant__ Params params) {
  auto* bytes = reinterpret_cast<uint8_t*>(OwnRow(params));
  const int other = params.has_bug ? (ThreadX() + 32) % kThreads : ThreadX();
  bytes[ThreadX()] = 1;
  bytes[other] = 2;
}
TEST(PlantedGlobalBugsTest, BytesAreTold) { ExpectFound(Bytes); }

}  // namespace
}  // namespace runahead::RA_CUDA
