#include "kvcache/block_pool.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {

BlockRef::~BlockRef() {
  if (pool_ != nullptr) pool_->Release(id_);
}

BlockPool::BlockPool(int num_blocks, int block_size)
    : block_size_(block_size), blocks_(static_cast<size_t>(num_blocks)) {
  RA_CHECK_GT(num_blocks, 0);
  RA_CHECK_GT(block_size, 0);
  for (int32_t i = 0; i < num_blocks; ++i) LinkBack(BlockId{i});
}

BlockPool::~BlockPool() {
  RA_CHECK(num_free_ == num_blocks(), "a block reference outlives its pool");
}

BlockRef BlockPool::TryAllocate() {
  if (front_ == kNone) return {};
  const BlockId id{front_};
  Unlink(id);
  Block& taken = block(id);
  if (taken.findable) {
    if (listener_ != nullptr) listener_->OnReuse(id);
    taken.findable = false;
  }
  taken.num_valid.fill(0);
  taken.num_refs = 1;
  return {*this, id};
}

BlockRef BlockPool::Share(BlockId id) {
  Block& shared = block(id);
  if (shared.num_refs == 0) {
    RA_CHECK(shared.findable, "a free block without content cannot be shared");
    Unlink(id);
  }
  ++shared.num_refs;
  return {*this, id};
}

void BlockPool::SetFindable(BlockId id) {
  RA_CHECK_GT(block(id).num_refs, 0);
  block(id).findable = true;
}

void BlockPool::RaiseValid(BlockId id, CacheModel model, int num_tokens) {
  RA_CHECK(num_tokens >= 0 && num_tokens <= block_size_);
  RA_CHECK_GT(block(id).num_refs, 0);
  int32_t& num_valid = block(id).num_valid[static_cast<size_t>(model)];
  num_valid = std::max(num_valid, num_tokens);
}

void BlockPool::Release(BlockId id) {
  Block& released = block(id);
  RA_CHECK_GT(released.num_refs, 0);
  if (--released.num_refs > 0) return;
  if (released.findable) {
    LinkBack(id);
  } else {
    LinkFront(id);
  }
}

void BlockPool::Unlink(BlockId id) {
  const Block& gone = block(id);
  (gone.previous == kNone ? front_ : block(BlockId{gone.previous}).next) = gone.next;
  (gone.next == kNone ? back_ : block(BlockId{gone.next}).previous) = gone.previous;
  --num_free_;
  if (gone.findable) --num_cached_;
}

void BlockPool::LinkFront(BlockId id) {
  Block& added = block(id);
  added.previous = kNone;
  added.next = front_;
  (front_ == kNone ? back_ : block(BlockId{front_}).previous) = Index(id);
  front_ = Index(id);
  ++num_free_;
  if (added.findable) ++num_cached_;
}

void BlockPool::LinkBack(BlockId id) {
  Block& added = block(id);
  added.previous = back_;
  added.next = kNone;
  (back_ == kNone ? front_ : block(BlockId{back_}).next) = Index(id);
  back_ = Index(id);
  ++num_free_;
  if (added.findable) ++num_cached_;
}

void BlockPool::CheckIntegrity() const {
  int num_listed = 0;
  int num_findable = 0;
  int32_t previous = kNone;
  for (int32_t i = front_; i != kNone; i = block(BlockId{i}).next) {
    const Block& listed = block(BlockId{i});
    RA_CHECK(listed.num_refs == 0, "a used block is in the free list");
    RA_CHECK_EQ(listed.previous, previous);
    if (listed.findable) ++num_findable;
    RA_CHECK(listed.findable || num_findable == 0, "worthless blocks are handed out first");
    RA_CHECK(++num_listed <= num_blocks(), "the free list is a ring");
    previous = i;
  }
  RA_CHECK_EQ(back_, previous);
  RA_CHECK_EQ(num_listed, num_free_);
  RA_CHECK_EQ(num_findable, num_cached_);
  for (const Block& each : blocks_) {
    RA_CHECK_GE(each.num_refs, 0);
    if (each.num_refs > 0) ++num_listed;
    for (const int32_t num_valid : each.num_valid) {
      RA_CHECK(num_valid >= 0 && num_valid <= block_size_);
    }
  }
  RA_CHECK(num_listed == num_blocks(), "a block is neither used nor free");
}

}  // namespace runahead
