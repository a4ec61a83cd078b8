// W8A8 layers on the emulator against plain sums.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cuda/int8_weight.h"
#include "kernels/quantized_rows.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

// A canonical weight that owns its memory; with a bias.
struct Matrix {
  Matrix(int64_t rows, int64_t columns, std::mt19937& rng) : n(rows), k(columns) {
    for (int64_t i = 0; i < n * k; ++i) codes.push_back(static_cast<int8_t>(rng() % 255 - 127));
    scales = RandomTensor(DType::kF32, {n, 1}, rng, 0.01);
    bias = RandomTensor(DType::kF32, {n}, rng);
  }

  HostLinear canonical() {
    view.codes = TensorView(codes.data(), DType::kI8, {n, k});
    view.scales = scales.view();
    view.k = k;
    bias_view = bias.view();
    HostLinear linear;
    linear.quantized = {&view, 1};
    linear.biases = {&bias_view, 1};
    linear.format = WeightFormat::kInt8;
    return linear;
  }

  int64_t n;
  int64_t k;
  std::vector<int8_t> codes;
  Tensor scales, bias;
  QuantizedMatrix view;
  TensorView bias_view;
};

// Quantized rows of one scale with any values.
struct Rows {
  Rows(int64_t count, int64_t columns, std::mt19937& rng)
      : k(columns), row_bytes(QuantizedRowLayout(columns, 0).row_bytes) {
    bytes.resize(static_cast<size_t>(count * row_bytes));
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t i = 0; i < k; ++i) {
        bytes[static_cast<size_t>(t * row_bytes + i)] = static_cast<int8_t>(rng() % 255 - 127);
      }
      SetScale(t, std::uniform_real_distribution<float>(0.5f, 1.5f)(rng) / 127);
    }
  }
  void SetScale(int64_t t, float scale) {
    std::memcpy(&bytes[static_cast<size_t>(t * row_bytes + QuantizedRowLayout(k, 0).scales_at)],
                &scale, 4);
  }
  float scale(int64_t t) const {
    float scale = 0;
    std::memcpy(&scale,
                &bytes[static_cast<size_t>(t * row_bytes + QuantizedRowLayout(k, 0).scales_at)], 4);
    return scale;
  }
  TensorView view(int64_t begin, int64_t count) {
    return RowsIn({DType::kI8, 0}, bytes.data() + begin * row_bytes, count, k);
  }

  int64_t k;
  int64_t row_bytes;
  std::vector<int8_t> bytes;
};

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
    Matrix w(n, k, rng);
    Rows x(rows, k, rng);
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
                        EpsOf(y_dtype) * std::abs(result) + 1e-30);
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
}

TEST_F(Int8LinearTest, MatchesTheSumForAllNumbersOfRows) {
  for (const int64_t rows : {1, 15, 16, 17, 63, 64, 65, 130}) Check(rows, 72, 256);
}

// The largest products throughout: 32-bit sums must not overflow.
TEST_F(Int8LinearTest, HoldsTheLargestSums) {
  constexpr int64_t kWidth = 66000;
  std::mt19937 rng(1);
  Matrix w(16, kWidth, rng);
  Rows x(1, kWidth, rng);
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
  Matrix w(72, 300, rng);
  Rows x(70, 300, rng);
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
  Matrix w(50, 200, rng);
  Rows x(20, 200, rng);
  x.SetScale(3, NAN);
  const auto weight = backend_->PackLinear(w.canonical());
  const Tensor y = Run(*weight, x.view(0, 20));
  for (int64_t t = 0; t < 20; ++t) {
    for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(std::isnan(y.at(t, i)), t == 3);
  }
}

TEST_F(Int8LinearTest, NoRowsDoNothing) {
  std::mt19937 rng(4);
  Matrix w(33, 64, rng);
  Rows x(0, 64, rng);
  const auto weight = backend_->PackLinear(w.canonical());
  EXPECT_TRUE(Run(*weight, x.view(0, 0)).bytes().empty());
}

TEST_F(Int8LinearTest, BytesAreThoseAnnounced) {
  std::mt19937 rng(5);
  for (const int64_t n : {1, 16, 33}) {
    for (const int64_t k : {1, 128, 130}) {
      Matrix w(n, k, rng);
      EXPECT_EQ(backend_->PackLinear(w.canonical())->bytes(),
                backend_->PackedLinearBytes(n, k, WeightFormat::kInt8));
    }
  }
}

// Each code lies where the diagram in int8_weight.h says.
TEST_F(Int8LinearTest, CodesLieWhereTheDiagramSays) {
  std::mt19937 rng(6);
  Matrix w(32, 256, rng);
  const std::vector<char> bytes = cuda_emulated::PackInt8Bytes(w.canonical());
  for (int64_t panel = 0; panel < 2; ++panel) {
    for (int64_t tile = 0; tile < 8; ++tile) {
      for (int64_t lane = 0; lane < 32; ++lane) {
        for (int64_t byte = 0; byte < 16; ++byte) {
          const int64_t row = panel * 16 + byte / 8 * 8 + lane / 4;
          const int64_t column = tile * 32 + byte % 8 / 4 * 16 + lane % 4 * 4 + byte % 4;
          ASSERT_EQ(bytes[static_cast<size_t>((panel * 8 + tile) * 512 + lane * 16 + byte)],
                    w.codes[static_cast<size_t>(row * 256 + column)]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace runahead
