#include "server/loadgen/slo.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

LoadRecord Record() {  // TTFT 0.2, gaps 0.05 and 0.15, E2E 0.5, TPOT 0.1
  return {.last_s = 0.5, .text_s = {0.2, 0.25, 0.4}, .usage = AnswerUsage{.completion_tokens = 4}};
}

TEST(SloTest, ReadsLimitsAndPresets) {
  const Slo slo = *ParseSlo("ttft:200,tpot:50.5,itl:10,e2e:5000");
  ASSERT_EQ(slo.size(), 4u);
  EXPECT_DOUBLE_EQ(slo[1].limit_s, 0.0505);
  EXPECT_EQ(SloMetricName(slo[3].metric), "e2e");
  ASSERT_EQ(ParseSlo("interactive")->size(), 2u);
  EXPECT_DOUBLE_EQ((*ParseSlo("interactive"))[0].limit_s, 0.5);
  EXPECT_TRUE(ParseSlo("")->empty());
}

TEST(SloTest, RefusesWhatIsNoLimit) {
  for (const char* text : {"ttft", "ttft:", "ttft:x", "ttft:0", "ttft:-1", "ttft:5ms", "fast:5",
                           "ttft:5,,tpot:5", "relaxed,ttft:5", "ttft:nan"}) {
    const auto slo = ParseSlo(text);
    ASSERT_FALSE(slo.ok()) << text;
    EXPECT_THAT(slo.status().message(), testing::HasSubstr("--slo")) << text;
  }
}

TEST(SloTest, EachMetricIsHeldToItsLimit) {
  const LoadRecord record = Record();
  EXPECT_TRUE(Keeps(record, *ParseSlo("ttft:201,tpot:101,itl:151,e2e:501")));
  for (const char* text : {"ttft:199", "tpot:99", "itl:149", "e2e:499"}) {
    EXPECT_FALSE(Keeps(record, *ParseSlo(text))) << text;
    EXPECT_FALSE(Keeps(record, *ParseSlo("e2e:501," + std::string(text)))) << text;
  }
}

TEST(SloTest, FailuresKeepNothingAndWhatIsNotThereKeepsAll) {
  LoadRecord record = Record();
  record.error_kind = "timeout";
  EXPECT_FALSE(Keeps(record, Slo()));
  EXPECT_FALSE(Keeps(record, (*ParseSlo("ttft:1000"))[0]));
  LoadRecord one = Record();
  one.usage->completion_tokens = 1;
  EXPECT_TRUE(Keeps(one, *ParseSlo("tpot:0.001")));
}

}  // namespace
}  // namespace runahead
