// wgmma's twin through the primitives kernels use: products of random bytes in both layouts.
#include "kernels/cuda/primitives/wgmma.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/mbarrier.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/thread.h"
#include "tests/cuda_emulator/emulator.h"

namespace runahead::RA_CUDA {
namespace {

constexpr int kK = 128;

struct Params {
  const int8_t* a = nullptr;  // [64, kK]
  const int8_t* b = nullptr;  // [N, kK]
  int32_t* d = nullptr;       // [64, N]
  bool accumulates = false;   // to a 7 in each sum
};

// Rows of kK bytes into shared memory, as the descriptor below says.
template <bool kIsSwizzled>
void Fill(int8_t* to, const int8_t* from, int num_rows) {
  for (int i = ThreadX(); i < num_rows * 8; i += 128) {
    const int row = i / 8;
    const int unit = i % 8;
    const int at = kIsSwizzled ? row * 128 + (unit ^ row % 8) * 16
                               : row / 8 * 1024 + unit * 128 + row % 8 * 16;
    Store16(to + at, Load16(from + row * kK + unit * 16));
  }
}
template <bool kIsSwizzled>
uint64_t Describe(const int8_t* at) {
  return kIsSwizzled ? MakeDescriptor(at, 16, 1024, Swizzle::k128Bytes)
                     : MakeDescriptor(at, 128, 1024, Swizzle::kNone);
}

template <int kN, bool kIsASwizzled, bool kIsBSwizzled>
__global__ void Multiply(const __grid_constant__ Params params) {
  auto* a = DynamicShared<int8_t>();
  int8_t* b = a + 64 * kK;
  Fill<kIsASwizzled>(a, params.a, 64);
  Fill<kIsBSwizzled>(b, params.b, kN);
  FenceAsyncProxy();
  SyncThreads();
  int32_t d[kN / 2];
  for (int32_t& sum : d) sum = 7;
  WgmmaFence();
  for (int step = 0; step < kK / 32; ++step) {
    WgmmaS8<kN>(d, AdvanceDescriptor(Describe<kIsASwizzled>(a), step * (kIsASwizzled ? 32 : 256)),
                AdvanceDescriptor(Describe<kIsBSwizzled>(b), step * (kIsBSwizzled ? 32 : 256)),
                params.accumulates || step > 0);
    if (step == 1) WgmmaCommit();  // two groups
  }
  WgmmaCommit();
  WgmmaWait<0>();
  HoldSums(d);
  for (int i = 0; i < kN / 2; ++i) {
    const int row = WarpIndex() * 16 + Lane() / 4 + i / 2 % 2 * 8;
    params.d[row * kN + i / 4 * 8 + Lane() % 4 * 2 + i % 2] = d[i];
  }
}

template <typename T>
std::vector<T> OnDevice(size_t n) {
  std::vector<T> values(n);
  emulator::AddMemory(values.data(), static_cast<int64_t>(n * sizeof(T)));
  return values;
}

template <int kN, bool kIsASwizzled, bool kIsBSwizzled>
void Check(bool accumulates) {
  std::mt19937 rng(kN);
  auto a = OnDevice<int8_t>(64 * kK);
  auto b = OnDevice<int8_t>(kN * kK);
  auto d = OnDevice<int32_t>(64 * kN);
  for (int8_t& value : a) value = static_cast<int8_t>(rng());
  for (int8_t& value : b) value = static_cast<int8_t>(rng());
  AllowSharedMemory(Multiply<kN, kIsASwizzled, kIsBSwizzled>, 64 * 1024);
  Launch(Multiply<kN, kIsASwizzled, kIsBSwizzled>, {}, {.x = 128}, (64 + kN) * kK, nullptr,
         Params{a.data(), b.data(), d.data(), accumulates});
  for (size_t row = 0; row < 64; ++row) {
    for (size_t n = 0; n < kN; ++n) {
      int32_t sum = accumulates ? 7 : 0;
      for (size_t k = 0; k < kK; ++k) sum += a[row * kK + k] * b[n * kK + k];
      ASSERT_EQ(d[row * kN + n], sum) << row << " " << n;
    }
  }
  emulator::RemoveMemory(a.data());
  emulator::RemoveMemory(b.data());
  emulator::RemoveMemory(d.data());
}

TEST(WgmmaTest, MultipliesInBothLayouts) {
  Check<8, true, false>(false);
  Check<16, false, true>(true);
  Check<128, true, true>(true);
  Check<256, false, false>(false);
  Check<256, true, false>(true);
}

TEST(WgmmaTest, OtherShapesAreRefused) {
  auto a = OnDevice<int8_t>(64 * kK);
  auto b = OnDevice<int8_t>(40 * kK);
  auto d = OnDevice<int32_t>(64 * 40);
  {
    emulator::BugCollector collector;
    Launch(Multiply<40, true, true>, {}, {.x = 128}, 104 * kK, nullptr,
           Params{a.data(), b.data(), d.data(), false});
    ASSERT_EQ(collector.bugs().size(), 1u) << "N = 40 is no shape of bytes";
    Launch(Multiply<8, true, true>, {}, {.x = 64}, 104 * kK, nullptr,
           Params{a.data(), b.data(), d.data(), false});
    EXPECT_TRUE(collector.Has(emulator::BugKind::kDivergence)) << "half a warpgroup";
  }
  emulator::RemoveMemory(a.data());
  emulator::RemoveMemory(b.data());
  emulator::RemoveMemory(d.data());
}

}  // namespace
}  // namespace runahead::RA_CUDA
