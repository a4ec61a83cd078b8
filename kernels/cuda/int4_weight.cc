#include "kernels/cuda/int4_weight.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cuda/host_values.h"

namespace runahead::RA_CUDA {
namespace {

uint32_t CodeAt(const QuantizedMatrix& matrix, int64_t row, int64_t column) {
  const auto* codes = static_cast<const uint8_t*>(matrix.codes.data);
  const uint8_t byte = codes[row * matrix.codes.row_stride + column / 2];
  return column % 2 == 0 ? byte & 15u : byte >> 4u;
}

// Where code (row, column) of the packed matrix lies: a 32-bit word, and a nibble of it.
struct NibblePlace {
  int64_t word;
  int nibble;
};
NibblePlace PlaceOf(const Int4Layout& layout, int64_t row, int64_t column) {
  const int64_t tile = row / 32 * (layout.padded_k / 32) + column / 32;
  const auto c = static_cast<int>(column % 32);
  const int lane = static_cast<int>(row % 8) * 4 + c % 8 / 2;
  const auto word = static_cast<int>(row % 32 / 8);
  return {tile * (kInt4TileBytes / 4) + lane * 4 + word, c / 8 + c % 2 * 4};
}

// -(128 + zero point), or -(1024 + zero point) in F16.
uint16_t OffsetOf(DType rows, int zero) {
  return rows == DType::kF16 ? ToFloat16(static_cast<float>(-1024 - zero)).bits
                             : ToBFloat16(static_cast<float>(-128 - zero)).bits;
}

// The one type that all scales are in, else f32.
DType ScaleTypeOf(const HostLinear& canonical) {
  const DType first = canonical.quantized[0].scales.dtype;
  for (const QuantizedMatrix& part : canonical.quantized) {
    if (part.scales.dtype != first) return DType::kF32;
  }
  return first;
}

// Writes a scale as what it is, or widened, which is exact.
void StoreScale(const TensorView& scales, int64_t from, DType dtype, char* to) {
  if (dtype == DType::kF32) {
    const float value = FloatAt(scales, from);
    std::memcpy(to, &value, sizeof(value));
  } else {
    std::memcpy(to, static_cast<const char*>(scales.data) + from * 2, 2);
  }
}

int64_t NumOutputs(const HostLinear& canonical) {
  int64_t n = 0;
  for (const QuantizedMatrix& part : canonical.quantized) n += part.codes.dim(0);
  return n;
}

}  // namespace

Int4Layout Int4LayoutOf(const HostLinear& canonical) {
  CheckArgs(canonical);
  return {NumOutputs(canonical), canonical.quantized[0].k, canonical.format,
          ScaleTypeOf(canonical)};
}

std::vector<char> PackInt4Bytes(const HostLinear& canonical) {
  const Int4Layout layout = Int4LayoutOf(canonical);
  const int64_t k = canonical.quantized[0].k;
  const WeightFormat& format = canonical.format;
  std::vector<char> bytes(static_cast<size_t>(layout.bytes()));
  auto* codes = reinterpret_cast<uint32_t*>(bytes.data());
  char* scales = bytes.data() + layout.codes_bytes;
  auto* offsets = reinterpret_cast<uint16_t*>(scales + layout.scales_bytes);
  auto* bias = reinterpret_cast<float*>(bytes.data() + layout.bytes() - layout.bias_bytes);
  std::fill_n(offsets, layout.offsets_bytes / 2, OffsetOf(canonical.rows, 8));
  int64_t row = 0;
  for (size_t p = 0; p < canonical.quantized.size(); ++p) {
    const QuantizedMatrix& part = canonical.quantized[p];
    const bool has_bias = !canonical.biases.empty() && canonical.biases[p].data != nullptr;
    for (int64_t i = 0; i < part.codes.dim(0); ++i, ++row) {
      for (int64_t j = 0; j < k; ++j) {
        const NibblePlace place = PlaceOf(layout, row, j);
        codes[place.word] |= CodeAt(part, i, j) << (4 * place.nibble);
      }
      for (int64_t g = 0; g < (k + format.group - 1) / format.group; ++g) {
        const int64_t at = g * layout.padded_n + row;
        StoreScale(part.scales, i * part.scales.row_stride + g, layout.scale_dtype,
                   scales + at * DTypeBytes(layout.scale_dtype));
        if (part.zero_points.data == nullptr) continue;
        const auto* zeros = static_cast<const uint8_t*>(part.zero_points.data);
        offsets[at] = OffsetOf(canonical.rows, zeros[i * part.zero_points.row_stride + g]);
      }
      if (has_bias) bias[row] = FloatAt(canonical.biases[p], i);
    }
  }
  return bytes;
}

std::unique_ptr<LinearWeight> PackInt4(const HostLinear& canonical, DeviceRuntime& runtime) {
  const std::vector<char> bytes = PackInt4Bytes(canonical);
  auto weight = std::make_unique<Int4Weight>(Int4LayoutOf(canonical), NumOutputs(canonical),
                                             canonical.quantized[0].k, canonical.format,
                                             canonical.rows, runtime);
  RA_CHECK_EQ(weight->bytes(), static_cast<int64_t>(bytes.size()));
  runtime.CopyToDevice(weight->codes(), bytes.data(), weight->bytes());
  return weight;
}

}  // namespace runahead::RA_CUDA
