#include "server/api_keys.h"

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(ApiKeysTest, WithoutKeysEveryoneIsAllowed) { EXPECT_TRUE(ApiKeys({}).Allow("")); }

TEST(ApiKeysTest, OnlyABearerWithOneOfTheKeysIsAllowed) {
  const ApiKeys keys({"alpha", "beta"});
  EXPECT_TRUE(keys.Allow("Bearer alpha"));
  EXPECT_TRUE(keys.Allow("Bearer beta"));
  for (const char* wrong : {"", "alpha", "Basic alpha", "Bearer ", "Bearer alph", "Bearer alphaa",
                            "Bearer ALPHA", "Bearer alpha beta"}) {
    EXPECT_FALSE(keys.Allow(wrong)) << wrong;
  }
}

TEST(ApiKeysTest, AKeyIsFoundByItsPlace) {
  const ApiKeys keys({"alpha", "beta"});
  EXPECT_EQ(keys.Find("Bearer beta"), 1);
  EXPECT_EQ(keys.Find("Bearer gamma"), std::nullopt);
  EXPECT_EQ(ApiKeys({}).Find("Bearer beta"), std::nullopt);
}

}  // namespace
}  // namespace runahead
