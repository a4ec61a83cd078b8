#include <cmath>

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

// A weight in up to two parts with biases, its packed form, and what it stands for.
struct Layer {
  std::vector<Tensor> parts;
  std::vector<Tensor> biases;
  std::unique_ptr<LinearWeight> packed;
};

Layer MakeLayer(Backend& backend, std::vector<int64_t> part_rows, int64_t k, DType stored,
                WeightFormat format, bool bias, std::mt19937& rng) {
  Layer layer;
  std::vector<TensorView> parts;
  std::vector<TensorView> biases;
  for (const int64_t n : part_rows) {
    layer.parts.push_back(RandomTensor(stored, {n, k}, rng));
    layer.biases.push_back(RandomTensor(DType::kF32, {n}, rng));
  }
  for (size_t i = 0; i < part_rows.size(); ++i) {
    parts.push_back(layer.parts[i].view());
    // The last of several parts has no bias, as a fused layer may have it.
    const bool has = bias && (i == 0 || i + 1 < part_rows.size());
    biases.push_back(has ? layer.biases[i].view() : TensorView());
  }
  HostLinear canonical;
  canonical.parts = parts;
  if (bias) canonical.biases = biases;
  canonical.format = format;
  layer.packed = backend.PackLinear(canonical);
  return layer;
}

// y = W x + b over K products in f32: |error| <= (K + 2) eps (sum |w x| + |b|), then one rounding
// to the output.
void CheckLinear(Backend& backend, std::vector<int64_t> part_rows, int64_t k, int64_t num_rows,
                 DType stored, WeightFormat format, bool bias, DType y_dtype) {
  std::mt19937 rng(static_cast<uint32_t>(k * 131 + num_rows));
  const Layer layer = MakeLayer(backend, part_rows, k, stored, format, bias, rng);
  const int64_t n = layer.packed->n();
  const Tensor x = RandomTensor(layer.packed->input_format().dtype, {num_rows, k}, rng);
  const Tensor y(y_dtype, {num_rows, n});
  backend.Linear({.x = x.view(), .weight = layer.packed.get(), .y = y.view()});
  std::vector<double> expected;
  std::vector<double> bound;
  for (int64_t t = 0; t < num_rows; ++t) {
    for (size_t p = 0; p < part_rows.size(); ++p) {
      for (int64_t i = 0; i < part_rows[p]; ++i) {
        const bool has = bias && (p == 0 || p + 1 < part_rows.size());
        double sum = has ? layer.biases[p].at(i, 0) : 0;
        double size = std::abs(sum);
        for (int64_t j = 0; j < k; ++j) {
          auto w = static_cast<float>(layer.parts[p].at(i, j));
          if (format == WeightFormat::kBF16) w = ToFloat(ToBFloat16(w));
          if (format == WeightFormat::kF16) w = ToFloat(ToFloat16(w));
          sum += w * x.at(t, j);
          size += std::abs(w * x.at(t, j));
        }
        expected.push_back(sum);
        bound.push_back(static_cast<double>(k + 2) * kEpsF32 * size + RoundingOf(y_dtype, sum) +
                        1e-30);
      }
    }
  }
  ExpectWithin(y.view(), expected, bound,
               "n " + std::to_string(n) + " k " + std::to_string(k) + " rows " +
                   std::to_string(num_rows) + " stored " + std::string(DTypeName(stored)));
}

class LinearTest : public OpTest {
 protected:
  std::vector<WeightFormat> Formats() const {
    if (backend_->info().has_f16) {
      return {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kF16};
    }
    return {WeightFormat::kF32, WeightFormat::kBF16};
  }
};

TEST_P(LinearTest, MatchesTheSumForAllShapes) {
  for (const WeightFormat format : Formats()) {
    const DType stored = format.dtype();
    // Odd sizes, less than a panel, whole panels, more panels than threads; rows within, at and
    // over the tile.
    for (const int64_t n : {1, 31, 32, 33, 96, 200}) {
      for (const int64_t k : {1, 2, 63, 128}) {
        CheckLinear(*backend_, {n}, k, 3, stored, format, false, DType::kF32);
      }
    }
    for (const int64_t rows : {1, 2, 4, 5, 7, 8, 9, 12, 13, 17, 48, 49, 70}) {
      CheckLinear(*backend_, {70}, 65, rows, stored, format, true, DType::kF32);
    }
    // More than one block of k, the last one short and odd.
    for (const int64_t rows : {9, 25, 60}) {
      CheckLinear(*backend_, {33}, 2051, rows, stored, format, false, DType::kF32);
    }
  }
}

// Large enough that the work is shared out over threads, by panels and by rows.
TEST_P(LinearTest, MatchesTheSumWhenShared) {
  CheckLinear(*backend_, {1000}, 330, 2, DType::kBF16, WeightFormat::kBF16, true, DType::kF32);
  CheckLinear(*backend_, {40}, 257, 100, DType::kF32, WeightFormat::kF32, true, DType::kF32);
}

TEST_P(LinearTest, StacksPartsAndConvertsWhatIsStored) {
  for (const DType stored : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const WeightFormat format : Formats()) {
      CheckLinear(*backend_, {40, 7, 21}, 48, 5, stored, format, true, DType::kF32);
    }
  }
  for (const WeightFormat format : Formats()) {
    CheckLinear(*backend_, {40, 7}, 48, 5, format.dtype(), format, true, format.dtype());
  }
}

TEST_P(LinearTest, WritesOnlyItsColumnsOfAWiderRow) {
  std::mt19937 rng(5);
  const Layer layer = MakeLayer(*backend_, {37}, 24, DType::kF32, WeightFormat::kF32, false, rng);
  const Tensor x = RandomTensor(DType::kF32, {4, 24}, rng);
  Tensor wide = RandomTensor(DType::kF32, {4, 50}, rng);
  const Tensor before = wide;
  TensorView y = wide.view();
  y.dims[1] = 37;
  backend_->Linear({.x = x.view(), .weight = layer.packed.get(), .y = y});
  for (int64_t t = 0; t < 4; ++t) {
    for (int64_t i = 37; i < 50; ++i) EXPECT_EQ(wide.at(t, i), before.at(t, i)) << t << " " << i;
  }
}

TEST_P(LinearTest, NoRowsDoNothing) {
  std::mt19937 rng(5);
  const Layer layer = MakeLayer(*backend_, {33}, 24, DType::kF32, WeightFormat::kF32, false, rng);
  const Tensor x(DType::kF32, {0, 24});
  const Tensor y(DType::kF32, {0, 33});
  backend_->Linear({.x = x.view(), .weight = layer.packed.get(), .y = y.view()});
}

TEST_P(LinearTest, KeepsANanInItsRow) {
  std::mt19937 rng(6);
  const Layer layer = MakeLayer(*backend_, {64}, 32, DType::kF32, WeightFormat::kBF16, false, rng);
  Tensor x = RandomTensor(DType::kBF16, {5, 32}, rng);
  x.set(2, 7, NAN);
  const Tensor y(DType::kF32, {5, 64});
  backend_->Linear({.x = x.view(), .weight = layer.packed.get(), .y = y.view()});
  for (int64_t t = 0; t < 5; ++t) {
    for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(std::isnan(y.at(t, i)), t == 2);
  }
}

RA_FOR_ALL_BACKENDS(LinearTest);

}  // namespace
}  // namespace runahead
