#include <cmath>

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr DType kActivations[] = {DType::kF32, DType::kBF16};
constexpr int64_t kWidths[] = {1, 15, 16, 33, 100, 2048};

class ElementwiseTest : public OpTest {
 protected:
  // y = x gain / rms(x). The W squares are positive, so their sum is right to (W + 2) eps, its
  // inverse root to half that; four more roundings follow, then the store.
  static void AppendNorm(const Tensor& x, const std::vector<float>& gain, double eps, DType y_dtype,
                         std::vector<double>& expected, std::vector<double>& bound) {
    const int64_t width = x.view().RowElements();
    for (int64_t t = 0; t < x.view().dim(0); ++t) {
      double sum = 0;
      for (int64_t i = 0; i < width; ++i) sum += x.at(t, i) * x.at(t, i);
      const double inverse = 1 / std::sqrt(sum / static_cast<double>(width) + eps);
      for (int64_t i = 0; i < width; ++i) {
        const double y = x.at(t, i) * inverse * static_cast<double>(gain[static_cast<size_t>(i)]);
        expected.push_back(y);
        bound.push_back((static_cast<double>(width + 2) / 2 + 4) * kEpsF32 * std::abs(y) +
                        EpsOf(y_dtype) * std::abs(y) + 1e-38);
      }
    }
  }
};

TEST_P(ElementwiseTest, RmsNormMatchesTheFormula) {
  std::mt19937 rng(1);
  for (const DType x_dtype : kActivations) {
    for (const DType y_dtype : kActivations) {
      for (const int64_t width : kWidths) {
        for (const int64_t rows : {0, 1, 5, 40}) {
          const Tensor x = RandomTensor(x_dtype, {rows, width}, rng);
          const std::vector<float> gain = RandomFloats(width, rng);
          const Tensor y(y_dtype, {rows, width});
          backend_->RmsNorm({.x = x.view(), .gain = gain.data(), .eps = 1e-5f, .y = y.view()});
          std::vector<double> expected;
          std::vector<double> bound;
          AppendNorm(x, gain, 1e-5f, y_dtype, expected, bound);
          ExpectWithin(y.view(), expected, bound, "width " + std::to_string(width));
        }
      }
    }
  }
}

TEST_P(ElementwiseTest, AddRmsNormNormsTheStoredSum) {
  std::mt19937 rng(2);
  for (const DType dtype : kActivations) {
    for (const int64_t width : kWidths) {
      Tensor residual = RandomTensor(dtype, {7, width}, rng);
      const Tensor before = residual;
      const Tensor x = RandomTensor(dtype, {7, width}, rng);
      const std::vector<float> gain = RandomFloats(width, rng);
      const Tensor y(DType::kF32, {7, width});
      backend_->AddRmsNorm({.residual = residual.view(),
                            .x = x.view(),
                            .gain = gain.data(),
                            .eps = 1e-6f,
                            .y = y.view()});
      Tensor sum = before;
      for (int64_t t = 0; t < 7; ++t) {
        for (int64_t i = 0; i < width; ++i) sum.set(t, i, before.at(t, i) + x.at(t, i));
      }
      EXPECT_TRUE(residual.bytes() == sum.bytes()) << "one rounding, exactly";
      std::vector<double> expected;
      std::vector<double> bound;
      AppendNorm(residual, gain, 1e-6f, DType::kF32, expected, bound);
      ExpectWithin(y.view(), expected, bound, "width " + std::to_string(width));
    }
  }
}

// silu(g) u: e^-g to 2 ulp, an add, a division, a product: within 8 eps; then the store. Below g =
// -88 the true value is under 88 e^-88 |u| and zero stands for it.
TEST_P(ElementwiseTest, SiluMulMatchesTheFormula) {
  std::mt19937 rng(3);
  for (const DType in : kActivations) {
    for (const DType out : kActivations) {
      for (const int64_t width : kWidths) {
        Tensor gate_up = RandomTensor(in, {9, 2 * width}, rng, 4);
        gate_up.set(0, 0, -200);
        gate_up.set(1, 0, 200);
        const Tensor y(out, {9, width});
        backend_->SiluMul({.gate_up = gate_up.view(), .out = y.view()});
        std::vector<double> expected;
        std::vector<double> bound;
        for (int64_t t = 0; t < 9; ++t) {
          for (int64_t i = 0; i < width; ++i) {
            const double g = gate_up.at(t, i);
            const double value = g / (1 + std::exp(-g)) * gate_up.at(t, width + i);
            expected.push_back(value);
            bound.push_back((8 * kEpsF32 + EpsOf(out)) * std::abs(value) +
                            90 * std::exp(-87.0) * std::abs(gate_up.at(t, width + i)) + 1e-38);
          }
        }
        ExpectWithin(y.view(), expected, bound, "width " + std::to_string(width));
      }
    }
  }
}

TEST_P(ElementwiseTest, EmbedTakesRowsOfTheTable) {
  std::mt19937 rng(4);
  for (const DType table_dtype : kActivations) {
    for (const DType out_dtype : kActivations) {
      const Tensor table = RandomTensor(table_dtype, {50, 37}, rng);
      const std::vector<int32_t> ids = {0, 49, 7, 7, 12};
      const Tensor out(out_dtype, {5, 37});
      backend_->Embed({.table = table.view(), .ids = ids, .out = out.view()});
      Tensor expected(out_dtype, {5, 37});
      for (int64_t t = 0; t < 5; ++t) {
        for (int64_t i = 0; i < 37; ++i) {
          expected.set(t, i, table.at(ids[static_cast<size_t>(t)], i));
        }
      }
      EXPECT_EQ(out.bytes(), expected.bytes());
    }
  }
}

TEST_P(ElementwiseTest, GatherRowsCopies) {
  std::mt19937 rng(4);
  for (const DType dtype : kActivations) {
    const Tensor x = RandomTensor(dtype, {11, 53}, rng);
    const std::vector<int32_t> rows = {10, 0, 3};
    const Tensor out(dtype, {3, 53});
    backend_->GatherRows({.x = x.view(), .rows = rows, .out = out.view()});
    for (int64_t r = 0; r < 3; ++r) {
      EXPECT_EQ(RowBytes(out.view(), r), RowBytes(x.view(), rows[static_cast<size_t>(r)]));
    }
  }
}

RA_FOR_ALL_BACKENDS(ElementwiseTest);

}  // namespace
}  // namespace runahead
