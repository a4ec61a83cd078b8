#include "bench/bench_weights.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/quantized_rows.h"

namespace runahead {
namespace {

constexpr int64_t kSourceBytes = int64_t{64} << 20;
constexpr int64_t kPeriod = 65536;

// Repeats the first `period` bytes.
void Repeat(const DeviceBuffer& buffer, int64_t period) {
  auto* base = static_cast<char*>(buffer.data());
  for (int64_t done = period; done < buffer.bytes(); done += period) {
    std::memcpy(base + done, base, static_cast<size_t>(std::min(period, buffer.bytes() - done)));
  }
}

DeviceBuffer RandomBytes(Backend& backend, int64_t count, uint32_t mask) {
  DeviceBuffer buffer = backend.Allocate(count, MemoryKind::kDevice);
  std::mt19937 rng(2);
  for (int64_t i = 0; i < std::min(count, kPeriod); ++i) {
    static_cast<uint8_t*>(buffer.data())[i] = static_cast<uint8_t>(rng() & mask);
  }
  Repeat(buffer, kPeriod);
  return buffer;
}

void FillQuantizedRow(char* row, int64_t k, int group, std::mt19937& rng) {
  const QuantizedRowLayout layout(k, group);
  const int64_t size = group == 0 ? k : group;
  for (int64_t g = 0; g < layout.num_groups; ++g) {
    int32_t sum = 0;
    for (int64_t i = g * size; i < std::min(k, (g + 1) * size); ++i) {
      const int value = static_cast<int>(rng() % 255) - 127;
      row[i] = static_cast<char>(value);
      sum += value;
    }
    const float scale = 0.01f;
    std::memcpy(row + layout.scales_at + 4 * g, &scale, 4);
    std::memcpy(row + layout.sums_at + 4 * g, &sum, 4);
  }
}

}  // namespace

DeviceBuffer RandomValues(Backend& backend, int64_t count, int bytes) {
  DeviceBuffer buffer = backend.Allocate(count * bytes, MemoryKind::kDevice);
  std::mt19937 rng(1);
  for (int64_t i = 0; i < std::min(count, kPeriod); ++i) {
    const float value = (static_cast<float>(rng() >> 8) * 0x1p-24f - 0.5f) * 0.1f;
    if (bytes == 2) static_cast<BFloat16*>(buffer.data())[i] = ToBFloat16(value);
    if (bytes == 4) static_cast<float*>(buffer.data())[i] = value;
  }
  Repeat(buffer, kPeriod * bytes);
  return buffer;
}

DeviceBuffer RandomRows(Backend& backend, InputFormat format, int64_t num_rows, int64_t k) {
  if (format.dtype != DType::kI8) {
    return RandomValues(backend, num_rows * k, DTypeBytes(format.dtype));
  }
  const int64_t row_bytes = RowBytes(format, k);
  DeviceBuffer buffer = backend.Allocate(num_rows * row_bytes, MemoryKind::kDevice);
  std::mt19937 rng(3);
  for (int64_t t = 0; t < num_rows; ++t) {
    FillQuantizedRow(static_cast<char*>(buffer.data()) + t * row_bytes, k, format.group, rng);
  }
  return buffer;
}

BenchWeights::BenchWeights(Backend& backend, WeightFormat format)
    : backend_(backend), format_(format) {
  if (!format.is_quantized()) {
    const int bytes = format.type == WeightType::kBF16 ? 2 : 4;
    source_ = RandomValues(backend, kSourceBytes / bytes, bytes);
  } else {
    source_ = RandomBytes(backend, kSourceBytes, 0xFF);
    scales_ = RandomValues(backend, kSourceBytes / 32, 2);
    zero_points_ = RandomBytes(backend, kSourceBytes / 32, 15);
  }
  input_format_ = Pack(1, 1)->input_format();
}

std::unique_ptr<LinearWeight> BenchWeights::Pack(int64_t n, int64_t k) const {
  HostLinear canonical;
  canonical.format = format_;
  if (!format_.is_quantized()) {
    const DType dtype = format_.type == WeightType::kBF16 ? DType::kBF16 : DType::kF32;
    const int64_t rows = source_.bytes() / (DTypeBytes(dtype) * k);
    std::vector<TensorView> parts;
    for (int64_t done = 0; done < n; done += rows) {
      parts.emplace_back(source_.data(), dtype,
                         std::initializer_list<int64_t>{std::min(rows, n - done), k});
    }
    canonical.parts = parts;
    return backend_.PackLinear(canonical);
  }
  const bool is_int4 = format_.type == WeightType::kInt4;
  const int64_t row_bytes = is_int4 ? (k + 1) / 2 : k;
  const int64_t groups = is_int4 ? (k + format_.group - 1) / format_.group : 1;
  const int64_t rows = source_.bytes() / row_bytes;
  std::vector<QuantizedMatrix> parts;
  for (int64_t done = 0; done < n; done += rows) {
    const int64_t count = std::min(rows, n - done);
    QuantizedMatrix part;
    part.codes = TensorView(source_.data(), is_int4 ? DType::kU8 : DType::kI8, {count, row_bytes});
    part.scales = TensorView(scales_.data(), DType::kBF16, {count, groups});
    if (format_.has_zero_points) {
      part.zero_points = TensorView(zero_points_.data(), DType::kU8, {count, groups});
    }
    part.k = k;
    parts.push_back(part);
  }
  canonical.quantized = parts;
  return backend_.PackLinear(canonical);
}

}  // namespace runahead
