// A pipeline of the kind int8_wgmma_linear.cu has, with one bug at a time of those that mbarriers,
// bulk copies and wgmma allow: the emulator must find each under every seed, and nothing without.
#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/mbarrier.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "kernels/cuda/primitives/wgmma.h"
#include "tests/cuda_emulator/emulator.h"

namespace runahead::RA_CUDA {
namespace {

using emulator::BugCollector;
using emulator::BugKind;

enum class Plant : uint8_t {
  kNothing,
  // Loads.
  kNoProxyFenceOfBarriers,
  kNoWaitForRoom,
  kTooManyBytes,
  kTooFewBytes,
  kTwoArrivals,
  kMisalignedCopy,
  kOddCopy,
  kNoSuchBarrier,
  // Multiplies.
  kNoWaitForStage,
  kOtherParity,
  kOneLaneWaits,
  kNoProxyFence,
  kNoFence,
  kTouchesSums,
  kWrongStride,
  kUnknownLayout,
  kOverwrites,
  kEarlyRelease,
  kNoCommit,
  kNoWait,
  kDivergentWait,
};

constexpr int kN = 16;
constexpr int kColumns = 128;
constexpr int kNumStages = 6;
constexpr int kK = kNumStages * kColumns;
constexpr int kSlots = 2;
constexpr int kThreads = 128 + kWarp;  // a warpgroup that multiplies, a warp that loads

struct Params {
  const int8_t* a = nullptr;  // [64, kK]
  const int8_t* b = nullptr;  // [kN / 8][kK / 16][8][16]
  int32_t* d = nullptr;       // [64, kN]
  Plant plant = Plant::kNothing;
};

struct Slot {
  int8_t a[64][kColumns];
  int8_t b[kN / 8][8 * kColumns];
};

struct SharedStorage {
  Slot slots[kSlots];
  Mbarrier full[kSlots];
  Mbarrier empty[kSlots];
};

void LoadSlot(const Params& params, int i, Slot& slot, Mbarrier& full) {
  for (int j = Lane(); j < 64 * 8; j += kWarp) {
    const int row = j / 8;
    const int unit = j % 8;
    CopyAsync16(&slot.a[row][(unit ^ row % 8) * 16],
                params.a + row * kK + i * kColumns + unit * 16);
  }
  ArriveWhenCopied(full);
  if (params.plant == Plant::kNoSuchBarrier) Arrive(*reinterpret_cast<Mbarrier*>(slot.b));
  const int extra = params.plant == Plant::kTooManyBytes  ? 16
                    : params.plant == Plant::kTooFewBytes ? -16
                                                          : 0;
  if (Lane() == 0) ArriveExpecting(full, static_cast<int>(sizeof(slot.b)) + extra);
  if (Lane() == 1 && params.plant == Plant::kTwoArrivals) {
    for (int j = 0; j < kWarp; ++j) Arrive(full);
  }
  SyncWarp();
  if (Lane() >= kN / 8) return;
  const int8_t* from = params.b + (Lane() * kK + i * kColumns) * 8;
  if (params.plant == Plant::kMisalignedCopy) from += 8;
  const int bytes = 8 * kColumns - (params.plant == Plant::kOddCopy ? 8 : 0);
  CopyBulk(slot.b[Lane()], from, bytes, full);
}

void Multiply(const Params& params, SharedStorage& shared, int32_t (&sums)[kN / 2]) {
  const Plant plant = params.plant;
  for (int i = 0; i < kNumStages; ++i) {
    Slot& slot = shared.slots[i % kSlots];
    Mbarrier& full = shared.full[i % kSlots];
    Mbarrier& empty = shared.empty[i % kSlots];
    const int parity = i / kSlots % 2 ^ (plant == Plant::kOtherParity ? 1 : 0);
    const bool waits =
        plant == Plant::kOneLaneWaits ? Lane() == 0 : plant != Plant::kNoWaitForStage;
    if (waits) WaitPhase(full, parity);
    if (plant != Plant::kNoProxyFence) FenceAsyncProxy();
    if (plant != Plant::kNoFence) WgmmaFence();
    if (plant == Plant::kTouchesSums) sums[0] += 1;
    const int stride = 8 * kColumns * (plant == Plant::kWrongStride ? 2 : 1);
    const uint64_t a = MakeDescriptor(slot.a, 16, 8 * kColumns, Swizzle::k128Bytes);
    uint64_t b = MakeDescriptor(slot.b, 128, stride, Swizzle::kNone);
    if (plant == Plant::kUnknownLayout) b |= uint64_t{3} << 62;
    for (int step = 0; step < kColumns / 32; ++step) {
      WgmmaS8<kN>(sums, AdvanceDescriptor(a, step * 32), AdvanceDescriptor(b, step * 256), true);
    }
    if (plant != Plant::kNoCommit) WgmmaCommit();
    if (plant == Plant::kOverwrites && i == 1) slot.a[ThreadX() / 2][0] = 1;
    if (plant == Plant::kEarlyRelease && Lane() == 0) Arrive(empty);
    if (plant == Plant::kNoWait && i == kNumStages - 1) return;
    if (plant != Plant::kDivergentWait || WarpIndex() != 1) WgmmaWait<0>();
    if (plant != Plant::kEarlyRelease && Lane() == 0) Arrive(empty);
  }
  HoldSums(sums);
}

__global__ void Pipeline(const __grid_constant__ Params params) {
  auto& shared = *DynamicShared<SharedStorage>();
  if (ThreadX() == 0) {
    for (int s = 0; s < kSlots; ++s) {
      InitBarrier(shared.full[s], kWarp + 1);
      InitBarrier(shared.empty[s], 4);
    }
    if (params.plant != Plant::kNoProxyFenceOfBarriers) FenceAsyncProxy();
  }
  SyncThreads();
  if (WarpIndex() == 4) {
    for (int i = 0; i < kNumStages; ++i) {
      const int slot = i % kSlots;
      if (params.plant != Plant::kNoWaitForRoom) {
        WaitPhase(shared.empty[slot], (i / kSlots + 1) % 2);
      }
      LoadSlot(params, i, shared.slots[slot], shared.full[slot]);
    }
    return;
  }
  int32_t sums[kN / 2] = {};
  Multiply(params, shared, sums);
  for (int i = 0; i < kN / 2; ++i) {
    const int row = WarpIndex() * 16 + Lane() / 4 + i / 2 % 2 * 8;
    params.d[row * kN + i / 4 * 8 + Lane() % 4 * 2 + i % 2] = sums[i];
  }
}

// Device memory of a test.
template <typename T>
struct Array {
  explicit Array(size_t n) : values(n) {
    emulator::AddMemory(values.data(), static_cast<int64_t>(n * sizeof(T)));
  }
  ~Array() { emulator::RemoveMemory(values.data()); }
  std::vector<T> values;
};

struct Problem {
  Problem() {
    std::mt19937 rng(1);
    for (int8_t& value : a.values) value = static_cast<int8_t>(rng());
    for (int8_t& value : b.values) value = static_cast<int8_t>(rng());
  }
  std::vector<emulator::Bug> Bugs(Plant plant, uint64_t seed) {
    emulator::SetSeed(seed);
    BugCollector collector;
    Launch(Pipeline, {}, {.x = kThreads}, sizeof(SharedStorage), nullptr,
           Params{a.values.data(), b.values.data(), d.values.data(), plant});
    return collector.bugs();
  }

  Array<int8_t> a{64 * kK};
  Array<int8_t> b{kN * kK};
  Array<int32_t> d{64 * kN};
};

TEST(PlantedAsyncBugsTest, ThePipelineItselfIsRight) {
  Problem problem;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::fill(problem.d.values.begin(), problem.d.values.end(), 0);
    const auto bugs = problem.Bugs(Plant::kNothing, seed);
    ASSERT_TRUE(bugs.empty()) << bugs[0].message;
    for (int row = 0; row < 64; ++row) {
      for (int n = 0; n < kN; ++n) {
        int32_t sum = 0;
        for (int k = 0; k < kK; ++k) {
          sum +=
              problem.a.values[static_cast<size_t>(row * kK + k)] *
              problem.b
                  .values[static_cast<size_t>(n / 8 * kK * 8 + k / 16 * 128 + n % 8 * 16 + k % 16)];
        }
        ASSERT_EQ(problem.d.values[static_cast<size_t>(row * kN + n)], sum) << row << " " << n;
      }
    }
  }
}

struct Case {
  const char* name;
  Plant plant;
  std::vector<BugKind> kinds;  // any of them, as the order of threads has it
  bool needs_access_checks = true;
};

class PlantedAsyncBugsTest : public testing::TestWithParam<Case> {};

TEST_P(PlantedAsyncBugsTest, IsFound) {
  const Case& c = GetParam();
  if (c.needs_access_checks && !emulator::HasAccessChecks()) {
    GTEST_SKIP() << "a sanitizer build has no access checks";
  }
  Problem problem;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto bugs = problem.Bugs(c.plant, seed);
    ASSERT_EQ(bugs.size(), 1u) << "seed " << seed;
    EXPECT_NE(std::find(c.kinds.begin(), c.kinds.end(), bugs[0].kind), c.kinds.end())
        << bugs[0].message;
  }
}

constexpr auto kRace = BugKind::kRace;
constexpr auto kUninitialised = BugKind::kUninitialised;

INSTANTIATE_TEST_SUITE_P(
    Plants, PlantedAsyncBugsTest,
    testing::Values(
        Case{"NoProxyFenceOfBarriers", Plant::kNoProxyFenceOfBarriers, {BugKind::kUnfenced}, false},
        Case{"NoWaitForRoom", Plant::kNoWaitForRoom, {kRace, BugKind::kBarrier}},
        Case{"TooManyBytes", Plant::kTooManyBytes, {BugKind::kStall}, false},
        Case{
            "TooFewBytes", Plant::kTooFewBytes, {BugKind::kBarrier, BugKind::kStall, kRace}, false},
        Case{"TwoArrivals", Plant::kTwoArrivals, {BugKind::kBarrier, kRace}},
        Case{"MisalignedCopy", Plant::kMisalignedCopy, {BugKind::kMisaligned}, false},
        Case{"OddCopy", Plant::kOddCopy, {BugKind::kMisaligned}, false},
        Case{"NoSuchBarrier", Plant::kNoSuchBarrier, {BugKind::kBarrier}, false},
        Case{"NoWaitForStage", Plant::kNoWaitForStage, {kRace, kUninitialised}},
        Case{"OtherParity", Plant::kOtherParity, {kRace, kUninitialised, BugKind::kStall}},
        Case{"OneLaneWaits", Plant::kOneLaneWaits, {kRace, kUninitialised}},
        Case{"NoProxyFence", Plant::kNoProxyFence, {BugKind::kUnfenced}},
        Case{"NoFence", Plant::kNoFence, {BugKind::kUnfenced}, false},
        Case{"TouchesSums", Plant::kTouchesSums, {BugKind::kUnfenced}},
        Case{"WrongStride", Plant::kWrongStride, {kRace, kUninitialised, BugKind::kOutOfBounds}},
        Case{"UnknownLayout", Plant::kUnknownLayout, {BugKind::kMisaligned}, false},
        Case{"Overwrites", Plant::kOverwrites, {kRace}},
        Case{"EarlyRelease", Plant::kEarlyRelease, {kRace}},
        Case{"NoCommit", Plant::kNoCommit, {kRace}}, Case{"NoWait", Plant::kNoWait, {kRace}, false},
        Case{"DivergentWait",
             Plant::kDivergentWait,
             {BugKind::kDivergence, BugKind::kStall},
             false}),
    [](const testing::TestParamInfo<Case>& tested) { return tested.param.name; });

}  // namespace
}  // namespace runahead::RA_CUDA
