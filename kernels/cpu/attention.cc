#include "kernels/cpu/attention.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/row_views.h"
#include "kernels/host_memory.h"

namespace runahead::cpu {
namespace {

static_assert(kTileKeys == kKeyTileTokens, "the contract's key tile");

// Multiply-adds below which one thread does it all.
constexpr int64_t kInlineMacs = 256 * 1024;
// Elements below which one thread quantizes all rows.
constexpr int64_t kInlineElements = 32 * 1024;
// Units per thread below which key tiles are shared out too.
constexpr int64_t kUnitsPerThread = 4;
// Fewer tiles than this are not worth cutting.
constexpr int64_t kMinTilesToCut = 8;
// Memory for partials: enough for every cut this page makes at 128k tokens with a few threads; cuts
// that need more are not made.
constexpr int64_t kMaxPartialFloats = int64_t{64} << 20;

// Query vectors [vector_begin, vector_end) of a sequence, for each KV head in turn.
struct Unit {
  int sequence = 0;
  int vector_begin = 0;
  int vector_end = 0;
};

class CpuAttentionPlan final : public AttentionPlan {
 public:
  CpuAttentionPlan(const AttentionLimits& plan_limits, int num_threads) : limits(plan_limits) {
    const int64_t dim = limits.head_dim;
    scratch_floats = (AttentionScratchFloats(dim) + 15) / 16 * 16;
    scratch = AllocateHostMemory(num_threads * scratch_floats * 4);
    const int64_t tiles = (int64_t{limits.max_context} + kTileKeys - 1) / kTileKeys;
    const int64_t units = kUnitsPerThread * num_threads;
    const int64_t wanted = units * kMaxQueryVectors * tiles * (dim + 2);
    partial_floats = num_threads == 1 ? 0 : std::min(wanted, kMaxPartialFloats);
    partials = AllocateHostMemory(partial_floats * 4);
    row_offsets.reserve(static_cast<size_t>(limits.max_sequences) + 1);
    context_lens.reserve(static_cast<size_t>(limits.max_sequences));
    units_.reserve(static_cast<size_t>(limits.max_sequences));
  }

  AttentionLimits limits;
  std::vector<int32_t> row_offsets;
  std::vector<int32_t> context_lens;
  std::vector<int32_t> block_tables;
  int table_stride = 0;
  std::vector<Unit> units_;
  int64_t total_macs = 0;  // of one layer, windows left aside
  int64_t scratch_floats = 0;
  DeviceBuffer scratch;  // [threads][scratch_floats]
  int64_t partial_floats = 0;
  DeviceBuffer partials;
};

int64_t FirstPosition(const CpuAttentionPlan& plan, int sequence) {
  const auto s = static_cast<size_t>(sequence);
  return plan.context_lens[s] - (plan.row_offsets[s + 1] - plan.row_offsets[s]);
}

// Where slices leave their rows: in q's place when a second pass quantizes them, for a slice has
// read its own queries by then.
TensorView Unquantized(const PagedAttentionArgs& args) {
  if (args.out.dtype != DType::kI8) return args.out;
  TensorView rows(args.q.data, args.q.dtype, {args.q.dim(0), args.q.RowElements()});
  rows.row_stride = args.q.row_stride;
  return rows;
}

void QuantizeRows(const PagedAttentionArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  const TensorView rows = Unquantized(args);
  const int64_t num_rows = rows.dim(0);
  const int64_t width = rows.RowElements();
  const auto quantize = [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) kernels.convert(In(rows, r), Out(args.out, r), width);
  };
  if (num_rows * width <= kInlineElements) {
    quantize(0, num_rows);
    return;
  }
  pool.Run([&](int thread) {
    const int64_t n = pool.num_threads();
    quantize(num_rows * thread / n, num_rows * (thread + 1) / n);
  });
}

// The kernel for the cache's type.
auto KernelFor(const PagedAttentionArgs& args, const KernelTable& kernels) {
  return args.cache.k.dtype == DType::kI8 ? kernels.attention_int8 : kernels.attention;
}

// A slice without its output and tiles' share: the tiles are all those its vectors can see.
AttentionSlice SliceOf(const PagedAttentionArgs& args, const CpuAttentionPlan& plan,
                       const Unit& unit, int64_t kv_head) {
  AttentionSlice s;
  const TensorView& k = args.cache.k;
  const int64_t row = plan.row_offsets[static_cast<size_t>(unit.sequence)];
  s.group = static_cast<int>(args.q.dim(1) / k.dim(1));
  s.head_dim = static_cast<int>(args.q.dim(2));
  const int64_t head = kv_head * s.group * s.head_dim;
  const auto at = [head, row](const TensorView& view) {
    return static_cast<char*>(view.data) + (row * view.row_stride + head) * DTypeBytes(view.dtype);
  };
  s.q = at(args.q);
  s.q_stride = args.q.row_stride;
  s.q_is_bf16 = args.q.dtype == DType::kBF16;
  const TensorView out = Unquantized(args);
  s.out = at(out);
  s.out_stride = out.row_stride;
  s.out_is_bf16 = out.dtype == DType::kBF16;
  const int64_t head_bytes = int64_t{args.cache.block_size} * k.dim(3) * DTypeBytes(k.dtype);
  s.k = static_cast<const char*>(k.data) + kv_head * head_bytes;
  s.v = static_cast<const char*>(args.cache.v.data) + kv_head * head_bytes;
  s.block_stride = k.dim(1) * head_bytes;
  s.kv_is_bf16 = k.dtype == DType::kBF16;
  s.block_size = args.cache.block_size;
  s.table = plan.block_tables.data() + int64_t{unit.sequence} * plan.table_stride;
  s.scale = args.scale;
  s.window = args.sliding_window;
  s.first_position = FirstPosition(plan, unit.sequence);
  s.vector_begin = unit.vector_begin;
  s.vector_end = unit.vector_end;
  const int64_t first = s.first_position + unit.vector_begin / s.group;
  const int64_t last = s.first_position + (unit.vector_end - 1) / s.group;
  const int64_t lowest = s.window == 0 ? 0 : std::max<int64_t>(0, first - s.window + 1);
  s.tile_begin = lowest / kTileKeys;
  s.tile_end = last / kTileKeys + 1;
  return s;
}

float* ScratchOf(const CpuAttentionPlan& plan, int thread) {
  return static_cast<float*>(plan.scratch.data()) + thread * plan.scratch_floats;
}

// A slice whose tiles are cut into parts, and where its partials begin.
struct CutSlice {
  AttentionSlice slice;
  int64_t partial_floats = 0;
};

// Few units, long contexts: threads take ranges of tiles, then the partials are merged in ascending
// order. True when there was room for the partials; the bits are those of the uncut form.
bool AttendInCuts(const PagedAttentionArgs& args, const CpuAttentionPlan& plan,
                  const KernelTable& kernels, ThreadPool& pool) {
  const int64_t num_kv_heads = args.cache.k.dim(1);
  const int64_t num_slices = static_cast<int64_t>(plan.units_.size()) * num_kv_heads;
  const int64_t wanted = kUnitsPerThread * pool.num_threads();
  if (num_slices >= wanted) return false;
  const auto cut_at = [&](int64_t i) {
    CutSlice cut;
    cut.slice =
        SliceOf(args, plan, plan.units_[static_cast<size_t>(i / num_kv_heads)], i % num_kv_heads);
    cut.partial_floats = cut.slice.tile_end * (cut.slice.vector_end - cut.slice.vector_begin) *
                         (int64_t{2} + cut.slice.head_dim);
    return cut;
  };
  int64_t floats = 0;
  int64_t most_tiles = 0;
  for (int64_t i = 0; i < num_slices; ++i) {
    const CutSlice cut = cut_at(i);
    floats += cut.partial_floats;
    most_tiles = std::max(most_tiles, cut.slice.tile_end - cut.slice.tile_begin);
  }
  if (most_tiles < kMinTilesToCut || floats > plan.partial_floats) return false;
  const int64_t num_parts = (wanted + num_slices - 1) / num_slices;
  const auto kernel = KernelFor(args, kernels);
  const auto with_partials = [&](int64_t i, int thread) {
    float* partials = static_cast<float*>(plan.partials.data());
    for (int64_t j = 0; j < i; ++j) partials += cut_at(j).partial_floats;
    AttentionSlice slice = cut_at(i).slice;
    slice.partials = partials;
    slice.scratch = ScratchOf(plan, thread);
    return slice;
  };
  pool.RunItems(num_slices * num_parts, [&](int thread, int64_t item) {
    AttentionSlice slice = with_partials(item / num_parts, thread);
    const int64_t begin = slice.tile_begin;
    const int64_t tiles = slice.tile_end - begin;
    slice.tile_begin = begin + tiles * (item % num_parts) / num_parts;
    slice.tile_end = begin + tiles * (item % num_parts + 1) / num_parts;
    if (slice.tile_begin < slice.tile_end) kernel(slice);
  });
  pool.RunItems(num_slices,
                [&](int thread, int64_t i) { kernels.merge_attention(with_partials(i, thread)); });
  return true;
}

}  // namespace

std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits, int num_threads) {
  return std::make_unique<CpuAttentionPlan>(limits, num_threads);
}

void PlanAttention(const BatchShape& shape, AttentionPlan& plan) {
  auto& own = static_cast<CpuAttentionPlan&>(plan);
  CheckArgs(shape, own.limits);
  own.row_offsets.assign(shape.row_offsets.begin(), shape.row_offsets.end());
  own.context_lens.assign(shape.context_lens.begin(), shape.context_lens.end());
  own.block_tables.assign(shape.block_tables.begin(), shape.block_tables.end());
  own.table_stride = shape.table_stride;
  own.units_.clear();
  own.total_macs = 0;
  const int group = own.limits.num_heads / std::max(1, own.limits.num_kv_heads);
  for (int s = 0; s < shape.num_sequences(); ++s) {
    const auto i = static_cast<size_t>(s);
    const int num_vectors = (own.row_offsets[i + 1] - own.row_offsets[i]) * group;
    // Later vectors see more keys; they go first, so that the small ones fill the end.
    for (int end = num_vectors; end > 0; end -= kMaxQueryVectors) {
      const int begin = std::max(0, end - kMaxQueryVectors);
      own.units_.push_back({s, begin, end});
    }
    own.total_macs += int64_t{2} * num_vectors * own.limits.num_kv_heads * own.limits.head_dim *
                      own.context_lens[i];
  }
}

namespace {

// Every row's output, not yet quantized.
void Attend(const PagedAttentionArgs& args, const CpuAttentionPlan& plan,
            const KernelTable& kernels, ThreadPool& pool) {
  const int64_t num_kv_heads = args.cache.k.dim(1);
  const auto kernel = KernelFor(args, kernels);
  const auto attend = [&](int thread, int64_t item) {
    const Unit& unit = plan.units_[static_cast<size_t>(item / num_kv_heads)];
    AttentionSlice slice = SliceOf(args, plan, unit, item % num_kv_heads);
    slice.scratch = ScratchOf(plan, thread);
    kernel(slice);
  };
  const int64_t num_slices = static_cast<int64_t>(plan.units_.size()) * num_kv_heads;
  if (plan.total_macs <= kInlineMacs || pool.num_threads() == 1) {
    for (int64_t i = 0; i < num_slices; ++i) attend(0, i);
    return;
  }
  if (AttendInCuts(args, plan, kernels, pool)) return;
  pool.RunItems(num_slices, attend);
}

}  // namespace

void PagedAttention(const PagedAttentionArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  RA_CHECK_EQ(args.cache.block_size % 8, 0);
  const auto& plan = static_cast<const CpuAttentionPlan&>(*args.plan);
  RA_CHECK_EQ(args.q.dim(2), plan.limits.head_dim);
  RA_CHECK_EQ(args.q.dim(1), plan.limits.num_heads);
  Attend(args, plan, kernels, pool);
  if (args.out.dtype == DType::kI8) QuantizeRows(args, kernels, pool);
}

void CopyBlocks(const CopyBlocksArgs& args, ThreadPool& pool) {
  CheckArgs(args);
  if (args.from.empty()) return;
  pool.RunItems(static_cast<int64_t>(args.layers.size()), [&](int, int64_t layer) {
    const KvLayerView& caches = args.layers[static_cast<size_t>(layer)];
    for (const TensorView* cache : {&caches.k, &caches.v}) {
      const int64_t bytes = cache->RowElements() * DTypeBytes(cache->dtype);
      auto* base = static_cast<char*>(cache->data);
      for (size_t i = 0; i < args.from.size(); ++i) {
        std::memcpy(base + args.to[i] * bytes, base + args.from[i] * bytes,
                    static_cast<size_t>(bytes));
      }
    }
  });
}

}  // namespace runahead::cpu
