// BlockTable: the blocks that hold one sequence's K/V, in token order. Engine thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kvcache/block.h"
#include "kvcache/block_pool.h"

namespace runahead {

// Token t of the sequence lives in block t / block_size, row t % block_size. Blocks are given back
// tail first, so that in the pool's free list a prefix always outlives what follows it.
class BlockTable {
 public:
  BlockTable() = default;
  ~BlockTable() { Clear(); }
  BlockTable(BlockTable&&) noexcept = default;
  BlockTable& operator=(BlockTable&& other) noexcept;

  int num_blocks() const { return static_cast<int>(ids_.size()); }
  bool empty() const { return ids_.empty(); }
  BlockId block(int i) const { return refs_[static_cast<size_t>(i)].id(); }
  std::span<const int32_t> ids() const { return ids_; }  // [num_blocks], as the kernels read them

  void Append(BlockRef block);
  // Appends blocks of the pool until there are num_blocks; all or nothing. True when nothing is
  // missing.
  bool TryGrow(BlockPool& pool, int num_blocks);
  // Puts another block with the same content in place of block i, which is given up.
  void Replace(int i, BlockRef block);
  // Gives back the blocks from num_blocks on.
  void Truncate(int num_blocks);
  void Clear() { Truncate(0); }

 private:
  std::vector<BlockRef> refs_;
  std::vector<int32_t> ids_;  // refs_[i].id(), flat
};

}  // namespace runahead
