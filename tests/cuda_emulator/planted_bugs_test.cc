// Kernels with one bug each: the emulator must find it, and must find nothing in the same kernel
// without it. Race, initialisation and plain bounds need the access checks, which sanitizer builds
// lack.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/primitives/warp.h"
#include "tests/cuda_emulator/emulator.h"

namespace runahead::RA_CUDA {
namespace {

using emulator::BugCollector;
using emulator::BugKind;

constexpr int kThreads = 64;

struct Params {
  const float* in = nullptr;  // [kThreads]
  float* out = nullptr;       // [2, kThreads]
  bool has_bug = false;
};

// Device memory of a test: n floats, known to the emulator to the byte.
class Floats {
 public:
  explicit Floats(int n) : values_(static_cast<size_t>(n), 1.0f) {
    emulator::AddMemory(values_.data(), n * 4);
  }
  ~Floats() { emulator::RemoveMemory(values_.data()); }
  float* data() { return values_.data(); }

 private:
  std::vector<float> values_;
};

// The bugs of one launch under a seed.
std::vector<emulator::Bug> BugsOf(void (*kernel)(Params), bool has_bug, uint64_t seed = 1) {
  emulator::SetSeed(seed);
  Floats in(kThreads);
  Floats out(2 * kThreads);
  BugCollector collector;
  Launch(kernel, {.x = 2}, {.x = kThreads}, 1024, nullptr, Params{in.data(), out.data(), has_bug});
  return collector.bugs();
}

void ExpectFound(void (*kernel)(Params), BugKind kind) {
  EXPECT_TRUE(BugsOf(kernel, false).empty()) << BugsOf(kernel, false)[0].message;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<emulator::Bug> bugs = BugsOf(kernel, true, seed);
    ASSERT_EQ(bugs.size(), 1u) << "seed " << seed;
    EXPECT_EQ(bugs[0].kind, kind) << bugs[0].message;
  }
}

#define RA_NEEDS_ACCESS_CHECKS() \
  if (!emulator::HasAccessChecks()) GTEST_SKIP() << "a sanitizer build has no access checks"

// The block's row.
RA_DEVICE float* Out(const Params& params) { return params.out + BlockX() * kThreads; }

// Each thread hands its value to its neighbour through shared memory.
__global__ void HandOver(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  const int t = ThreadX();
  shared[t] = params.in[t];
  if (!params.has_bug) SyncThreads();
  Out(params)[t] = shared[(t + 1) % kThreads];
}

TEST(PlantedBugsTest, MissingSyncThreads) {
  RA_NEEDS_ACCESS_CHECKS();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto bugs = BugsOf(HandOver, true, seed);
    ASSERT_EQ(bugs.size(), 1u);
    // Whoever reads first finds nothing yet; or the write comes later, or earlier, without a
    // barrier.
    EXPECT_TRUE(bugs[0].kind == BugKind::kRace || bugs[0].kind == BugKind::kUninitialised);
  }
  EXPECT_TRUE(BugsOf(HandOver, false).empty());
}

// The buffer is filled again while others may still read it.
__global__ void Reuse(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  const int t = ThreadX();
  shared[t] = params.in[t];
  SyncThreads();
  Out(params)[t] = shared[(t + 33) % kThreads];
  if (!params.has_bug) SyncThreads();
  shared[t] = 2;
}

TEST(PlantedBugsTest, MissingSyncThreadsBeforeReuse) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(Reuse, BugKind::kRace);
}

// A warp's lanes run in any order between barriers.
__global__ void WithinWarp(const __grid_constant__ Params params) {
  auto& shared = StaticShared<float[kThreads]>();
  const int t = ThreadX();
  shared[t] = params.in[t];
  SyncWarp();
  shared[t ^ 1] = 3;
  if (!params.has_bug) SyncWarp();
  Out(params)[t] = shared[t];
}

TEST(PlantedBugsTest, MissingSyncWarp) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(WithinWarp, BugKind::kRace);
}

// Warp 1 waits at barrier 2, warp 0 has filled what it reads before it arrives there.
__global__ void NamedBarrier(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  const int t = ThreadX();
  if (WarpIndex() == 0) {
    if (!params.has_bug) shared[t] = params.in[t];
    ArriveNamed(2, kThreads);
    if (params.has_bug) shared[t] = params.in[t];
  } else {
    if (params.has_bug) shared[t] = 0;
    SyncNamed(2, kThreads);
    Out(params)[t] = params.has_bug ? shared[t] : shared[t - 32];
    if (params.has_bug) shared[t - 32] = 1;
  }
}

TEST(PlantedBugsTest, WriteAfterNamedBarrier) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(NamedBarrier, BugKind::kRace);
}

__global__ void ReadsUnwritten(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  const int t = ThreadX();
  if (!params.has_bug || t != 17) shared[t] = params.in[t];
  SyncThreads();
  Out(params)[t] = shared[t];
}

TEST(PlantedBugsTest, UninitialisedSharedMemory) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(ReadsUnwritten, BugKind::kUninitialised);
}

// Without checks too, what nobody wrote is NaN.
__global__ void CopiesUnwritten(const __grid_constant__ Params params) {
  Out(params)[ThreadX()] = DynamicShared<float>()[ThreadX()];
}

TEST(PlantedBugsTest, UninitialisedSharedMemoryIsNan) {
  Floats out(2 * kThreads);
  emulator::SetAccessChecks(false);
  Launch(CopiesUnwritten, {}, {.x = kThreads}, 1024, nullptr, Params{nullptr, out.data(), false});
  emulator::SetAccessChecks(true);
  for (int t = 0; t < kThreads; ++t) EXPECT_TRUE(std::isnan(out.data()[t]));
}

__global__ void GlobalBounds(const __grid_constant__ Params params) {
  const int t = ThreadX();
  Out(params)[t] = params.in[params.has_bug ? t + 1 : t];
}

TEST(PlantedBugsTest, GlobalOutOfBounds) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(GlobalBounds, BugKind::kOutOfBounds);
}

__global__ void SharedBounds(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  shared[params.has_bug ? 1024 / 4 + ThreadX() : ThreadX()] = 1;
}

TEST(PlantedBugsTest, SharedOutOfBounds) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(SharedBounds, BugKind::kOutOfBounds);
}

__global__ void WideLoad(const __grid_constant__ Params params) {
  if (ThreadX() != 0) return;
  const Vec16 value = Load16(params.in + (params.has_bug ? 1 : 4));
  Store16(Out(params), value);
}

TEST(PlantedBugsTest, Misaligned) { ExpectFound(WideLoad, BugKind::kMisaligned); }

__global__ void AsyncWait(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  const int t = ThreadX();
  if (t % 4 == 0) CopyAsync16(shared + t, params.in + t);
  CommitAsync();
  if (!params.has_bug) WaitAsync<0>();
  SyncThreads();
  Out(params)[t] = shared[t];
}

TEST(PlantedBugsTest, AsyncCopyWithoutWait) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(AsyncWait, BugKind::kRace);
}

__global__ void AsyncBounds(const __grid_constant__ Params params) {
  auto* shared = DynamicShared<float>();
  const int t = 4 * ThreadX();
  if (t >= kThreads && !params.has_bug) return;
  CopyAsync16(shared + t % kThreads, params.in + t);
}

TEST(PlantedBugsTest, AsyncCopyOutOfBounds) { ExpectFound(AsyncBounds, BugKind::kOutOfBounds); }

__global__ void DivergentBarrier(const __grid_constant__ Params params) {
  if (params.has_bug && ThreadX() < 32) {
    SyncThreads();
  } else {
    SyncThreads();
  }
}

TEST(PlantedBugsTest, DivergentBarrier) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto bugs = BugsOf(DivergentBarrier, true, seed);
    ASSERT_EQ(bugs.size(), 1u);
    EXPECT_EQ(bugs[0].kind, BugKind::kDivergence);
  }
  EXPECT_TRUE(BugsOf(DivergentBarrier, false).empty());
}

__global__ void EarlyExit(const __grid_constant__ Params params) {
  if (params.has_bug && ThreadX() == 5) return;
  SyncThreads();
}

TEST(PlantedBugsTest, BarrierAfterExit) { ExpectFound(EarlyExit, BugKind::kDivergence); }

__global__ void DivergentShuffle(const __grid_constant__ Params params) {
  if (params.has_bug && ThreadX() % 2 == 0) {
    Out(params)[ThreadX()] = Ballot(true) == 0 ? 1.0f : 2.0f;
  } else {
    Out(params)[ThreadX()] = ShuffleXor(params.in[ThreadX()], 1);
  }
}

TEST(PlantedBugsTest, DivergentWarp) { ExpectFound(DivergentShuffle, BugKind::kDivergence); }

__global__ void MissingArrival(const __grid_constant__ Params params) {
  if (params.has_bug && ThreadX() < 32) return;
  SyncNamed(1, kThreads);
}

TEST(PlantedBugsTest, Stall) { ExpectFound(MissingArrival, BugKind::kStall); }

__global__ void Checks(const __grid_constant__ Params params) {
  DeviceCheck(!params.has_bug || ThreadX() != 3, "thread 3 must not be here");
}

TEST(PlantedBugsTest, Trap) { ExpectFound(Checks, BugKind::kTrap); }

TEST(PlantedBugsTest, RefusedLaunches) {
  const auto bugs = [](Dim3 grid, Dim3 block, int64_t shared_bytes) {
    BugCollector collector;
    Launch(Checks, grid, block, shared_bytes, nullptr, Params{});
    return collector.Has(BugKind::kLaunch);
  };
  EXPECT_FALSE(bugs({}, {}, 48 * 1024));
  EXPECT_TRUE(bugs({.x = 0}, {}, 0));
  EXPECT_TRUE(bugs({.x = 1, .y = 65536}, {}, 0));
  EXPECT_TRUE(bugs({}, {.x = 1025}, 0));
  EXPECT_TRUE(bugs({}, {}, 48 * 1024 + 1));
  AllowSharedMemory(Checks, 100 * 1024);
  EXPECT_FALSE(bugs({}, {}, 100 * 1024));
}

// Atomics do not race with each other, but with a plain access they do.
__global__ void Atomics(const __grid_constant__ Params params) {
  auto& sum = StaticShared<int>();
  if (ThreadX() == 0) sum = 0;
  SyncThreads();
  AtomicAdd(&sum, 1);
  if (!params.has_bug) SyncThreads();
  Out(params)[ThreadX()] = static_cast<float>(sum);
}

TEST(PlantedBugsTest, PlainReadOfAnAtomic) {
  RA_NEEDS_ACCESS_CHECKS();
  ExpectFound(Atomics, BugKind::kRace);
}

}  // namespace
}  // namespace runahead::RA_CUDA
