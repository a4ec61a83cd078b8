#include "server/bench_speculate_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using ::testing::HasSubstr;

SpeculateRow Row(std::string name, SpeculationParams params, std::vector<double> rates) {
  SpeculateRow row = {.variant = {.name = std::move(name), .params = params}};
  row.tokens_per_second = std::move(rates);
  return row;
}

SpeculateTable Table() {
  return {.task = "chat",
          .batch = 4,
          .rows = {Row("off", {.mode = SpeculationMode::kOff}, {10, 11, 30}),
                   Row("k=2", {.mode = SpeculationMode::kFixed, .max_tokens = 2}, {20, 22, 24}),
                   Row("auto", {}, {21, 33, 33})}};
}

TEST(SpeculateReport, ComparesMedians) {
  const SpeculateTable table = Table();
  EXPECT_DOUBLE_EQ(RatioToOff(table, table.rows[0]), 1);
  EXPECT_DOUBLE_EQ(RatioToOff(table, table.rows[1]), 2);
  EXPECT_DOUBLE_EQ(RatioToBestFixed(table), 1.5);
}

// Where no k pays, the policy is compared with none.
TEST(SpeculateReport, TakesNoDraftsForAFixedKToo) {
  SpeculateTable table = Table();
  table.rows[1].tokens_per_second = {5};
  EXPECT_DOUBLE_EQ(RatioToBestFixed(table), 3);
}

// A slow minute met the policy's round alone; its steps were the better choice.
TEST(SpeculateReport, ComparesChoicesAtEvenCost) {
  const auto round = [](double tokens, double seconds, StepTrace steps) {
    return SpeculateRow::Round{tokens, seconds, std::move(steps)};
  };
  SpeculateTable table = Table();
  table.rows[0].rounds = {round(4, 4.5, {.target = {{1, 1}, {1, 1}, {1, 1}, {1, 1}}})};
  table.rows[1].rounds = {
      round(4, 4, {.target = {{3, 1.5}, {3, 1.5}}, .draft = {{1, 0.25}, {1, 0.25}}})};
  table.rows[2].rounds = {
      round(4, 8, {.target = {{1, 2}, {3, 5}}, .draft = {{1, 0.25}, {1, 0.25}}})};
  PriceEvenly(table);
  EXPECT_DOUBLE_EQ(table.rows[0].at_even_cost[0], 4 / 4.5);
  EXPECT_DOUBLE_EQ(table.rows[1].at_even_cost[0], 4 / 4.0);
  EXPECT_DOUBLE_EQ(table.rows[2].at_even_cost[0], 4 / (0.5 + 1 + 1.5 + 0.5));
  EXPECT_DOUBLE_EQ(RatioToBestFixed(table, &SpeculateRow::at_even_cost), 4 / 3.5);
}

TEST(SpeculateReport, AddsUpARound) {
  RequestTimes times;
  times.num_tokens = 5;
  times.tokens = {1, 2, 3, 4, 5};
  times.drafts = {3, 0};
  const LoadResult result = {.requests = {times, times}, .wall = std::chrono::seconds(2)};
  MetricsSnapshot before;
  MetricsSnapshot after;
  auto& counts = after.drafters[static_cast<size_t>(DrafterKind::kModel)];
  counts.drafted_at = {2, 2, 2};
  counts.accepted_at = {2, 1, 0};
  after.draft_seconds.Observe(0.5);
  after.verify_seconds.Observe(1);
  SpeculateRow row;
  row.Add(result, before, after, {});
  EXPECT_EQ(row.tokens_per_second, std::vector<double>{5});
  EXPECT_EQ(row.drafted_at[2], 2);
  EXPECT_EQ(row.accepted_at[1], 1);
  EXPECT_EQ(row.drafts_over_time[0], 6);
  EXPECT_EQ(row.steps_over_time[0], 4);
  const std::string text = ToTable({{.task = "chat", .rows = {row}}});
  // Of two judged at the first position both were accepted, then one of two, then none of one.
  EXPECT_THAT(text, HasSubstr("1.00 0.50 0.00"));
  EXPECT_THAT(text, HasSubstr("25 %"));
}

TEST(SpeculateReport, WritesJson) {
  const auto json = ToJson({Table()});
  EXPECT_EQ(json[0]["rows"][1]["name"], "k=2");
  EXPECT_DOUBLE_EQ(json[0]["rows"][2]["ratio_to_off"], 3);
  EXPECT_DOUBLE_EQ(json[0]["ratio_to_best_fixed"], 1.5);
}

}  // namespace
}  // namespace runahead
