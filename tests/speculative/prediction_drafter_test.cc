#include "speculative/prediction_drafter.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PredictionDrafter, ProposesWhatThePredictionSaysNext) {
  DraftState state;
  state.prediction.SetPrediction({1, 2, 3, 4, 5});
  state.prediction.Follow(std::vector<int32_t>{1, 2});
  DraftTask task;
  task.state = &state;
  task.max_drafts = 2;
  task.num_computed = 9;
  PredictionDrafter().Propose(std::span(&task, 1));
  EXPECT_THAT(task.proposed(), ElementsAre(3, 4));
  EXPECT_EQ(task.num_computed_after, 9);  // it has no K/V
}

TEST(PredictionDrafter, OffersWhatIsLeft) {
  DraftState state;
  EXPECT_EQ(PredictionDrafter::Offer(state).max_drafts, 0);
  state.prediction.SetPrediction({1, 2, 3, 4, 5});
  state.prediction.Follow(std::vector<int32_t>{1, 2});
  const DraftOffer offer = PredictionDrafter::Offer(state);
  EXPECT_EQ(offer.drafter, DrafterKind::kPrediction);
  EXPECT_EQ(offer.max_drafts, 3);
  EXPECT_EQ(offer.match_length, 2);
}

TEST(PredictionDrafter, ProposesNothingWhereThePlaceIsLost) {
  DraftState state;
  state.prediction.SetPrediction({1, 2, 3, 4, 5});
  state.prediction.Follow(std::vector<int32_t>{9});
  DraftTask task;
  task.state = &state;
  task.max_drafts = 4;
  PredictionDrafter().Propose(std::span(&task, 1));
  EXPECT_THAT(task.proposed(), IsEmpty());
}

}  // namespace
}  // namespace runahead
