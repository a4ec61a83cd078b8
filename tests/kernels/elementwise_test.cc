#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/quantize_weights.h"
#include "kernels/quantized_rows.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr int64_t kWidths[] = {1, 15, 16, 33, 100, 2048};

// Quantized rows that own their memory, every byte of it garbage until written.
class QuantizedRows {
 public:
  QuantizedRows(int64_t num_rows, int64_t k, int group)
      : layout_(k, group),
        bytes_(static_cast<size_t>(num_rows * layout_.row_bytes), int8_t{0x55}),
        view_(RowsIn({DType::kI8, group}, bytes_.data(), num_rows, k)) {}

  const TensorView& view() const { return view_; }
  int value(int64_t row, int64_t i) const { return view_.Row<int8_t>(row)[i]; }
  float scale(int64_t row, int64_t g) const { return At<float>(row, layout_.scales_at + 4 * g); }
  int32_t sum(int64_t row, int64_t g) const { return At<int32_t>(row, layout_.sums_at + 4 * g); }
  bool PaddingIsZero(int64_t row) const {
    const int8_t* data = view_.Row<int8_t>(row);
    const auto is_zero = [](int8_t byte) { return byte == 0; };
    return std::all_of(data + view_.dim(1), data + layout_.scales_at, is_zero) &&
           std::all_of(data + layout_.sums_at + 4 * layout_.num_groups, data + layout_.row_bytes,
                       is_zero);
  }
  std::vector<uint8_t> RowBytes(int64_t row) const {
    const auto* data = reinterpret_cast<const uint8_t*>(view_.Row<int8_t>(row));
    return {data, data + layout_.row_bytes};
  }
  const QuantizedRowLayout& layout() const { return layout_; }

 private:
  template <typename T>
  T At(int64_t row, int64_t offset) const {
    T value = {};
    std::memcpy(&value, view_.Row<int8_t>(row) + offset, sizeof(value));
    return value;
  }

  QuantizedRowLayout layout_;
  std::vector<int8_t> bytes_;
  TensorView view_;
};

// Rows of values known to within `bound` before they are rounded. The largest of a group errs by at
// most the group's largest bound b; a scale is that over 127, rounded. A value v is the nearest to
// x / scale but for four roundings of a number up to 127, so that |v scale - x| <= scale / 2 + b +
// 4 eps (largest).
void ExpectQuantized(const QuantizedRows& actual, const std::vector<double>& expected,
                     const std::vector<double>& bound, const std::string& what) {
  const TensorView& view = actual.view();
  const int64_t k = view.dim(1);
  const int64_t group = view.group == 0 ? k : view.group;
  for (int64_t row = 0; row < view.dim(0); ++row) {
    ASSERT_TRUE(actual.PaddingIsZero(row)) << what;
    for (int64_t begin = 0, g = 0; begin < k; begin += group, ++g) {
      const int64_t end = std::min(k, begin + group);
      double largest = 0;
      double err = 0;
      for (int64_t i = begin; i < end; ++i) {
        const auto at = static_cast<size_t>(row * k + i);
        largest = std::max(largest, std::abs(expected[at]));
        err = std::max(err, bound[at]);
      }
      const double scale = double{actual.scale(row, g)};
      ASSERT_NEAR(scale, largest / 127, (err + 4 * kEpsF32 * largest) / 127) << what;
      int32_t sum = 0;
      for (int64_t i = begin; i < end; ++i) {
        const int value = actual.value(row, i);
        sum += value;
        ASSERT_GE(value, -127);
        ASSERT_NEAR(value * scale, expected[static_cast<size_t>(row * k + i)],
                    scale / 2 + err + 4 * kEpsF32 * largest)
            << what << " row " << row << " column " << i;
      }
      ASSERT_EQ(actual.sum(row, g), sum) << what;
    }
  }
}

// Widths of a lane, a group, groups and a bit; and beyond what a kernel holds at once.
constexpr int64_t kQuantizedWidths[] = {1, 16, 33, 128, 300, 1024, 17000};
constexpr int kGroups[] = {0, 32, 64, 128};

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
                        RoundingOf(y_dtype, y) + 1e-38);
      }
    }
  }
};

TEST_P(ElementwiseTest, RmsNormMatchesTheFormula) {
  std::mt19937 rng(1);
  for (const DType x_dtype : Activations()) {
    for (const DType y_dtype : Activations()) {
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
  for (const DType dtype : Activations()) {
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
  for (const DType in : Activations()) {
    for (const DType out : Activations()) {
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
            bound.push_back(8 * kEpsF32 * std::abs(value) + RoundingOf(out, value) +
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
  for (const DType table_dtype : Activations()) {
    for (const DType out_dtype : Activations()) {
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
      const Tensor again(out_dtype, {5, 37});
      backend_->Embed({.table = table.view(), .out = again.view(), .drawn_ids = ids.data()});
      EXPECT_EQ(again.bytes(), expected.bytes()) << "ids on the device";
    }
  }
}

TEST_P(ElementwiseTest, GatherRowsCopies) {
  std::mt19937 rng(4);
  for (const DType dtype : Activations()) {
    const Tensor x = RandomTensor(dtype, {11, 53}, rng);
    const std::vector<int32_t> rows = {10, 0, 3};
    const Tensor out(dtype, {3, 53});
    backend_->GatherRows({.x = x.view(), .rows = rows, .out = out.view()});
    for (int64_t r = 0; r < 3; ++r) {
      EXPECT_EQ(RowBytes(out.view(), r), RowBytes(x.view(), rows[static_cast<size_t>(r)]));
    }
  }
}

TEST_P(ElementwiseTest, NormsQuantize) {
  std::mt19937 rng(5);
  for (const DType dtype : Activations()) {
    for (const int64_t width : kQuantizedWidths) {
      for (const int group : kGroups) {
        const Tensor x = RandomTensor(dtype, {4, width}, rng);
        const std::vector<float> gain = RandomFloats(width, rng);
        const std::string what =
            "width " + std::to_string(width) + " group " + std::to_string(group);
        std::vector<double> expected;
        std::vector<double> bound;
        AppendNorm(x, gain, 1e-5f, DType::kF32, expected, bound);
        const QuantizedRows y(4, width, group);
        backend_->RmsNorm({.x = x.view(), .gain = gain.data(), .eps = 1e-5f, .y = y.view()});
        ExpectQuantized(y, expected, bound, what);

        Tensor residual(dtype, {4, width});  // zeros: the sum is x
        const QuantizedRows added(4, width, group);
        backend_->AddRmsNorm({.residual = residual.view(),
                              .x = x.view(),
                              .gain = gain.data(),
                              .eps = 1e-5f,
                              .y = added.view()});
        for (int64_t t = 0; t < 4; ++t) EXPECT_EQ(added.RowBytes(t), y.RowBytes(t)) << what;
      }
    }
  }
}

TEST_P(ElementwiseTest, SiluMulQuantizes) {
  std::mt19937 rng(6);
  for (const int64_t width : kQuantizedWidths) {
    for (const int group : kGroups) {
      const Tensor gate_up = RandomTensor(DType::kF32, {5, 2 * width}, rng, 4);
      const QuantizedRows y(5, width, group);
      backend_->SiluMul({.gate_up = gate_up.view(), .out = y.view()});
      std::vector<double> expected;
      std::vector<double> bound;
      for (int64_t t = 0; t < 5; ++t) {
        for (int64_t i = 0; i < width; ++i) {
          const double g = gate_up.at(t, i);
          expected.push_back(g / (1 + std::exp(-g)) * gate_up.at(t, width + i));
          bound.push_back(8 * kEpsF32 * std::abs(expected.back()) + 1e-38);
        }
      }
      ExpectQuantized(y, expected, bound,
                      "width " + std::to_string(width) + " group " + std::to_string(group));
    }
  }
}

// A group that holds no number worth a scale, and one that holds what is none.
TEST_P(ElementwiseTest, QuantizedExtremesStayInTheirGroup) {
  const int64_t width = 3 * 32;
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Tensor gate_up(DType::kF32, {2, 2 * width});
    for (int64_t t = 0; t < 2; ++t) {
      for (int64_t i = 0; i < width; ++i) {
        gate_up.set(t, i, 60);  // silu(60) is 60
        gate_up.set(t, width + i, i < 32 ? 1e-35 : i % 2 == 0 ? 2 : -0.5);
      }
    }
    gate_up.set(1, width + 45, double{bad});
    const QuantizedRows y(2, width, 32);
    backend_->SiluMul({.gate_up = gate_up.view(), .out = y.view()});
    EXPECT_EQ(y.scale(0, 0), 0) << "below 2^-100";
    EXPECT_EQ(y.value(0, 0), 0);
    for (const int64_t t : {0, 1}) {
      EXPECT_NEAR(y.scale(t, 2), 120.0f / 127, 1e-5f);
      EXPECT_EQ(y.value(t, 64), 127);
      EXPECT_EQ(y.value(t, 65), -32) << "31.75";
      EXPECT_EQ(y.sum(t, 2), 16 * (127 - 32));
    }
    EXPECT_TRUE(std::isnan(y.scale(1, 1)));
    EXPECT_EQ(y.sum(1, 1), 0);
    for (int64_t i = 32; i < 64; ++i) EXPECT_EQ(y.value(1, i), 0);
    EXPECT_EQ(y.value(0, 44), 127);
  }
}

TEST_P(ElementwiseTest, EmbedTakesQuantizedRows) {
  std::mt19937 rng(7);
  for (const int64_t width : {1, 37, 128, 200}) {
    const Tensor weights = RandomTensor(DType::kBF16, {9, width}, rng);
    const auto matrix = QuantizeWeights(weights.view(), WeightFormat::kInt8, {}).value();
    const QuantizedRows table(9, width, 0);
    FillQuantizedRows(matrix.view(), 0, table.view());
    const std::vector<int32_t> ids = {8, 0, 0, 5};
    for (const DType out_dtype : Activations()) {
      const Tensor out(out_dtype, {4, width});
      backend_->Embed({.table = table.view(), .ids = ids, .out = out.view()});
      Tensor expected(out_dtype, {4, width});
      std::vector<float> row(static_cast<size_t>(width));
      for (int64_t t = 0; t < 4; ++t) {
        DequantizeRow(matrix.view(), matrix.format, ids[static_cast<size_t>(t)], row);
        for (int64_t i = 0; i < width; ++i) expected.set(t, i, row[static_cast<size_t>(i)]);
      }
      EXPECT_EQ(out.bytes(), expected.bytes()) << "exact: 8 bits times 8 bits";
    }
  }
}

TEST_P(ElementwiseTest, GatherRowsCopiesQuantizedRows) {
  std::mt19937 rng(8);
  for (const int group : {0, 64}) {
    const Tensor x = RandomTensor(DType::kF32, {6, 2 * 150}, rng);
    const QuantizedRows rows(6, 150, group);
    backend_->SiluMul({.gate_up = x.view(), .out = rows.view()});
    const QuantizedRows out(3, 150, group);
    const std::vector<int32_t> wanted = {5, 0, 5};
    backend_->GatherRows({.x = rows.view(), .rows = wanted, .out = out.view()});
    for (int64_t r = 0; r < 3; ++r) {
      EXPECT_EQ(out.RowBytes(r), rows.RowBytes(wanted[static_cast<size_t>(r)]));
    }
  }
}

RA_FOR_ALL_BACKENDS(ElementwiseTest);

}  // namespace
}  // namespace runahead
