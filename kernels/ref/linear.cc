#include <vector>

#include "kernels/check_args.h"
#include "kernels/quantize_weights.h"
#include "kernels/ref/element.h"
#include "kernels/ref/ops.h"

namespace runahead::ref {
namespace {

// Row-major [N, K] f32, already rounded to the format's precision.
class RefLinearWeight final : public LinearWeight {
 public:
  RefLinearWeight(int64_t n, int64_t k, WeightFormat format)
      : LinearWeight(n, k),
        values(static_cast<size_t>(n * k)),
        bias(static_cast<size_t>(n)),
        format_(format) {}

  // The same as the other backends', so that roundings between ops agree.
  InputFormat input_format() const override {
    if (format_.is_quantized()) return {DType::kI8, format_.group};
    return {format_.dtype()};
  }
  int64_t bytes() const override {
    return static_cast<int64_t>((values.size() + bias.size()) * sizeof(float));
  }

  std::vector<float> values;  // [N, K]
  std::vector<float> bias;    // [N], zeros where there is none

 private:
  WeightFormat format_;
};

float RoundTo(WeightFormat format, float value) {
  switch (format.dtype()) {
    case DType::kBF16:
      return ToFloat(ToBFloat16(value));
    case DType::kF16:
      return ToFloat(ToFloat16(value));
    default:
      return value;
  }
}

size_t NumParts(const HostLinear& canonical) {
  return canonical.format.is_quantized() ? canonical.quantized.size() : canonical.parts.size();
}

int64_t PartRows(const HostLinear& canonical, size_t part) {
  return canonical.format.is_quantized() ? canonical.quantized[part].codes.dim(0)
                                         : canonical.parts[part].dim(0);
}

// Row `row` of part `part`. A quantized one's values are exact unless its scales are f32, and then
// within u(f32).
void FillRow(const HostLinear& canonical, size_t part, int64_t row, std::span<float> out) {
  if (canonical.format.is_quantized()) {
    DequantizeRow(canonical.quantized[part], canonical.format, row, out);
    return;
  }
  for (size_t j = 0; j < out.size(); ++j) {
    out[j] = RoundTo(canonical.format, Load(canonical.parts[part], row, static_cast<int64_t>(j)));
  }
}

}  // namespace

std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) {
  CheckArgs(canonical);
  const bool is_quantized = canonical.format.is_quantized();
  const int64_t k = is_quantized ? canonical.quantized[0].k : canonical.parts[0].dim(1);
  int64_t n = 0;
  for (size_t p = 0; p < NumParts(canonical); ++p) n += PartRows(canonical, p);
  auto weight = std::make_unique<RefLinearWeight>(n, k, canonical.format);
  int64_t row = 0;
  for (size_t p = 0; p < NumParts(canonical); ++p) {
    const bool has_bias = !canonical.biases.empty() && canonical.biases[p].data != nullptr;
    for (int64_t i = 0; i < PartRows(canonical, p); ++i, ++row) {
      const std::span values(weight->values);
      FillRow(canonical, p, i,
              values.subspan(static_cast<size_t>(row * k), static_cast<size_t>(k)));
      if (!has_bias) continue;
      const TensorView& bias = canonical.biases[p];
      weight->bias[static_cast<size_t>(row)] = LoadAt(bias.data, bias.dtype, i);
    }
  }
  return weight;
}

void Linear(const LinearArgs& args) {
  CheckArgs(args);
  const auto& weight = static_cast<const RefLinearWeight&>(*args.weight);
  for (int64_t t = 0; t < args.x.dim(0); ++t) {
    const std::vector<double> x = LoadRow(args.x, t);
    for (int64_t n = 0; n < weight.n(); ++n) {
      const float* w = weight.values.data() + n * weight.k();
      double sum = 0;
      for (size_t j = 0; j < x.size(); ++j) sum += double{w[j]} * x[j];
      Store(args.y, t, n, sum + double{weight.bias[static_cast<size_t>(n)]});
    }
  }
}

}  // namespace runahead::ref
