// SequenceBlocks: gives sequences their blocks, and what others have already computed into them.
// Engine thread only.
#pragma once

#include "kvcache/block_pool.h"
#include "kvcache/block_table.h"
#include "kvcache/prefix_cache.h"
#include "scheduler/batch.h"
#include "scheduler/sequence.h"

namespace runahead {

class SequenceBlocks {
 public:
  // Borrows both, which outlive it.
  SequenceBlocks(BlockPool& pool, PrefixCache& cache) : pool_(pool), cache_(cache) {}

  // Blocks that hold num_tokens tokens.
  int BlocksFor(int num_tokens) const {
    return (num_tokens + pool_.block_size() - 1) / pool_.block_size();
  }

  // Gives a sequence without blocks those for all its tokens, so that a prefill once begun never
  // lacks one, and sets num_computed to what they hold already: the prefix cache's hit or, for a
  // further choice, the prompt its request has computed:
  //
  //   choice 0      [ full ][ full ][ prompt end | output.. ]
  //                    |       |         : copied before the step
  //   choice 1      [  "   ][  "   ][ prompt end | its own output.. ]
  //
  // (the last prompt token is run once more, to sample from). False, and nothing changed, unless
  // num_reserved blocks stay free (negative: as if so many more were free).
  bool TryAdmit(Sequence& sequence, const BlockTable& prompt_blocks, int num_reserved,
                Batch& batch);
  bool CanAdmit(const Sequence& sequence, const BlockTable& prompt_blocks, int num_reserved) const;

  // Blocks that only this sequence uses: what its preemption would free.
  int NumOwn(const Sequence& sequence) const;

  // Adds blocks until the table covers num_tokens tokens; all or nothing.
  bool TryCover(Sequence& sequence, int num_tokens);
  // The most tokens the table could cover if it took every free block.
  int MaxCover(const Sequence& sequence) const;

  // After a step: records what is valid, takes over what the draft model has run for others that
  // share blocks, publishes the full blocks, and gives back those that only drafts needed.
  void RecordComputed(Sequence& sequence);

  // Takes all blocks away: nothing is computed any more.
  void Release(Sequence& sequence);

  // References to the blocks that hold the sequence's whole prompt.
  BlockTable SharePrompt(const Sequence& sequence);

 private:
  // What can be had for a sequence without computing.
  struct Found {
    BlockTable blocks;
    int num_tokens = 0;      // that the target need not compute
    int32_t copy_from = -1;  // block whose leading rows the next one starts with, or -1
  };
  Found Find(const Sequence& sequence, const BlockTable& prompt_blocks) const;
  void RaiseValid(Sequence& sequence, CacheModel model);
  void TakeOverDraft(Sequence& sequence);
  bool Fits(const Sequence& sequence, const Found& found, int num_reserved) const;

  BlockPool& pool_;
  PrefixCache& cache_;
};

}  // namespace runahead
