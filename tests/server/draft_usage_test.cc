#include "server/draft_usage.h"

#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

// The events of one step: `accepted` of `drafted` drafts, and the target's own token.
std::vector<TokenEvent> Step(DrafterKind drafter, int drafted, int accepted) {
  std::vector<TokenEvent> events(static_cast<size_t>(accepted) + 1);
  for (int i = 0; i <= accepted; ++i) {
    TokenEvent& event = events[static_cast<size_t>(i)];
    event.token = i;
    event.drafted_by = i < accepted ? drafter : DrafterKind::kNone;
  }
  events[0].starts_step = true;
  events[0].step_drafter = drafter;
  events[0].num_drafted = drafted;
  return events;
}

class DraftUsageTest : public testing::Test {
 protected:
  void Count(const std::vector<TokenEvent>& events, size_t first = 0, size_t num = 100) {
    for (size_t i = first; i < events.size() && i < first + num; ++i)
      tally_.Count(events[i], usage_);
  }
  void ExpectCounts(DrafterKind kind, int drafted, int accepted) {
    EXPECT_EQ(usage_.of(kind).drafted_tokens, drafted) << DrafterName(kind);
    EXPECT_EQ(usage_.of(kind).accepted_tokens, accepted) << DrafterName(kind);
  }

  DraftTally tally_;
  DraftUsage usage_;
};

TEST_F(DraftUsageTest, StepsAndDraftersAreToldApart) {
  Count(Step(DrafterKind::kNone, 0, 0));
  Count(Step(DrafterKind::kModel, 4, 2));
  Count(Step(DrafterKind::kPrediction, 3, 3));
  Count(Step(DrafterKind::kModel, 1, 0));
  EXPECT_EQ(usage_.target_steps, 4);
  ExpectCounts(DrafterKind::kModel, 5, 2);
  ExpectCounts(DrafterKind::kPrediction, 3, 3);
  ExpectCounts(DrafterKind::kNgram, 0, 0);
  ExpectCounts(DrafterKind::kNone, 0, 0);
  EXPECT_EQ(usage_.total().drafted_tokens, 8);
  EXPECT_EQ(usage_.total().accepted_tokens, 5);
}

// A stop string ends the answer at the second of four accepted drafts: of those behind it, and of
// the two that were rejected, the answer knows nothing.
TEST_F(DraftUsageTest, CountsEndAtTheLastTokenCounted) {
  Count(Step(DrafterKind::kModel, 6, 4), 0, 2);
  ExpectCounts(DrafterKind::kModel, 2, 2);
  EXPECT_EQ(usage_.target_steps, 1);
}

// Counts so far never fall again: they may be sent with every chunk.
TEST_F(DraftUsageTest, CountsOnlyGrow) {
  const auto events = Step(DrafterKind::kNgram, 3, 1);
  int last = 0;
  for (size_t i = 0; i < events.size(); ++i) {
    Count(events, i, 1);
    EXPECT_GE(usage_.total().drafted_tokens, last);
    last = usage_.total().drafted_tokens;
  }
  ExpectCounts(DrafterKind::kNgram, 3, 1);
}

TEST_F(DraftUsageTest, ChoicesAddUp) {
  Count(Step(DrafterKind::kModel, 4, 2));
  DraftUsage sum;
  sum.Add(usage_);
  sum.Add(usage_);
  EXPECT_EQ(sum.of(DrafterKind::kModel).drafted_tokens, 8);
  EXPECT_EQ(sum.target_steps, 2);
}

}  // namespace
}  // namespace runahead
