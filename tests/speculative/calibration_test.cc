#include "speculative/calibration.h"

#include <random>
#include <set>

#include "gtest/gtest.h"

#include "tests/speculative/pair_fixture.h"

namespace runahead {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Takes fixed + each * rows + a little a context token on a clock of its own; some runs are
// disturbed.
class TimedRunner final : public StepRunner {
 public:
  TimedRunner(ManualClock& clock, microseconds fixed, microseconds each)
      : clock_(clock), fixed_(fixed), each_(each) {}

  Duration Cost(int rows, int64_t context) const {
    return fixed_ + each_ * rows + std::chrono::nanoseconds(10) * context;
  }
  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    int rows = 0;
    int64_t context = 0;
    for (const SequenceRun& run : runs) {
      rows += static_cast<int>(run.tokens.size());
      context += run.num_computed + static_cast<int64_t>(run.tokens.size());
    }
    row_counts.insert(rows);
    clock_.Advance(Cost(rows, context) + (random_() % 8 == 0 ? fixed_ : microseconds(0)));
    return output_;
  }
  void CopyBlocks(std::span<const int32_t>, std::span<const int32_t>) override {}

  std::set<int> row_counts;

 private:
  ManualClock& clock_;
  microseconds fixed_;
  microseconds each_;
  std::mt19937 random_{1};
  ModelOutput output_;
};

constexpr RunnerLimits kLimits = {.max_rows = 512, .max_context = 2048, .block_size = 16};

TEST(CalibrationTest, LearnsWhatStepsTake) {
  ManualClock clock;
  TimedRunner target(clock, milliseconds(20), microseconds(700));
  TimedRunner draft(clock, milliseconds(2), microseconds(80));
  const TimePoint start = clock.Now();
  const CostModel costs = Calibrate(
      target, &draft, {.limits = kLimits, .draft_limits = kLimits, .num_blocks = 1000}, clock);
  EXPECT_LE(clock.Now() - start, std::chrono::seconds(2) + milliseconds(100));
  // Start-up measurements are believed up to a doubt that is the same for all.
  const double trust = 1 - CostCurve::kFirstDoubt;
  for (const int rows : {1, 2, 3, 5, 8, 12, 32, 64}) {
    const double expected = trust * Seconds(target.Cost(rows, rows * 64));
    EXPECT_NEAR(costs.TargetSeconds(rows, rows * 64), expected, expected * 0.03) << rows;
  }
  for (const int rows : {1, 2, 8, 16, 64, 256}) {
    const double expected = trust * Seconds(draft.Cost(rows, rows * 64));
    EXPECT_NEAR(costs.DraftSeconds(rows, rows * 64), expected, expected * 0.03) << rows;
  }
}

TEST(CalibrationTest, LeavesOutWhatWouldTakeTooLong) {
  ManualClock clock;
  TimedRunner target(clock, milliseconds(300), milliseconds(10));
  const TimePoint start = clock.Now();
  const CostModel costs = Calibrate(target, nullptr, {.limits = kLimits, .num_blocks = 64}, clock);
  EXPECT_TRUE(costs.knows_target());
  EXPECT_FALSE(costs.knows_draft());
  EXPECT_LE(clock.Now() - start, milliseconds(2600)) << "at most the step under way";
  EXPECT_TRUE(target.row_counts.contains(1));
  EXPECT_TRUE(target.row_counts.contains(8));
  EXPECT_FALSE(target.row_counts.contains(48));
}

TEST(CalibrationTest, KeepsToTheLimits) {
  ManualClock clock;
  TimedRunner target(clock, milliseconds(1), microseconds(10));
  Calibrate(target, nullptr,
            {.limits = {.max_rows = 10, .max_sequences = 3, .max_context = 40}, .num_blocks = 8},
            clock);
  EXPECT_EQ(*target.row_counts.rbegin(), 10) << "the block that is copied";
  EXPECT_FALSE(target.row_counts.contains(12));
}

TEST(CalibrationTest, RunsRealModels) {
  const RunnerLimits limits = {.max_rows = 256, .max_sequences = 32, .max_context = 128};
  Pair pair(GoldenModel("llama_gqa"), GoldenModel("llama_gqa"),
            {.backend = "cpu", .num_blocks = 128, .limits = limits});
  WatchedRunner target(pair.target().runner(), 16);
  const CostModel costs =
      Calibrate(target, &pair.draft_runner(),
                {.limits = limits, .draft_limits = limits, .num_blocks = 128}, SteadyClock());
  EXPECT_GT(costs.TargetSeconds(1, 64), 0);
  EXPECT_GT(costs.DraftSeconds(1, 64), 0);
}

}  // namespace
}  // namespace runahead
