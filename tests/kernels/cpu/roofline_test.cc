#include "kernels/cpu/roofline.h"

#include <gtest/gtest.h>

#include "kernels/registry.h"

namespace runahead {
namespace {

TEST(Roofline, MeasuresSomethingPlausible) {
  const double bandwidth = MeasureReadBandwidth(1, 1);
  EXPECT_GT(bandwidth, 1e8);   // below a hundredth of any machine's
  EXPECT_LT(bandwidth, 2e12);  // above any one core's
  const std::string isa = CpuIsaNames().front();
  EXPECT_GT(MeasureF32Peak(isa), 1e8);
  EXPECT_GT(MeasureBf16Peak(isa), 1e8);
  EXPECT_GT(MeasureInt8Peak(isa), 1e8);
  EXPECT_LT(MeasureF32Peak(isa), 1e13);
}

}  // namespace
}  // namespace runahead
