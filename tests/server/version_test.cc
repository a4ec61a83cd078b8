#include "server/version.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace runahead {
namespace {

TEST(VersionTest, HasThreeNumbers) {
  EXPECT_EQ(std::count(Version().begin(), Version().end(), '.'), 2);
}

}  // namespace
}  // namespace runahead
