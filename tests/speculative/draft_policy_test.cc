#include "speculative/draft_policy.h"

#include <chrono>
#include <numeric>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/speculative/synthetic_server.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;

const auto kDraftsNothing =
    AllOf(Field(&DraftChoice::num_drafts, 0), Field(&DraftChoice::num_catch_up, 0));

// Sequences that the model, a lookup drafter or both offer drafts for; steps without drafts at this
// batch were measured.
class DraftPolicyTest : public ::testing::Test {
 protected:
  static constexpr DraftOffer kModel = {.drafter = DrafterKind::kModel, .max_drafts = kMaxDrafts};
  static constexpr DraftOffer kLongMatch = {
      .drafter = DrafterKind::kNgram, .max_drafts = kMaxDrafts, .match_length = 30};

  PolicySequence& Add(std::vector<DraftOffer> offers, SpeculationParams params = {}) {
    offers_.push_back(std::move(offers));
    sequences_.push_back({.params = params, .num_context = 50, .max_drafts = kMaxDrafts});
    return sequences_.back();
  }

  const std::vector<DraftChoice>& Decide(int max_tokens = 2048) {
    for (size_t i = 0; i < sequences_.size(); ++i) sequences_[i].offers = offers_[i];
    policy_.Decide({.sequences = sequences_, .max_tokens = max_tokens}, choices_);
    return choices_;
  }

  void ObservePlain(int times = 4) {
    std::vector<StepOutcome::Sequence> sequences(sequences_.size(), {.num_emitted = 1});
    for (int i = 0; i < times; ++i) {
      policy_.Observe({.sequences = sequences,
                       .num_rows = static_cast<int>(sequences.size()),
                       .target = milliseconds(100)});
    }
  }

  void ObserveAcceptance(DrafterKind drafter, int match_length, int num_accepted) {
    const StepOutcome::Sequence sequence = {.drafter = drafter,
                                            .num_drafted = 4,
                                            .num_accepted = num_accepted,
                                            .num_emitted = 1 + num_accepted,
                                            .match_length = match_length};
    policy_.Observe(
        {.sequences = std::span(&sequence, 1), .num_rows = 5, .target = milliseconds(101)});
  }

  DraftPolicy policy_{CostModel()};
  std::vector<std::vector<DraftOffer>> offers_;
  std::vector<PolicySequence> sequences_;
  std::vector<DraftChoice> choices_;
};

TEST_F(DraftPolicyTest, MeasuresAStepWithoutDraftsFirst) {
  Add({kModel});
  EXPECT_THAT(Decide(), Each(kDraftsNothing));
  ObservePlain(1);
  EXPECT_THAT(Decide(), Each(kDraftsNothing));
  ObservePlain(1);
  EXPECT_GT(Decide()[0].num_drafts, 0);
}

TEST_F(DraftPolicyTest, LeavesRequestsAloneThatWantNoDrafts) {
  Add({kModel}, {.mode = SpeculationMode::kOff});
  Add({kModel}, {.max_tokens = 0});
  Add({});
  ObservePlain();
  EXPECT_THAT(Decide(), Each(kDraftsNothing));
}

TEST_F(DraftPolicyTest, DraftsNoMoreThanAsked) {
  Add({kModel}, {.max_tokens = 2});
  ObservePlain();
  EXPECT_GT(Decide()[0].num_drafts, 0);
  EXPECT_LE(choices_[0].num_drafts, 2);
  sequences_[0].params.max_tokens = kMaxDrafts;
  sequences_[0].max_drafts = 1;
  EXPECT_EQ(Decide()[0].num_drafts, 1);
}

TEST_F(DraftPolicyTest, StaysWithinTheStepsTokens) {
  for (int i = 0; i < 4; ++i) Add({kModel}).num_missing = 1;
  ObservePlain();
  int sum = 0;
  for (const DraftChoice& choice : Decide(5)) sum += choice.num_drafts + choice.num_catch_up;
  EXPECT_LE(sum, 5);
}

TEST_F(DraftPolicyTest, GrantsFixedRequestsTheirK) {
  Add({kModel}, {.mode = SpeculationMode::kFixed, .max_tokens = 7});
  const DraftChoice choice = Decide()[0];  // nothing was measured
  EXPECT_EQ(choice.drafter, DrafterKind::kModel);
  EXPECT_EQ(choice.num_drafts, 7);
  EXPECT_EQ(choice.min_confidence, 0);
}

TEST_F(DraftPolicyTest, CatchesUpForFixedRequestsInChunks) {
  Add({kModel}, {.mode = SpeculationMode::kFixed, .max_tokens = 3}).num_missing = 500;
  EXPECT_EQ(Decide(200)[0].num_catch_up, 200);
  EXPECT_EQ(choices_[0].num_drafts, 0);
  sequences_[0].num_missing = 100;
  EXPECT_EQ(Decide(200)[0].num_catch_up, 100);
  EXPECT_EQ(choices_[0].num_drafts, 3);
}

TEST_F(DraftPolicyTest, KeepsFixedRequestsOutOfTheLedger) {
  Add({kModel}, {.mode = SpeculationMode::kFixed, .max_tokens = 16});
  ObservePlain();
  const StepOutcome::Sequence sequence = {
      .drafter = DrafterKind::kModel, .num_drafted = 16, .num_emitted = 1, .is_fixed = true};
  const DraftPass pass = {.num_rows = 1, .num_sequences = 1, .time = milliseconds(100)};
  const std::vector<DraftPass> passes(16, pass);
  for (int i = 0; i < 20; ++i) {
    policy_.Observe({.sequences = std::span(&sequence, 1),
                     .num_rows = 17,
                     .target = milliseconds(300),
                     .passes = passes});
  }
  EXPECT_EQ(policy_.ledger().loss_seconds(), 0);
  EXPECT_TRUE(policy_.ledger().allows_drafts());
}

// Twelve rows are cheap, thirteen are not: of eight sequences that are as likely to be right, four
// can draft, and the other four do so in the next step.
TEST_F(DraftPolicyTest, EqualsTakeTurns) {
  for (int i = 0; i < 8; ++i) Add({kLongMatch});
  for (int i = 0; i < 60; ++i) ObserveAcceptance(DrafterKind::kNgram, kLongMatch.match_length, 4);
  for (const auto& [rows, time] : {std::pair(12, 130), {13, 150}, {16, 190}}) {
    for (int i = 0; i < 4; ++i) {
      policy_.Observe({.num_rows = rows, .target = milliseconds(time)});
    }
  }
  ObservePlain(8);
  std::vector<int> num_drafts(sequences_.size());
  for (int step = 0; step < 2; ++step) {
    Decide();
    for (size_t i = 0; i < choices_.size(); ++i) num_drafts[i] += choices_[i].num_drafts;
    EXPECT_EQ(std::accumulate(num_drafts.begin(), num_drafts.end(), 0), 4 * (step + 1));
  }
  EXPECT_THAT(num_drafts, Each(1));
}

TEST_F(DraftPolicyTest, PrefersAMatchThatHasProvedRight) {
  Add({kModel, kLongMatch});
  ObservePlain();
  for (int i = 0; i < 30; ++i) {
    ObserveAcceptance(DrafterKind::kModel, 0, 2);
    ObserveAcceptance(DrafterKind::kNgram, 30, 4);
  }
  EXPECT_EQ(Decide()[0].drafter, DrafterKind::kNgram);
  EXPECT_EQ(choices_[0].match_length, 30);
  EXPECT_EQ(choices_[0].num_catch_up, 0);
}

TEST_F(DraftPolicyTest, PrefersTheModelWhereMatchesMislead) {
  Add({kModel, kLongMatch});
  ObservePlain();
  for (int i = 0; i < 30; ++i) {
    ObserveAcceptance(DrafterKind::kModel, 0, 4);
    ObserveAcceptance(DrafterKind::kNgram, 30, 0);
  }
  EXPECT_EQ(Decide()[0].drafter, DrafterKind::kModel);
}

TEST_F(DraftPolicyTest, AsksForConfidenceThatPays) {
  Add({kModel});
  ObservePlain();
  ASSERT_GT(Decide()[0].num_drafts, 0);
  EXPECT_GT(choices_[0].min_confidence, 0);
  EXPECT_LT(choices_[0].min_confidence, 0.5);
}

TEST_F(DraftPolicyTest, DraftsNothingWhileTheLedgerForbids) {
  Add({kModel});
  ObservePlain();
  const StepOutcome::Sequence sequence = {
      .drafter = DrafterKind::kModel, .num_drafted = 4, .num_emitted = 1};
  for (int i = 0; i < 8; ++i) {
    const DraftPass pass = {.num_rows = 1, .num_sequences = 1, .time = milliseconds(15)};
    const std::vector<DraftPass> passes(4, pass);
    policy_.Observe({.sequences = std::span(&sequence, 1),
                     .num_rows = 5,
                     .target = milliseconds(100),
                     .passes = passes});
  }
  ASSERT_FALSE(policy_.ledger().allows_drafts());
  EXPECT_THAT(Decide(), Each(kDraftsNothing));
}

TEST_F(DraftPolicyTest, StartsWithOneSequenceOfADraftModelNobodyKnows) {
  for (int i = 0; i < 8; ++i) Add({kModel}).num_missing = 120;
  ObservePlain();
  int num_catching_up = 0;
  for (const DraftChoice& choice : Decide()) num_catching_up += choice.num_catch_up > 0;
  EXPECT_EQ(num_catching_up, 1);
}

TEST_F(DraftPolicyTest, CatchesUpOnlyWhereItPays) {
  Add({kModel}).num_missing = 120;
  ObservePlain();
  for (int i = 0; i < 30; ++i) ObserveAcceptance(DrafterKind::kModel, 0, 4);
  sequences_[0].num_left = 500;
  EXPECT_EQ(Decide()[0].num_catch_up, 120);
  const DraftPass prompt = {.num_rows = 512, .num_sequences = 1, .time = milliseconds(500)};
  policy_.Observe({.passes = std::span(&prompt, 1)});
  sequences_[0].num_missing = 1500;  // a long way for three more tokens
  sequences_[0].num_left = 3;
  EXPECT_EQ(Decide()[0].num_catch_up, 0);
  EXPECT_EQ(choices_[0].num_drafts, 0);
}

TEST_F(DraftPolicyTest, BelievesAPredictionFromItsFirstToken) {
  Add({{.drafter = DrafterKind::kPrediction, .max_drafts = kMaxDrafts, .match_length = 0}});
  ObservePlain();
  for (int i = 0; i < 4; ++i) ObserveAcceptance(DrafterKind::kNgram, 30, 4);  // rows cost little
  EXPECT_EQ(Decide()[0].drafter, DrafterKind::kPrediction);
  EXPECT_GE(choices_[0].num_drafts, 6);
}

// Two of sixteen have little to catch up with; passes for them alone would not pay, and for all the
// prompts of the others are too long.
TEST_F(DraftPolicyTest, CatchesUpWhereItPaysForAllTogether) {
  for (int i = 0; i < 16; ++i) {
    PolicySequence& sequence = Add({kModel});
    sequence.num_missing = i < 2 ? 40 : 4000;
    sequence.num_left = 40;
  }
  ObservePlain();
  for (int i = 0; i < 30; ++i) ObserveAcceptance(DrafterKind::kModel, 0, 4);
  const std::vector<DraftPass> passes = {
      {.num_rows = 16, .num_sequences = 16, .time = milliseconds(5)},
      {.num_rows = 512, .num_sequences = 1, .time = milliseconds(500)}};
  policy_.Observe({.passes = passes});
  for (const DraftChoice& choice : Decide()) EXPECT_EQ(choice.num_catch_up, 0);
  for (PolicySequence& sequence : sequences_) sequence.num_missing = 40;
  int num_catching_up = 0;
  for (const DraftChoice& choice : Decide()) num_catching_up += choice.num_catch_up > 0;
  EXPECT_GE(num_catching_up, 14);
}

// A useless draft model costs no more than 3 % of the first 100 steps, and next to nothing later.
TEST(DraftPolicy, GivesUpAUselessDraftModel) {
  DraftPolicy policy{CostModel()};
  SyntheticServer server(policy, {.acceptance = 0, .num_missing = 100});
  for (int i = 0; i < 100; ++i) server.Step();
  EXPECT_LE(server.seconds(), 1.03 * server.plain_seconds());
  server.Reset();
  for (int i = 0; i < 1000; ++i) server.Step();
  EXPECT_LE(server.seconds(), 1.005 * server.plain_seconds());
}

TEST(DraftPolicy, FindsTheBestDepthWithinAFewDozenSteps) {
  DraftPolicy policy{CostModel()};
  SyntheticServer server(policy, {.acceptance = 0.85});
  for (int i = 0; i < 60; ++i) server.Step();
  server.Reset();
  for (int i = 0; i < 100; ++i) server.Step();
  EXPECT_GE(server.expected_tokens() / server.seconds(), 0.95 * server.BestRate());
}

TEST(DraftPolicy, ComesBackWhenDraftsGetBetter) {
  DraftPolicy policy{CostModel()};
  SyntheticServer server(policy, {.acceptance = 0, .num_missing = 60});
  const auto serve = [&](int num_steps) {
    for (int i = 0; i < num_steps; ++i) {
      if (i % 200 == 0) server.Renew();
      server.Step();
    }
  };
  serve(600);
  ASSERT_LT(server.mean_drafts(), 0.2);
  server.world().acceptance = 0.9;
  serve(1500);
  server.Reset();
  for (int i = 0; i < 200; ++i) server.Step();
  EXPECT_GE(server.expected_tokens() / server.seconds(), 0.9 * server.BestRate());
}

TEST(DraftPolicy, MeasuresStepsWithoutDraftsNowAndThen) {
  DraftPolicy policy{CostModel()};
  SyntheticServer server(policy, {.acceptance = 0.9});
  for (int i = 0; i < 100; ++i) server.Step();
  server.Reset();
  for (int i = 0; i < 2000; ++i) server.Step();
  const double num_plain = server.num_steps() - server.num_speculative_steps();
  EXPECT_GE(num_plain, 5);
  EXPECT_LE(num_plain, 0.011 * server.num_steps());
}

}  // namespace
}  // namespace runahead
