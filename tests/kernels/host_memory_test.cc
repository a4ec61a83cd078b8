#include "kernels/host_memory.h"

#include <algorithm>
#include <new>

#include <gtest/gtest.h>

namespace runahead {
namespace {

TEST(HostMemory, IsZeroAlignedAndWholeInEverySize) {
  for (const int64_t bytes :
       {int64_t{1}, int64_t{4097}, (int64_t{2} << 20) - 1, int64_t{5} << 20}) {
    const DeviceBuffer buffer = AllocateHostMemory(bytes);
    auto* data = static_cast<char*>(buffer.data());
    EXPECT_EQ(buffer.bytes(), bytes);
    const uintptr_t alignment = bytes >= int64_t{2} << 20 ? uintptr_t{2} << 20 : 64;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % alignment, 0u);
    EXPECT_TRUE(std::all_of(data, data + bytes, [](char c) { return c == 0; }));
    std::fill(data, data + bytes, 'x');
  }
}

TEST(HostMemory, NothingIsNothing) { EXPECT_EQ(AllocateHostMemory(0).data(), nullptr); }

TEST(HostMemory, RefusesMoreThanAddressesReach) {
  EXPECT_THROW(AllocateHostMemory(int64_t{1} << 50), std::bad_alloc);
}

TEST(HostMemory, KnowsTheMachine) { EXPECT_GT(HostMemoryBytes(), int64_t{64} << 20); }

}  // namespace
}  // namespace runahead
