#include "kernels/cpu/packed_weight.h"

#include "core/check.h"
#include "kernels/host_memory.h"

namespace runahead::cpu {
namespace {

// Blocks of k that the kernels of quantized weights take whole.
constexpr int64_t kQuantizedBlock = 32;

int64_t RoundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

int64_t GroupHeaderBytes(WeightFormat format, ScaleType scale_type) {
  const int64_t scale_bytes = scale_type == ScaleType::kF32 ? 4 : 2;
  return kPanelRows * (scale_bytes + (format.has_zero_points ? 1 : 0));
}

}  // namespace

float FloatAt(const void* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kF32:
      return static_cast<const float*>(data)[i];
    case DType::kBF16:
      return ToFloat(static_cast<const BFloat16*>(data)[i]);
    case DType::kF16:
      return ToFloat(static_cast<const Float16*>(data)[i]);
    default:
      RA_CHECK(false, "weights, scales and biases are f32, f16 or bf16");
      return 0;
  }
}

int64_t PanelBytes(int64_t k, WeightFormat format, ScaleType scale_type) {
  switch (format.type) {
    case WeightType::kF32:
      return k * kPanelRows * 4;
    case WeightType::kBF16:
      return (k + 1) / 2 * kPanelRows * 4;
    case WeightType::kF16:
      RA_CHECK(false, "DeviceInfo::has_f16");
    case WeightType::kInt8:
      return RoundUp(k, kQuantizedBlock) * kPanelRows + kPanelRows * 4;
    case WeightType::kInt4:
      break;
  }
  const int64_t num_groups = (k + format.group - 1) / format.group;
  const int64_t last = k - (num_groups - 1) * format.group;
  const int64_t padded = (num_groups - 1) * format.group + RoundUp(last, kQuantizedBlock);
  // A cache line's multiple, so that no panel begins within one.
  return RoundUp(padded * kPanelRows / 2 + num_groups * GroupHeaderBytes(format, scale_type), 64);
}

PackedWeight::PackedWeight(int64_t n, int64_t k, WeightFormat format, ScaleType scale_type)
    : LinearWeight(n, k),
      format_(format),
      scale_type_(scale_type),
      panel_bytes_(PanelBytes(k, format, scale_type)),
      weights_(AllocateHostMemory(num_panels() * panel_bytes_)),
      bias_(AllocateHostMemory(num_panels() * kPanelRows * 4)) {}

InputFormat PackedWeight::input_format() const {
  switch (format_.type) {
    case WeightType::kF32:
      return {DType::kF32};
    case WeightType::kBF16:
      return {DType::kBF16};
    default:
      return {DType::kI8, format_.group};
  }
}

int64_t PackedWeight::group_header_bytes() const { return GroupHeaderBytes(format_, scale_type_); }

}  // namespace runahead::cpu
