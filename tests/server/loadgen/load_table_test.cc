#include "server/loadgen/load_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/server/loadgen/sample_reports.h"

namespace runahead {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(LoadTableTest, SaysEverythingOnce) {
  const std::string table = ToTable(SampleReport());
  EXPECT_THAT(table, HasSubstr("server       http://127.0.0.1:8000\n"));
  EXPECT_THAT(table, Not(HasSubstr("extra body")));
  // TTFT is 499 ms + 10 ms a request: 499 to 569.
  EXPECT_THAT(table,
              HasSubstr("TTFT      534.00    534.00    562.00    565.50    568.30         8"));
  EXPECT_THAT(table, HasSubstr("8 of 9 requests answered in 6.00 s: 1.33 requests/s, 8.0 output "
                               "tok/s, 21.3 total tok/s"));
  EXPECT_THAT(table, HasSubstr("goodput 0.67 requests/s, 44.4 % within ttft 530 ms (44.4 %)"));
  EXPECT_THAT(table, HasSubstr("80 prompt tokens (50 % from the prefix cache), 48 output tokens in "
                               "24 chunks (2.00 each)"));
  EXPECT_THAT(table, HasSubstr("16 of 24 drafts accepted (66.7 %), 1.50 tokens a step"));
  EXPECT_THAT(table, HasSubstr("error: 1 x http_429: <full> & \"busy\""));
  EXPECT_THAT(table, HasSubstr("note: 1 of 9 requests failed"));
}

TEST(LoadTableTest, WhatWasNotMeasuredIsADash) {
  LoadReport report = SampleReport();
  report.num_tpot = 0;
  EXPECT_THAT(ToTable(report), HasSubstr("TPOT           -\n"));
}

TEST(LoadTableTest, ComparisonsHaveALineARun) {
  LoadReport other = SampleReport("peer");
  other.slo.clear();
  const std::string table = ToComparison({SampleReport(), other});
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 3);
  EXPECT_THAT(table, HasSubstr("demo         8/9      1.33       8.0    534.00    568.30"));
  EXPECT_THAT(table, HasSubstr("   0.67\n"));
  EXPECT_THAT(table, HasSubstr("      -\n"));
}

}  // namespace
}  // namespace runahead
