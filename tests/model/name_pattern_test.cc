#include "model/name_pattern.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace runahead {
namespace {

using testing::HasSubstr;

bool Matches(const std::string& pattern, const std::string& name) {
  return NamePattern::Parse(pattern).value().MatchesName(name).value();
}

TEST(NamePatternTest, AWordIsOneNameOrOneClass) {
  EXPECT_TRUE(Matches("lm_head", "lm_head"));
  EXPECT_FALSE(Matches("lm_head", "lm_head.weight"));
  EXPECT_FALSE(Matches("lm.head", "lm_head"));
  EXPECT_TRUE(NamePattern::Parse("Linear")->MatchesClass("Linear"));
  EXPECT_FALSE(NamePattern::Parse("Linear")->MatchesClass("Embedding"));
}

// Python's re.match: from the first character on, to anywhere.
TEST(NamePatternTest, AnExpressionMatchesFromTheStart) {
  EXPECT_TRUE(Matches("re:.*mlp", "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(Matches("re:mlp", "model.layers.0.mlp.up_proj"));
  EXPECT_TRUE(Matches("re:model\\.layers\\.[02]\\.", "model.layers.2.mlp.up_proj"));
  EXPECT_FALSE(Matches("re:model\\.layers\\.[02]\\.", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(Matches("re:.*proj$", "model.layers.0.mlp.up_proj.weight"));
  EXPECT_TRUE(Matches("re:(?!lm_head).*", "model.norm"));
  EXPECT_FALSE(NamePattern::Parse("re:Linear")->MatchesClass("re:Linear"));
}

TEST(NamePatternTest, CopiesMatchAlike) {
  const NamePattern pattern = NamePattern::Parse("re:.*q_proj").value();
  const NamePattern copy = pattern;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_TRUE(copy.MatchesName("a.q_proj").value());
}

TEST(NamePatternTest, WhatIsNoExpressionIsNamed) {
  EXPECT_THAT(NamePattern::Parse("re:(").status().message(),
              HasSubstr("\"re:(\" is no regular expression"));
  EXPECT_FALSE(NamePattern::Parse("re:\\C").ok());
  EXPECT_THAT(NamePattern::Parse("re:" + std::string(5000, 'a')).status().message(),
              HasSubstr("longer than 4096 bytes"));
}

TEST(NamePatternTest, ASearchWithoutEndIsCutShort) {
  const auto found = NamePattern::Parse("re:(a+)+$")->MatchesName(std::string(40, 'a') + "b");
  EXPECT_THAT(found.status().message(), HasSubstr("takes too long"));
}

}  // namespace
}  // namespace runahead
