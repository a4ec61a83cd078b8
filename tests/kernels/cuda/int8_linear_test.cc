// W8A8 layers on the emulator against plain sums.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/int8_weight.h"
#include "tests/kernels/cuda/int8_matrix.h"

namespace runahead {
namespace {

class Int8LinearTest : public testing::Test {
 protected:
  Tensor Run(const LinearWeight& weight, const TensorView& x, DType y_dtype = DType::kF32) {
    Tensor y(y_dtype, {x.dim(0), weight.n()});
    backend_->Linear({.x = x, .weight = &weight, .y = y.view()});
    return y;
  }

  // The integer sum is exact; its conversion, the scales' product, theirs and the bias round.
  void Check(int64_t rows, int64_t n, int64_t k, DType y_dtype = DType::kF32) {
    std::mt19937 rng(static_cast<uint32_t>(rows * 31 + n * 7 + k));
    Int8Matrix w(n, k, rng);
    QuantizedRows x(rows, k, rng);
    const auto weight = backend_->PackLinear(w.canonical());
    const Tensor y = Run(*weight, x.view(0, rows), y_dtype);
    std::vector<double> expected, bound;
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = 0; i < n; ++i) {
        int64_t sum = 0;
        for (int64_t j = 0; j < k; ++j) {
          sum += w.codes[static_cast<size_t>(i * k + j)] *
                 x.bytes[static_cast<size_t>(t * x.row_bytes + j)];
        }
        const double product =
            static_cast<double>(sum) * w.scales.at(i, 0) * static_cast<double>(x.scale(t));
        const double result = product + w.bias.at(i, 0);
        expected.push_back(result);
        bound.push_back(5 * kEpsF32 * (std::abs(product) + std::abs(w.bias.at(i, 0))) +
                        RoundingOf(y_dtype, result) + 1e-30);
      }
    }
    ExpectWithin(
        y.view(), expected, bound,
        "rows " + std::to_string(rows) + " n " + std::to_string(n) + " k " + std::to_string(k));
  }

  std::unique_ptr<Backend> backend_ = Make({"cuda_emulated", "", 1});
};

TEST_F(Int8LinearTest, MatchesTheSumForAllShapes) {
  for (const int64_t k : {1, 31, 64, 128, 129, 600}) Check(3, 40, k);
  for (const int64_t n : {1, 15, 16, 17, 64, 65, 150}) Check(2, n, 160);
  Check(3, 40, 150, DType::kBF16);
  Check(3, 40, 150, DType::kF16);
}

TEST_F(Int8LinearTest, MatchesTheSumForAllNumbersOfRows) {
  for (const int64_t rows : {1, 15, 16, 17, 63, 64, 65, 130}) Check(rows, 72, 256);
}

// The largest products throughout: 32-bit sums must not overflow.
TEST_F(Int8LinearTest, HoldsTheLargestSums) {
  constexpr int64_t kWidth = 66000;
  std::mt19937 rng(1);
  Int8Matrix w(16, kWidth, rng);
  QuantizedRows x(1, kWidth, rng);
  std::fill(w.codes.begin(), w.codes.end(), int8_t{-128});
  std::fill(x.bytes.begin(), x.bytes.begin() + kWidth, int8_t{127});
  x.SetScale(0, 1);
  const auto weight = backend_->PackLinear(w.canonical());
  const Tensor y = Run(*weight, x.view(0, 1));
  for (int64_t i = 0; i < 16; ++i) {
    const double expected = -128.0 * 127 * kWidth * w.scales.at(i, 0);
    EXPECT_NEAR(y.at(0, i), expected, 1e-5 * std::abs(expected));
  }
}

TEST_F(Int8LinearTest, RowsDoNotDependOnTheirBatch) {
  std::mt19937 rng(2);
  Int8Matrix w(72, 300, rng);
  QuantizedRows x(70, 300, rng);
  const auto weight = backend_->PackLinear(w.canonical());
  const Tensor all = Run(*weight, x.view(0, 70));
  for (const int64_t count : {1, 7, 16, 17, 65}) {
    for (int64_t begin = 0; begin + count <= 70; begin += 13) {
      const Tensor some = Run(*weight, x.view(begin, count));
      for (int64_t t = 0; t < count; ++t) {
        ASSERT_TRUE(RowBytes(some.view(), t) == RowBytes(all.view(), begin + t))
            << "row " << begin + t << " in " << count;
      }
    }
  }
}

// A row that held a NaN has scale NaN (kernels/quantized_rows.h).
TEST_F(Int8LinearTest, KeepsANanInItsRow) {
  std::mt19937 rng(3);
  Int8Matrix w(50, 200, rng);
  QuantizedRows x(20, 200, rng);
  x.SetScale(3, NAN);
  const auto weight = backend_->PackLinear(w.canonical());
  const Tensor y = Run(*weight, x.view(0, 20));
  for (int64_t t = 0; t < 20; ++t) {
    for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(std::isnan(y.at(t, i)), t == 3);
  }
}

TEST_F(Int8LinearTest, NoRowsDoNothing) {
  std::mt19937 rng(4);
  Int8Matrix w(33, 64, rng);
  QuantizedRows x(0, 64, rng);
  const auto weight = backend_->PackLinear(w.canonical());
  EXPECT_TRUE(Run(*weight, x.view(0, 0)).bytes().empty());
}

TEST_F(Int8LinearTest, BytesAreThoseAnnounced) {
  std::mt19937 rng(5);
  for (const int64_t n : {1, 16, 33}) {
    for (const int64_t k : {1, 128, 130}) {
      Int8Matrix w(n, k, rng);
      EXPECT_EQ(backend_->PackLinear(w.canonical())->bytes(),
                backend_->PackedLinearBytes(n, k, WeightFormat::kInt8));
    }
  }
}

// Each code lies where the diagram in int8_weight.h says.
TEST_F(Int8LinearTest, CodesLieWhereTheDiagramSays) {
  std::mt19937 rng(6);
  Int8Matrix w(32, 256, rng);
  const std::vector<char> bytes = cuda_emulated::PackInt8Bytes(w.canonical());
  size_t at = 0;
  for (int64_t panel = 0; panel < 4; ++panel) {
    for (int64_t block = 0; block < 16; ++block) {
      for (int64_t output = 0; output < 8; ++output) {
        for (int64_t column = 0; column < 16; ++column) {
          const int64_t row = panel * 8 + output;
          ASSERT_EQ(bytes[at++], w.codes[static_cast<size_t>(row * 256 + block * 16 + column)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace runahead
