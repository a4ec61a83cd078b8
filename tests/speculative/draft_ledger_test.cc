#include "speculative/draft_ledger.h"

#include <algorithm>
#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(DraftLedger, RestsOnceItsCreditIsLost) {
  DraftLedger ledger;
  ledger.BookPlain(1, 1);
  EXPECT_TRUE(ledger.allows_drafts());
  ledger.BookSpeculative(1.6, 1, 1);
  EXPECT_TRUE(ledger.allows_drafts());
  ledger.BookSpeculative(1.6, 1, 1);
  EXPECT_FALSE(ledger.allows_drafts());
  EXPECT_DOUBLE_EQ(ledger.loss_seconds(), 1.2);
  EXPECT_DOUBLE_EQ(ledger.decode_seconds(), 4.2);
}

TEST(DraftLedger, EarnsDraftsBackByStepsWithout) {
  DraftLedger ledger;
  ledger.BookPlain(1, 1);
  ledger.BookSpeculative(2.2, 1, 1);  // 0.14 below nothing
  ASSERT_FALSE(ledger.allows_drafts());
  int num_steps = 0;
  while (!ledger.allows_drafts()) {
    ledger.BookPlain(1, 1);
    ++num_steps;
  }
  // 2 % of each, to where it may be tried again.
  EXPECT_NEAR(num_steps, (0.14 + DraftLedger::kRestsUntil) / DraftLedger::kMaxLoss, 3);
}

TEST(DraftLedger, CreditsPastGainsOnlySoFar) {
  DraftLedger ledger;
  ledger.BookPlain(1, 1);
  for (int i = 0; i < 1000; ++i) ledger.BookSpeculative(1, 3, 1);
  EXPECT_DOUBLE_EQ(ledger.credit_seconds(), DraftLedger::kMostRoom);
  int num_steps = 0;
  while (ledger.allows_drafts()) {
    ledger.BookSpeculative(2, 1, 1);
    ++num_steps;
  }
  EXPECT_LE(num_steps, DraftLedger::kMostRoom + 1);
}

// A batch never tried gets a chance; one that did not pay has to be content with less.
TEST(DraftLedger, HoldsLittleWhereNothingWasGained) {
  DraftLedger ledger;
  for (int i = 0; i < 1000; ++i) ledger.BookPlain(1, 8);
  EXPECT_DOUBLE_EQ(ledger.credit_seconds(), DraftLedger::kFirstRoom);
  for (int i = 0; i < 4; ++i) ledger.BookSpeculative(1.5, 1, 8);
  for (int i = 0; i < 200; ++i) ledger.BookSpeculative(1, 1, 8);
  EXPECT_DOUBLE_EQ(ledger.credit_seconds(), DraftLedger::kLeastRoom);
}

// Gains of a batch of 8 count for one of 2 and not for one of 32.
TEST(DraftLedger, WhatPaysInABatchPaysInASmallerOne) {
  DraftLedger ledger;
  ledger.BookPlain(1, 8);
  for (int i = 0; i < 100; ++i) ledger.BookSpeculative(1, 3, 8);
  ledger.BookSpeculative(1, 1, 2);
  EXPECT_GT(ledger.credit_seconds(), 4);
  ledger.BookSpeculative(1, 1, 32);
  EXPECT_LE(ledger.credit_seconds(), DraftLedger::kFirstRoom);
}

TEST(DraftLedger, WritesCatchingUpOffOverManySteps) {
  DraftLedger ledger;
  ledger.BookPlain(1, 1);
  ledger.BookCatchUp(0.8);
  ledger.BookSpeculative(1, 1, 1);
  EXPECT_GT(ledger.credit_seconds(), 0.9);
  for (int i = 0; i < 500; ++i) ledger.BookSpeculative(1, 1, 1);
  EXPECT_NEAR(ledger.loss_seconds(), 0.8, 1e-3);
  EXPECT_NEAR(ledger.unwritten_seconds(), 0, 1e-3);
}

// Whoever asks the ledger before each step has, over any stretch, lost no more than 2 % of it, what
// the bucket holds, and the step that overdrew it.
TEST(DraftLedger, BoundsTheLossOfAnyStretch) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> plain(0.8, 1.2);
  std::uniform_real_distribution<double> loss(-0.5, 1.5);
  DraftLedger ledger;
  double total = 0;
  double lost = 0;
  double least = 0;  // of lost - 2 % of total so far
  for (int i = 0; i < 20000; ++i) {
    const double seconds = plain(random);
    if (ledger.allows_drafts() && i > 0) {
      // Some thousand steps win, the next lose.
      const double more = (i / 3000) % 2 == 0 ? loss(random) : -0.2;
      ledger.BookSpeculative(seconds + more, seconds, 4);
      total += seconds + more;
      lost += more;
    } else {
      ledger.BookPlain(seconds, 4);
      total += seconds;
    }
    const double over = lost - DraftLedger::kMaxLoss * total;
    least = std::min(least, over);
    ASSERT_LE(over - least, (DraftLedger::kMostRoom + 1.5) * 1.2) << i;
  }
}

// Where drafts did not pay before, a stretch of fifty steps loses 2 % and about one step.
TEST(DraftLedger, AShortStretchLosesLittle) {
  DraftLedger ledger;
  ledger.BookPlain(1, 8);
  double lost = 0;
  for (int i = 0; i < 1050; ++i) {
    if (i == 1000) lost = 0;
    if (ledger.allows_drafts()) {
      ledger.BookSpeculative(1.3, 1, 8);
      lost += 0.3;
    } else {
      ledger.BookPlain(1, 8);
    }
  }
  EXPECT_LE(lost, 0.02 * 50 + DraftLedger::kLeastRoom + 0.3);
}

}  // namespace
}  // namespace runahead
