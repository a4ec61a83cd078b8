#include "tests/cuda_emulator/global_shadow.h"

#include <array>

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

class GlobalShadowTest : public testing::Test {
 protected:
  GlobalShadowTest() { StartBlock(); }

  void StartBlock() {
    clocks_.Reset(64);
    shadow_.StartBlock();
  }
  bool Read(int thread, int at) {
    return shadow_.Note(thread, &memory_[static_cast<size_t>(at)], 4, Access::kRead);
  }
  bool Write(int thread, int at) {
    return shadow_.Note(thread, &memory_[static_cast<size_t>(at)], 4, Access::kWrite);
  }
  bool Add(int thread, int at) {
    return shadow_.Note(thread, &memory_[static_cast<size_t>(at)], 4, Access::kAtomic);
  }

  std::array<int32_t, 5000> memory_ = {};  // several pages
  Clocks clocks_;
  GlobalShadow shadow_{clocks_};
};

TEST_F(GlobalShadowTest, BarriersOrderABlock) {
  EXPECT_TRUE(Write(1, 7));
  EXPECT_TRUE(Read(1, 7));
  EXPECT_FALSE(Read(40, 7));
  EXPECT_NE(shadow_.problem().find("thread 1 wrote with no barrier"), std::string::npos);
  clocks_.SyncBlock();
  EXPECT_TRUE(Read(40, 7));
  EXPECT_FALSE(Write(2, 7));
  clocks_.SyncBlock();
  EXPECT_TRUE(Write(2, 7));
}

TEST_F(GlobalShadowTest, NothingOrdersBlocks) {
  EXPECT_TRUE(Write(1, 7));
  EXPECT_TRUE(Read(1, 4100));
  clocks_.SyncBlock();
  StartBlock();
  EXPECT_FALSE(Read(1, 7)) << "the same thread of another block";
  EXPECT_NE(shadow_.problem().find("of another block wrote in the same launch"), std::string::npos);
  EXPECT_FALSE(Write(1, 7));
  EXPECT_FALSE(Add(1, 7));
  EXPECT_TRUE(Read(3, 4100));
  EXPECT_FALSE(Write(3, 4100)) << "the block before has read it";
  EXPECT_TRUE(Write(1, 8));
}

TEST_F(GlobalShadowTest, LaunchesAreOrdered) {
  EXPECT_TRUE(Write(1, 7));
  EXPECT_TRUE(Read(1, 8));
  shadow_.StartLaunch();
  StartBlock();
  EXPECT_TRUE(Read(9, 7));
  EXPECT_TRUE(Write(9, 8));
}

TEST_F(GlobalShadowTest, AtomicsGoTogether) {
  EXPECT_TRUE(Add(1, 7));
  EXPECT_TRUE(Add(40, 7));
  StartBlock();
  EXPECT_TRUE(Add(40, 7));
  EXPECT_FALSE(Read(1, 7));
}

TEST_F(GlobalShadowTest, BytesOfAWordAreTold) {
  const auto* bytes = reinterpret_cast<const char*>(memory_.data());
  EXPECT_TRUE(shadow_.Note(1, bytes + 1, 2, Access::kWrite));
  EXPECT_TRUE(shadow_.Note(2, bytes + 3, 1, Access::kWrite));
  EXPECT_FALSE(shadow_.Note(1, bytes + 2, 8, Access::kRead)) << "thread 2 wrote one of them";
}

// Of many readers another block's is kept.
TEST_F(GlobalShadowTest, RemembersReadersOfOtherBlocks) {
  EXPECT_TRUE(Read(1, 7));
  StartBlock();
  for (int thread = 0; thread < 64; ++thread) EXPECT_TRUE(Read(thread, 7));
  clocks_.SyncBlock();
  EXPECT_FALSE(Write(5, 7));
}

}  // namespace
}  // namespace runahead::emulator
