#include "tests/cuda_emulator/memory.h"

#include <gtest/gtest.h>

namespace runahead::emulator {
namespace {

TEST(GlobalMemoryTest, KnowsItsAllocationsToTheByte) {
  GlobalMemory memory;
  char space[256] = {};
  memory.Add(space + 16, 10);
  memory.Add(space + 64, 100);
  EXPECT_TRUE(memory.Contains(space + 16, 10));
  EXPECT_TRUE(memory.Contains(space + 25, 1));
  EXPECT_FALSE(memory.Contains(space + 16, 11));
  EXPECT_FALSE(memory.Contains(space + 15, 2));
  EXPECT_FALSE(memory.Contains(space + 26, 1));
  EXPECT_TRUE(memory.Contains(space + 163, 1));
  EXPECT_FALSE(memory.Contains(space + 164, 1));
  EXPECT_EQ(memory.Neighbour(space + 30), ", at byte 14 of an allocation of 10");
  memory.Remove(space + 64);
  EXPECT_FALSE(memory.Contains(space + 64, 1)) << "not from memory of the last search either";
}

}  // namespace
}  // namespace runahead::emulator
