#include "server/loadgen/load_report.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// seconds  0         1         2         3         4
// A        |----T1---T1--T1---------|                sent 0, text 1.0 1.5 2.0, last 3.0, 5 tokens
// B             |---------T---------|                sent 0.5, text 2.0, last 3.0, 1 token
// C                       |---------X                sent 2.0, times out at 4.0
LoadRun ThreeRequests() {
  LoadRun run{.wall_s = 4, .client_cpu_s = 0.4, .num_connections = 2};
  run.records.push_back({.sent_s = 0,
                         .last_s = 3,
                         .ended_s = 3,
                         .text_s = {1, 1.5, 2},
                         .usage = AnswerUsage{.prompt_tokens = 10,
                                              .completion_tokens = 5,
                                              .cached_tokens = 4,
                                              .target_steps = 3,
                                              .drafted_tokens = 4,
                                              .accepted_tokens = 2}});
  run.records.push_back({.sent_s = 0.5,
                         .last_s = 3,
                         .ended_s = 3,
                         .text_s = {2},
                         .usage = AnswerUsage{.prompt_tokens = 6, .completion_tokens = 1}});
  run.records.push_back({.sent_s = 2,
                         .last_s = 3.5,
                         .ended_s = 4,
                         .text_s = {2.5, 3.5},
                         .error_kind = "timeout",
                         .error = "no whole answer within 2000 ms"});
  return run;
}

TEST(LoadReportTest, FiguresAreThoseWorkedOutByHand) {
  const LoadReport r = MakeLoadReport(ThreeRequests(), {});
  EXPECT_EQ(r.num_requests, 3);
  EXPECT_EQ(r.num_ok, 2);
  EXPECT_EQ(r.num_ttft, 2);
  EXPECT_DOUBLE_EQ(r.ttft.mean, (1 + 1.5) / 2);
  EXPECT_EQ(r.num_tpot, 1) << "one token has no time per token";
  EXPECT_DOUBLE_EQ(r.tpot.p50, (3.0 - 1.0) / 4);
  EXPECT_EQ(r.num_itl, 2) << "the failed request's gap is not among them";
  EXPECT_DOUBLE_EQ(r.itl.p99, 0.5);
  EXPECT_DOUBLE_EQ(r.e2e.mean, (3 + 2.5) / 2);
  EXPECT_DOUBLE_EQ(r.requests_per_s, 2.0 / 4);
  EXPECT_DOUBLE_EQ(r.output_tokens_per_s, 6.0 / 4);
  EXPECT_DOUBLE_EQ(r.total_tokens_per_s, 22.0 / 4);
  EXPECT_EQ(r.cached_tokens, 4);
  EXPECT_EQ(r.num_chunks, 4);
  EXPECT_EQ(r.peak_in_flight, 3);
  EXPECT_DOUBLE_EQ(r.mean_in_flight, (3 + 2.5 + 2) / 4);
  EXPECT_DOUBLE_EQ(r.client_busy, 0.1);
}

TEST(LoadReportTest, ErrorsAreCountedByKind) {
  const LoadReport r = MakeLoadReport(ThreeRequests(), {});
  ASSERT_EQ(r.errors.size(), 1u);
  EXPECT_EQ(r.errors.at("timeout").count, 1);
  EXPECT_EQ(r.errors.at("timeout").example, "no whole answer within 2000 ms");
  EXPECT_FALSE(r.rows[2].ttft_s.has_value());
  EXPECT_FALSE(r.rows[2].e2e_s.has_value());
}

TEST(LoadReportTest, DraftsAreThoseOfAnswersThatTellOfThem) {
  const LoadReport r = MakeLoadReport(ThreeRequests(), {});
  EXPECT_TRUE(r.has_drafts);
  EXPECT_EQ(r.target_steps, 3);
  EXPECT_EQ(r.drafted_tokens, 4);
  EXPECT_EQ(r.accepted_tokens, 2);
  LoadRun silent = ThreeRequests();
  silent.records[0].usage->target_steps.reset();
  EXPECT_FALSE(MakeLoadReport(silent, {}).has_drafts);
}

// A keeps TTFT 1.2 s and TPOT 0.6 s, B (TTFT 1.5 s) only TPOT, C failed: one good request in 4 s.
TEST(LoadReportTest, GoodputIsOfRequestsThatKeepAllLimits) {
  const LoadReport r = MakeLoadReport(ThreeRequests(), *ParseSlo("ttft:1200,tpot:600"));
  EXPECT_DOUBLE_EQ(r.goodput_per_s, 1.0 / 4);
  EXPECT_DOUBLE_EQ(r.goodput_share, 1.0 / 3);
  ASSERT_EQ(r.slo.size(), 2u);
  EXPECT_DOUBLE_EQ(r.slo[0].share, 1.0 / 3);
  EXPECT_DOUBLE_EQ(r.slo[1].share, 2.0 / 3);
}

// 4 s in slices of 0.05 s. A's five tokens are 5/3 a chunk, at 1, 1.5 and 2 s.
TEST(LoadReportTest, TheTimelineAddsUpToTheTotals) {
  const LoadReport r = MakeLoadReport(ThreeRequests(), {});
  const Timeline& line = r.timeline;
  EXPECT_DOUBLE_EQ(line.bin_s, 0.05);
  ASSERT_EQ(line.in_flight.size(), 80u);
  double tokens = 0;
  double in_flight_s = 0;
  for (size_t i = 0; i < line.in_flight.size(); ++i) {
    tokens += line.output_tokens_per_s[i] * line.bin_s;
    in_flight_s += line.in_flight[i] * line.bin_s;
  }
  EXPECT_NEAR(tokens, 6, 1e-9);
  EXPECT_NEAR(in_flight_s, 7.5, 1e-9);
  EXPECT_NEAR(line.output_tokens_per_s[20] * line.bin_s, 5.0 / 3, 1e-9);
  EXPECT_NEAR(line.in_flight[50], 3, 1e-9);
}

TEST(LoadReportTest, GapsFallIntoTheirBins) {
  EXPECT_EQ(GapHistogram::BinOf(0), 0);
  EXPECT_EQ(GapHistogram::BinOf(1e9), GapHistogram::kNumBins - 1);
  for (int bin = 0; bin < GapHistogram::kNumBins; ++bin) {
    const double middle =
        std::sqrt(GapHistogram::LowerEdge(bin) * GapHistogram::LowerEdge(bin + 1));
    EXPECT_EQ(GapHistogram::BinOf(middle), bin);
  }
  EXPECT_NEAR(GapHistogram::LowerEdge(GapHistogram::kPerDecade), 1e-4, 1e-12);
  const LoadReport r = MakeLoadReport(ThreeRequests(), {});
  EXPECT_EQ(r.gaps.counts[static_cast<size_t>(GapHistogram::BinOf(0.5))], 2);
}

TEST(LoadReportTest, AnswersWithoutUsageHaveLatencyButNoTokens) {
  LoadRun run = ThreeRequests();
  run.records[0].usage.reset();
  const LoadReport r = MakeLoadReport(run, {});
  EXPECT_EQ(r.num_without_usage, 1);
  EXPECT_EQ(r.num_ttft, 2);
  EXPECT_EQ(r.num_tpot, 0);
  EXPECT_EQ(r.completion_tokens, 1);
  EXPECT_THAT(Warnings(r), testing::Contains(HasSubstr("1 answers came without usage")));
}

TEST(LoadReportTest, OpenLoopsTellHowLateTheyWere) {
  LoadRun run = ThreeRequests();
  run.is_open_loop = true;
  for (LoadRecord& record : run.records) record.due_s = record.sent_s - 0.25;
  const LoadReport r = MakeLoadReport(run, {});
  EXPECT_DOUBLE_EQ(r.lag.p50, 0.25);
  EXPECT_THAT(Warnings(r), testing::Contains(HasSubstr("sent late (p99 250 ms)")));
}

TEST(LoadReportTest, WarnsOfWhatWouldMislead) {
  LoadRun run = ThreeRequests();
  run.client_cpu_s = 3;
  run.is_interrupted = true;
  EXPECT_THAT(Warnings(MakeLoadReport(run, {})),
              ElementsAre(HasSubstr("interrupted"), HasSubstr("1 of 3 requests failed"),
                          HasSubstr("busy 75 %"), HasSubstr("Fewer than three requests")));
}

TEST(LoadReportTest, NothingIsNoTrouble) {
  const LoadReport r = MakeLoadReport({}, *ParseSlo("server"));
  EXPECT_EQ(r.num_ok, 0);
  EXPECT_EQ(r.goodput_share, 0);
  EXPECT_TRUE(Warnings(r).empty());
}

}  // namespace
}  // namespace runahead
