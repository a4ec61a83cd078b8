#include "model/step_input.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;

constexpr RunnerLimits kLimits = {
    .max_rows = 16, .max_sequences = 3, .max_logit_rows = 8, .max_context = 12, .block_size = 4};

//  run 0: tokens 5, 6, 7 of a sequence whose blocks are   [9 | 2]          (B = 4)
//                                           positions  0 1 2 3 | 4 5 6 7
//  run 1: token 0 of a sequence in block                  [3]
TEST(StepInputTest, FlattensRuns) {
  StepInput input(kLimits);
  const std::vector<int32_t> first_tokens = {10, 11, 12};
  const std::vector<int32_t> first_blocks = {9, 2, 5};  // the third is room for later
  const std::vector<int32_t> second_tokens = {20};
  const std::vector<int32_t> second_blocks = {3};
  const SequenceRun runs[] = {
      {.tokens = first_tokens, .num_computed = 3, .block_table = first_blocks},
      {.tokens = second_tokens, .num_computed = 0, .block_table = second_blocks}};
  for (int repeat = 0; repeat < 2; ++repeat) {  // nothing of an earlier step stays
    input.Fill(runs);
    EXPECT_THAT(input.ids, ElementsAre(10, 11, 12, 20));
    EXPECT_THAT(input.positions, ElementsAre(3, 4, 5, 0));
    EXPECT_THAT(input.slots, ElementsAre(9 * 4 + 3, 2 * 4 + 0, 2 * 4 + 1, 3 * 4));
    EXPECT_THAT(input.row_offsets, ElementsAre(0, 3, 4));
    EXPECT_THAT(input.context_lens, ElementsAre(6, 1));
    EXPECT_EQ(input.table_stride, 2);
    EXPECT_THAT(input.block_tables, ElementsAre(9, 2, 3, 0));
    EXPECT_EQ(input.Shape().num_sequences(), 2);
  }
  input.Fill({});
  EXPECT_EQ(input.num_rows(), 0);
  EXPECT_THAT(input.row_offsets, ElementsAre(0));
}

// Rows of padding stand behind, belong to nobody and store nothing.
TEST(StepInputTest, PadsToABucket) {
  StepInput input(kLimits);
  const std::vector<int32_t> tokens = {10, 11, 12};
  const std::vector<int32_t> blocks = {2};
  const SequenceRun run = {.tokens = tokens, .num_computed = 0, .block_table = blocks};
  input.Fill(std::span(&run, 1));
  EXPECT_FALSE(input.Shape().is_in_bucket);
  EXPECT_EQ(input.Shape().num_padding_rows, 0);
  const int32_t* ids = input.ids.data();
  input.PadTo(5);
  EXPECT_EQ(input.ids.data(), ids);
  EXPECT_EQ(input.num_rows(), 5);
  EXPECT_THAT(input.ids, ElementsAre(10, 11, 12, 0, 0));
  EXPECT_THAT(input.positions, ElementsAre(0, 1, 2, 0, 0));
  EXPECT_THAT(input.slots, ElementsAre(8, 9, 10, -1, -1));
  EXPECT_THAT(input.row_offsets, ElementsAre(0, 3));
  EXPECT_TRUE(input.Shape().is_in_bucket);
  EXPECT_EQ(input.Shape().num_padding_rows, 2);
  input.Fill(std::span(&run, 1));
  EXPECT_EQ(input.num_rows(), 3);
  EXPECT_FALSE(input.Shape().is_in_bucket);
}

TEST(StepInputTest, FullStepsMoveNoMemory) {
  StepInput input(kLimits);
  const int32_t* ids = input.ids.data();
  const int32_t* tables = input.block_tables.data();
  const std::vector<int32_t> tokens(5, 1);
  const std::vector<int32_t> blocks = {0, 1, 2};
  const SequenceRun run = {.tokens = tokens, .num_computed = 7, .block_table = blocks};
  const SequenceRun runs[] = {run, run, run};
  input.Fill(runs);
  EXPECT_EQ(input.ids.data(), ids);
  EXPECT_EQ(input.block_tables.data(), tables);
}

TEST(StepInputDeathTest, LimitsAreChecked) {
  StepInput input(kLimits);
  const std::vector<int32_t> tokens(9, 1);
  const std::vector<int32_t> blocks = {0, 1, 2, 3};
  SequenceRun run = {.tokens = tokens, .num_computed = 4, .block_table = blocks};
  EXPECT_DEATH(input.Fill(std::span(&run, 1)), "max_context");
  run.num_computed = 0;
  const SequenceRun two[] = {run, run};
  EXPECT_DEATH(input.Fill(two), "max_rows");
  run.block_table = std::span(blocks).first(2);
  EXPECT_DEATH(input.Fill(std::span(&run, 1)), "block_table");
  run.block_table = blocks;
  run.num_drafts = 9;
  EXPECT_DEATH(input.Fill(std::span(&run, 1)), "a draft follows a token");
  const std::vector<SequenceRun> many(4, run);
  EXPECT_DEATH(input.Fill(many), "max_sequences");
}

}  // namespace
}  // namespace runahead
