// W8A8 layers of many rows on a device of compute capability 9.0 (wgmma) against those of one
// without: the same bits.
#include <cmath>

#include "tests/cuda_emulator/emulated_runtime.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/kernels/cuda/int8_matrix.h"
#include "tests/kernels/staged_backend.h"

namespace runahead {
namespace {

constexpr int kWgmmaThreads = 384;

class Int8WgmmaLinearTest : public testing::Test {
 protected:
  // y of rows [begin, begin + count), whose rows lie `pitch` elements apart.
  Tensor Run(Backend& backend, Int8Matrix& w, QuantizedRows& x, int64_t begin, int64_t count,
             DType y_dtype, int64_t pitch) {
    const auto weight = backend.PackLinear(w.canonical());
    Tensor y(y_dtype, {count, pitch});
    TensorView view = y.view();
    view.dims[1] = w.n;
    backend.Linear({.x = x.view(begin, count), .weight = weight.get(), .y = view});
    return y;
  }

  void Check(int64_t rows, int64_t n, int64_t k, DType y_dtype = DType::kBF16, int64_t gap = 0) {
    std::mt19937 rng(static_cast<uint32_t>(rows * 31 + n * 7 + k));
    Int8Matrix w(n, k, rng);
    QuantizedRows x(rows, k, rng);
    const Tensor with = Run(*sm_90_, w, x, 0, rows, y_dtype, n + gap);
    EXPECT_EQ(emulator::LastLaunch().block.x, kWgmmaThreads);
    const Tensor without = Run(*sm_80_, w, x, 0, rows, y_dtype, n + gap);
    EXPECT_LT(emulator::LastLaunch().block.x, kWgmmaThreads);
    ASSERT_TRUE(with.bytes() == without.bytes()) << rows << " x " << n << " x " << k;
  }

  std::unique_ptr<Backend> sm_80_ =
      MakeStagedBackend(MakeEmulatedCudaBackend({.compute_capability = 80}));
  std::unique_ptr<Backend> sm_90_ =
      MakeStagedBackend(MakeEmulatedCudaBackend({.compute_capability = 90}));
};

// Fewer stages than the ring has, as many, more, and more than twice as many.
TEST_F(Int8WgmmaLinearTest, EqualsTheOtherKernelForAllK) {
  for (const int64_t k : {1, 128, 130, 512, 520, 1100}) Check(128, 48, k);
}

TEST_F(Int8WgmmaLinearTest, EqualsTheOtherKernelForAllRowsAndOutputs) {
  for (const int64_t rows : {129, 200, 300}) Check(rows, 40, 160);
  for (const int64_t n : {1, 17, 255, 256, 300}) Check(130, n, 160);
  Check(128, 300, 130, DType::kF32);
  Check(128, 300, 130, DType::kF16);
}

// Stores of pairs need rows that begin at even elements.
TEST_F(Int8WgmmaLinearTest, EqualsTheOtherKernelWhereverRowsBegin) {
  Check(128, 40, 128, DType::kBF16, 1);
  Check(128, 41, 128, DType::kF32, 3);
  Check(128, 41, 128, DType::kF32, 0);
}

// Not for fewer rows than a block has, nor where most multiprocessors would have no block.
TEST_F(Int8WgmmaLinearTest, ManyRowsOfManyOutputsAlone) {
  std::mt19937 rng(1);
  Int8Matrix w(40, 160, rng);
  QuantizedRows x(128, 160, rng);
  Run(*sm_90_, w, x, 0, 127, DType::kF32, 40);
  EXPECT_LT(emulator::LastLaunch().block.x, kWgmmaThreads);
  const auto wide = MakeStagedBackend(MakeEmulatedCudaBackend({.num_multiprocessors = 5}));
  Run(*wide, w, x, 0, 128, DType::kF32, 40);
  EXPECT_LT(emulator::LastLaunch().block.x, kWgmmaThreads);
}

// A row's bits are the same in any batch, on either side of the border, in any order of threads.
TEST_F(Int8WgmmaLinearTest, RowsDoNotDependOnTheirBatch) {
  std::mt19937 rng(2);
  Int8Matrix w(72, 300, rng);
  QuantizedRows x(150, 300, rng);
  const Tensor all = Run(*sm_90_, w, x, 0, 150, DType::kF32, 72);
  for (const int64_t count : {1, 16, 127, 128, 140}) {
    emulator::SetSeed(static_cast<uint64_t>(count));
    const int64_t begin = 150 - count;
    const Tensor some = Run(*sm_90_, w, x, begin, count, DType::kF32, 72);
    for (int64_t t = 0; t < count; ++t) {
      ASSERT_TRUE(RowBytes(some.view(), t) == RowBytes(all.view(), begin + t))
          << "row " << begin + t << " in " << count;
    }
  }
}

TEST_F(Int8WgmmaLinearTest, KeepsANanInItsRow) {
  std::mt19937 rng(3);
  Int8Matrix w(50, 200, rng);
  QuantizedRows x(130, 200, rng);
  x.SetScale(3, NAN);
  const Tensor y = Run(*sm_90_, w, x, 0, 130, DType::kF32, 50);
  for (int64_t t = 0; t < 130; ++t) {
    for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(std::isnan(y.at(t, i)), t == 3);
  }
}

}  // namespace
}  // namespace runahead
