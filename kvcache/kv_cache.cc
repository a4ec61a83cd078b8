#include "kvcache/kv_cache.h"

#include "core/check.h"

namespace runahead {

KvCache::KvCache(Backend& backend, const KvCacheShape& shape, int num_blocks)
    : backend_(backend), shape_(shape), num_blocks_(num_blocks) {
  RA_CHECK_GT(num_blocks, 0);
  RA_CHECK_GT(shape.BlockBytes(), 0);
  RA_CHECK(shape.dtype == DType::kF32 || shape.dtype == DType::kBF16 ||
           shape.dtype == DType::kF16 || shape.dtype == DType::kI8);
  RA_CHECK(shape.dtype != DType::kF16 || backend.info().has_f16, "no f16 on this backend");
  const int64_t half_bytes = shape.BlockBytes() / (2 * shape.num_layers) * num_blocks;
  const int64_t row_elements = KvRowElements(shape.dtype, shape.head_dim);
  const auto allocate = [&] {  // [num_blocks, Nkv, B, E]
    buffers_.push_back(backend_.Allocate(half_bytes, MemoryKind::kDevice));
    return TensorView(buffers_.back().data(), shape.dtype,
                      {num_blocks, shape.num_kv_heads, shape.block_size, row_elements});
  };
  for (int i = 0; i < shape.num_layers; ++i) {
    KvLayerView layer;
    layer.k = allocate();
    layer.v = allocate();
    layer.block_size = shape.block_size;
    layers_.push_back(layer);
  }
}

void KvCache::CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) {
  RA_CHECK_EQ(from.size(), to.size());
  if (from.empty()) return;
  backend_.CopyBlocks({.layers = layers_, .from = from, .to = to});
}

}  // namespace runahead
