#include "kernels/quantize_weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <thread>

#include "core/check.h"
#include "kernels/quantized_rows.h"

namespace runahead {
namespace {

// Lanes of every sum, whatever vectors the compiler finds for them.
constexpr int kLanes = 16;
// Groups of smaller magnitude become zeros: the inverse of their scale would leave the range of
// f32.
constexpr float kLeastMagnitude = 0x1p-100f;

// Ranges tried, as a share of the one that just covers the group. A little over it is tried because
// -8..7 is lopsided: where both ends are equally far out, neither end should be clipped by all of
// the difference.
constexpr float kWidestShare = 1.07f;
constexpr float kShareStep = 0.035f;
constexpr int kNumShares = 16;  // down to 0.545
// Shares in a row without a better one before the search ends.
constexpr int kPatience = 3;
constexpr int kNumRefinements = 2;

// The grid a group is rounded to: scale * [low, high].
struct Grid {
  float scale = 1;
  float low = 0;
  float high = 0;
};

// To nearest even, for |x| < 2^22: adding 1.5 * 2^23 leaves no bit below the unit.
inline float Round(float x) { return (x + 12582912.0f) - 12582912.0f; }

inline float CodeOf(float w, float inverse, const Grid& grid) {
  const float code = Round(w * inverse);
  const float above = code > grid.low ? code : grid.low;
  return above < grid.high ? above : grid.high;
}

float SumLanes(const float* lanes) {
  float sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += lanes[l];
  return sum;
}

// `w` has `count` values, a multiple of kLanes; the padding is zeros, which cost nothing.
float SquaredError(const float* w, int64_t count, const Grid& grid) {
  const float inverse = 1 / grid.scale;
  float sums[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const float value = w[i + l];
      const float error = value - CodeOf(value, inverse, grid) * grid.scale;
      sums[l] += error * error;
    }
  }
  return SumLanes(sums);
}

// The scale that fits the codes `grid` gives best: sum w q / sum q^2.
float LeastSquaresScale(const float* w, int64_t count, const Grid& grid) {
  const float inverse = 1 / grid.scale;
  float products[kLanes] = {};
  float squares[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      const float code = CodeOf(w[i + l], inverse, grid);
      products[l] += w[i + l] * code;
      squares[l] += code * code;
    }
  }
  return SumLanes(products) / SumLanes(squares);
}

struct Range {
  float low = 0;  // of the group and 0
  float high = 0;
  float magnitude() const { return high > -low ? high : -low; }
};

Range RangeOf(const float* w, int64_t count) {
  float low[kLanes] = {};
  float high[kLanes] = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) {
      low[l] = w[i + l] < low[l] ? w[i + l] : low[l];
      high[l] = w[i + l] > high[l] ? w[i + l] : high[l];
    }
  }
  return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

bool IsFinite(const float* w, int64_t count) {
  float sums[kLanes] = {};  // 0, or NaN
  for (int64_t i = 0; i < count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) sums[l] += w[i + l] * 0.0f;
  }
  return SumLanes(sums) == 0;
}

float RoundToBf16(float scale) { return ToFloat(ToBFloat16(scale)); }

// The grid of `format` that covers `share` of `range`.
Grid GridFor(const Range& range, WeightFormat format, float share) {
  if (format.type == WeightType::kInt8) {
    return {RoundToBf16(range.magnitude() * share / 127), -127, 127};
  }
  if (!format.has_zero_points) {
    const float extreme = range.high > -range.low ? range.high : range.low;
    return {RoundToBf16(extreme * share / -8), -8, 7};
  }
  // Each end by itself: the difference could leave the range of f32.
  const float scale = RoundToBf16(range.high * share / 15 - range.low * share / 15);
  const float zero = std::clamp(Round(-range.low * share / scale), 0.0f, 15.0f);
  return {scale, -zero, 15 - zero};
}

// What a group that is all but zero is rounded to.
Grid ZeroGrid(WeightFormat format) {
  if (format.type == WeightType::kInt8) return {1, -127, 127};
  return format.has_zero_points ? Grid{1, 0, 15} : Grid{1, -8, 7};
}

Grid ChooseGrid(const float* w, int64_t count, WeightFormat format, bool search) {
  const Range range = RangeOf(w, count);
  if (range.magnitude() < kLeastMagnitude) return ZeroGrid(format);
  if (!search) return GridFor(range, format, 1);
  Grid best;
  bool has_best = false;
  float least = std::numeric_limits<float>::infinity();
  int since_best = 0;
  for (int i = 0; i < kNumShares && since_best < kPatience; ++i) {
    const float share = kWidestShare - static_cast<float>(i) * kShareStep;
    const Grid grid = GridFor(range, format, share);
    if (!std::isfinite(grid.scale)) continue;  // more than f32 holds was to be covered
    const float error = SquaredError(w, count, grid);
    ++since_best;
    if (has_best && !(error < least)) continue;
    best = grid;
    has_best = true;
    least = error;
    since_best = 0;
  }
  for (int i = 0; i < kNumRefinements; ++i) {
    Grid refined = best;
    refined.scale = RoundToBf16(LeastSquaresScale(w, count, best));
    if (!std::isfinite(1 / refined.scale)) break;  // every code is 0
    const float error = SquaredError(w, count, refined);
    if (!(error < least)) break;
    best = refined;
    least = error;
  }
  return best;
}

int64_t PaddedCount(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

void LoadRow(const TensorView& weights, int64_t row, float* out) {
  const int64_t k = weights.dim(1);
  if (weights.dtype == DType::kF32) {
    std::memcpy(out, weights.Row<float>(row), static_cast<size_t>(k) * sizeof(float));
  } else if (weights.dtype == DType::kBF16) {
    const BFloat16* from = weights.Row<BFloat16>(row);
    for (int64_t i = 0; i < k; ++i) out[i] = ToFloat(from[i]);
  } else {
    RA_CHECK(weights.dtype == DType::kF16, "weights are f32, f16 or bf16");
    const Float16* from = weights.Row<Float16>(row);
    for (int64_t i = 0; i < k; ++i) out[i] = ToFloat(from[i]);
  }
}

// Rounds whole rows of a matrix, one at a time; a thread has one of its own.
class RowQuantizer {
 public:
  RowQuantizer(const TensorView& weights, bool search, OwnedQuantizedMatrix& out)
      : weights_(weights),
        search_(search),
        out_(out),
        // Padding stays zero, so that the last group may be rounded up to whole lanes.
        values_(static_cast<size_t>(PaddedCount(out.k))),
        codes_(values_.size()) {}

  // False where the row holds a NaN or an infinity.
  bool Quantize(int64_t row) {
    LoadRow(weights_, row, values_.data());
    if (!IsFinite(values_.data(), static_cast<int64_t>(values_.size()))) return false;
    const int64_t group = out_.format.group == 0 ? out_.k : out_.format.group;
    for (int64_t g = 0; g < out_.num_groups(); ++g) {
      QuantizeGroup(row * out_.num_groups() + g, g * group, std::min(group, out_.k - g * group));
    }
    StoreCodes(row);
    return true;
  }

 private:
  void QuantizeGroup(int64_t index, int64_t begin, int64_t count) {
    const float* w = values_.data() + begin;
    const int64_t padded = PaddedCount(count);
    const Grid grid = ChooseGrid(w, padded, out_.format, search_);
    const float inverse = 1 / grid.scale;
    // Unsigned codes begin at 0; int8 is stored as it is.
    const float offset = out_.format.type == WeightType::kInt8 ? 0 : -grid.low;
    int32_t* codes = codes_.data() + begin;
    for (int64_t i = 0; i < padded; ++i) {
      codes[i] = static_cast<int32_t>(CodeOf(w[i], inverse, grid) + offset);
    }
    out_.scales[static_cast<size_t>(index)] = ToBFloat16(grid.scale);
    if (out_.format.has_zero_points) {
      out_.zero_points[static_cast<size_t>(index)] = static_cast<uint8_t>(offset);
    }
  }

  void StoreCodes(int64_t row) {
    if (out_.format.type == WeightType::kInt8) {
      uint8_t* to = out_.codes.data() + row * out_.k;
      for (int64_t i = 0; i < out_.k; ++i) {
        to[i] = static_cast<uint8_t>(codes_[static_cast<size_t>(i)]);
      }
      return;
    }
    uint8_t* to = out_.codes.data() + row * ((out_.k + 1) / 2);
    const int32_t* codes = codes_.data();
    for (int64_t i = 0; i < out_.k / 2; ++i) {
      to[i] = static_cast<uint8_t>(codes[2 * i] | codes[2 * i + 1] << 4);
    }
    if (out_.k % 2 != 0) to[out_.k / 2] = static_cast<uint8_t>(codes[out_.k - 1]);
  }

  const TensorView& weights_;
  const bool search_;
  OwnedQuantizedMatrix& out_;
  std::vector<float> values_;   // the row, then zeros
  std::vector<int32_t> codes_;  // of values_
};

// body(begin, end) over [0, n) on up to num_threads threads, this one among them.
template <typename Body>
void ShareRows(int64_t n, int64_t k, int num_threads, const Body& body) {
  constexpr int64_t kLeastElements = 128 * 1024;  // a millisecond or two: worth a thread's start
  const int64_t threads = std::clamp<int64_t>(n * k / kLeastElements, 1, std::max(num_threads, 1));
  std::vector<std::thread> others;
  for (int64_t t = 1; t < threads; ++t) {
    others.emplace_back([&body, t, n, threads] { body(n * t / threads, n * (t + 1) / threads); });
  }
  body(0, n / threads);
  for (std::thread& other : others) other.join();
}

OwnedQuantizedMatrix Allocate(int64_t n, int64_t k, WeightFormat format) {
  OwnedQuantizedMatrix matrix;
  matrix.format = format;
  matrix.n = n;
  matrix.k = k;
  const int64_t row_bytes = format.type == WeightType::kInt8 ? k : (k + 1) / 2;
  matrix.codes.resize(static_cast<size_t>(n * row_bytes));
  matrix.scales.resize(static_cast<size_t>(n * matrix.num_groups()));
  if (format.has_zero_points) matrix.zero_points.resize(matrix.scales.size());
  return matrix;
}

float FloatAt(const TensorView& view, int64_t row, int64_t col) {
  switch (view.dtype) {
    case DType::kF32:
      return view.Row<float>(row)[col];
    case DType::kF16:
      return ToFloat(view.Row<Float16>(row)[col]);
    default:
      RA_CHECK(view.dtype == DType::kBF16, "scales are f32, f16 or bf16");
      return ToFloat(view.Row<BFloat16>(row)[col]);
  }
}

}  // namespace

QuantizedMatrix OwnedQuantizedMatrix::view() const {
  // Views are of mutable memory; nobody writes through this one.
  auto* bytes = const_cast<uint8_t*>(codes.data());
  QuantizedMatrix matrix;
  matrix.k = k;
  matrix.codes = format.type == WeightType::kInt8 ? TensorView(bytes, DType::kI8, {n, k})
                                                  : TensorView(bytes, DType::kU8, {n, (k + 1) / 2});
  matrix.scales = TensorView(const_cast<BFloat16*>(scales.data()), DType::kBF16, {n, num_groups()});
  if (format.has_zero_points) {
    matrix.zero_points =
        TensorView(const_cast<uint8_t*>(zero_points.data()), DType::kU8, {n, num_groups()});
  }
  return matrix;
}

Result<OwnedQuantizedMatrix> QuantizeWeights(const TensorView& weights, WeightFormat format,
                                             const QuantizeOptions& options) {
  RA_CHECK(format.is_quantized(), "int8 or int4");
  RA_CHECK_EQ(weights.rank, 2);
  OwnedQuantizedMatrix matrix = Allocate(weights.dim(0), weights.dim(1), format);
  std::atomic<int64_t> bad_row{matrix.n};  // the first one that is not finite
  ShareRows(matrix.n, matrix.k, options.num_threads, [&](int64_t begin, int64_t end) {
    RowQuantizer quantizer(weights, options.search_clip, matrix);
    for (int64_t row = begin; row < end; ++row) {
      if (quantizer.Quantize(row)) continue;
      int64_t first = bad_row.load();
      while (row < first && !bad_row.compare_exchange_weak(first, row)) {
      }
      return;
    }
  });
  if (bad_row.load() == matrix.n) return matrix;
  return InvalidArgument("row " + std::to_string(options.first_row + bad_row.load()) +
                         " holds a NaN or an infinity, which no integer can stand for");
}

void DequantizeRow(const QuantizedMatrix& matrix, WeightFormat format, int64_t row,
                   std::span<float> out) {
  RA_CHECK_EQ(static_cast<int64_t>(out.size()), matrix.k);
  const int64_t group = format.group == 0 ? matrix.k : format.group;
  for (int64_t i = 0; i < matrix.k; ++i) {
    int value = 0;
    if (format.type == WeightType::kInt8) {
      value = matrix.codes.Row<int8_t>(row)[i];
    } else {
      const int code = matrix.codes.Row<uint8_t>(row)[i / 2] >> (i % 2 * 4) & 15;
      const bool has_zeros = matrix.zero_points.data != nullptr;
      value = code - (has_zeros ? matrix.zero_points.Row<uint8_t>(row)[i / group] : 8);
    }
    out[static_cast<size_t>(i)] =
        static_cast<float>(value) * FloatAt(matrix.scales, row, i / group);
  }
}

void FillQuantizedRows(const QuantizedMatrix& matrix, int64_t begin, const TensorView& rows) {
  RA_CHECK(rows.dtype == DType::kI8 && rows.group == 0, "one scale a row");
  RA_CHECK(matrix.codes.dtype == DType::kI8 && matrix.scales.dim(1) == 1, "an int8 matrix");
  RA_CHECK_EQ(rows.dim(1), matrix.k);
  const QuantizedRowLayout layout(matrix.k, 0);
  for (int64_t r = 0; r < rows.dim(0); ++r) {
    auto* to = rows.Row<int8_t>(r);
    std::memset(to, 0, static_cast<size_t>(layout.row_bytes));
    const int8_t* codes = matrix.codes.Row<int8_t>(begin + r);
    std::memcpy(to, codes, static_cast<size_t>(matrix.k));
    int32_t sum = 0;
    for (int64_t i = 0; i < matrix.k; ++i) sum += codes[i];
    const float scale = FloatAt(matrix.scales, begin + r, 0);
    std::memcpy(to + layout.scales_at, &scale, sizeof(scale));
    std::memcpy(to + layout.sums_at, &sum, sizeof(sum));
  }
}

}  // namespace runahead
