#include "model/sampling_input.h"

#include <limits>
#include <map>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr float kBanned = -std::numeric_limits<float>::infinity();

// The list of one row by token; also checks that no token stands twice.
std::map<int32_t, TokenAdjust> AdjustsOf(const ProcessLogitsArgs& args, size_t row) {
  std::map<int32_t, TokenAdjust> by_token;
  for (int32_t i = args.adjust_offsets[row]; i < args.adjust_offsets[row + 1]; ++i) {
    const TokenAdjust& adjust = args.adjusts[static_cast<size_t>(i)];
    EXPECT_TRUE(by_token.emplace(adjust.token, adjust).second) << adjust.token << " twice";
  }
  return by_token;
}

class SamplingInputTest : public testing::Test {
 protected:
  ProcessLogitsArgs Args() { return input_.ProcessArgs({}, {}); }

  SamplingInput input_{32, VerifyMode::kRejection, 16};
  std::vector<int32_t> tokens_ = {7, 8, 9};
  std::vector<int32_t> prompt_ = {1, 2, 2};
  std::vector<int32_t> output_ = {2, 5, 7};
};

TEST_F(SamplingInputTest, PlainSequencesNeedNothing) {
  const SamplingParams greedy = {.temperature = 0};
  const SamplingParams warm = {.temperature = 0.5f, .top_k = 3, .seed = 11};
  input_.Add({.tokens = tokens_, .num_computed = 10, .sampling = &greedy, .prompt = prompt_}, 4, 3);
  input_.Add({.tokens = tokens_, .num_computed = 20, .sampling = &warm, .choice = 2}, 6, 6);
  EXPECT_THAT(input_.step_rows(), ElementsAre(2, 5));
  EXPECT_THAT(input_.sequences(), ElementsAre(4, 6));
  EXPECT_THAT(input_.logprob_rows(), IsEmpty());
  EXPECT_THAT(Args().adjusts, IsEmpty());
  EXPECT_THAT(Args().adjust_offsets, ElementsAre(0, 0, 0));
  EXPECT_THAT(Args().allowed_offsets, ElementsAre(0, 0, 0));
  EXPECT_EQ(Args().params[1].top_k, 3);
  const SampleVerifyArgs sample = input_.SampleArgs({}, {}, {});
  EXPECT_TRUE(sample.rows[0].greedy);
  EXPECT_FALSE(sample.rows[1].greedy);
  EXPECT_EQ(sample.rows[0].position, 13u);  // the token after 10 cached and 3 new ones
  EXPECT_EQ(sample.rows[1].key.seed, 11u);
  EXPECT_EQ(sample.rows[1].key.choice, 2u);
  EXPECT_THAT(sample.drafts, ElementsAre(-1, -1));
  EXPECT_THAT(sample.row_offsets, ElementsAre(0, 1, 2));
}

TEST_F(SamplingInputTest, DraftsGetARowEachAtTheirOwnPositions) {
  const SamplingParams sampling = {.num_logprobs = 2};
  input_.Add({.tokens = tokens_, .num_computed = 10, .num_drafts = 2, .sampling = &sampling}, 0, 3);
  EXPECT_THAT(input_.step_rows(), ElementsAre(0, 1, 2));
  EXPECT_THAT(input_.logprob_rows(), ElementsAre(0, 1, 2));
  EXPECT_EQ(input_.max_top_logprobs(), 2);
  const SampleVerifyArgs sample = input_.SampleArgs({}, {}, {});
  EXPECT_THAT(sample.drafts, ElementsAre(8, 9, -1));
  EXPECT_EQ(sample.rows[0].position, 11u);
  EXPECT_EQ(sample.rows[2].position, 13u);
  EXPECT_THAT(sample.row_offsets, ElementsAre(0, 3));
}

TEST_F(SamplingInputTest, PenaltiesCountTheDraftsBeforeEachRow) {
  const SamplingParams sampling = {.repetition_penalty = 1.5f};
  TokenCounts counts;
  for (TokenCounts* kept : {static_cast<TokenCounts*>(nullptr), &counts, &counts}) {
    input_.Clear();
    const std::vector<int32_t> tokens = {7, 5, 20};  // drafts: 5 (output already) and 20 (new)
    input_.Add({.tokens = tokens,
                .num_computed = 5,
                .num_drafts = 2,
                .sampling = &sampling,
                .prompt = prompt_,
                .output = output_,
                .counts = kept},
               0, 3);
    for (size_t row = 0; row < 3; ++row) {
      auto adjusts = AdjustsOf(Args(), row);
      EXPECT_EQ(adjusts.size(), row < 2 ? 4u : 5u);
      EXPECT_EQ(adjusts[1].output_count, 0);
      EXPECT_TRUE(adjusts[1].in_prompt);
      EXPECT_EQ(adjusts[2].output_count, 1);
      EXPECT_TRUE(adjusts[2].in_prompt);
      EXPECT_EQ(adjusts[5].output_count, row == 0 ? 1 : 2);
      EXPECT_EQ(adjusts[20].output_count, row < 2 ? 0 : 1);
    }
  }
}

// A proposal's row counts the drafts before it like a verified row of the same position does, and
// leaves the counts that it shares with the target alone.
TEST_F(SamplingInputTest, ProposalsCountThePendingDrafts) {
  const SamplingParams sampling = {.frequency_penalty = 0.5f, .num_logprobs = 3};
  TokenCounts counts;
  const std::vector<int32_t> drafts = {5, 20, 5};
  input_.Add({.tokens = std::span(drafts).last(1),
              .num_computed = 8,
              .sampling = &sampling,
              .prompt = prompt_,
              .output = output_,
              .counts = &counts,
              .proposal = Proposal{.pending = drafts, .noise = DraftNoise(3)}},
             0, 1);
  auto adjusts = AdjustsOf(Args(), 0);
  EXPECT_EQ(adjusts[5].output_count, 3);
  EXPECT_EQ(adjusts[20].output_count, 1);
  EXPECT_EQ(adjusts[7].output_count, 1);
  EXPECT_EQ(counts.Find(20), -1);
  EXPECT_THAT(input_.logprob_rows(), IsEmpty()) << "no client sees a proposal";
  EXPECT_EQ(input_.max_top_logprobs(), 0);
  const SampleVerifyArgs sample = input_.SampleArgs({}, {}, {});
  EXPECT_EQ(sample.rows[0].purpose, DraftNoise(3));
  EXPECT_EQ(sample.rows[0].position, 9u);
}

// A draft model may lack the target's last ids: what a request says of them means nothing to it.
TEST_F(SamplingInputTest, ProposalsLeaveOutIdsTheModelLacks) {
  SamplingParams sampling = {};
  sampling.logit_bias = {{3, 1.0f}, {40, 1.0f}};
  sampling.banned_token_ids = {31, 32};
  sampling.allowed_token_ids = {3, 31, 99};
  const std::vector<int32_t> suppressed = {8, 50};
  input_.Add({.tokens = std::span(tokens_).last(1),
              .sampling = &sampling,
              .suppressed = suppressed,
              .num_suppressed_rows = 1,
              .proposal = Proposal()},
             0, 1);
  EXPECT_EQ(AdjustsOf(Args(), 0).size(), 3u);
  EXPECT_THAT(std::vector<int32_t>(Args().allowed.begin(), Args().allowed.end()),
              ElementsAre(3, 31));
}

TEST_F(SamplingInputTest, DraftsNameTheRowsTheyWereDrawnFrom) {
  const SamplingParams sampling = {};
  const std::vector<int32_t> rows = {11, 4};
  input_.Add({.tokens = tokens_, .num_computed = 1, .sampling = &sampling}, 0, 3);
  input_.Add({.tokens = tokens_,
              .num_computed = 1,
              .num_drafts = 2,
              .sampling = &sampling,
              .draft_rows = rows},
             1, 6);
  input_.Add({.tokens = tokens_, .num_computed = 1, .num_drafts = 1, .sampling = &sampling}, 2, 9);
  const SampleVerifyArgs sample = input_.SampleArgs({}, {}, {});
  EXPECT_THAT(sample.draft_rows, ElementsAre(-1, 11, 4, -1, -1, -1));
  EXPECT_EQ(sample.mode, VerifyMode::kRejection);
  EXPECT_EQ(sample.rows[0].purpose, NoisePurpose::kTarget);
}

TEST_F(SamplingInputTest, BiasesAndBansShareTheList) {
  SamplingParams sampling = {.presence_penalty = 1};
  sampling.logit_bias = {{2, 1.5f}, {3, -100}, {4, -99.5f}, {6, -250}};
  sampling.banned_token_ids = {2, 8};
  sampling.allowed_token_ids = {1, 2, 3};
  const std::vector<int32_t> suppressed = {9, 3};
  const std::vector<int32_t> tokens = {7, 21, 22};
  input_.Add({.tokens = tokens,
              .num_computed = 5,
              .num_drafts = 2,
              .sampling = &sampling,
              .prompt = prompt_,
              .output = output_,
              .suppressed = suppressed,
              .num_suppressed_rows = 2},
             0, 3);
  auto first = AdjustsOf(Args(), 0);
  EXPECT_EQ(first[2].bias, kBanned);  // banned outranks the bias
  EXPECT_EQ(first[2].output_count, 1);
  EXPECT_EQ(first[3].bias, kBanned);
  EXPECT_EQ(first[4].bias, -99.5f);
  EXPECT_EQ(first[6].bias, kBanned);
  EXPECT_EQ(first[8].bias, kBanned);
  EXPECT_EQ(first[9].bias, kBanned);
  EXPECT_EQ(AdjustsOf(Args(), 1)[9].bias, kBanned);
  EXPECT_FALSE(AdjustsOf(Args(), 2).contains(9));
  EXPECT_THAT(Args().allowed_offsets, ElementsAre(0, 3, 6, 9));
}

TEST_F(SamplingInputTest, NothingLeaksFromRowToRowOrStepToStep) {
  SamplingParams biased;
  biased.logit_bias = {{3, 2.0f}};
  SamplingParams other;
  other.logit_bias = {{3, 4.0f}, {5, 1.0f}};
  for (int step = 0; step < 3; ++step) {
    input_.Clear();
    input_.Add({.tokens = tokens_, .sampling = &biased}, 0, 3);
    input_.Add({.tokens = tokens_, .sampling = &other}, 1, 6);
    EXPECT_EQ(AdjustsOf(Args(), 0).size(), 1u);
    EXPECT_EQ(AdjustsOf(Args(), 0)[3].bias, 2.0f);
    EXPECT_EQ(AdjustsOf(Args(), 1)[3].bias, 4.0f);
    EXPECT_EQ(AdjustsOf(Args(), 1)[5].bias, 1.0f);
  }
}

//  rows   0 1 2 | 3 ... 7        sequences  0 | 1 ... 7
//         its own  padding                      without rows
TEST_F(SamplingInputTest, PaddingBelongsToNobody) {
  SamplingParams sampling = {.num_logprobs = 1};
  sampling.logit_bias = {{4, 1.0f}};
  input_.Add({.tokens = tokens_, .num_computed = 10, .num_drafts = 2, .sampling = &sampling}, 0, 3);
  const SliceBuckets buckets = input_.PadTo(8, 4);
  EXPECT_EQ(buckets, (SliceBuckets{8, 4, true, 64, 0}));
  EXPECT_EQ(input_.num_rows(), 3);
  EXPECT_EQ(input_.num_logprob_rows(), 3);
  EXPECT_THAT(input_.step_rows(), ElementsAre(0, 1, 2, 0, 0, 0, 0, 0));
  EXPECT_THAT(input_.logprob_rows(), ElementsAre(0, 1, 2, 0));
  const ProcessLogitsArgs process = Args();
  EXPECT_EQ(process.params.size(), 8u);
  EXPECT_EQ(process.adjusts.size(), 64u);
  EXPECT_EQ(process.adjusts[2].token, 4);
  EXPECT_THAT(process.adjust_offsets, ElementsAre(0, 1, 2, 3, 3, 3, 3, 3, 3));
  const SampleVerifyArgs sample = input_.SampleArgs({}, {}, {});
  EXPECT_THAT(sample.row_offsets, ElementsAre(0, 3, 3, 3, 3, 3, 3, 3, 3));
  EXPECT_THAT(sample.drafts, ElementsAre(8, 9, -1, -1, -1, -1, -1, -1));
  EXPECT_EQ(sample.token_ids.size(), 8u);
  EXPECT_EQ(sample.num_accepted.size(), 8u);
  EXPECT_EQ(input_.token_ids().size(), 3u);
}

// A graph reads where its spans stood when it was captured.
TEST_F(SamplingInputTest, PaddedSpansStayWhereTheyAre) {
  SamplingParams sampling = {.logit_bias = {{4, 1.0f}}};
  sampling.allowed_token_ids = {3, 4};
  const auto add = [&](int count) {
    input_.Clear();
    for (int i = 0; i < count; ++i) {
      input_.Add({.tokens = tokens_, .num_computed = 10, .sampling = &sampling}, i, 3 * (i + 1));
    }
  };
  add(1);
  input_.PadTo(2, 0);
  const ProcessLogitsArgs before = Args();
  const SampleVerifyArgs sample_before = input_.SampleArgs({}, {}, {});
  sampling.logit_bias.clear();
  sampling.allowed_token_ids.clear();
  for (int32_t id = 0; id < 32; ++id) {
    sampling.logit_bias.push_back({id, 0.5f});
    sampling.allowed_token_ids.push_back(id);
  }
  add(16);  // all there is room for
  Args();
  input_.SampleArgs({}, {}, {});
  add(2);
  EXPECT_EQ(input_.PadTo(2, 0), (SliceBuckets{2, 0, true, 64, 64}));
  const ProcessLogitsArgs after = Args();
  const SampleVerifyArgs sample_after = input_.SampleArgs({}, {}, {});
  EXPECT_EQ(after.params.data(), before.params.data());
  EXPECT_EQ(after.adjusts.data(), before.adjusts.data());
  EXPECT_EQ(after.adjust_offsets.data(), before.adjust_offsets.data());
  EXPECT_EQ(after.allowed.data(), before.allowed.data());
  EXPECT_EQ(after.allowed_offsets.data(), before.allowed_offsets.data());
  EXPECT_EQ(sample_after.rows.data(), sample_before.rows.data());
  EXPECT_EQ(sample_after.row_offsets.data(), sample_before.row_offsets.data());
  EXPECT_EQ(sample_after.drafts.data(), sample_before.drafts.data());
  EXPECT_EQ(sample_after.draft_rows.data(), sample_before.draft_rows.data());
  EXPECT_EQ(sample_after.token_ids.data(), sample_before.token_ids.data());
  EXPECT_EQ(sample_after.num_accepted.data(), sample_before.num_accepted.data());
}

TEST_F(SamplingInputTest, TooLongListsAreNoGraphs) {
  SamplingParams sampling;
  for (int32_t id = 0; id < 32; ++id) sampling.logit_bias.push_back({id, 0.5f});
  SamplingInput input(32, VerifyMode::kCoupled, 128);
  for (int i = 0; i < 65; ++i) {
    input.Add({.tokens = tokens_, .num_computed = 10, .sampling = &sampling}, i, 3 * (i + 1));
  }
  EXPECT_EQ(input.PadTo(96, 0), (SliceBuckets{.num_rows = 96}));
  EXPECT_EQ(input.ProcessArgs({}, {}).adjusts.size(), 65u * 32u);
  EXPECT_EQ(input.ProcessArgs({}, {}).params.size(), 96u);
}

}  // namespace
}  // namespace runahead
