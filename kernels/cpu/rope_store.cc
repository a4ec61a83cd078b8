#include <array>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/attention.h"

namespace runahead::cpu {
namespace {

// Elements of qkv below which one thread does it all.
constexpr int64_t kInlineElements = 32 * 1024;
constexpr int kMaxHeadDim = 1024;

}  // namespace

void RopeAndStoreKv(const RopeStoreKvArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  RA_CHECK_EQ(args.cache.block_size % 8, 0);
  RA_CHECK_LE(args.head_dim, kMaxHeadDim);
  const KvLayerView& cache = args.cache;
  const int64_t block_bytes = cache.k.RowElements() * DTypeBytes(cache.k.dtype);
  const auto store = [&](int64_t t) {
    alignas(64) std::array<float, kMaxHeadDim> scratch;
    const auto i = static_cast<size_t>(t);
    const int64_t slot = args.slots[i];
    RA_CHECK(slot >= 0 && slot < cache.k.dim(0) * cache.block_size, "slot out of range");
    RA_CHECK(args.positions[i] >= 0 && args.positions[i] < args.rope.dim(0),
             "position beyond the rope table");
    RopeSlice s;
    s.qkv =
        static_cast<char*>(args.qkv.data) + t * args.qkv.row_stride * DTypeBytes(args.qkv.dtype);
    s.qkv_is_bf16 = args.qkv.dtype == DType::kBF16;
    s.num_heads = args.num_heads;
    s.num_kv_heads = args.num_kv_heads;
    s.head_dim = args.head_dim;
    s.q_norm = args.q_norm;
    s.k_norm = args.k_norm;
    s.norm_eps = args.norm_eps;
    s.rope = args.rope.Row<float>(args.positions[i]);
    s.k = static_cast<char*>(cache.k.data) + slot / cache.block_size * block_bytes;
    s.v = static_cast<char*>(cache.v.data) + slot / cache.block_size * block_bytes;
    s.kv_is_bf16 = cache.k.dtype == DType::kBF16;
    s.kv_is_int8 = cache.k.dtype == DType::kI8;
    s.block_size = cache.block_size;
    s.in_block = static_cast<int>(slot % cache.block_size);
    s.scratch = scratch.data();
    kernels.rope_store(s);
  };
  const auto num_rows = static_cast<int64_t>(args.positions.size());
  if (num_rows * args.qkv.RowElements() <= kInlineElements) {
    for (int64_t t = 0; t < num_rows; ++t) store(t);
    return;
  }
  pool.Run([&](int thread) {
    const int64_t n = pool.num_threads();
    for (int64_t t = num_rows * thread / n; t < num_rows * (thread + 1) / n; ++t) store(t);
  });
}

}  // namespace runahead::cpu
