#include "kvcache/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/check.h"

namespace runahead {
namespace {

// Folds the 128-bit product of two words to 64 bits (as wyhash does): every input bit reaches every
// output bit.
uint64_t Fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Two odd words with balanced bits, as good as any.
constexpr uint64_t kFirst = 0xa0761d6478bd642fu;
constexpr uint64_t kSecond = 0xe7037ed1a0b428dbu;

uint64_t Absorb(uint64_t hash, uint64_t word) { return Fold(hash ^ word ^ kFirst, kSecond ^ word); }

}  // namespace

PrefixCache::PrefixCache(BlockPool& pool, bool enabled, uint64_t hash_seed, int num_hash_bits)
    : pool_(pool),
      enabled_(enabled),
      hash_seed_(hash_seed),
      hash_mask_(~uint64_t{0} >> (64 - num_hash_bits)) {
  if (!enabled) return;
  const auto num_blocks = static_cast<size_t>(pool.num_blocks());
  entries_.resize(num_blocks);
  tokens_.resize(num_blocks * static_cast<size_t>(pool.block_size()));
  buckets_.resize(std::bit_ceil(2 * num_blocks), kNone);
  pool_.SetListener(this);
}

PrefixCache::~PrefixCache() {
  if (enabled_) pool_.SetListener(nullptr);
}

int PrefixCache::Lookup(std::span<const int32_t> tokens, std::string_view salt, BlockTable& table) {
  RA_CHECK(table.empty());
  if (!enabled_ || tokens.empty()) return 0;
  const auto block_size = static_cast<size_t>(pool_.block_size());
  const size_t max_blocks = (tokens.size() - 1) / block_size;
  int32_t parent = kNone;
  for (size_t i = 0; i < max_blocks; ++i) {
    const auto own = tokens.subspan(i * block_size, block_size);
    const int32_t found = Find(Hash(parent, own, salt), parent, own, salt);
    if (found == kNone) break;
    table.Append(pool_.Share(BlockId{found}));
    parent = found;
  }
  return table.num_blocks();
}

bool PrefixCache::Publish(BlockTable& table, int i, std::span<const int32_t> tokens,
                          std::string_view salt) {
  if (!enabled_) return false;
  RA_CHECK_EQ(static_cast<int>(tokens.size()), pool_.block_size());
  const int32_t parent = i == 0 ? kNone : Index(table.block(i - 1));
  RA_CHECK(parent == kNone || entries_[static_cast<size_t>(parent)].published);
  const uint64_t hash = Hash(parent, tokens, salt);
  if (const int32_t found = Find(hash, parent, tokens, salt); found != kNone) {
    if (BlockId{found} == table.block(i)) return false;
    table.Replace(i, pool_.Share(BlockId{found}));
    return true;
  }
  const BlockId id = table.block(i);
  Entry& entry = entries_[static_cast<size_t>(Index(id))];
  RA_CHECK(!entry.published, "a block is published once, with the content it has");
  int32_t& bucket = Bucket(hash);
  entry = {.hash = hash, .parent = parent, .next = bucket, .num_children = 0, .published = true};
  bucket = Index(id);
  std::ranges::copy(tokens, TokensOf(Index(id)).begin());
  if (parent != kNone) ++entries_[static_cast<size_t>(parent)].num_children;
  if (parent == kNone && !salt.empty()) salts_.emplace(Index(id), salt);
  pool_.RaiseValid(id, CacheModel::kTarget, pool_.block_size());
  pool_.SetFindable(id);
  ++num_published_;
  return false;
}

int PrefixCache::NumValid(const BlockTable& table, CacheModel model) const {
  int num_tokens = 0;
  for (int i = 0; i < table.num_blocks(); ++i) {
    const int num_valid = pool_.num_valid(table.block(i), model);
    num_tokens += num_valid;
    if (num_valid < pool_.block_size()) break;
  }
  return num_tokens;
}

void PrefixCache::OnReuse(BlockId id) {
  Entry& entry = entries_[static_cast<size_t>(Index(id))];
  RA_CHECK(entry.published);
  RA_CHECK(entry.num_children == 0, "a parent was handed out before its children");
  int32_t* link = &Bucket(entry.hash);
  while (*link != Index(id)) link = &entries_[static_cast<size_t>(*link)].next;
  *link = entry.next;
  if (entry.parent != kNone) {
    --entries_[static_cast<size_t>(entry.parent)].num_children;
  } else {
    salts_.erase(Index(id));
  }
  entry = {};
  --num_published_;
}

uint64_t PrefixCache::Hash(int32_t parent, std::span<const int32_t> tokens,
                           std::string_view salt) const {
  uint64_t hash = Absorb(hash_seed_, static_cast<uint32_t>(parent));
  for (const int32_t token : tokens) hash = Absorb(hash, static_cast<uint32_t>(token));
  if (parent != kNone) return hash & hash_mask_;
  for (; !salt.empty(); salt.remove_prefix(std::min<size_t>(8, salt.size()))) {
    uint64_t word = 0;
    std::memcpy(&word, salt.data(), std::min<size_t>(8, salt.size()));
    hash = Absorb(hash, word);
  }
  return hash & hash_mask_;
}

int32_t PrefixCache::Find(uint64_t hash, int32_t parent, std::span<const int32_t> tokens,
                          std::string_view salt) const {
  for (int32_t id = Bucket(hash); id != kNone; id = entries_[static_cast<size_t>(id)].next) {
    const Entry& entry = entries_[static_cast<size_t>(id)];
    if (entry.hash != hash || entry.parent != parent) continue;
    if (!std::ranges::equal(TokensOf(id), tokens)) continue;
    if (parent == kNone && SaltOf(id) != salt) continue;
    return id;
  }
  return kNone;
}

std::string_view PrefixCache::SaltOf(int32_t root) const {
  const auto found = salts_.find(root);
  return found == salts_.end() ? std::string_view() : found->second;
}

std::span<const int32_t> PrefixCache::TokensOf(int32_t id) const {
  const auto block_size = static_cast<size_t>(pool_.block_size());
  return std::span(tokens_).subspan(static_cast<size_t>(id) * block_size, block_size);
}

std::span<int32_t> PrefixCache::TokensOf(int32_t id) {
  const auto block_size = static_cast<size_t>(pool_.block_size());
  return std::span(tokens_).subspan(static_cast<size_t>(id) * block_size, block_size);
}

int32_t& PrefixCache::Bucket(uint64_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }

const int32_t& PrefixCache::Bucket(uint64_t hash) const {
  return buckets_[hash & (buckets_.size() - 1)];
}

void PrefixCache::CheckIntegrity() const {
  std::vector<int> num_children(entries_.size(), 0);
  int num_published = 0;
  size_t num_salted = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(entries_.size()); ++id) {
    const Entry& entry = entries_[static_cast<size_t>(id)];
    RA_CHECK_EQ(entry.published, pool_.IsFindable(BlockId{id}));
    if (!entry.published) continue;
    ++num_published;
    const std::string_view salt = entry.parent == kNone ? SaltOf(id) : std::string_view();
    if (!salt.empty()) ++num_salted;
    RA_CHECK_EQ(entry.hash, Hash(entry.parent, TokensOf(id), salt));
    RA_CHECK(Find(entry.hash, entry.parent, TokensOf(id), salt) == id, "named twice, or lost");
    RA_CHECK_EQ(pool_.num_valid(BlockId{id}, CacheModel::kTarget), pool_.block_size());
    if (entry.parent == kNone) continue;
    RA_CHECK(entries_[static_cast<size_t>(entry.parent)].published, "an orphan is published");
    ++num_children[static_cast<size_t>(entry.parent)];
    RA_CHECK(pool_.num_refs(BlockId{entry.parent}) >= (pool_.num_refs(BlockId{id}) > 0 ? 1 : 0),
             "a block is used, its parent is not");
  }
  for (size_t id = 0; id < entries_.size(); ++id) {
    RA_CHECK_EQ(entries_[id].num_children, num_children[id]);
  }
  RA_CHECK_EQ(num_published, num_published_);
  RA_CHECK_EQ(num_salted, salts_.size());
}

}  // namespace runahead
