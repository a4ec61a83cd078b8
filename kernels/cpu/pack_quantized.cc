#include "kernels/cpu/pack_quantized.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/check.h"

namespace runahead::cpu {
namespace {

// A sum of K products of [-128, 127] x [-127, 127] stays below 2^31.
constexpr int64_t kMaxInt8K = 131072;
constexpr uint8_t kMiddle = 8;  // the zero point of symmetric INT4

// A row of the canonical weight, wherever its part lies.
struct SourceRow {
  const uint8_t* codes = nullptr;  // null beyond N
  const char* scales = nullptr;
  DType scale_dtype = DType::kF32;
  const uint8_t* zero_points = nullptr;  // null: kMiddle throughout
};

float ScaleAt(const SourceRow& row, int64_t group) {
  return FloatAt(row.scales, row.scale_dtype, group);
}

// The type that holds the scales of all parts exactly.
ScaleType CommonScaleType(const HostLinear& canonical) {
  const DType first = canonical.quantized[0].scales.dtype;
  for (const QuantizedMatrix& part : canonical.quantized) {
    if (part.scales.dtype != first) return ScaleType::kF32;
  }
  if (first == DType::kBF16) return ScaleType::kBF16;
  return first == DType::kF16 ? ScaleType::kF16 : ScaleType::kF32;
}

std::vector<SourceRow> SourceRows(const HostLinear& canonical, int64_t num_rows) {
  std::vector<SourceRow> rows;
  for (const QuantizedMatrix& part : canonical.quantized) {
    for (int64_t i = 0; i < part.codes.dim(0); ++i) {
      SourceRow row;
      row.codes = static_cast<const uint8_t*>(part.codes.data) + i * part.codes.row_stride;
      row.scales = static_cast<const char*>(part.scales.data) +
                   i * part.scales.row_stride * DTypeBytes(part.scales.dtype);
      row.scale_dtype = part.scales.dtype;
      if (part.zero_points.data != nullptr) {
        row.zero_points =
            static_cast<const uint8_t*>(part.zero_points.data) + i * part.zero_points.row_stride;
      }
      rows.push_back(row);
    }
  }
  rows.resize(static_cast<size_t>(num_rows));
  return rows;
}

// Writes to[i] as the panel's i-th scale; returns what follows all 32.
char* FillScales(const SourceRow* rows, int num_rows, int64_t group, ScaleType type, char* to) {
  const int64_t size = type == ScaleType::kF32 ? 4 : 2;
  for (int i = 0; i < num_rows; ++i) {
    if (type == ScaleType::kF32) {
      const float scale = ScaleAt(rows[i], group);
      std::memcpy(to + i * size, &scale, sizeof(scale));
    } else {
      std::memcpy(to + i * size, rows[i].scales + group * size, static_cast<size_t>(size));
    }
  }
  return to + kPanelRows * size;
}

// Codes 4j .. 4j + 3 of a row of `count` codes as the low nibbles of four bytes; 0 beyond.
uint32_t QuadOfNibbles(const SourceRow& row, int64_t k, int64_t count) {
  if (row.codes == nullptr || k >= count) return 0;
  uint32_t v = row.codes[k / 2];
  if (k + 2 < count) v |= uint32_t{row.codes[k / 2 + 1]} << 8;
  if (k + 4 > count) v &= (1u << (4 * (count - k))) - 1;
  v = (v | (v << 8)) & 0x00FF00FFu;
  return (v | (v << 4)) & 0x0F0F0F0Fu;
}

void FillInt4Panel(const SourceRow* rows, const PackedWeight& weight, char* to) {
  const int64_t group = weight.format().group;
  const int num_rows = static_cast<int>(
      std::find_if(rows, rows + kPanelRows, [](const SourceRow& r) { return !r.codes; }) - rows);
  for (int64_t begin = 0; begin < weight.k(); begin += group) {
    to = FillScales(rows, num_rows, begin / group, weight.scale_type(), to);
    if (weight.format().has_zero_points) {
      for (int i = 0; i < num_rows; ++i) {
        const uint8_t* from = rows[i].zero_points;
        to[i] = static_cast<char>(from == nullptr ? kMiddle : from[begin / group]);
      }
      to += kPanelRows;
    }
    const int64_t end = std::min(weight.k(), begin + group);
    for (int64_t block = begin; block < end; block += 32) {
      for (int64_t k = block; k < block + 32; k += 4) {
        for (int i = 0; i < kPanelRows / 2; ++i, to += 4) {
          const uint32_t quad =
              QuadOfNibbles(rows[i], k, end) | QuadOfNibbles(rows[i + kPanelRows / 2], k, end) << 4;
          std::memcpy(to, &quad, 4);
        }
      }
    }
  }
}

void FillInt8Panel(const SourceRow* rows, const PackedWeight& weight, char* to) {
  const int64_t count = weight.k();
  const int64_t steps = (weight.panel_bytes() - kPanelRows * 4) / (kPanelRows * 4);
  auto* scales = reinterpret_cast<float*>(to + steps * kPanelRows * 4);
  for (int i = 0; i < kPanelRows && rows[i].codes != nullptr; ++i) {
    for (int64_t j = 0; j < steps; ++j) {
      uint32_t quad = 0;
      const int64_t valid = std::clamp<int64_t>(count - 4 * j, 0, 4);
      std::memcpy(&quad, rows[i].codes + 4 * j, static_cast<size_t>(valid));
      quad ^= 0x80808080u;  // + 128 in each byte; where K ends x is zero, and any code will do
      std::memcpy(to + (j * kPanelRows + i) * 4, &quad, 4);
    }
    scales[i] = ScaleAt(rows[i], 0);
  }
}

}  // namespace

std::unique_ptr<PackedWeight> PackQuantized(const HostLinear& canonical, ThreadPool& pool) {
  const int64_t k = canonical.quantized[0].k;
  const bool is_int4 = canonical.format.type == WeightType::kInt4;
  RA_CHECK(is_int4 || k <= kMaxInt8K, "sums of so many INT8 products may not fit 32 bits");
  int64_t n = 0;
  for (const QuantizedMatrix& part : canonical.quantized) n += part.codes.dim(0);
  auto weight = std::make_unique<PackedWeight>(n, k, canonical.format, CommonScaleType(canonical));
  const int64_t num_panels = weight->num_panels();
  const std::vector<SourceRow> rows = SourceRows(canonical, num_panels * kPanelRows);
  pool.Run([&](int thread) {
    // The shares RunRanges starts with.
    const int64_t num_threads = pool.num_threads();
    const int64_t end = num_panels * (thread + 1) / num_threads;
    for (int64_t p = num_panels * thread / num_threads; p < end; ++p) {
      const SourceRow* panel_rows = rows.data() + p * kPanelRows;
      if (is_int4) {
        FillInt4Panel(panel_rows, *weight, weight->panel(p));
      } else {
        FillInt8Panel(panel_rows, *weight, weight->panel(p));
      }
    }
  });
  return weight;
}

}  // namespace runahead::cpu
