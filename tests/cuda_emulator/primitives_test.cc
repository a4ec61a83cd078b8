// The primitives' emulated twins, through the same headers kernels use.
#include <bit>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/bits.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/cuda_emulator/half_math.h"

namespace runahead::RA_CUDA {
namespace {

// Device memory of a test.
template <typename T>
class Array {
 public:
  explicit Array(size_t n) : values_(n) {
    emulator::AddMemory(values_.data(), static_cast<int64_t>(n * sizeof(T)));
  }
  ~Array() { emulator::RemoveMemory(values_.data()); }
  T* data() { return values_.data(); }
  T& operator[](size_t i) { return values_[i]; }

 private:
  std::vector<T> values_;
};

struct Params {
  const void* a = nullptr;
  const void* b = nullptr;
  void* out = nullptr;
  int n = 0;
};

__global__ void ExchangeKernel(const __grid_constant__ Params params) {
  auto* out = static_cast<int*>(params.out) + 8 * ThreadX();
  const int lane = Lane();
  out[0] = ShuffleXor(lane, 5);
  out[1] = ShuffleFrom(lane * 10, 7);
  out[2] = ShuffleUp(lane, 3);
  out[3] = static_cast<int>(Ballot(lane % 3 == 0));
  out[4] = ReduceAdd(lane - 3);
  out[5] = ReduceMax(-lane);
  out[6] = AnyLane(lane == 31) && !AllLanes(lane < 31) ? 1 : 0;
  if (lane >= 16) out[7] = ShuffleXor(lane, 1, 0xffff0000u);
}

TEST(PrimitivesTest, LanesExchange) {
  Array<int> out(64 * 8);
  Params params;
  params.out = out.data();
  Launch(ExchangeKernel, {}, {.x = 64}, 0, nullptr, params);
  for (size_t t = 0; t < 64; ++t) {
    const int lane = static_cast<int>(t % 32);
    EXPECT_EQ(out[8 * t], lane ^ 5);
    EXPECT_EQ(out[8 * t + 1], 70);
    EXPECT_EQ(out[8 * t + 2], lane < 3 ? lane : lane - 3);
    EXPECT_EQ(static_cast<uint32_t>(out[8 * t + 3]), 0x49249249u);
    EXPECT_EQ(out[8 * t + 4], 31 * 32 / 2 - 96);
    EXPECT_EQ(out[8 * t + 5], 0);
    EXPECT_EQ(out[8 * t + 6], 1);
    if (lane < 16) continue;
    EXPECT_EQ(out[8 * t + 7], lane ^ 1);
  }
}

__global__ void ReduceKernel(const __grid_constant__ Params params) {
  auto& storage = StaticShared<ReduceStorage<int>>();
  const int sum = BlockReduce<128>(ThreadX(), AddOp(), storage);
  static_cast<int*>(params.out)[BlockX() * 128 + ThreadX()] = sum + BlockX();
}

TEST(PrimitivesTest, BlocksReduce) {
  Array<int> out(3 * 128);
  Params params;
  params.out = out.data();
  Launch(ReduceKernel, {.x = 3}, {.x = 128}, 0, nullptr, params);
  for (size_t i = 0; i < 3 * 128; ++i) EXPECT_EQ(out[i], 127 * 64 + static_cast<int>(i / 128));
}

// D[16, 8] = A[16, 16] B[16, 8], loaded as kernels do: A by ldmatrix.x4, B [K, N] by
// ldmatrix.x2.trans.
template <bool kIsHalf>
__global__ void MmaKernel(const __grid_constant__ Params params) {
  auto* a = DynamicShared<uint16_t>();  // [16, 16]
  uint16_t* b = a + 256;                // [16, 8]
  const int lane = Lane();
  CopyAsync16(a + 8 * lane, static_cast<const uint16_t*>(params.a) + 8 * lane);
  if (lane < 16) CopyAsync16(b + 8 * lane, static_cast<const uint16_t*>(params.b) + 8 * lane);
  CommitAsync();
  WaitAsync<0>();
  SyncWarp();
  uint32_t a_registers[4];
  uint32_t b_registers[2];
  // Matrices 0, 1: rows 0-7, 8-15 of columns 0-7; 2, 3: of columns 8-15.
  LoadMatrix4(a_registers, a + lane % 16 * 16 + lane / 16 * 8);
  LoadMatrix2Transposed(b_registers, b + lane % 16 * 8);
  float d[4] = {};
  if constexpr (kIsHalf) {
    MmaF16(d, a_registers, b_registers);
  } else {
    MmaBF16(d, a_registers, b_registers);
  }
  auto* out = static_cast<float*>(params.out);
  for (int e = 0; e < 4; ++e) {
    out[(lane / 4 + 8 * (e / 2)) * 8 + 2 * (lane % 4) + e % 2] = d[e];
  }
}

template <bool kIsHalf>
void CheckMma() {
  std::mt19937 rng(1);
  Array<uint16_t> a(256);
  Array<uint16_t> b(128);
  Array<float> d(128);
  // Small integers: every sum is exact.
  const auto fill = [&](Array<uint16_t>& array, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      const double value = static_cast<double>(rng() % 17) - 8;
      array[i] = kIsHalf ? emulator::RoundToF16(value) : emulator::RoundToBF16(value);
    }
  };
  fill(a, 256);
  fill(b, 128);
  const auto at = [](uint16_t bits) {
    return kIsHalf ? emulator::HalfToFloat(bits) : runahead::ToFloat(BFloat16{bits});
  };
  Params params{a.data(), b.data(), d.data(), 0};
  Launch(MmaKernel<kIsHalf>, {}, {.x = 32}, 768, nullptr, params);
  for (size_t row = 0; row < 16; ++row) {
    for (size_t col = 0; col < 8; ++col) {
      float sum = 0;
      for (size_t k = 0; k < 16; ++k) sum += at(a[row * 16 + k]) * at(b[k * 8 + col]);
      EXPECT_EQ(d[row * 8 + col], sum) << row << " " << col;
    }
  }
}

TEST(PrimitivesTest, MmaOfHalves) { CheckMma<true>(); }
TEST(PrimitivesTest, MmaOfBFloats) { CheckMma<false>(); }

// D[16, 8] = A[16, K] B[8, K]^T of bytes (K = 32) or nibbles (K = 64), registers filled as the PTX
// ISA places them, each row of 32 bytes.
template <int kBits>
__global__ void MmaIntKernel(const __grid_constant__ Params params) {
  const auto* a = static_cast<const uint32_t*>(params.a);  // [16, 8] words
  const auto* b = static_cast<const uint32_t*>(params.b);  // [8, 8] words
  const int group = Lane() / 4;
  const int member = Lane() % 4;
  const uint32_t a_registers[4] = {a[group * 8 + member], a[(group + 8) * 8 + member],
                                   a[group * 8 + member + 4], a[(group + 8) * 8 + member + 4]};
  const uint32_t b_registers[2] = {b[group * 8 + member], b[group * 8 + member + 4]};
  int32_t d[4] = {1, 1, 1, 1};
  if constexpr (kBits == 8) {
    MmaS8(d, a_registers, b_registers);
  } else {
    MmaS4(d, a_registers, b_registers);
  }
  auto* out = static_cast<int32_t*>(params.out);
  for (int e = 0; e < 4; ++e) {
    out[(group + 8 * (e / 2)) * 8 + 2 * member + e % 2] = d[e];
  }
}

template <int kBits>
void CheckMmaInt() {
  std::mt19937 rng(2);
  Array<uint32_t> a(128);
  Array<uint32_t> b(64);
  Array<int32_t> d(128);
  for (size_t i = 0; i < 128; ++i) a[i] = static_cast<uint32_t>(rng());
  for (size_t i = 0; i < 64; ++i) b[i] = static_cast<uint32_t>(rng());
  Params params{a.data(), b.data(), d.data(), 0};
  Launch(MmaIntKernel<kBits>, {}, {.x = 32}, 0, nullptr, params);
  constexpr size_t kElements = 32 / kBits;
  const auto at = [](uint32_t word, size_t i) {
    const int value = static_cast<int>(word >> (kBits * i) & ((1u << kBits) - 1));
    return value >= 1 << (kBits - 1) ? value - (1 << kBits) : value;
  };
  for (size_t row = 0; row < 16; ++row) {
    for (size_t col = 0; col < 8; ++col) {
      int sum = 1;
      for (size_t k = 0; k < 8 * kElements; ++k) {
        sum += at(a[row * 8 + k / kElements], k % kElements) *
               at(b[col * 8 + k / kElements], k % kElements);
      }
      EXPECT_EQ(d[row * 8 + col], sum) << row << " " << col;
    }
  }
}

TEST(PrimitivesTest, MmaOfBytes) { CheckMmaInt<8>(); }
TEST(PrimitivesTest, MmaOfNibbles) { CheckMmaInt<4>(); }

TEST(PrimitivesTest, BitTricks) {
  std::mt19937 rng(3);
  for (int i = 0; i < 1000; ++i) {
    const auto a = static_cast<uint32_t>(rng());
    const auto b = static_cast<uint32_t>(rng());
    const auto c = static_cast<uint32_t>(rng());
    EXPECT_EQ((Lop3<(kLopA & kLopB) | kLopC>(a, b, c)), (a & b) | c);
    EXPECT_EQ((Lop3<kLopA ^ kLopB ^ kLopC>(a, b, c)), a ^ b ^ c);
    EXPECT_EQ(PermuteBytes(a, b, 0x3210), a);
    EXPECT_EQ(PermuteBytes(a, b, 0x7654), b);
    EXPECT_EQ(PermuteBytes(a, b, 0x0123), __builtin_bswap32(a));
  }
  EXPECT_EQ(PermuteBytes(0x80u, 0, 0x0008), 0x808080ffu) << "nibble 0 asks for the sign";
}

// Four nibbles to halves, as W4A16 kernels do it: 1024 + v in one bit operation, then minus 1032.
TEST(PrimitivesTest, NibblesToHalves) {
  for (uint32_t v = 0; v < 16; ++v) {
    const uint32_t q = v | (15 - v) << 16;
    const uint32_t magic = Lop3<(kLopA & kLopB) | kLopC>(q, 0x000f000fu, 0x64006400u);
    const uint32_t pair = SubF16x2(magic, 0x64086408u);
    EXPECT_EQ(emulator::HalfToFloat(static_cast<uint16_t>(pair)), static_cast<float>(v) - 8);
    EXPECT_EQ(emulator::HalfToFloat(static_cast<uint16_t>(pair >> 16)), 7 - static_cast<float>(v));
  }
}

__global__ void AtomicKernel(const __grid_constant__ Params params) {
  auto& count = StaticShared<int>();
  if (ThreadX() == 0) count = 0;
  SyncThreads();
  AtomicAdd(&count, ThreadX());
  AtomicMax(static_cast<int*>(params.out) + 1, ThreadX());
  SyncThreads();
  if (ThreadX() == 0) AtomicAdd(static_cast<int*>(params.out), count);
}

TEST(PrimitivesTest, AtomicsAddUp) {
  Array<int> out(2);
  Params params;
  params.out = out.data();
  Launch(AtomicKernel, {.x = 5}, {.x = 64}, 0, nullptr, params);
  EXPECT_EQ(out[0], 5 * 63 * 32);
  EXPECT_EQ(out[1], 63);
}

}  // namespace
}  // namespace runahead::RA_CUDA
