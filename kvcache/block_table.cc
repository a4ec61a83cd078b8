#include "kvcache/block_table.h"

#include <utility>

#include "core/check.h"

namespace runahead {

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this != &other) {
    Clear();
    refs_ = std::move(other.refs_);
    ids_ = std::move(other.ids_);
    other.refs_.clear();
    other.ids_.clear();
  }
  return *this;
}

void BlockTable::Append(BlockRef block) {
  RA_CHECK(static_cast<bool>(block));
  ids_.push_back(Index(block.id()));
  refs_.push_back(std::move(block));
}

bool BlockTable::TryGrow(BlockPool& pool, int num_blocks) {
  const int num_missing = num_blocks - this->num_blocks();
  if (num_missing > pool.num_free()) return false;
  for (int i = 0; i < num_missing; ++i) Append(pool.TryAllocate());
  return true;
}

void BlockTable::Replace(int i, BlockRef block) {
  RA_CHECK(i >= 0 && i < num_blocks() && block);
  ids_[static_cast<size_t>(i)] = Index(block.id());
  refs_[static_cast<size_t>(i)] = std::move(block);
}

void BlockTable::Truncate(int num_blocks) {
  while (this->num_blocks() > num_blocks) {
    refs_.pop_back();
    ids_.pop_back();
  }
}

}  // namespace runahead
