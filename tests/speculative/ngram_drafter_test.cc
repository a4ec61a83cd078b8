#include "speculative/ngram_drafter.h"

#include <algorithm>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Propose(const std::vector<int32_t>& tokens, int num_indexed, int max_drafts) {
  DraftState state;
  state.ngram.Extend(tokens, num_indexed);
  DraftTask task;
  task.tokens = tokens;
  task.state = &state;
  task.max_drafts = max_drafts;
  task.num_computed = 5;
  NgramDrafter().Propose(std::span(&task, 1));
  EXPECT_EQ(task.num_computed_after, 5);  // it has no K/V
  return {task.proposed().begin(), task.proposed().end()};
}

TEST(NgramDrafter, ProposesWhatFollowed) {
  EXPECT_THAT(Propose({1, 2, 3, 4, 9, 1, 2}, 7, 3), ElementsAre(3, 4, 9));
}

TEST(NgramDrafter, ContinuesAPeriodPastTheEnd) {
  EXPECT_THAT(Propose({5, 1, 2, 3, 1, 2, 3}, 7, 8), ElementsAre(1, 2, 3, 1, 2, 3, 1, 2));
  EXPECT_THAT(Propose({4, 4}, 2, 3), ElementsAre(4, 4, 4));
}

TEST(NgramDrafter, ProposesNothingWithoutAMatchOrAnIndex) {
  EXPECT_THAT(Propose({1, 2, 3}, 3, 3), IsEmpty());
  EXPECT_THAT(Propose({1, 2, 3, 4, 9, 1, 2}, 6, 3), IsEmpty());
  EXPECT_THAT(Propose({1, 2, 3, 4, 9, 1, 2}, 7, 0), IsEmpty());
}

TEST(NgramDrafter, OffersWithTheLengthOfTheMatch) {
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 9, 1, 2};
  DraftState state;
  state.ngram.Extend(tokens, 7);
  const DraftOffer offer = NgramDrafter::Offer(state, 7);
  EXPECT_EQ(offer.drafter, DrafterKind::kNgram);
  EXPECT_EQ(offer.max_drafts, kMaxDrafts);
  EXPECT_EQ(offer.match_length, 2);
  EXPECT_EQ(NgramDrafter::Offer(state, 8).max_drafts, 0);
}

}  // namespace
}  // namespace runahead
