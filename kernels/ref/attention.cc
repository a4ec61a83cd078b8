#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/ref/element.h"
#include "kernels/ref/ops.h"

namespace runahead::ref {
namespace {

// A copy of the step's shape is all the plan there is.
class RefAttentionPlan final : public AttentionPlan {
 public:
  explicit RefAttentionPlan(const AttentionLimits& plan_limits) : limits(plan_limits) {}

  AttentionLimits limits;
  std::vector<int32_t> row_offsets;
  std::vector<int32_t> context_lens;
  std::vector<int32_t> block_tables;
  int table_stride = 0;
};

// Element offset of token `position` of KV head `head` within a cache [num_blocks, Nkv, B, D].
int64_t CacheOffset(const KvLayerView& cache, int64_t block, int64_t head, int64_t in_block) {
  return ((block * cache.k.dim(1) + head) * cache.block_size + in_block) * cache.k.dim(3);
}

// An RMS norm over one head, when `gain` asks for it.
void NormalizeHead(std::vector<double>& head, const float* gain, float eps) {
  if (gain == nullptr) return;
  double sum = 0;
  for (const double v : head) sum += v * v;
  const double inverse = 1 / std::sqrt(sum / static_cast<double>(head.size()) + eps);
  for (size_t i = 0; i < head.size(); ++i) head[i] *= inverse * gain[i];
}

void RotateHead(std::vector<double>& head, const TensorView& rope, int64_t position) {
  const size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const double c = Load(rope, position, static_cast<int64_t>(i));
    const double s = Load(rope, position, static_cast<int64_t>(half + i));
    const double a = head[i];
    const double b = head[half + i];
    head[i] = a * c - b * s;
    head[half + i] = b * c + a * s;
  }
}

// D values and the scale behind them (kernels/attention_args.h).
void QuantizeHead(int8_t* row, const TensorView& cache, const std::vector<double>& head) {
  float scale = 0;
  int32_t sum = 0;
  QuantizeGroup(head, row, scale, sum);
  std::memcpy(row + cache.dim(3) - kKvScaleBytes, &scale, sizeof(scale));
}

void StoreHead(const TensorView& cache, int64_t offset, const std::vector<double>& head) {
  if (cache.dtype == DType::kI8) {
    QuantizeHead(static_cast<int8_t*>(cache.data) + offset, cache, head);
    return;
  }
  for (size_t i = 0; i < head.size(); ++i) {
    StoreAt(cache.data, cache.dtype, offset + static_cast<int64_t>(i), static_cast<float>(head[i]));
  }
}

struct Keys {
  const KvLayerView& cache;
  const int32_t* table;
  int64_t head;

  int64_t Offset(int64_t position) const {
    return CacheOffset(cache, table[position / cache.block_size], head,
                       position % cache.block_size);
  }
  double K(int64_t position, int64_t i) const { return Element(cache.k, Offset(position), i); }
  double V(int64_t position, int64_t i) const { return Element(cache.v, Offset(position), i); }

  static double Element(const TensorView& view, int64_t row, int64_t i) {
    if (view.dtype != DType::kI8) return LoadAt(view.data, view.dtype, row + i);
    const int8_t* values = static_cast<const int8_t*>(view.data) + row;
    float scale = 0;
    std::memcpy(&scale, values + view.dim(3) - kKvScaleBytes, sizeof(scale));
    return double{scale} * values[i];
  }
};

// One query head of one row over keys [begin, end); its output goes to out[q_begin..] of the row.
void AttendHead(const PagedAttentionArgs& args, const Keys& keys, int64_t row, int64_t q_begin,
                int64_t begin, int64_t end, std::vector<double>& out) {
  const int64_t dim = args.q.dim(2);
  std::vector<double> weights;
  double highest = -INFINITY;
  for (int64_t p = begin; p < end; ++p) {
    double dot = 0;
    for (int64_t i = 0; i < dim; ++i) dot += double{Load(args.q, row, q_begin + i)} * keys.K(p, i);
    weights.push_back(dot * args.scale);
    highest = std::max(highest, weights.back());
  }
  double total = 0;
  for (double& w : weights) total += w = std::exp(w - highest);
  for (int64_t i = 0; i < dim; ++i) {
    double sum = 0;
    for (int64_t p = begin; p < end; ++p) {
      sum += weights[static_cast<size_t>(p - begin)] * keys.V(p, i);
    }
    out[static_cast<size_t>(q_begin + i)] = sum / total;
  }
}

}  // namespace

std::unique_ptr<AttentionPlan> MakeAttentionPlan(const AttentionLimits& limits) {
  return std::make_unique<RefAttentionPlan>(limits);
}

void PlanAttention(const BatchShape& shape, AttentionPlan& plan) {
  auto& own = static_cast<RefAttentionPlan&>(plan);
  CheckArgs(shape, own.limits);
  own.row_offsets.assign(shape.row_offsets.begin(), shape.row_offsets.end());
  own.context_lens.assign(shape.context_lens.begin(), shape.context_lens.end());
  own.block_tables.assign(shape.block_tables.begin(), shape.block_tables.end());
  own.table_stride = shape.table_stride;
}

void RopeAndStoreKv(const RopeStoreKvArgs& args) {
  CheckArgs(args);
  const int64_t dim = args.head_dim;
  const int64_t num_heads = args.num_heads + 2 * args.num_kv_heads;
  std::vector<double> head(static_cast<size_t>(dim));
  for (size_t t = 0; t < args.positions.size(); ++t) {
    const auto row = static_cast<int64_t>(t);
    const int64_t position = args.positions[t];
    RA_CHECK(position >= 0 && position < args.rope.dim(0), "position beyond the rope table");
    const int64_t slot = args.slots[t];
    RA_CHECK(slot >= 0 && slot < args.cache.k.dim(0) * args.cache.block_size, "slot out of range");
    for (int64_t h = 0; h < num_heads; ++h) {
      for (int64_t i = 0; i < dim; ++i) {
        head[static_cast<size_t>(i)] = Load(args.qkv, row, h * dim + i);
      }
      const int64_t kv_head = (h - args.num_heads) % args.num_kv_heads;
      const bool is_q = h < args.num_heads;
      const bool is_v = h >= args.num_heads + args.num_kv_heads;
      if (!is_v) {
        NormalizeHead(head, is_q ? args.q_norm : args.k_norm, args.norm_eps);
        RotateHead(head, args.rope, position);
      }
      if (is_q) {
        for (int64_t i = 0; i < dim; ++i) {
          Store(args.qkv, row, h * dim + i, head[static_cast<size_t>(i)]);
        }
        continue;
      }
      const int64_t offset = CacheOffset(args.cache, slot / args.cache.block_size, kv_head,
                                         slot % args.cache.block_size);
      StoreHead(is_v ? args.cache.v : args.cache.k, offset, head);
    }
  }
}

void PagedAttention(const PagedAttentionArgs& args) {
  CheckArgs(args);
  const auto& plan = static_cast<const RefAttentionPlan&>(*args.plan);
  const int64_t num_heads = args.q.dim(1);
  const int64_t group = num_heads / args.cache.k.dim(1);
  std::vector<double> out(static_cast<size_t>(args.q.RowElements()));
  for (size_t s = 0; s < plan.context_lens.size(); ++s) {
    const int64_t first = plan.row_offsets[s];
    const int64_t num_rows = plan.row_offsets[s + 1] - first;
    const int32_t* table = plan.block_tables.data() + static_cast<int64_t>(s) * plan.table_stride;
    for (int64_t i = 0; i < num_rows; ++i) {
      const int64_t end = plan.context_lens[s] - num_rows + i + 1;
      const int64_t begin =
          args.sliding_window == 0 ? 0 : std::max<int64_t>(0, end - args.sliding_window);
      for (int64_t h = 0; h < num_heads; ++h) {
        const Keys keys{args.cache, table, h / group};
        AttendHead(args, keys, first + i, h * args.q.dim(2), begin, end, out);
      }
      StoreRow(args.out, first + i, out);
    }
  }
}

void CopyBlocks(const CopyBlocksArgs& args) {
  CheckArgs(args);
  for (const KvLayerView& layer : args.layers) {
    for (const TensorView& cache : {layer.k, layer.v}) {
      const int64_t bytes = cache.RowElements() * DTypeBytes(cache.dtype);
      auto* base = static_cast<char*>(cache.data);
      for (size_t i = 0; i < args.from.size(); ++i) {
        std::memcpy(base + args.to[i] * bytes, base + args.from[i] * bytes,
                    static_cast<size_t>(bytes));
      }
    }
  }
}

}  // namespace runahead::ref
