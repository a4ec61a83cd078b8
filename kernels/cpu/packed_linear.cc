#include "kernels/cpu/packed_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/host_memory.h"

namespace runahead::cpu {
namespace {

constexpr int64_t kStepBytes = kPanelRows * 4;

// Multiply-adds below which waking another thread costs more than it brings (about 2 us of one
// core).
constexpr int64_t kInlineMacs = 256 * 1024;
// Rows of x that go over a panel before the next panel, when panels alone cannot feed the threads.
constexpr int64_t kRowChunk = 32;
constexpr int64_t kPieceBytes = 128 * 1024;

int64_t NumPanels(int64_t n) { return (n + kPanelRows - 1) / kPanelRows; }

int64_t PanelBytes(int64_t k, WeightFormat format) {
  return (format == WeightFormat::kBF16 ? (k + 1) / 2 : k) * kStepBytes;
}

class PackedLinear final : public LinearWeight {
 public:
  PackedLinear(int64_t n, int64_t k, WeightFormat format)
      : LinearWeight(n, k),
        format_(format),
        weights_(AllocateHostMemory(num_panels() * panel_bytes())),
        bias_(AllocateHostMemory(num_panels() * kPanelRows * 4)) {}

  InputFormat input_format() const override { return {is_bf16() ? DType::kBF16 : DType::kF32}; }
  int64_t bytes() const override { return weights_.bytes() + bias_.bytes(); }

  bool is_bf16() const { return format_ == WeightFormat::kBF16; }
  int64_t num_panels() const { return NumPanels(n()); }
  int64_t panel_bytes() const { return PanelBytes(k(), format_); }
  void* panel(int64_t p) const { return static_cast<char*>(weights_.data()) + p * panel_bytes(); }
  float* bias() const { return static_cast<float*>(bias_.data()); }

 private:
  WeightFormat format_;
  DeviceBuffer weights_;  // [num_panels][steps][32] units of 4 bytes
  DeviceBuffer bias_;     // [num_panels * 32] f32
};

// A row of the canonical weight, wherever its part lies.
struct SourceRow {
  const void* data = nullptr;  // null beyond N
  DType dtype = DType::kF32;
};

float ElementAt(const SourceRow& row, int64_t i) {
  switch (row.dtype) {
    case DType::kF32:
      return static_cast<const float*>(row.data)[i];
    case DType::kBF16:
      return ToFloat(static_cast<const BFloat16*>(row.data)[i]);
    case DType::kF16:
      return ToFloat(static_cast<const Float16*>(row.data)[i]);
    default:
      RA_CHECK(false, "weights are f32, f16 or bf16");
      return 0;
  }
}

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

void FillBias(const HostLinear& canonical, float* bias) {
  int64_t row = 0;
  for (size_t p = 0; p < canonical.parts.size(); ++p) {
    const int64_t count = canonical.parts[p].dim(0);
    if (!canonical.biases.empty() && canonical.biases[p].data != nullptr) {
      const SourceRow from{canonical.biases[p].data, canonical.biases[p].dtype};
      for (int64_t i = 0; i < count; ++i) bias[row + i] = ElementAt(from, i);
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
void FillPanel(const SourceRow* rows, const PackedLinear& weight, void* panel) {
  int num_rows = 0;
  while (num_rows < kPanelRows && rows[num_rows].data != nullptr) ++num_rows;
  const int64_t count = weight.k();
  if (weight.is_bf16()) {
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

}  // namespace

std::unique_ptr<LinearWeight> PackLinear(const HostLinear& canonical, ThreadPool& pool) {
  CheckArgs(canonical);
  int64_t n = 0;
  for (const TensorView& part : canonical.parts) n += part.dim(0);
  auto weight = std::make_unique<PackedLinear>(n, canonical.parts[0].dim(1), canonical.format);
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
  FillBias(canonical, weight->bias());
  return weight;
}

int64_t PackedLinearBytes(int64_t n, int64_t k, WeightFormat format) {
  return NumPanels(n) * (PanelBytes(k, format) + kPanelRows * 4);
}

void Linear(const LinearArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const auto& weight = static_cast<const PackedLinear&>(*args.weight);
  const int64_t num_rows = args.x.dim(0);
  if (num_rows == 0) return;
  LinearSlice slice;
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
  slice.row_end = num_rows;
  const auto kernel = weight.is_bf16() ? kernels.linear_bf16 : kernels.linear_f32;
  const int num_threads = pool.num_threads();
  if (num_threads == 1 || num_rows * weight.n() * weight.k() <= kInlineMacs) {
    kernel(slice);
    return;
  }
  // Which thread computes an output never changes it: every output is one sum over k.
  const int64_t num_panels = weight.num_panels();
  if (num_panels >= 4 * num_threads || num_rows < 2 * kRowChunk) {
    // A few microseconds of one core: long enough to stream, short enough that nobody waits long
    // for the last piece.
    const int64_t grain = std::max<int64_t>(1, kPieceBytes / weight.panel_bytes());
    pool.RunRanges(num_panels, grain, [&](int, int64_t begin, int64_t end) {
      LinearSlice own = slice;
      own.panel_begin = begin;
      own.panel_end = end;
      kernel(own);
    });
    return;
  }
  const int64_t num_chunks = (num_rows + kRowChunk - 1) / kRowChunk;
  pool.RunItems(num_panels * num_chunks, [&](int, int64_t item) {
    LinearSlice own = slice;
    own.panel_begin = item / num_chunks;
    own.panel_end = own.panel_begin + 1;
    own.row_begin = item % num_chunks * kRowChunk;
    own.row_end = std::min(num_rows, own.row_begin + kRowChunk);
    kernel(own);
  });
}

}  // namespace runahead::cpu
