#include <vector>

#include "kernels/check_args.h"
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
    return {format_ == WeightFormat::kBF16 ? DType::kBF16 : DType::kF32};
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
  return format == WeightFormat::kBF16 ? ToFloat(ToBFloat16(value)) : value;
}

}  // namespace

std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical) {
  CheckArgs(canonical);
  int64_t n = 0;
  for (const TensorView& part : canonical.parts) n += part.dim(0);
  const int64_t k = canonical.parts[0].dim(1);
  auto weight = std::make_unique<RefLinearWeight>(n, k, canonical.format);
  int64_t row = 0;
  for (size_t p = 0; p < canonical.parts.size(); ++p) {
    const TensorView& part = canonical.parts[p];
    const bool has_bias = !canonical.biases.empty() && canonical.biases[p].data != nullptr;
    for (int64_t i = 0; i < part.dim(0); ++i, ++row) {
      for (int64_t j = 0; j < k; ++j) {
        weight->values[static_cast<size_t>(row * k + j)] =
            RoundTo(canonical.format, Load(part, i, j));
      }
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
  std::vector<float> x(static_cast<size_t>(weight.k()));
  for (int64_t t = 0; t < args.x.dim(0); ++t) {
    for (int64_t j = 0; j < weight.k(); ++j) x[static_cast<size_t>(j)] = Load(args.x, t, j);
    for (int64_t n = 0; n < weight.n(); ++n) {
      const float* w = weight.values.data() + n * weight.k();
      double sum = 0;
      for (size_t j = 0; j < x.size(); ++j) sum += double{w[j]} * x[j];
      Store(args.y, t, n, sum + weight.bias[static_cast<size_t>(n)]);
    }
  }
}

}  // namespace runahead::ref
