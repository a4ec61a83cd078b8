// RopeAndStoreKv: norms q and k heads where asked, rotates them, writes q back and k and v into the
// paged cache: as f32, bf16, f16, or INT8 with a scale a token and head.
//
// One warp a head, four warps a block; grid.x: tokens, grid.y: heads by four. Lane l holds the
// pairs (i, i + D/2) for i = l, l + 32, ...: what a rotation mixes, so that q is rotated in place.
//
//   row of qkv   | q head 0 | ... | q head Nq-1 | k head 0 | ... | v head 0 | ... |
//   one head     | a: 0 .. D/2 | b: D/2 .. D |      lane l: a[l], b[l], a[l + 32], b[l + 32] ...
//
// The cache is [block, KV head, offset, E], rows as kernels/attention_args.h has them.
//
// Roofline: T (Nq + 2 Nkv) D elements read, as many written; bandwidth-bound, and launch-bound in
// decoding. Not yet measured on a device.
#include "kernels/check_args.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/row_output.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kWarps = 4;
constexpr int kMaxHeadDim = 256;
constexpr int kPairs = kMaxHeadDim / 2 / kWarp;  // of a lane

struct RopeStoreParams {
  void* qkv = nullptr;
  int64_t qkv_stride = 0;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  float norm_eps = 0;
  const float* rope = nullptr;  // [max_position, D]
  int64_t rope_stride = 0;
  const int32_t* positions = nullptr;
  const int64_t* slots = nullptr;
  void* k_cache = nullptr;
  void* v_cache = nullptr;
  int block_size = 0;
  int64_t row_elements = 0;  // E
};

// A lane's pairs of one head.
struct Head {
  float a[kPairs];
  float b[kPairs];
};

// Calls f(p, i) for the lane's pair p, elements i and i + half.
template <typename F>
RA_DEVICE void ForPairs(int half, F f) {
#pragma unroll
  for (int p = 0; p < kPairs; ++p) {
    const int i = Lane() + p * kWarp;
    if (i < half) f(p, i);
  }
}

RA_DEVICE void Normalize(Head& head, const float* gain, float eps, int half) {
  float sum = 0;
  ForPairs(half, [&](int p, int) {
    sum = Fma(head.a[p], head.a[p], sum);
    sum = Fma(head.b[p], head.b[p], sum);
  });
  sum = WarpReduce(sum, AddOp());
  const float inverse = 1.0f / sqrtf(sum / static_cast<float>(2 * half) + eps);
  ForPairs(half, [&](int p, int i) {
    head.a[p] = head.a[p] * inverse * gain[i];
    head.b[p] = head.b[p] * inverse * gain[half + i];
  });
}

RA_DEVICE void Rotate(Head& head, const float* angles, int half) {
  ForPairs(half, [&](int p, int i) {
    const float c = angles[i];
    const float s = angles[half + i];
    const float a = head.a[p];
    const float b = head.b[p];
    head.a[p] = a * c - b * s;
    head.b[p] = b * c + a * s;
  });
}

template <typename T>
RA_DEVICE void StoreHead(const Head& head, T* row, int half, int64_t /*row_elements*/) {
  ForPairs(half, [&](int p, int i) {
    row[i] = RoundTo<T>(head.a[p]);
    row[half + i] = RoundTo<T>(head.b[p]);
  });
}

// Values, zeros up to the scale, the scale.
RA_DEVICE void StoreHead(const Head& head, int8_t* row, int half, int64_t row_elements) {
  float largest = 0;
  ForPairs(half, [&](int p, int) {
    largest = MaxOp()(largest, MaxOp()(Magnitude(head.a[p]), Magnitude(head.b[p])));
  });
  const GroupScale by = ScaleOf(WarpReduce(largest, MaxOp()));
  ForPairs(half, [&](int p, int i) {
    row[i] = static_cast<int8_t>(QuantizeOne(head.a[p], by));
    row[half + i] = static_cast<int8_t>(QuantizeOne(head.b[p], by));
  });
  const int64_t scale_at = row_elements - kKvScaleBytes;
  for (int64_t i = 2 * half + Lane(); i < scale_at; i += kWarp) row[i] = 0;
  if (Lane() == 0) *reinterpret_cast<float*>(row + scale_at) = by.scale;
}

template <typename X, typename Cache>
__global__ void __launch_bounds__(kWarps* kWarp)
    RopeStoreKernel(const __grid_constant__ RopeStoreParams params) {
  const int token = BlockX();
  const int index = BlockY() * kWarps + WarpIndex();
  if (index >= params.num_heads + 2 * params.num_kv_heads) return;
  const bool is_q = index < params.num_heads;
  const bool is_v = index >= params.num_heads + params.num_kv_heads;
  const int half = params.head_dim / 2;
  X* x = static_cast<X*>(params.qkv) + token * params.qkv_stride + int64_t{index} * params.head_dim;
  Head head;
  ForPairs(half, [&](int p, int i) {
    head.a[p] = ToF32(x[i]);
    head.b[p] = ToF32(x[half + i]);
  });
  if (!is_v) {
    const float* gain = is_q ? params.q_norm : params.k_norm;
    if (gain != nullptr) Normalize(head, gain, params.norm_eps, half);
    Rotate(head, params.rope + params.positions[token] * params.rope_stride, half);
  }
  if (is_q) return StoreHead(head, x, half, 0);
  const int kv_head = (index - params.num_heads) % params.num_kv_heads;
  const int64_t slot = params.slots[token];
  if (slot < 0) return;  // padding
  const int64_t row =
      (slot / params.block_size * params.num_kv_heads + kv_head) * params.block_size +
      slot % params.block_size;
  auto* cache = static_cast<Cache*>(is_v ? params.v_cache : params.k_cache);
  StoreHead(head, cache + row * params.row_elements, half, params.row_elements);
}

void CheckPlaces(const RopeStoreKvArgs& args) {
  RA_CHECK_LE(args.head_dim, kMaxHeadDim);
  for (const int32_t position : args.positions) {
    RA_CHECK(position >= 0 && position < args.rope.dim(0), "position beyond the rope table");
  }
  for (const int64_t slot : args.slots) {
    RA_CHECK(slot >= -1 && slot < args.cache.k.dim(0) * args.cache.block_size, "slot out of range");
  }
}

}  // namespace

void RopeAndStoreKv(const RopeStoreKvArgs& args, OpContext& context) {
  CheckArgs(args);
  if (args.positions.empty()) return;
  CheckPlaces(args);
  RopeStoreParams params;
  params.qkv = args.qkv.data;
  params.qkv_stride = args.qkv.row_stride;
  params.num_heads = args.num_heads;
  params.num_kv_heads = args.num_kv_heads;
  params.head_dim = args.head_dim;
  params.q_norm = args.q_norm;
  params.k_norm = args.k_norm;
  params.norm_eps = args.norm_eps;
  params.rope = static_cast<const float*>(args.rope.data);
  params.rope_stride = args.rope.row_stride;
  params.positions = context.spans.In(args.positions);
  params.slots = context.spans.In(args.slots);
  params.k_cache = args.cache.k.data;
  params.v_cache = args.cache.v.data;
  params.block_size = args.cache.block_size;
  params.row_elements = args.cache.k.dim(3);
  const auto num_tokens = static_cast<int>(args.positions.size());
  const int num_heads = args.num_heads + 2 * args.num_kv_heads;
  WithActivation(args.qkv.dtype, [&](auto x) {
    WithRows(args.cache.k.dtype, [&](auto cache) {
      Launch(RopeStoreKernel<decltype(x), decltype(cache)>,
             {.x = num_tokens, .y = (num_heads + kWarps - 1) / kWarps}, {.x = kWarps * kWarp}, 0,
             context.stream(), params);
    });
  });
}

}  // namespace runahead::RA_CUDA
