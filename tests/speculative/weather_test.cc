#include "speculative/weather.h"

#include <cmath>
#include <random>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(Weather, IsFineAtFirst) { EXPECT_EQ(Weather().factor(), 1); }

TEST(Weather, FollowsAChangeThatLasts) {
  Weather weather;
  for (int i = 0; i < 20; ++i) weather.Observe(1);
  for (int i = 0; i < 8; ++i) weather.Observe(2);
  EXPECT_NEAR(weather.factor(), 2, 0.1);
  for (int i = 0; i < 8; ++i) weather.Observe(1);
  EXPECT_NEAR(weather.factor(), 1, 0.05);
}

TEST(Weather, HeedsNoSingleInterruption) {
  Weather weather;
  for (int i = 0; i < 20; ++i) weather.Observe(1);
  weather.Observe(50);
  EXPECT_NEAR(weather.factor(), 1, 0.02);
}

// Sums of squares of what passes were off by, and of what that was off from what was expected.
struct Errors {
  double of_passes = 0;
  double of_expected = 0;
};

// Logarithms of ratios of standard deviation 0.2, of which `stays` is that of the one before.
Errors Follow(double stays) {
  std::mt19937 random(1);
  std::normal_distribution<double> fresh(0, 0.2 * std::sqrt(1 - stays * stays));
  Weather weather;
  Errors errors;
  double off = 0;
  for (int i = 0; i < 2000; ++i) {
    off = stays * off + fresh(random);
    const double error = off - std::log(weather.factor());
    errors.of_passes += off * off;
    errors.of_expected += error * error;
    weather.Observe(std::exp(off));
  }
  return errors;
}

TEST(Weather, ExpectsOfTheNextPassWhatStays) {
  const Errors errors = Follow(0.9);
  EXPECT_LT(errors.of_expected, 0.4 * errors.of_passes);
}

TEST(Weather, ExpectsNothingWherePassesAreOffAtRandom) {
  const Errors errors = Follow(0);
  EXPECT_LT(errors.of_expected, 1.1 * errors.of_passes);
}

}  // namespace
}  // namespace runahead
