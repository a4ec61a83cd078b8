#include "kernels/cuda/span_staging.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/host_memory.h"

namespace runahead::RA_CUDA {
namespace {

// Pinned memory that is the host's own, and a count of waits.
class HostRuntime final : public DeviceRuntime {
 public:
  const DeviceProperties& properties() const override { return properties_; }
  Stream stream() override { return nullptr; }
  DeviceBuffer Allocate(int64_t bytes, MemoryKind /*kind*/) override {
    return AllocateHostMemory(bytes);
  }
  void CopyToDevice(void*, const void*, int64_t) override {}
  void CopyFromPinned(void*, const void*, int64_t) override {}
  void CopyToHost(void*, const void*, int64_t) override {}
  void Fill(void*, int, int64_t) override {}
  Ticket Record() override { return 0; }
  void Wait(Ticket) override { ++num_waits; }
  std::unique_ptr<Graph> Capture(const std::function<void()>&) override { return nullptr; }

  int num_waits = 0;

 private:
  DeviceProperties properties_;
};

TEST(SpanStagingTest, KeepsWhatASpanHeld) {
  HostRuntime runtime;
  SpanStaging staging(runtime, 4096);
  std::vector<int32_t> ids = {1, 2, 3};
  const int32_t* first = staging.In(std::span<const int32_t>(ids));
  ids[0] = 9;
  const int32_t* second = staging.In(std::span<const int32_t>(ids));
  EXPECT_EQ(first[0], 1);
  EXPECT_EQ(second[0], 9);
  EXPECT_EQ(staging.In(std::span<const int32_t>(ids)), second) << "equal spans share a copy";
  EXPECT_EQ(staging.In(std::span<const int32_t>()), nullptr);
}

TEST(SpanStagingTest, FillsOutSpansWhenDrained) {
  HostRuntime runtime;
  SpanStaging staging(runtime, 4096);
  std::array<float, 4> host = {};
  float* device = staging.Out(std::span<float>(host));
  for (int i = 0; i < 4; ++i) device[i] = static_cast<float>(i + 1);
  EXPECT_EQ(host[3], 0);
  staging.Drain();
  EXPECT_EQ(host[3], 4);
  EXPECT_EQ(staging.used_bytes(), 0);
}

// What was staged before stays where it is, and a result is still delivered.
TEST(SpanStagingTest, GrowsWithoutWaiting) {
  HostRuntime runtime;
  SpanStaging staging(runtime, 1024);
  std::vector<int32_t> ids(128);
  std::array<int32_t, 1> result = {};
  int32_t* out = staging.Out(std::span<int32_t>(result));
  std::vector<const int32_t*> copies;
  for (int i = 0; i < 5; ++i) {
    ids[0] = i;
    copies.push_back(staging.In(std::span<const int32_t>(ids)));
  }
  const std::vector<int32_t> many(5000, 7);
  const int32_t* large = staging.In(std::span<const int32_t>(many));
  EXPECT_EQ(large[4999], 7);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(copies[static_cast<size_t>(i)][0], i);
  *out = 42;
  staging.Drain();
  EXPECT_EQ(result[0], 42);
  EXPECT_EQ(runtime.num_waits, 0);
  EXPECT_EQ(staging.In(std::span<const int32_t>(many)), large) << "the memory is kept";
}

TEST(SpanStagingTest, CapturedSpansHavePlacesThatAreFilledAnew) {
  HostRuntime runtime;
  SpanStaging staging(runtime, 4096);
  alignas(64) std::array<char, 512> device = {};
  std::vector<int32_t> ids = {1, 2, 3};
  std::vector<int64_t> slots = {4, 5, 6};
  staging.BeginCapture(device.data(), device.size());
  const int32_t* ids_place = staging.In(std::span<const int32_t>(ids));
  const int64_t* slots_place = staging.In(std::span<const int64_t>(slots));
  EXPECT_EQ(staging.In(std::span<const int32_t>(ids)), ids_place) << "the layers share a place";
  const auto places = staging.EndCapture();
  EXPECT_EQ(places.size(), 2u);
  EXPECT_EQ(staging.used_bytes(), 0);
  ids[1] = 20;  // another step
  slots[2] = 60;
  const int64_t bytes = SpanStaging::BytesOf(places);
  std::memcpy(device.data(), staging.CopyPlaces(places, bytes), static_cast<size_t>(bytes));
  EXPECT_EQ(std::vector(ids_place, ids_place + 3), ids);
  EXPECT_EQ(std::vector(slots_place, slots_place + 3), slots);
}

}  // namespace
}  // namespace runahead::RA_CUDA
