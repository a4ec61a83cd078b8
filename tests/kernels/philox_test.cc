#include "kernels/philox.h"

#include <gtest/gtest.h>

namespace runahead {
namespace {

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Philox, MatchesThePublishedVectors) {
  EXPECT_EQ(PhiloxRounds({0, 0, 0, 0}, 0, 0),
            (Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(PhiloxRounds({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff),
            (Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(PhiloxRounds({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Philox4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformNeverReachesAnEnd) {
  EXPECT_EQ(UniformOpen(0), 0x1p-24f);
  EXPECT_LT(UniformOpen(0xffffffff), 1.0f);
  EXPECT_EQ(UniformOpen(0xffffffff), 1.0f - 0x1p-24f);
}

TEST(Philox, NamesGiveDistinctWords) {
  const NoiseKey key{.seed = 7, .choice = 0};
  const Philox4 words = NoiseWords(key, 3, NoisePurpose::kTarget, 5);
  EXPECT_NE(words, NoiseWords({.seed = 8, .choice = 0}, 3, NoisePurpose::kTarget, 5));
  EXPECT_NE(words, NoiseWords({.seed = 7, .choice = 1}, 3, NoisePurpose::kTarget, 5));
  EXPECT_NE(words, NoiseWords(key, 4, NoisePurpose::kTarget, 5));
  EXPECT_NE(words, NoiseWords(key, 3, NoisePurpose::kDraft, 5));
  EXPECT_NE(words, NoiseWords(key, 3, NoisePurpose::kTarget, 6));
  EXPECT_EQ(DraftNoise(0), NoisePurpose::kDraft);
  EXPECT_NE(NoiseWords(key, 3, DraftNoise(0), 5), NoiseWords(key, 3, DraftNoise(1), 5));
  EXPECT_EQ(words, NoiseWords(key, 3, NoisePurpose::kTarget, 5));
}

}  // namespace
}  // namespace runahead
