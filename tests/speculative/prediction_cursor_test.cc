#include "speculative/prediction_cursor.h"

#include <numeric>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

std::vector<int32_t> Iota(int size, int first = 100) {
  std::vector<int32_t> tokens(static_cast<size_t>(size));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

std::vector<int32_t> NextAfter(std::vector<int32_t> prediction, const std::vector<int32_t>& output,
                               int max_drafts = 3) {
  PredictionCursor cursor;
  cursor.SetPrediction(std::move(prediction));
  cursor.Follow(output);
  const auto next = cursor.Next(max_drafts);
  return {next.begin(), next.end()};
}

TEST(PredictionCursor, StartsAtTheBeginning) {
  EXPECT_THAT(NextAfter({1, 2, 3, 4}, {}), ElementsAre(1, 2, 3));
  EXPECT_THAT(NextAfter({1, 2, 3, 4}, {1, 2}), ElementsAre(3, 4));
  EXPECT_THAT(NextAfter({1, 2, 3, 4}, {1, 2, 3, 4}), IsEmpty());
  EXPECT_THAT(NextAfter({1, 2, 3, 4}, {1, 2, 3, 4, 5}), IsEmpty());
  EXPECT_THAT(NextAfter({}, {1, 2}), IsEmpty());
}

TEST(PredictionCursor, ProposesNothingWhileLost) {
  EXPECT_THAT(NextAfter(Iota(20), {100, 101, 7}), IsEmpty());
}

TEST(PredictionCursor, FindsItsPlaceAfterReplacedTokens) {
  EXPECT_THAT(NextAfter(Iota(20), {100, 101, 7, 103}), ElementsAre(104, 105, 106));
  EXPECT_THAT(NextAfter(Iota(20), {100, 101, 7, 8, 104}), ElementsAre(105, 106, 107));
}

TEST(PredictionCursor, FindsItsPlaceAfterAnInsertion) {
  EXPECT_THAT(NextAfter(Iota(20), {100, 101, 7, 8, 9, 7, 102}), ElementsAre(103, 104, 105));
}

TEST(PredictionCursor, FindsItsPlaceAfterADeletion) {
  EXPECT_THAT(NextAfter(Iota(20), {100, 101, 104}), ElementsAre(105, 106, 107));
  // A longer jump takes a second token as proof.
  EXPECT_THAT(NextAfter(Iota(60), {100, 101, 130}), IsEmpty());
  EXPECT_THAT(NextAfter(Iota(60), {100, 101, 130, 131}), ElementsAre(132, 133, 134));
}

TEST(PredictionCursor, FindsAPlaceFarAwayByMoreTokens) {
  const std::vector<int32_t> prediction = Iota(5000);
  std::vector<int32_t> output = {100, 101, 102, 103, 104};
  for (int i = 0; i < 3; ++i) output.push_back(4000 + i);
  EXPECT_THAT(NextAfter(prediction, output), IsEmpty());
  output.push_back(4003);
  EXPECT_THAT(NextAfter(prediction, output), ElementsAre(4004, 4005, 4006));
}

TEST(PredictionCursor, PrefersThePlaceWhereItStood) {
  // `9 5` stands thrice; the output stood before the second.
  const std::vector<int32_t> prediction = {9, 5, 1, 20, 21, 22, 23, 9, 5, 2, 30, 31, 32, 9, 5, 3};
  EXPECT_THAT(NextAfter(prediction, {9, 5, 1, 20, 21, 22, 77, 9, 5}), ElementsAre(2, 30, 31));
}

TEST(PredictionCursor, TurnsBackFromAPlaceThatProvedWrong) {
  // A comma is everywhere; after the edit the first one found is not the right one.
  const std::vector<int32_t> prediction = {1, 2, 3, 4, 50, 0, 51, 0, 52, 0, 53, 0, 54, 55, 56};
  PredictionCursor cursor;
  cursor.SetPrediction(prediction);
  std::vector<int32_t> output = {1, 2, 3, 4, 0, 53};  // 50 , 51 , 52 were dropped
  cursor.Follow(output);
  EXPECT_THAT(cursor.Next(3), ElementsAre(0, 54, 55));
  EXPECT_EQ(cursor.num_agreed(), 2);
}

TEST(PredictionCursor, CountsAgreementSinceItFoundItsPlace) {
  PredictionCursor cursor;
  cursor.SetPrediction(Iota(20));
  EXPECT_EQ(cursor.num_agreed(), 0);
  std::vector<int32_t> output = {100, 101, 102};
  cursor.Follow(output);
  EXPECT_EQ(cursor.num_agreed(), 3);
  output.push_back(7);
  cursor.Follow(output);
  EXPECT_EQ(cursor.num_agreed(), 0);
  output.push_back(104);
  cursor.Follow(output);
  EXPECT_EQ(cursor.num_agreed(), 1);
}

// A new copy of the prediction with random edits (replaced, inserted and deleted runs of one to six
// tokens): of the tokens that are not themselves edits, most are foretold, and the cursor never
// depends on how many tokens it was given at once.
TEST(PredictionCursor, FollowsRandomEdits) {
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    const auto draw = [&](int below) {
      return static_cast<int>(random() % static_cast<unsigned>(below));
    };
    std::vector<int32_t> prediction(400);
    for (int32_t& t : prediction) t = draw(4) == 0 ? draw(5) : 10 + draw(300);  // some are common
    std::vector<int32_t> output;
    int num_edits = 0;
    for (size_t i = 0; i < prediction.size();) {
      if (draw(25) == 0) {
        const int size = 1 + draw(6);
        const int what = draw(3);
        if (what != 0) i += static_cast<size_t>(size);
        if (what != 1) {
          for (int j = 0; j < size; ++j) output.push_back(1000 + draw(100));
        }
        ++num_edits;
      } else {
        output.push_back(prediction[i++]);
      }
    }
    PredictionCursor cursor;
    cursor.SetPrediction(prediction);
    int num_foretold = 0;
    int num_copied = 0;
    for (size_t size = 0; size < output.size(); ++size) {
      cursor.Follow(std::span(output).first(size));
      const auto next = cursor.Next(1);
      num_foretold += !next.empty() && next[0] == output[size] ? 1 : 0;
      num_copied += output[size] < 1000 ? 1 : 0;
    }
    // An edit costs the token that is foretold wrongly there or that the place is found by, and a
    // common token may mislead.
    EXPECT_GE(num_foretold, num_copied - 4 * num_edits) << round;

    PredictionCursor at_once;
    at_once.SetPrediction(prediction);
    at_once.Follow(std::span(output).first(output.size() - 1));
    EXPECT_THAT(at_once.Next(5), ElementsAreArray(cursor.Next(5)));
  }
}

}  // namespace
}  // namespace runahead
