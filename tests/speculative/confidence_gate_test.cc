#include "speculative/confidence_gate.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

constexpr double kBreakEven = 0.3;

TEST(ConfidenceGateTest, TakesConfidenceForTheRateAtFirst) {
  ConfidenceGate gate;
  EXPECT_FLOAT_EQ(gate.Threshold(kBreakEven), 0.15f);
  EXPECT_FLOAT_EQ(gate.Threshold(5), 0.6f) << "drafts that cost more than they bring";
}

TEST(ConfidenceGateTest, OpensWhereTheUnsureAreRight) {
  ConfidenceGate gate;
  for (int i = 0; i < 40; ++i) {
    gate.Threshold(kBreakEven);
    gate.Observe(true, 0.9);
  }
  EXPECT_LT(gate.Threshold(kBreakEven), 0.005f);
}

TEST(ConfidenceGateTest, StaysWhereTheUnsureAreWrong) {
  ConfidenceGate gate;
  for (int i = 0; i < 100; ++i) {
    gate.Threshold(kBreakEven);
    gate.Observe(i % 5 == 0, 0.9);
  }
  EXPECT_GT(gate.Threshold(kBreakEven), 0.1f);
}

// What comes behind an unsure token must be accepted too, for going on to have paid.
TEST(ConfidenceGateTest, ThinksOfTheDraftThatWouldHaveFollowed) {
  ConfidenceGate gate;
  for (int i = 0; i < 100; ++i) {
    gate.Threshold(kBreakEven);
    gate.Observe(i % 2 == 0, 0.4);
  }
  EXPECT_GT(gate.Threshold(kBreakEven), 0.1f);
}

TEST(ConfidenceGateTest, ClosesAgainWhenTheyTurnWrong) {
  ConfidenceGate gate;
  for (int i = 0; i < 40; ++i) {
    gate.Threshold(kBreakEven);
    gate.Observe(true, 0.9);
  }
  for (int i = 0; i < 1000; ++i) gate.Threshold(kBreakEven);  // nothing is stopped any more
  EXPECT_GT(gate.scale(), 0.1);
  for (int i = 0; i < 60; ++i) {
    gate.Threshold(kBreakEven);
    gate.Observe(false, 0.9);
  }
  EXPECT_FLOAT_EQ(gate.Threshold(kBreakEven), 0.15f);
}

}  // namespace
}  // namespace runahead
