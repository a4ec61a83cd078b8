// PrefixCache: finds the blocks that already hold the K/V of a token prefix. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kvcache/block.h"
#include "kvcache/block_pool.h"
#include "kvcache/block_table.h"

namespace runahead {

// A weak index: it holds no reference, so a block it knows is used, or free until the pool hands it
// out again. The index is a forest. A published block is named by the block before it (its parent),
// its own tokens, and, where it has no parent, the salt:
//
//   salt "a":  [t0..t15] -> [t16..t31] -> [t32..t47]
//                       \-> [u16..u31]
//   salt "b":  [t0..t15]
//
// A lookup walks down from a root and compares parent, tokens and salt themselves; the hash only
// finds candidates, so a collision costs time and never a wrong hit. Whoever holds a block holds
// its parents, and tables give back tail first: a parent is always handed out after its children,
// which is why a block id can name the parent.
class PrefixCache final : public BlockReuseListener {
 public:
  // Borrows the pool, which outlives it. Disabled: publishes nothing and finds nothing. hash_seed:
  // drawn at start-up where clients are not trusted, so that nobody can construct collisions.
  // num_hash_bits: tests take few, to have collisions.
  PrefixCache(BlockPool& pool, bool enabled, uint64_t hash_seed = 0, int num_hash_bits = 64);
  ~PrefixCache() override;
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  bool enabled() const { return enabled_; }

  // Appends to the empty `table` references to the longest run of published full blocks that holds
  // the beginning of `tokens`, but never the last token: at least one is left to compute. Returns
  // the number of blocks.
  int Lookup(std::span<const int32_t> tokens, std::string_view salt, BlockTable& table);

  // Publishes block i of `table`, whose K/V the target has computed for `tokens` ([block_size], all
  // verified); blocks 0..i-1 of the table are published already. Where the same content is
  // published under another block, that one takes the place of block i in the table and the
  // duplicate is given up. Returns true when that happened: each model's valid length is then that
  // of the block now in the table.
  bool Publish(BlockTable& table, int i, std::span<const int32_t> tokens, std::string_view salt);

  // How many leading tokens of `table` the model has K/V for, going by the blocks' own records.
  int NumValid(const BlockTable& table, CacheModel model) const;

  int num_published() const { return num_published_; }

  void OnReuse(BlockId id) override;  // called by the pool

  // RA_CHECKs that every published block is reachable, findable, holds only full content, and is
  // named once. O(num_blocks).
  void CheckIntegrity() const;

 private:
  static constexpr int32_t kNone = -1;

  struct Entry {
    uint64_t hash = 0;
    int32_t parent = kNone;    // block id
    int32_t next = kNone;      // next block of the same bucket
    int32_t num_children = 0;  // published blocks that name this one as parent
    bool published = false;
  };

  uint64_t Hash(int32_t parent, std::span<const int32_t> tokens, std::string_view salt) const;
  int32_t Find(uint64_t hash, int32_t parent, std::span<const int32_t> tokens,
               std::string_view salt) const;
  std::string_view SaltOf(int32_t root) const;
  std::span<int32_t> TokensOf(int32_t id);
  std::span<const int32_t> TokensOf(int32_t id) const;
  int32_t& Bucket(uint64_t hash);
  const int32_t& Bucket(uint64_t hash) const;

  BlockPool& pool_;
  bool enabled_;
  uint64_t hash_seed_;
  uint64_t hash_mask_;
  std::vector<Entry> entries_;                      // [num_blocks]
  std::vector<int32_t> tokens_;                     // [num_blocks, block_size]
  std::vector<int32_t> buckets_;                    // power of two; first block of each chain
  std::unordered_map<int32_t, std::string> salts_;  // of published roots that have one
  int num_published_ = 0;
};

}  // namespace runahead
