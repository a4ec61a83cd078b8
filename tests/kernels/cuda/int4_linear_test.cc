// W4A16 layers on the emulator against plain sums in double.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cuda/int4_weight.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr WeightFormat Int4(int group, bool has_zero_points) {
  return {WeightType::kInt4, group, has_zero_points};
}

// A canonical weight that owns its memory; with a bias.
struct Matrix {
  Matrix(int64_t rows, int64_t columns, WeightFormat f, std::mt19937& rng,
         DType scale_dtype = DType::kBF16)
      : n(rows), k(columns), format(f), groups((columns + f.group - 1) / f.group) {
    for (int64_t i = 0; i < n * ((k + 1) / 2); ++i) codes.push_back(static_cast<uint8_t>(rng()));
    for (int64_t i = 0; i < n * groups; ++i) zeros.push_back(static_cast<uint8_t>(rng() % 16));
    scales = RandomTensor(scale_dtype, {n, groups}, rng, 0.01);
    bias = RandomTensor(DType::kF32, {n}, rng);
  }

  HostLinear canonical(DType rows) {
    view.codes = TensorView(codes.data(), DType::kU8, {n, (k + 1) / 2});
    view.scales = scales.view();
    if (format.has_zero_points)
      view.zero_points = TensorView(zeros.data(), DType::kU8, {n, groups});
    view.k = k;
    bias_view = bias.view();
    HostLinear linear;
    linear.quantized = {&view, 1};
    linear.biases = {&bias_view, 1};
    linear.format = format;
    linear.rows = rows;
    return linear;
  }

  int code(int64_t row, int64_t column) const {
    const uint8_t byte = codes[static_cast<size_t>(row * ((k + 1) / 2) + column / 2)];
    return column % 2 == 0 ? byte & 15 : byte >> 4;
  }
  double at(int64_t row, int64_t column) const {
    const int64_t g = column / format.group;
    const int zero = format.has_zero_points ? zeros[static_cast<size_t>(row * groups + g)] : 8;
    return (code(row, column) - zero) * scales.at(row, g);
  }

  int64_t n;
  int64_t k;
  WeightFormat format;
  int64_t groups;
  std::vector<uint8_t> codes, zeros;
  Tensor scales, bias;
  QuantizedMatrix view;
  TensorView bias_view;
};

// The type of rows is the parameter: BF16 or F16.
class Int4LinearTest : public testing::TestWithParam<DType> {
 protected:
  Tensor Run(const LinearWeight& weight, const TensorView& x, DType y_dtype = DType::kF32) {
    Tensor y(y_dtype, {x.dim(0), weight.n()});
    backend_->Linear({.x = x, .weight = &weight, .y = y.view()});
    return y;
  }

  // Products of codes and x are exact; K sums, a scale a group, the warps' sums and the bias round.
  void Check(int64_t rows, int64_t n, int64_t k, WeightFormat format, DType y_dtype = DType::kF32,
             DType scale_dtype = DType::kBF16) {
    std::mt19937 rng(static_cast<uint32_t>(rows * 31 + n * 7 + k));
    Matrix w(n, k, format, rng, scale_dtype);
    const Tensor x = RandomTensor(GetParam(), {rows, k}, rng);
    const auto weight = backend_->PackLinear(w.canonical(GetParam()));
    const Tensor y = Run(*weight, x.view(), y_dtype);
    std::vector<double> expected, bound;
    for (int64_t t = 0; t < rows; ++t) {
      for (int64_t i = 0; i < n; ++i) {
        double sum = w.bias.at(i, 0);
        double size = std::abs(sum);
        for (int64_t j = 0; j < k; ++j) {
          sum += w.at(i, j) * x.at(t, j);
          size += std::abs(w.at(i, j) * x.at(t, j));
        }
        expected.push_back(sum);
        bound.push_back(static_cast<double>(k + 6) * kEpsF32 * size + RoundingOf(y_dtype, sum) +
                        1e-30);
      }
    }
    ExpectWithin(y.view(), expected, bound,
                 "rows " + std::to_string(rows) + " n " + std::to_string(n) + " k " +
                     std::to_string(k) + " group " + std::to_string(format.group));
  }

  std::unique_ptr<Backend> backend_ = Make({"cuda_emulated", "", 1});
};

TEST_P(Int4LinearTest, MatchesTheSumForAllShapes) {
  for (const int group : {32, 64, 128}) {
    for (const bool has_zeros : {false, true}) {
      for (const int64_t k : {1, 33, 128, 200, 704}) Check(3, 40, k, Int4(group, has_zeros));
    }
  }
  for (const int64_t n : {1, 31, 32, 33, 65, 100}) Check(2, n, 160, WeightFormat::kInt4);
  Check(3, 40, 136, Int4(64, true), GetParam());
}

// Scales stay what they are.
TEST_P(Int4LinearTest, MatchesTheSumForAllTypesOfScales) {
  for (const DType scales : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const int group : {32, 64, 128}) {
      Check(3, 72, 300, Int4(group, group == 64), DType::kF32, scales);
      Check(20, 100, 200, Int4(group, group != 64), DType::kF32, scales);
    }
  }
}

// One, two and three blocks of rows, full and not.
TEST_P(Int4LinearTest, MatchesTheSumForAllNumbersOfRows) {
  for (const int64_t rows : {1, 8, 15, 16, 17, 32, 33, 70}) Check(rows, 72, 256, Int4(64, true));
}

// Enough outputs for the wider tile of few rows (the emulated device has three multiprocessors).
TEST_P(Int4LinearTest, MatchesTheSumForManyOutputs) {
  Check(2, 420, 160, WeightFormat::kInt4);
  Check(5, 420, 160, Int4(32, true));
  Check(16, 390, 200, WeightFormat::kInt4);
}

// A row's bits are the same alone, among any others, in any place, and in any order of threads.
TEST_P(Int4LinearTest, RowsDoNotDependOnTheirBatch) {
  for (const int64_t n : {72, 400}) {  // few outputs and many: tiles of every width
    std::mt19937 rng(1);
    Matrix w(n, 700, Int4(64, true), rng);
    const Tensor x = RandomTensor(GetParam(), {40, 700}, rng);
    const auto weight = backend_->PackLinear(w.canonical(GetParam()));
    const Tensor all = Run(*weight, x.view());
    for (const int64_t count : {1, 2, 7, 16, 17, 33}) {
      emulator::SetSeed(static_cast<uint64_t>(count));
      for (int64_t begin = 0; begin + count <= 40; begin += count == 1 ? 13 : 9) {
        const Tensor some = Run(*weight, x.view().Rows(begin, count));
        for (int64_t t = 0; t < count; ++t) {
          ASSERT_TRUE(RowBytes(some.view(), t) == RowBytes(all.view(), begin + t))
              << "row " << begin + t << " in " << count << " of " << n << " outputs";
        }
      }
    }
  }
}

TEST_P(Int4LinearTest, WhatIsNotFiniteStaysInItsRow) {
  std::mt19937 rng(2);
  Matrix w(50, 200, WeightFormat::kInt4, rng);
  Tensor x = RandomTensor(GetParam(), {20, 200}, rng);
  x.set(3, 199, NAN);
  x.set(17, 0, INFINITY);
  const auto weight = backend_->PackLinear(w.canonical(GetParam()));
  const Tensor y = Run(*weight, x.view());
  for (int64_t t = 0; t < 20; ++t) {
    for (int64_t i = 0; i < 50; ++i) {
      if (t == 3) {
        EXPECT_TRUE(std::isnan(y.at(t, i)));
      } else if (t != 17) {
        EXPECT_TRUE(std::isfinite(y.at(t, i))) << t << " " << i;
      }
    }
  }
}

TEST_P(Int4LinearTest, NoRowsDoNothing) {
  std::mt19937 rng(3);
  Matrix w(33, 64, WeightFormat::kInt4, rng);
  const auto weight = backend_->PackLinear(w.canonical(GetParam()));
  EXPECT_TRUE(Run(*weight, TensorView(nullptr, GetParam(), {0, 64})).bytes().empty());
}

TEST_P(Int4LinearTest, BytesAreThoseAnnounced) {
  std::mt19937 rng(4);
  for (const WeightFormat format : {WeightFormat::kInt4, Int4(32, true)}) {
    for (const int64_t n : {1, 32, 33}) {
      for (const int64_t k : {1, 128, 130}) {
        Matrix w(n, k, format, rng);
        EXPECT_EQ(backend_->PackLinear(w.canonical(GetParam()))->bytes(),
                  backend_->PackedLinearBytes(n, k, format));
      }
    }
  }
}

// Each code lies where the diagram in int4_weight.h says, and nowhere else.
TEST_P(Int4LinearTest, CodesLieWhereTheDiagramSays) {
  std::mt19937 rng(5);
  Matrix w(64, 256, WeightFormat::kInt4, rng);
  const std::vector<char> bytes = cuda_emulated::PackInt4Bytes(w.canonical(GetParam()));
  constexpr int kColumns[8] = {0, 8, 16, 24, 1, 9, 17, 25};  // plus 2 t
  for (int64_t panel = 0; panel < 2; ++panel) {
    for (int64_t tile = 0; tile < 8; ++tile) {
      for (int64_t lane = 0; lane < 32; ++lane) {
        for (int64_t j = 0; j < 4; ++j) {
          uint32_t word = 0;
          std::memcpy(&word, bytes.data() + (panel * 8 + tile) * 512 + lane * 16 + j * 4, 4);
          for (int64_t i = 0; i < 8; ++i) {
            const int64_t row = panel * 32 + 8 * j + lane / 4;
            const int64_t column = tile * 32 + 2 * (lane % 4) + kColumns[i];
            ASSERT_EQ(word >> (4 * i) & 15, static_cast<uint32_t>(w.code(row, column)));
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, Int4LinearTest, testing::Values(DType::kBF16, DType::kF16),
                         [](const auto& rows) { return std::string(DTypeName(rows.param)); });

}  // namespace
}  // namespace runahead
