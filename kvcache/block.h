// Blocks of the paged KV cache: their ids, sizes and counted handles. Engine thread only.
#pragma once

#include <cstdint>
#include <utility>

namespace runahead {

// Index of a block, the same in every layer and for every model (target and draft share ids).
enum class BlockId : int32_t {};

constexpr int32_t Index(BlockId id) { return static_cast<int32_t>(id); }

// The models that keep K/V under the same block ids.
enum class CacheModel : uint8_t { kTarget = 0, kDraft = 1 };
inline constexpr int kNumCacheModels = 2;

class BlockPool;

// One counted reference to a block; giving it up may return the block to the pool. Move-only; the
// pool outlives it.
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(BlockRef&& other) noexcept { swap(other); }
  BlockRef& operator=(BlockRef&& other) noexcept {
    BlockRef taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~BlockRef();

  explicit operator bool() const { return pool_ != nullptr; }
  BlockId id() const { return id_; }

 private:
  friend class BlockPool;
  BlockRef(BlockPool& pool, BlockId id) : pool_(&pool), id_(id) {}
  void swap(BlockRef& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(id_, other.id_);
  }

  BlockPool* pool_ = nullptr;
  BlockId id_ = {};
};

}  // namespace runahead
