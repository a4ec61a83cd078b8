// INT4 and INT8 layers of every backend and instruction set against plain sums.
#include <cmath>
#include <cstring>

#include "kernels/quantized_rows.h"
#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr WeightFormat Int4(int group, bool has_zero_points) {
  return {WeightType::kInt4, group, has_zero_points};
}

// One part of a canonical weight that owns its memory.
struct Part {
  Part(int64_t n, int64_t columns, WeightFormat f, DType scale_dtype, std::mt19937& rng)
      : format(f),
        k(columns),
        groups(f.group == 0 ? 1 : (columns + f.group - 1) / f.group),
        row_bytes(f.type == WeightType::kInt4 ? (columns + 1) / 2 : columns),
        scales(RandomTensor(scale_dtype, {n, groups}, rng, 0.01)) {
    // Nothing that is beyond K may count, so an odd K's last nibble is not zero.
    for (int64_t i = 0; i < n * row_bytes; ++i) codes.push_back(static_cast<uint8_t>(rng()));
    for (int64_t i = 0; i < n * groups; ++i) zeros.push_back(static_cast<uint8_t>(rng() % 16));
  }

  QuantizedMatrix view(bool with_zeros) {
    QuantizedMatrix m;
    const int64_t n = scales.view().dim(0);
    const DType type = format.type == WeightType::kInt4 ? DType::kU8 : DType::kI8;
    m.codes = TensorView(codes.data(), type, {n, row_bytes});
    m.scales = scales.view();
    if (with_zeros) m.zero_points = TensorView(zeros.data(), DType::kU8, {n, groups});
    m.k = k;
    return m;
  }

  // Code minus zero point.
  int at(int64_t row, int64_t col, bool with_zeros) const {
    const auto byte = codes[static_cast<size_t>(
        row * row_bytes + (format.type == WeightType::kInt4 ? col / 2 : col))];
    if (format.type == WeightType::kInt8) return static_cast<int8_t>(byte);
    const int zero = with_zeros ? zeros[static_cast<size_t>(row * groups + col / format.group)] : 8;
    return (col % 2 == 0 ? byte & 15 : byte >> 4) - zero;
  }

  WeightFormat format;
  int64_t k;
  int64_t groups;
  int64_t row_bytes;
  Tensor scales;
  std::vector<uint8_t> codes, zeros;
};

// Quantized rows with any values in [-127, 127].
struct Rows {
  Rows(int64_t count, int64_t k, int group, std::mt19937& rng)
      : layout(k, group), num_rows(count), width(k), group_size(group == 0 ? k : group) {
    bytes.resize(static_cast<size_t>(count * layout.row_bytes));
    std::uniform_real_distribution<float> uniform(0.5f, 1.5f);
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t g = 0; g < layout.num_groups; ++g) {
        int32_t sum = 0;
        for (int64_t i = g * group_size; i < std::min(k, (g + 1) * group_size); ++i) {
          const int value = static_cast<int>(rng() % 255) - 127;
          bytes[static_cast<size_t>(t * layout.row_bytes + i)] = static_cast<uint8_t>(value);
          sum += value;
        }
        SetScale(t, g, uniform(rng) / 127);
        std::memcpy(row(t) + layout.sums_at + 4 * g, &sum, 4);
      }
    }
  }

  uint8_t* row(int64_t t) { return bytes.data() + t * layout.row_bytes; }
  int value(int64_t t, int64_t i) { return static_cast<int8_t>(row(t)[i]); }
  float scale(int64_t t, int64_t i) {
    float scale = 0;
    std::memcpy(&scale, row(t) + layout.scales_at + 4 * (i / group_size), 4);
    return scale;
  }
  void SetScale(int64_t t, int64_t g, float scale) {
    std::memcpy(row(t) + layout.scales_at + 4 * g, &scale, 4);
  }
  // `count` rows from `begin` on.
  TensorView view(InputFormat format, int64_t begin, int64_t count) {
    return RowsIn(format, row(begin), count, width);
  }

  QuantizedRowLayout layout;
  int64_t num_rows;
  int64_t width;
  int64_t group_size;
  std::vector<uint8_t> bytes;
};

struct Shape {
  std::vector<int64_t> part_rows;
  int64_t k = 0;
  int64_t num_rows = 1;
  DType scales = DType::kBF16;
  DType y = DType::kF32;
};

// A layer whose first part alone has a bias and, where the format has any, zero points.
class Problem {
 public:
  Problem(Backend& backend, const Shape& shape, WeightFormat format)
      : backend_(backend),
        shape_(shape),
        format_(format),
        rng_(static_cast<uint32_t>(shape.k * 31 + shape.num_rows)),
        x_(shape.num_rows, shape.k, format.group, rng_) {
    std::vector<QuantizedMatrix> views;
    std::vector<TensorView> biases(shape.part_rows.size());
    for (const int64_t n : shape.part_rows) {
      parts_.emplace_back(n, shape.k, format, shape.scales, rng_);
      n_ += n;
    }
    for (size_t i = 0; i < parts_.size(); ++i) views.push_back(parts_[i].view(HasZeros(i)));
    bias_ = RandomTensor(DType::kF32, {shape.part_rows[0]}, rng_);
    biases[0] = bias_.view();
    HostLinear canonical;
    canonical.quantized = views;
    canonical.biases = biases;
    canonical.format = format;
    weight_ = backend.PackLinear(canonical);
  }

  const LinearWeight& weight() const { return *weight_; }
  Rows& x() { return x_; }

  // Rows [begin, begin + count) of the result.
  Tensor Run(int64_t begin, int64_t count) {
    Tensor y(shape_.y, {count, n_});
    const TensorView x = x_.view(weight_->input_format(), begin, count);
    backend_.Linear({.x = x, .weight = weight_.get(), .y = y.view()});
    return y;
  }

  // int32 sums are exact; each group then adds two roundings, the bias and a long INT8 sum one.
  void Check() {
    std::vector<double> expected, bound;
    for (int64_t t = 0; t < shape_.num_rows; ++t) {
      for (size_t p = 0; p < parts_.size(); ++p) {
        for (int64_t i = 0; i < shape_.part_rows[p]; ++i) {
          double sum = p == 0 ? bias_.at(0, i) : 0;
          double size = std::abs(sum);
          for (int64_t j = 0; j < shape_.k; ++j) {
            const int64_t g = format_.group == 0 ? 0 : j / format_.group;
            const double product = parts_[p].at(i, j, HasZeros(p)) * parts_[p].scales.at(i, g) *
                                   x_.value(t, j) * x_.scale(t, j);
            sum += product;
            size += std::abs(product);
          }
          const auto roundings = static_cast<double>(2 * x_.layout.num_groups + 3);
          expected.push_back(sum);
          bound.push_back(roundings * kEpsF32 * size + RoundingOf(shape_.y, sum) + 1e-30);
        }
      }
    }
    const Tensor y = Run(0, shape_.num_rows);
    ExpectWithin(y.view(), expected, bound,
                 "n " + std::to_string(n_) + " k " + std::to_string(shape_.k) + " rows " +
                     std::to_string(shape_.num_rows) + " group " + std::to_string(format_.group));
  }

 private:
  bool HasZeros(size_t part) const { return format_.has_zero_points && part == 0; }

  Backend& backend_;
  Shape shape_;
  WeightFormat format_;
  std::mt19937 rng_;
  Rows x_;
  std::vector<Part> parts_;
  Tensor bias_;
  int64_t n_ = 0;
  std::unique_ptr<LinearWeight> weight_;
};

// Hosts round activations whether a format would keep them or not.
constexpr WeightFormat kFormats[] = {WeightFormat::kInt8, WeightFormat::kInt8A16, Int4(128, false),
                                     Int4(64, false),     Int4(32, false),        Int4(128, true),
                                     Int4(64, true),      Int4(32, true)};

class QuantizedLinearTest : public OpTest {
 protected:
  void Check(const Shape& shape, WeightFormat format) { Problem(*backend_, shape, format).Check(); }
};

// K below, at and over blocks and groups, odd ones too; N below, at and over a panel.
TEST_P(QuantizedLinearTest, MatchesTheSumForAllShapes) {
  for (const WeightFormat format : kFormats) {
    for (const int64_t k : {1, 2, 3, 31, 32, 33, 63, 128, 129, 257, 300}) {
      Check({.part_rows = {40}, .k = k, .num_rows = 3}, format);
    }
    for (const int64_t n : {1, 15, 17, 31, 32, 33, 100}) {
      Check({.part_rows = {n}, .k = 160, .num_rows = 2}, format);
    }
  }
}

// Within, at and over a tile of every instruction set, several tiles, odd numbers of them.
TEST_P(QuantizedLinearTest, MatchesTheSumForAllNumbersOfRows) {
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4, Int4(32, true)}) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 25, 40}) {
      Check({.part_rows = {35}, .k = 200, .num_rows = rows}, format);
    }
  }
}

TEST_P(QuantizedLinearTest, StacksPartsAndKeepsTheirScalesExact) {
  for (const DType scales : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4, Int4(64, true)}) {
      Check({.part_rows = {40, 7, 21}, .k = 150, .num_rows = 5, .scales = scales}, format);
    }
  }
  Check({.part_rows = {40}, .k = 150, .num_rows = 5, .y = DType::kBF16}, Int4(64, true));
}

// Large enough that threads share it, by panels and by rows.
TEST_P(QuantizedLinearTest, MatchesTheSumWhenShared) {
  Check({.part_rows = {700}, .k = 260, .num_rows = 3}, WeightFormat::kInt4);
  Check({.part_rows = {70}, .k = 260, .num_rows = 100}, WeightFormat::kInt8);
}

// The largest products throughout: neither 16-bit nor 32-bit sums may overflow.
TEST_P(QuantizedLinearTest, HoldsTheLargestSums) {
  for (const WeightFormat format : {WeightFormat::kInt8, Int4(128, true)}) {
    std::mt19937 rng(1);
    constexpr int64_t kWidth = 66000;
    Part part(32, kWidth, format, DType::kF32, rng);
    Rows x(1, kWidth, format.group, rng);
    const bool is_int8 = format.type == WeightType::kInt8;
    std::fill(part.codes.begin(), part.codes.end(), static_cast<uint8_t>(is_int8 ? 0x80 : 0xFF));
    std::fill(part.zeros.begin(), part.zeros.end(), uint8_t{0});
    for (int64_t g = 0; g < part.groups; ++g) {
      const int64_t begin = g * x.group_size;
      const int64_t end = std::min(kWidth, begin + x.group_size);
      std::memset(x.row(0) + begin, 127, static_cast<size_t>(end - begin));
      const auto sum = static_cast<int32_t>(127 * (end - begin));
      std::memcpy(x.row(0) + x.layout.sums_at + 4 * g, &sum, 4);
      x.SetScale(0, g, 1);
      for (int64_t i = 0; i < 32; ++i) part.scales.set(i, g, 1);
    }
    const std::vector<QuantizedMatrix> parts = {part.view(!is_int8)};
    HostLinear canonical;
    canonical.quantized = parts;
    canonical.format = format;
    const auto weight = backend_->PackLinear(canonical);
    const double expected = 127.0 * kWidth * (is_int8 ? -128 : 15);
    const Tensor y(DType::kF32, {1, 32});
    backend_->Linear(
        {.x = x.view(weight->input_format(), 0, 1), .weight = weight.get(), .y = y.view()});
    for (int64_t i = 0; i < 32; ++i) {
      EXPECT_NEAR(y.at(0, i), expected, 1e-5 * std::abs(expected)) << i;
    }
  }
}

// A row's bits are the same alone and among any others.
TEST_P(QuantizedLinearTest, RowsDoNotDependOnTheirNumber) {
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4, Int4(32, true)}) {
    Problem problem(*backend_, {.part_rows = {70}, .k = 300, .num_rows = 40}, format);
    std::vector<std::vector<uint8_t>> alone;
    for (int64_t t = 0; t < 40; ++t) alone.push_back(problem.Run(t, 1).bytes());
    for (int64_t count = 2; count <= 40; ++count) {
      const Tensor y = problem.Run(40 - count, count);
      for (int64_t t = 0; t < count; ++t) {
        ASSERT_TRUE(RowBytes(y.view(), t) == alone[static_cast<size_t>(40 - count + t)])
            << "row " << t << " of " << count;
      }
    }
  }
}

// A row that held a NaN has scale NaN (kernels/quantized_rows.h); the others do not notice.
TEST_P(QuantizedLinearTest, KeepsANanInItsRow) {
  for (const WeightFormat format : {WeightFormat::kInt8, WeightFormat::kInt4, Int4(64, true)}) {
    Problem problem(*backend_, {.part_rows = {50}, .k = 200, .num_rows = 14}, format);
    problem.x().SetScale(3, 0, NAN);
    const Tensor y = problem.Run(0, 14);
    for (int64_t t = 0; t < 14; ++t) {
      for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(std::isnan(y.at(t, i)), t == 3);
    }
  }
}

TEST_P(QuantizedLinearTest, NoRowsDoNothing) {
  Problem problem(*backend_, {.part_rows = {33}, .k = 64, .num_rows = 1}, WeightFormat::kInt4);
  EXPECT_TRUE(problem.Run(0, 0).bytes().empty());
}

TEST_P(QuantizedLinearTest, BytesAreThoseAnnounced) {
  for (const WeightFormat format : kFormats) {
    for (const int64_t n : {1, 32, 33}) {
      for (const int64_t k : {1, 64, 130, 256}) {
        const Problem problem(*backend_, {.part_rows = {n}, .k = k, .num_rows = 1}, format);
        EXPECT_EQ(problem.weight().bytes(), backend_->PackedLinearBytes(n, k, format));
        EXPECT_TRUE(problem.weight().input_format().dtype == DType::kI8);
        EXPECT_EQ(problem.weight().input_format().group, format.group);
      }
    }
  }
}

RA_FOR_HOST_BACKENDS(QuantizedLinearTest);

}  // namespace
}  // namespace runahead
