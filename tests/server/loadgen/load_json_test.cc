#include "server/loadgen/load_json.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

#include "tests/server/loadgen/sample_reports.h"

namespace runahead {
namespace {

using testing::HasSubstr;

TEST(LoadJsonTest, SaysWhatTheReportSays) {
  const LoadReport report = SampleReport();
  const nlohmann::ordered_json json = ToJson(report);
  EXPECT_EQ(json["num_ok"], 8);
  EXPECT_EQ(json["ttft_seconds"]["p50"], report.ttft.p50);
  EXPECT_EQ(json["goodput"]["share"], report.goodput_share);
  EXPECT_EQ(json["goodput"]["limits"][0]["metric"], "ttft");
  EXPECT_EQ(json["speculation"]["accepted_tokens"], 16);
  EXPECT_EQ(json["errors"]["http_429"]["count"], 1);
  EXPECT_EQ(json["requests"].size(), 9u);
  EXPECT_TRUE(json["requests"][8]["ttft_seconds"].is_null());
  EXPECT_EQ(json["requests"][8]["error"], "http_429");
}

TEST(LoadJsonTest, ComesBackAsItWas) {
  LoadReport without = SampleReport("bare");
  without.slo.clear();
  without.has_drafts = false;
  for (const LoadReport& report : {SampleReport(), without}) {
    const std::string text = ToJsonText(report);
    const auto again = ParseLoadReport(text);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(ToJsonText(*again), text);
  }
}

TEST(LoadJsonTest, WordsThatAreNoUtf8AreMended) {
  LoadReport report = SampleReport();
  report.errors["bad_answer"] = {.count = 1, .example = "\xff\xfe"};
  EXPECT_TRUE(ParseLoadReport(ToJsonText(report)).ok());
}

TEST(LoadJsonTest, OtherFilesAreRefused) {
  for (const char* text : {"", "nonsense", "[]", "{}", "{\"format\": 7}"}) {
    EXPECT_THAT(ParseLoadReport(text).status().message(), HasSubstr("is no report")) << text;
  }
  nlohmann::ordered_json damaged = ToJson(SampleReport());
  damaged.erase("num_ok");
  EXPECT_THAT(ParseLoadReport(damaged.dump()).status().message(), HasSubstr("num_ok"));
  damaged = ToJson(SampleReport());
  damaged["wall_seconds"] = "long";
  EXPECT_THAT(ParseLoadReport(damaged.dump()).status().message(), HasSubstr("damaged"));
}

}  // namespace
}  // namespace runahead
