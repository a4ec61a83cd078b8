#include "model/forward_pass.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::ElementsAre;

class ForwardPassTest : public testing::Test {
 protected:
  static RunnerLimits Limits(int max_logit_rows) {
    return {.max_rows = 64,
            .max_sequences = 8,
            .max_logit_rows = max_logit_rows,
            .max_context = 128,
            .block_size = 16};
  }

  // Three sequences that want 3, 1 and 2 rows, and between them a chunk that wants none.
  std::vector<SequenceRun> Runs() {
    std::vector<SequenceRun> runs;
    for (const int num_drafts : {2, 0, -1, 1}) {
      tables_.push_back(model_.NewTable(5));
      runs.push_back({.tokens = tokens_,
                      .block_table = tables_.back(),
                      .num_drafts = std::max(num_drafts, 0),
                      .wants_token = num_drafts >= 0,
                      .sampling = &greedy_});
    }
    for (size_t i = 0; i < runs.size(); ++i) runs[i].block_table = tables_[i];
    return runs;
  }

  TestModel model_{GoldenModel("tiny_llama"), {}};
  const SamplingParams greedy_ = {.temperature = 0};
  const std::vector<int32_t> tokens_ = {5, 9, 3, 7, 2};
  std::vector<std::vector<int32_t>> tables_;
};

TEST_F(ForwardPassTest, SlicesAreWholeSequences) {
  ForwardPass whole(model_.backend(), model_.transformer(), model_.cache(), Limits(64));
  const std::vector<SequenceRun> runs = Runs();
  EXPECT_EQ(whole.Run(runs), runs.size());
  EXPECT_THAT(whole.slice().sequences(), ElementsAre(0, 1, 3));
  const auto rows = whole.slice().token_ids();
  const std::vector<int32_t> expected(rows.begin(), rows.end());
  EXPECT_EQ(expected.size(), 6u);

  ForwardPass sliced(model_.backend(), model_.transformer(), model_.cache(), Limits(3));
  std::vector<int32_t> tokens;
  const auto take = [&] {
    const auto ids = sliced.slice().token_ids();
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  };
  EXPECT_EQ(sliced.Run(runs), 1u);
  EXPECT_EQ(sliced.logits().dim(0), 3);
  take();
  EXPECT_EQ(sliced.RunSlice(runs, 1), runs.size());
  EXPECT_THAT(sliced.slice().sequences(), ElementsAre(1, 3));
  take();
  EXPECT_EQ(tokens, expected);
}

TEST_F(ForwardPassTest, AChunkHasNoSlice) {
  ForwardPass pass(model_.backend(), model_.transformer(), model_.cache(), Limits(64));
  const std::vector<SequenceRun> runs = {Runs()[2]};
  EXPECT_EQ(pass.Run(runs), 1u);
  EXPECT_EQ(pass.slice().num_rows(), 0);
  EXPECT_EQ(pass.Run({}), 0u);
}

}  // namespace
}  // namespace runahead
