#include "bench/bench_weights.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "kernels/host_memory.h"
#include "kernels/quantized_rows.h"

namespace runahead {
namespace {

constexpr int64_t kSourceBytes = int64_t{64} << 20;
constexpr int64_t kPeriod = 65536;

// `period` over and over, as long as the memory.
void Repeat(const std::vector<char>& period, char* memory, int64_t bytes,
            const std::function<void(char*, const char*, int64_t)>& copy) {
  const auto size = static_cast<int64_t>(period.size());
  for (int64_t done = 0; done < bytes; done += size) {
    copy(memory + done, period.data(), std::min(size, bytes - done));
  }
}

std::vector<char> RandomPeriod(int64_t count, int bytes) {
  std::vector<char> period(static_cast<size_t>(std::min(count, kPeriod) * bytes));
  std::mt19937 rng(1);
  for (size_t at = 0; at < period.size(); at += static_cast<size_t>(bytes)) {
    const float value = (static_cast<float>(rng() >> 8) * 0x1p-24f - 0.5f) * 0.1f;
    const BFloat16 rounded = ToBFloat16(value);
    if (bytes == 2) std::memcpy(period.data() + at, &rounded, 2);
    if (bytes == 4) std::memcpy(period.data() + at, &value, 4);
  }
  return period;
}

// Of the host, as what is packed is.
DeviceBuffer HostValues(int64_t count, int bytes) {
  DeviceBuffer buffer = AllocateHostMemory(count * bytes);
  Repeat(
      RandomPeriod(count, bytes), static_cast<char*>(buffer.data()), buffer.bytes(),
      [](char* to, const char* from, int64_t n) { std::memcpy(to, from, static_cast<size_t>(n)); });
  return buffer;
}

DeviceBuffer HostBytes(int64_t count, uint32_t mask) {
  std::vector<char> period(static_cast<size_t>(std::min(count, kPeriod)));
  std::mt19937 rng(2);
  for (char& byte : period) byte = static_cast<char>(rng() & mask);
  DeviceBuffer buffer = AllocateHostMemory(count);
  Repeat(
      period, static_cast<char*>(buffer.data()), buffer.bytes(),
      [](char* to, const char* from, int64_t n) { std::memcpy(to, from, static_cast<size_t>(n)); });
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
  Repeat(RandomPeriod(count, bytes), static_cast<char*>(buffer.data()), buffer.bytes(),
         [&](char* to, const char* from, int64_t n) { backend.CopyToDevice(to, from, n); });
  backend.Wait(backend.Record());
  return buffer;
}

DeviceBuffer RandomRows(Backend& backend, InputFormat format, int64_t num_rows, int64_t k) {
  if (format.dtype != DType::kI8) {
    return RandomValues(backend, num_rows * k, DTypeBytes(format.dtype));
  }
  const int64_t row_bytes = RowBytes(format, k);
  DeviceBuffer buffer = backend.Allocate(num_rows * row_bytes, MemoryKind::kDevice);
  std::vector<char> rows(static_cast<size_t>(num_rows * row_bytes));
  std::mt19937 rng(3);
  for (int64_t t = 0; t < num_rows; ++t) {
    FillQuantizedRow(rows.data() + t * row_bytes, k, format.group, rng);
  }
  backend.CopyToDevice(buffer.data(), rows.data(), num_rows * row_bytes);
  backend.Wait(backend.Record());
  return buffer;
}

BenchWeights::BenchWeights(Backend& backend, WeightFormat format)
    : backend_(backend), format_(format) {
  if (!format.is_quantized()) {
    const int bytes = format.type == WeightType::kBF16 ? 2 : 4;
    source_ = HostValues(kSourceBytes / bytes, bytes);
  } else {
    source_ = HostBytes(kSourceBytes, 0xFF);
    scales_ = HostValues(kSourceBytes / 32, 2);
    zero_points_ = HostBytes(kSourceBytes / 32, 15);
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
