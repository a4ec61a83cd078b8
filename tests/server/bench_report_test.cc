#include "server/bench_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using std::chrono::milliseconds;

// Two requests, 10 ms to the first token, then 5 ms a token.
LoadResult TwoRequests() {
  LoadResult result;
  for (int i = 0; i < 2; ++i) {
    result.requests.push_back({.ttft = milliseconds(10),
                               .e2e = milliseconds(25),
                               .gaps = {milliseconds(5), milliseconds(5), milliseconds(5)},
                               .num_tokens = 4});
  }
  result.wall = milliseconds(50);
  return result;
}

TEST(BenchReportTest, CountsTokensAndBytes) {
  const LoadPlan plan{.num_requests = 2, .concurrency = 1, .input_tokens = 6, .output_tokens = 4};
  const BenchReport report =
      Summarize(plan, TwoRequests(), {.weights = 1'000'000, .kv_per_token = 1000});
  EXPECT_NEAR(report.ttft.p50, 0.010, 1e-12);
  EXPECT_NEAR(report.tpot.p50, 0.005, 1e-12);
  EXPECT_NEAR(report.output_tokens_per_second, 8 / 0.050, 1e-6);
  EXPECT_NEAR(report.total_tokens_per_second, 20 / 0.050, 1e-6);
  EXPECT_NEAR(report.requests_per_second, 2 / 0.050, 1e-6);
  // 1 MB of weights and 8 tokens of mean context, every 5 ms.
  EXPECT_NEAR(report.decode_gb_per_second, (1e6 + 8e3) / 0.005 / 1e9, 1e-9);
}

TEST(BenchReportTest, ASharedPrefixIsComparedWithItsFirstUse) {
  LoadResult result = TwoRequests();
  result.requests[0].ttft = milliseconds(20);
  result.requests[1].ttft = milliseconds(2);
  result.requests[1].num_cached_tokens = 4;
  const LoadPlan plan{.num_requests = 2, .input_tokens = 6, .output_tokens = 4, .shared_prefix = 4};
  const BenchReport report = Summarize(plan, result, {});
  EXPECT_NEAR(report.first_ttft, 0.020, 1e-12);
  EXPECT_NEAR(report.later_ttft_p50, 0.002, 1e-12);
  EXPECT_THAT(ToTable(report), testing::HasSubstr("(10.0x)"));
}

TEST(BenchReportTest, TableAndJsonSayTheSame) {
  const LoadPlan plan{.num_requests = 2, .concurrency = 1, .input_tokens = 6, .output_tokens = 4};
  BenchReport report = Summarize(plan, TwoRequests(), {});
  report.ratio_to_one = 1.25;
  report.roofline_gb_per_second = 40;
  EXPECT_THAT(ToTable(report), testing::HasSubstr("160.0 output tok/s"));
  EXPECT_THAT(ToTable(report), testing::HasSubstr("1.25x one at a time"));
  EXPECT_DOUBLE_EQ(ToJson(report)["tpot_seconds"]["p50"], report.tpot.p50);
  EXPECT_DOUBLE_EQ(ToJson(report)["ratio_to_one"], 1.25);
}

}  // namespace
}  // namespace runahead
