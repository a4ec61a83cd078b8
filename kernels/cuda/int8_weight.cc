#include "kernels/cuda/int8_weight.h"

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cuda/host_values.h"

namespace runahead::RA_CUDA {
namespace {

// The byte of code (row, column).
int64_t ByteOf(const Int8Layout& layout, int64_t row, int64_t column) {
  const int64_t panel = row / kInt8PanelRows * layout.padded_k * kInt8PanelRows;
  return panel + column / 16 * 128 + row % kInt8PanelRows * 16 + column % 16;
}

int64_t NumOutputs(const HostLinear& canonical) {
  int64_t n = 0;
  for (const QuantizedMatrix& part : canonical.quantized) n += part.codes.dim(0);
  return n;
}

}  // namespace

std::vector<char> PackInt8Bytes(const HostLinear& canonical) {
  CheckArgs(canonical);
  const int64_t k = canonical.quantized[0].k;
  const Int8Layout layout(NumOutputs(canonical), k);
  std::vector<char> bytes(static_cast<size_t>(layout.bytes()));
  auto* scales = reinterpret_cast<float*>(bytes.data() + layout.codes_bytes);
  float* bias = scales + layout.padded_n;
  int64_t row = 0;
  for (size_t p = 0; p < canonical.quantized.size(); ++p) {
    const QuantizedMatrix& part = canonical.quantized[p];
    const bool has_bias = !canonical.biases.empty() && canonical.biases[p].data != nullptr;
    for (int64_t i = 0; i < part.codes.dim(0); ++i, ++row) {
      const char* codes = static_cast<const char*>(part.codes.data) + i * part.codes.row_stride;
      for (int64_t j = 0; j < k; ++j) {
        bytes[static_cast<size_t>(ByteOf(layout, row, j))] = codes[j];
      }
      scales[row] = FloatAt(part.scales, i * part.scales.row_stride);
      if (has_bias) bias[row] = FloatAt(canonical.biases[p], i);
    }
  }
  return bytes;
}

std::unique_ptr<LinearWeight> PackInt8(const HostLinear& canonical, DeviceRuntime& runtime) {
  const std::vector<char> bytes = PackInt8Bytes(canonical);
  auto weight = std::make_unique<Int8Weight>(NumOutputs(canonical), canonical.quantized[0].k,
                                             canonical.format, canonical.rows, runtime);
  RA_CHECK_EQ(weight->bytes(), static_cast<int64_t>(bytes.size()));
  runtime.CopyToDevice(weight->codes(), bytes.data(), weight->bytes());
  return weight;
}

}  // namespace runahead::RA_CUDA
