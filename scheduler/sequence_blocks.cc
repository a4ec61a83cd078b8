#include "scheduler/sequence_blocks.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace runahead {

SequenceBlocks::Found SequenceBlocks::Find(const Sequence& sequence,
                                           const BlockTable& prompt_blocks) const {
  Found found;
  if (!prompt_blocks.empty()) {
    found.num_tokens = sequence.num_prompt_tokens() - 1;
    const int num_shared = found.num_tokens / pool_.block_size();
    for (int i = 0; i < num_shared; ++i) found.blocks.Append(pool_.Share(prompt_blocks.block(i)));
    if (found.num_tokens % pool_.block_size() != 0) {
      found.copy_from = Index(prompt_blocks.block(num_shared));
    }
  } else if (sequence.MayLookUpPrefix()) {
    const int num_hits = cache_.Lookup(sequence.tokens(), sequence.cache_salt(), found.blocks);
    found.num_tokens = num_hits * pool_.block_size();
  }
  return found;
}

bool SequenceBlocks::Fits(const Sequence& sequence, const Found& found, int num_reserved) const {
  const int num_new = BlocksFor(sequence.num_tokens()) - found.blocks.num_blocks();
  return num_new + num_reserved <= pool_.num_free();
}

bool SequenceBlocks::CanAdmit(const Sequence& sequence, const BlockTable& prompt_blocks,
                              int num_reserved) const {
  return Fits(sequence, Find(sequence, prompt_blocks), num_reserved);
}

bool SequenceBlocks::TryAdmit(Sequence& sequence, const BlockTable& prompt_blocks, int num_reserved,
                              Batch& batch) {
  RA_CHECK(sequence.block_table_.empty());
  Found found = Find(sequence, prompt_blocks);
  if (!Fits(sequence, found, num_reserved)) return false;
  const int num_found = found.blocks.num_blocks();
  sequence.block_table_ = std::move(found.blocks);
  BlockTable& table = sequence.block_table_;
  RA_CHECK(table.TryGrow(pool_, BlocksFor(sequence.num_tokens())));
  if (found.copy_from >= 0) {
    batch.copy_from.push_back(found.copy_from);
    batch.copy_to.push_back(Index(table.block(num_found)));
    const int num_copied = found.num_tokens % pool_.block_size();
    for (const CacheModel model : {CacheModel::kTarget, CacheModel::kDraft}) {
      const int num_valid = pool_.num_valid(BlockId{found.copy_from}, model);
      pool_.RaiseValid(table.block(num_found), model, std::min(num_valid, num_copied));
    }
  }
  const int num_draft = std::min(cache_.NumValid(table, CacheModel::kDraft), found.num_tokens);
  sequence.SetComputed(found.num_tokens, num_draft);
  sequence.num_recorded_ = sequence.num_computed_;
  sequence.num_published_ = num_found;  // choice 0 has published its prompt too
  return true;
}

int SequenceBlocks::NumOwn(const Sequence& sequence) const {
  int num_own = 0;
  for (const int32_t id : sequence.block_table().ids()) {
    num_own += pool_.num_refs(BlockId{id}) == 1 ? 1 : 0;
  }
  return num_own;
}

bool SequenceBlocks::TryCover(Sequence& sequence, int num_tokens) {
  return sequence.block_table_.TryGrow(pool_, BlocksFor(num_tokens));
}

int SequenceBlocks::MaxCover(const Sequence& sequence) const {
  return (sequence.block_table().num_blocks() + pool_.num_free()) * pool_.block_size();
}

void SequenceBlocks::RecordComputed(Sequence& sequence) {
  const int block_size = pool_.block_size();
  BlockTable& table = sequence.block_table_;
  const int num_target = sequence.num_computed(CacheModel::kTarget);
  int num_draft = sequence.num_computed(CacheModel::kDraft);
  for (; cache_.enabled() && sequence.num_published_ < num_target / block_size;
       ++sequence.num_published_) {
    const int i = sequence.num_published_;
    const int begin = i * block_size;
    if (cache_.Publish(table, i, sequence.Slice(begin, block_size), sequence.cache_salt())) {
      // Another block holds the same content, and the draft may not have come as far in it.
      const int num_valid = pool_.num_valid(table.block(i), CacheModel::kDraft);
      if (num_valid < block_size) num_draft = std::min(num_draft, begin + num_valid);
    }
  }
  sequence.SetComputed(num_target, num_draft);
  RaiseValid(sequence, CacheModel::kTarget);
  RaiseValid(sequence, CacheModel::kDraft);
  TakeOverDraft(sequence);
  table.Truncate(BlocksFor(sequence.num_tokens()));
}

// Sharers of a block need not compute what one of them has.
void SequenceBlocks::TakeOverDraft(Sequence& sequence) {
  const int block_size = pool_.block_size();
  const int num_target = sequence.num_computed(CacheModel::kTarget);
  int num_draft = sequence.num_computed(CacheModel::kDraft);
  while (num_draft < num_target) {
    const int i = num_draft / block_size;
    const BlockId block = sequence.block_table().block(i);
    const int num_valid = i * block_size + pool_.num_valid(block, CacheModel::kDraft);
    if (num_valid <= num_draft) break;
    num_draft = std::min(num_valid, num_target);
  }
  if (num_draft == sequence.num_computed(CacheModel::kDraft)) return;
  sequence.SetComputed(num_target, num_draft);
  sequence.num_recorded_[static_cast<size_t>(CacheModel::kDraft)] = num_draft;
}

void SequenceBlocks::RaiseValid(Sequence& sequence, CacheModel model) {
  const int block_size = pool_.block_size();
  const int num_computed = sequence.num_computed(model);
  int& num_recorded = sequence.num_recorded_[static_cast<size_t>(model)];
  for (int i = num_recorded / block_size; i * block_size < num_computed; ++i) {
    const int num_valid = std::min(block_size, num_computed - i * block_size);
    pool_.RaiseValid(sequence.block_table().block(i), model, num_valid);
  }
  num_recorded = num_computed;
}

void SequenceBlocks::Release(Sequence& sequence) {
  sequence.block_table_.Clear();
  sequence.SetComputed(0, 0);
  sequence.num_recorded_ = {};
  sequence.num_published_ = 0;
}

BlockTable SequenceBlocks::SharePrompt(const Sequence& sequence) {
  BlockTable prompt_blocks;
  for (int i = 0; i < BlocksFor(sequence.num_prompt_tokens()); ++i) {
    prompt_blocks.Append(pool_.Share(sequence.block_table().block(i)));
  }
  return prompt_blocks;
}

}  // namespace runahead
