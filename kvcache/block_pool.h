// BlockPool: counts who uses each block of the paged KV cache, and which to hand out next. Engine
// thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvcache/block.h"

namespace runahead {

// Told when a block whose content was findable is about to be handed out for new content.
class BlockReuseListener {
 public:
  virtual ~BlockReuseListener() = default;
  virtual void OnReuse(BlockId id) = 0;
};

// A block is *used* while at least one BlockRef counts it, else *free*. Free blocks stand in one
// list, handed out from its front; a findable block (one the prefix cache has published) joins at
// the back when its last reference goes and stays findable until it is handed out again, any other
// joins at the front:
//
//   front -> [worthless] [worthless] [findable, oldest] ... [findable, newest] <- back
//
// Every operation is O(1); nothing allocates after the constructor.
class BlockPool {
 public:
  BlockPool(int num_blocks, int block_size);
  ~BlockPool();  // every reference has been given up
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  int num_blocks() const { return static_cast<int>(blocks_.size()); }
  int block_size() const { return block_size_; }  // tokens
  int num_free() const { return num_free_; }
  int num_used() const { return num_blocks() - num_free_; }
  int num_cached() const { return num_cached_; }  // free, but findable

  // The front of the free list with no valid token, or an empty reference when every block is used.
  // A findable block is forgotten first: the listener hears of it.
  BlockRef TryAllocate();

  // One more reference to a block that is used, or that is free and findable (which takes it off
  // the free list).
  BlockRef Share(BlockId id);

  int num_refs(BlockId id) const { return block(id).num_refs; }
  bool IsFindable(BlockId id) const { return block(id).findable; }
  // Set by the prefix cache alone, on a used block.
  void SetFindable(BlockId id);

  // How many leading tokens of the block each model has K/V for, of tokens that the target has
  // verified.
  int num_valid(BlockId id, CacheModel model) const {
    return block(id).num_valid[static_cast<size_t>(model)];
  }
  // Raises it to at least num_tokens; it never falls while the block keeps its content.
  void RaiseValid(BlockId id, CacheModel model, int num_tokens);

  // At most one; null to remove. Borrowed.
  void SetListener(BlockReuseListener* listener) { listener_ = listener; }

  // RA_CHECKs every invariant above. O(num_blocks).
  void CheckIntegrity() const;

 private:
  friend class BlockRef;

  static constexpr int32_t kNone = -1;

  struct Block {
    int32_t num_refs = 0;
    int32_t previous = kNone;  // neighbours in the free list; meaningful while free
    int32_t next = kNone;
    std::array<int32_t, kNumCacheModels> num_valid = {};
    bool findable = false;
  };

  const Block& block(BlockId id) const { return blocks_[static_cast<size_t>(Index(id))]; }
  Block& block(BlockId id) { return blocks_[static_cast<size_t>(Index(id))]; }
  void Release(BlockId id);  // BlockRef gives up its count
  void Unlink(BlockId id);
  void LinkFront(BlockId id);
  void LinkBack(BlockId id);

  int block_size_;
  std::vector<Block> blocks_;
  int32_t front_ = kNone;
  int32_t back_ = kNone;
  int num_free_ = 0;
  int num_cached_ = 0;
  BlockReuseListener* listener_ = nullptr;
};

}  // namespace runahead
