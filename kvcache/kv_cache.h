// KvCache: one model's device K/V, indexed by the block ids the pool hands out. Engine thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace runahead {

struct KvCacheShape {
  int num_layers = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int block_size = 16;  // tokens
  DType dtype = DType::kBF16;

  // Bytes of one token's K (or V) of one KV head, an INT8 cache's scale included.
  int64_t RowBytes() const { return KvRowElements(dtype, head_dim) * DTypeBytes(dtype); }
  // Bytes of one block over all layers, K and V.
  int64_t BlockBytes() const {
    return int64_t{2} * num_layers * num_kv_heads * block_size * RowBytes();
  }
};

class KvCache {
 public:
  // Allocates num_blocks blocks per layer; throws std::bad_alloc at start-up only.
  KvCache(Backend& backend, const KvCacheShape& shape, int num_blocks);

  const KvCacheShape& shape() const { return shape_; }
  int num_blocks() const { return num_blocks_; }
  int64_t bytes() const { return shape_.BlockBytes() * num_blocks_; }
  const KvLayerView& layer(int i) const { return layers_[static_cast<size_t>(i)]; }

  // Copies block from[i] to to[i] in every layer.
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to);

 private:
  Backend& backend_;
  KvCacheShape shape_;
  int num_blocks_;
  std::vector<DeviceBuffer> buffers_;
  std::vector<KvLayerView> layers_;
};

}  // namespace runahead
