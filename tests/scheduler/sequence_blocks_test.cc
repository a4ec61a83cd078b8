#include "scheduler/sequence_blocks.h"

#include <gtest/gtest.h>

#include "tests/scheduler/serving.h"

namespace runahead {
namespace {

class SequenceBlocksTest : public ::testing::Test {
 protected:
  static Sequence Make(int num_tokens, int choice = 0) {
    return Sequence({.prompt = FakePrompt(num_tokens)}, choice, 0, 1000);
  }

  BlockPool pool_{8, 4};
  PrefixCache cache_{pool_, true};
  SequenceBlocks blocks_{pool_, cache_};
  Batch batch_;
};

TEST_F(SequenceBlocksTest, AdmitsWithBlocksForAllTokensOrNotAtAll) {
  Sequence sequence = Make(14);
  EXPECT_FALSE(blocks_.CanAdmit(sequence, {}, 5));
  EXPECT_FALSE(blocks_.TryAdmit(sequence, {}, 5, batch_));
  EXPECT_TRUE(sequence.block_table().empty());
  EXPECT_TRUE(blocks_.CanAdmit(sequence, {}, 4));
  EXPECT_EQ(pool_.num_used(), 0);
  EXPECT_TRUE(blocks_.TryAdmit(sequence, {}, 4, batch_));
  EXPECT_EQ(sequence.block_table().num_blocks(), 4);
  EXPECT_EQ(sequence.num_computed(), 0);
  EXPECT_TRUE(blocks_.TryCover(sequence, 20));
  EXPECT_EQ(blocks_.MaxCover(sequence), 32);
  EXPECT_FALSE(blocks_.TryCover(sequence, 33));
  EXPECT_EQ(sequence.block_table().num_blocks(), 5);
  blocks_.Release(sequence);
  EXPECT_EQ(pool_.num_used(), 0);
}

// A prompt of 9 tokens ends with the first row of its third block: nothing of that block is worth
// copying, since its only token is the one that is run again.
TEST_F(SequenceBlocksTest, AChoiceCopiesOnlyRowsItWillNotRunAgain) {
  for (const auto& [num_tokens, num_shared, num_copies] :
       {std::tuple(9, 2, 0), std::tuple(10, 2, 1), std::tuple(12, 2, 1), std::tuple(4, 0, 1)}) {
    Sequence first = Make(num_tokens);
    Sequence second = Make(num_tokens, 1);
    batch_ = {};
    ASSERT_TRUE(blocks_.TryAdmit(first, {}, 0, batch_));
    {
      const BlockTable prompt = blocks_.SharePrompt(first);
      ASSERT_TRUE(blocks_.TryAdmit(second, prompt, 0, batch_));
    }
    EXPECT_EQ(static_cast<int>(batch_.copy_from.size()), num_copies);
    EXPECT_EQ(second.num_computed(), num_tokens - 1);
    int shared = 0;
    for (int i = 0; i < second.block_table().num_blocks(); ++i) {
      shared += second.block_table().block(i) == first.block_table().block(i) ? 1 : 0;
    }
    EXPECT_EQ(shared, num_shared);
    EXPECT_EQ(second.block_table().num_blocks(), first.block_table().num_blocks());
    blocks_.Release(first);
    blocks_.Release(second);
  }
}

}  // namespace
}  // namespace runahead
