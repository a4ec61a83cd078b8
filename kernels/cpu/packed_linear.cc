#include "kernels/cpu/packed_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <unistd.h>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/pack_quantized.h"
#include "kernels/cpu/packed_weight.h"
#include "kernels/quantized_rows.h"

namespace runahead::cpu {
namespace {

// Multiply-adds below which waking another thread costs more than it brings (about 2 us of one
// core).
constexpr int64_t kInlineMacs = 256 * 1024;
// Rows of x that go over a panel before the next panel, when panels alone cannot feed the threads.
constexpr int64_t kRowChunk = 32;
// Bytes of weights a thread takes at a time. A step of few rows is bound by memory, so these are a
// few microseconds: long enough to stream, short enough that nobody waits long for the last piece.
// With more rows than kPieceRows a piece takes longer and is made smaller; with kManyRows it is
// large again, for then its panels share what they read of x (kChunkBytes in isa/).
constexpr int64_t kPieceBytes = 128 * 1024;
constexpr int64_t kPieceRows = 8;
constexpr int64_t kManyRows = 128;

int64_t PanelsOfPiece(int64_t panel_bytes, int64_t num_rows) {
  const int64_t times = num_rows >= kManyRows ? 1 : std::max<int64_t>(1, num_rows / kPieceRows);
  return std::max<int64_t>(1, kPieceBytes / (panel_bytes * times));
}

// A row of the canonical weight, wherever its part lies.
struct SourceRow {
  const void* data = nullptr;  // null beyond N
  DType dtype = DType::kF32;
};

float ElementAt(const SourceRow& row, int64_t i) { return FloatAt(row.data, row.dtype, i); }

BFloat16 BFloat16At(const SourceRow& row, int64_t i) {
  if (row.dtype == DType::kBF16) return static_cast<const BFloat16*>(row.data)[i];
  return ToBFloat16(ElementAt(row, i));
}

std::vector<SourceRow> SourceRows(const HostLinear& canonical, int64_t num_rows) {
  std::vector<SourceRow> rows;
  for (const TensorView& part : canonical.parts) {
    for (int64_t i = 0; i < part.dim(0); ++i) {
      rows.push_back(
          {static_cast<const char*>(part.data) + i * part.row_stride * DTypeBytes(part.dtype),
           part.dtype});
    }
  }
  rows.resize(static_cast<size_t>(num_rows));
  return rows;
}

// canonical.biases in the order of the stacked parts.
void FillBias(const HostLinear& canonical, float* bias) {
  int64_t row = 0;
  for (size_t p = 0; p < canonical.biases.size(); ++p) {
    const TensorView& from = canonical.biases[p];
    const int64_t count = canonical.quantized.empty() ? canonical.parts[p].dim(0)
                                                      : canonical.quantized[p].codes.dim(0);
    for (int64_t i = 0; from.data != nullptr && i < count; ++i) {
      bias[row + i] = FloatAt(from.data, from.dtype, i);
    }
    row += count;
  }
}

// A pair of bf16 as the low and high half of a unit.
uint32_t PairAt(const SourceRow& row, int64_t k, int64_t count) {
  uint32_t pair = 0;
  if (row.dtype == DType::kBF16 && k + 1 < count) {
    std::memcpy(&pair, static_cast<const BFloat16*>(row.data) + k, sizeof(pair));
    return pair;
  }
  pair = BFloat16At(row, k).bits;
  if (k + 1 < count) pair |= uint32_t{BFloat16At(row, k + 1).bits} << 16;
  return pair;
}

// Interleaves the panel's 32 rows, reading 32 streams and writing one. Rows beyond N stay zero.
void FillPanel(const SourceRow* rows, const PackedWeight& weight, void* panel) {
  int num_rows = 0;
  while (num_rows < kPanelRows && rows[num_rows].data != nullptr) ++num_rows;
  const int64_t count = weight.k();
  if (weight.format() == WeightFormat::kBF16) {
    auto* to = static_cast<uint32_t*>(panel);
    for (int64_t k = 0; k < count; k += 2, to += kPanelRows) {
      for (int r = 0; r < num_rows; ++r) to[r] = PairAt(rows[r], k, count);
    }
  } else {
    auto* to = static_cast<float*>(panel);
    for (int64_t k = 0; k < count; ++k, to += kPanelRows) {
      for (int r = 0; r < num_rows; ++r) to[r] = ElementAt(rows[r], k);
    }
  }
}

std::unique_ptr<PackedWeight> PackFloats(const HostLinear& canonical, ThreadPool& pool) {
  int64_t n = 0;
  for (const TensorView& part : canonical.parts) n += part.dim(0);
  auto weight = std::make_unique<PackedWeight>(n, canonical.parts[0].dim(1), canonical.format);
  const int64_t num_panels = weight->num_panels();
  const std::vector<SourceRow> rows = SourceRows(canonical, num_panels * kPanelRows);
  pool.Run([&](int thread) {
    // The shares RunRanges starts with.
    const int64_t num_threads = pool.num_threads();
    const int64_t end = num_panels * (thread + 1) / num_threads;
    for (int64_t p = num_panels * thread / num_threads; p < end; ++p) {
      FillPanel(rows.data() + p * kPanelRows, *weight, weight->panel(p));
    }
  });
  return weight;
}

// Bytes of weights that may be on their way to a core: 16 KiB and the rows of x are too much for a
// first-level cache of 32 KiB, where they would push each other out (docs/kernels/linear.md).
int64_t MaxAhead() {
  constexpr int64_t kLarge = 48 * 1024;
  static const int64_t first_level = sysconf(_SC_LEVEL1_DCACHE_SIZE);  // 0 or less: not known
  return first_level > 0 && first_level < kLarge ? 2560 : 16 * 1024;
}

// Everything a kernel wants to know of an op, all panels and rows.
QuantizedLinearSlice WholeSlice(const LinearArgs& args, const PackedWeight& weight) {
  QuantizedLinearSlice slice;
  slice.weights = weight.panel(0);
  slice.bias = weight.bias();
  slice.n = weight.n();
  slice.k = weight.k();
  slice.x = args.x.data;
  slice.x_stride = args.x.row_stride;
  slice.y = args.y.data;
  slice.y_stride = args.y.row_stride;
  slice.y_is_bf16 = args.y.dtype == DType::kBF16;
  slice.panel_end = weight.num_panels();
  slice.row_end = args.x.dim(0);
  slice.max_ahead = MaxAhead();
  if (!weight.format().is_quantized()) return slice;
  const QuantizedRowLayout layout(weight.k(), weight.format().group);
  slice.panel_bytes = weight.panel_bytes();
  slice.panel_header_bytes = weight.group_header_bytes();
  slice.group = weight.format().group;
  slice.scale_type = weight.scale_type();
  slice.has_zero_points = weight.format().has_zero_points;
  slice.x_scales_at = layout.scales_at;
  slice.x_sums_at = layout.sums_at;
  return slice;
}

// Calls the kernel on all panels and rows, shared out over the threads. Which thread computes an
// output never changes it.
template <typename Slice>
void ShareOut(void (*kernel)(const Slice&), const Slice& slice, const PackedWeight& weight,
              ThreadPool& pool) {
  const int num_threads = pool.num_threads();
  const int64_t num_rows = slice.row_end;
  if (num_threads == 1 || num_rows * weight.n() * weight.k() <= kInlineMacs) {
    kernel(slice);
    return;
  }
  const int64_t num_panels = weight.num_panels();
  if (num_panels >= 4 * num_threads || num_rows < 2 * kRowChunk) {
    const int64_t grain = PanelsOfPiece(weight.panel_bytes(), num_rows);
    pool.RunRanges(num_panels, grain, [&](int, int64_t begin, int64_t end) {
      Slice own = slice;
      own.panel_begin = begin;
      own.panel_end = end;
      kernel(own);
    });
    return;
  }
  const int64_t num_chunks = (num_rows + kRowChunk - 1) / kRowChunk;
  pool.RunItems(num_panels * num_chunks, [&](int, int64_t item) {
    Slice own = slice;
    own.panel_begin = item / num_chunks;
    own.panel_end = own.panel_begin + 1;
    own.row_begin = item % num_chunks * kRowChunk;
    own.row_end = std::min(num_rows, own.row_begin + kRowChunk);
    kernel(own);
  });
}

}  // namespace

std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical, ThreadPool& pool) {
  CheckArgs(canonical);
  std::unique_ptr<PackedWeight> weight = canonical.format.is_quantized()
                                             ? PackQuantized(canonical, pool)
                                             : PackFloats(canonical, pool);
  FillBias(canonical, weight->bias());
  return weight;
}

int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) {
  const int64_t num_panels = (n + kPanelRows - 1) / kPanelRows;
  return num_panels * (PanelBytes(k, format, ScaleType::kBF16) + kPanelRows * 4);
}

void Linear(const LinearArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const auto& weight = static_cast<const PackedWeight&>(*args.weight);
  if (args.x.dim(0) == 0) return;
  const QuantizedLinearSlice slice = WholeSlice(args, weight);
  switch (weight.format().type) {
    case WeightType::kF32:
      return ShareOut<LinearSlice>(kernels.linear_f32, slice, weight, pool);
    case WeightType::kBF16:
      return ShareOut<LinearSlice>(kernels.linear_bf16, slice, weight, pool);
    case WeightType::kF16:
      RA_CHECK(false, "DeviceInfo::has_f16");
    case WeightType::kInt4:
      return ShareOut(kernels.linear_int4, slice, weight, pool);
    case WeightType::kInt8:
      return ShareOut(kernels.linear_int8, slice, weight, pool);
  }
}

}  // namespace runahead::cpu
