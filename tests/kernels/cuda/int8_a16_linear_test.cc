// W8A16 layers on the emulator against plain sums in double.
#include <cmath>

#include "tests/cuda_emulator/emulator.h"
#include "tests/kernels/cuda/int8_matrix.h"

namespace runahead {
namespace {

// The type of rows is the parameter: BF16 or F16.
class Int8A16LinearTest : public testing::TestWithParam<DType> {
 protected:
  Tensor Run(const LinearWeight& weight, const TensorView& x, DType y_dtype = DType::kF32) {
    Tensor y(y_dtype, {x.dim(0), weight.n()});
    backend_->Linear({.x = x, .weight = &weight, .y = y.view()});
    return y;
  }

  // Products of codes and x are exact; K sums, the warps' sums, and the output itself round.
  void Check(int64_t rows, int64_t n, int64_t k, DType y_dtype = DType::kF32) {
    std::mt19937 rng(static_cast<uint32_t>(rows * 31 + n * 7 + k));
    Int8Matrix w(n, k, rng);
    const Tensor x = RandomTensor(GetParam(), {rows, k}, rng);
    const auto weight = backend_->PackLinear(w.canonical(WeightFormat::kInt8A16, GetParam()));
    const Tensor y = Run(*weight, x.view(), y_dtype);
    std::vector<double> expected, bound;
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = 0; i < n; ++i) {
        double sum = w.bias.at(i, 0);
        double size = std::abs(sum);
        for (int64_t j = 0; j < k; ++j) {
          const double product =
              w.codes[static_cast<size_t>(i * k + j)] * w.scales.at(i, 0) * x.at(t, j);
          sum += product;
          size += std::abs(product);
        }
        expected.push_back(sum);
        bound.push_back(static_cast<double>(k + 6) * kEpsF32 * size + RoundingOf(y_dtype, sum) +
                        1e-30);
      }
    }
    ExpectWithin(
        y.view(), expected, bound,
        "rows " + std::to_string(rows) + " n " + std::to_string(n) + " k " + std::to_string(k));
  }

  std::unique_ptr<Backend> backend_ = Make({"cuda_emulated", "", 1});
};

TEST_P(Int8A16LinearTest, MatchesTheSumForAllShapes) {
  for (const int64_t k : {1, 31, 64, 128, 136, 600}) Check(3, 40, k);
  for (const int64_t n : {1, 15, 16, 17, 64, 65, 150}) Check(2, n, 160);
  Check(3, 40, 152, GetParam());
}

TEST_P(Int8A16LinearTest, MatchesTheSumForAllNumbersOfRows) {
  for (const int64_t rows : {1, 15, 16, 17, 32, 33, 70}) Check(rows, 72, 256);
}

// Every code, times a one: nothing rounds.
TEST_P(Int8A16LinearTest, EveryCodeIsExact) {
  std::mt19937 rng(1);
  Int8Matrix w(256, 256, rng);
  Tensor x(GetParam(), {256, 256});
  for (int64_t i = 0; i < 256; ++i) {
    w.scales.set(i, 0, 1);
    w.bias.set(i, 0, 0);
    for (int64_t j = 0; j < 256; ++j) {
      w.codes[static_cast<size_t>(i * 256 + j)] = static_cast<int8_t>(i + j - 128);
      x.set(i, j, i == j ? 1 : 0);
    }
  }
  const auto weight = backend_->PackLinear(w.canonical(WeightFormat::kInt8A16, GetParam()));
  const Tensor y = Run(*weight, x.view());
  for (int64_t t = 0; t < 256; ++t) {
    for (int64_t i = 0; i < 256; ++i) ASSERT_EQ(y.at(t, i), static_cast<int8_t>(i + t - 128));
  }
}

// A row's bits are the same alone, among any others, in any place, and in any order of threads.
TEST_P(Int8A16LinearTest, RowsDoNotDependOnTheirBatch) {
  std::mt19937 rng(2);
  Int8Matrix w(72, 700, rng);
  const Tensor x = RandomTensor(GetParam(), {40, 700}, rng);
  const auto weight = backend_->PackLinear(w.canonical(WeightFormat::kInt8A16, GetParam()));
  const Tensor all = Run(*weight, x.view());
  for (const int64_t count : {1, 7, 16, 17, 33}) {
    emulator::SetSeed(static_cast<uint64_t>(count));
    for (int64_t begin = 0; begin + count <= 40; begin += 13) {
      const Tensor some = Run(*weight, x.view().Rows(begin, count));
      for (int64_t t = 0; t < count; ++t) {
        ASSERT_TRUE(RowBytes(some.view(), t) == RowBytes(all.view(), begin + t))
            << "row " << begin + t << " in " << count;
      }
    }
  }
}

TEST_P(Int8A16LinearTest, KeepsWhatIsNotFiniteInItsRow) {
  std::mt19937 rng(3);
  Int8Matrix w(50, 200, rng);
  Tensor x = RandomTensor(GetParam(), {20, 200}, rng);
  x.set(3, 17, NAN);
  x.set(18, 100, INFINITY);
  const auto weight = backend_->PackLinear(w.canonical(WeightFormat::kInt8A16, GetParam()));
  const Tensor y = Run(*weight, x.view());
  for (int64_t t = 0; t < 20; ++t) {
    for (int64_t i = 0; i < 50; ++i) {
      if (t == 18) continue;  // infinite, or no number where its code is 0
      EXPECT_EQ(std::isfinite(y.at(t, i)), t != 3);
    }
  }
}

TEST_P(Int8A16LinearTest, NoRowsDoNothing) {
  std::mt19937 rng(4);
  Int8Matrix w(33, 64, rng);
  const Tensor x(GetParam(), {0, 64});
  const auto weight = backend_->PackLinear(w.canonical(WeightFormat::kInt8A16, GetParam()));
  EXPECT_TRUE(Run(*weight, x.view()).bytes().empty());
}

TEST_P(Int8A16LinearTest, TakesTheSameBytesAndRowsOfItsOwn) {
  std::mt19937 rng(5);
  Int8Matrix w(33, 130, rng);
  const auto a16 = backend_->PackLinear(w.canonical(WeightFormat::kInt8A16, GetParam()));
  const auto a8 = backend_->PackLinear(w.canonical(WeightFormat::kInt8));
  EXPECT_EQ(a16->input_format().dtype, GetParam());
  EXPECT_EQ(a8->input_format().dtype, DType::kI8);
  EXPECT_EQ(a16->bytes(), a8->bytes());
  EXPECT_EQ(a16->bytes(), backend_->PackedLinearBytes(33, 130, WeightFormat::kInt8A16));
}

INSTANTIATE_TEST_SUITE_P(Rows, Int8A16LinearTest, testing::Values(DType::kBF16, DType::kF16),
                         [](const auto& rows) { return std::string(DTypeName(rows.param)); });

}  // namespace
}  // namespace runahead
