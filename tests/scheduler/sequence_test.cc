#include "scheduler/sequence.h"

#include <vector>

#include "gtest/gtest.h"

namespace runahead {
namespace {

std::vector<int32_t> ToVector(std::span<const int32_t> tokens) {
  return {tokens.begin(), tokens.end()};
}

TEST(SequenceTest, TheContextClipsMaxTokens) {
  const RequestSpec spec = {.prompt = {1, 2, 3}, .max_tokens = 10};
  EXPECT_EQ(Sequence(spec, 0, 0, 100).max_tokens(), 10);
  EXPECT_EQ(Sequence(spec, 0, 0, 8).max_tokens(), 5);
}

//   tokens [ 1 2 3 ] drafts ( 7 8 )      nothing computed: a run of 5 is all of them
TEST(SequenceTest, DraftsStandBehindTheTokensForOneStep) {
  Sequence sequence({.prompt = {1, 2, 3}}, 0, 0, 100);
  sequence.SetDrafts(std::vector<int32_t>{9, 9, 9});
  sequence.SetDrafts(std::vector<int32_t>{7, 8});
  EXPECT_EQ(sequence.num_tokens(), 3);
  EXPECT_EQ(ToVector(sequence.tokens()), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(ToVector(sequence.drafts()), (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(ToVector(sequence.TokensToRun(5)), (std::vector<int32_t>{1, 2, 3, 7, 8}));
  EXPECT_EQ(ToVector(sequence.TokensToRun(2)), (std::vector<int32_t>{1, 2}));
  EXPECT_TRUE(sequence.output().empty());
}

TEST(SequenceTest, StopIdsAreSuppressedBeforeMinTokens) {
  Sequence sequence({.prompt = {1}, .min_tokens = 3, .stop_ids = {9, 2}}, 0, 0, 100);
  EXPECT_EQ(sequence.num_suppressed_rows(), 3);
  EXPECT_EQ(ToVector(sequence.stop_ids()), (std::vector<int32_t>{2, 9}));
  EXPECT_TRUE(sequence.IsStopId(9));
  EXPECT_FALSE(sequence.IsStopId(3));
  EXPECT_EQ(Sequence({.prompt = {1}}, 0, 0, 100).num_suppressed_rows(), 0);
}

using SequenceDeathTest = ::testing::Test;

TEST(SequenceDeathTest, TheDraftModelCannotHaveRunTokensThatAreNotThere) {
  Sequence sequence({.prompt = {1, 2, 3}}, 0, 0, 100);
  sequence.SetDrafts(std::vector<int32_t>{7});
  sequence.SetDraftComputed(4);
  EXPECT_DEATH(sequence.SetDraftComputed(5), "check failed");
}

}  // namespace
}  // namespace runahead
