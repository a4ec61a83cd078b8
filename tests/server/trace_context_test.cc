#include "server/trace_context.h"

#include <string>

#include "gtest/gtest.h"

namespace runahead {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kParent = "00f067aa0ba902b7";
const std::string kGood = "00-" + kTrace + "-" + kParent + "-01";

TEST(TraceContextTest, AValidParentIsTakenOverUnderASpanOfOurOwn) {
  const auto trace = ParseTraceparent(kGood);
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->trace_id, kTrace);
  EXPECT_EQ(trace->parent_id, kParent);
  EXPECT_TRUE(trace->sampled());
  EXPECT_EQ(trace->span_id.size(), 16u);
  EXPECT_NE(trace->span_id, kParent);
  EXPECT_NE(trace->span_id, ParseTraceparent(kGood)->span_id);
  EXPECT_EQ(FormatTraceresponse(*trace), "00-" + kTrace + "-" + trace->span_id + "-01");
  EXPECT_TRUE(ParseTraceparent(FormatTraceresponse(*trace)));
}

TEST(TraceContextTest, FlagsButSampledAreNotPassedOn) {
  const auto trace = ParseTraceparent("00-" + kTrace + "-" + kParent + "-fe");
  ASSERT_TRUE(trace);
  EXPECT_FALSE(trace->sampled());
  EXPECT_TRUE(FormatTraceresponse(*trace).ends_with("-00"));
}

TEST(TraceContextTest, ALaterVersionIsReadAsFarAsWeKnowIt) {
  EXPECT_TRUE(ParseTraceparent("01-" + kTrace + "-" + kParent + "-01"));
  EXPECT_TRUE(ParseTraceparent("cc-" + kTrace + "-" + kParent + "-01-what-the-future-will-be"));
  EXPECT_FALSE(ParseTraceparent("cc-" + kTrace + "-" + kParent + "-01.what"));
}

TEST(TraceContextTest, WhatTheRecommendationRefusesIsAbsent) {
  const std::string zeros(32, '0');
  const std::string bad[] = {
      "",
      "00",
      kGood.substr(0, kGood.size() - 1),
      kGood + "0",
      kGood + "-more",
      " " + kGood,
      "ff" + kGood.substr(2),
      "0g" + kGood.substr(2),
      "FF" + kGood.substr(2),
      "00-" + zeros + "-" + kParent + "-01",
      "00-" + kTrace + "-" + zeros.substr(0, 16) + "-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kParent + "-01",
      "00-" + kTrace.substr(1) + "x-" + kParent + "-01",
      "00-" + kTrace + "-" + kParent + "-0g",
      "00_" + kTrace + "-" + kParent + "-01",
      "00-" + kTrace + "_" + kParent + "-01",
      "00-" + kTrace + "-" + kParent + "_01",
      std::string(55, '\0'),
      std::string(1 << 16, '0'),
  };
  for (const std::string& value : bad) EXPECT_FALSE(ParseTraceparent(value)) << value;
}

}  // namespace
}  // namespace runahead
