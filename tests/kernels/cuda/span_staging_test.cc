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

TEST(SpanStagingTest, WaitsWhenNobodyHas) {
  HostRuntime runtime;
  SpanStaging staging(runtime, 1024);
  std::vector<int32_t> ids(128);
  for (int i = 0; i < 5; ++i) {
    ids[0] = i;
    EXPECT_EQ(staging.In(std::span<const int32_t>(ids))[0], i);
  }
  EXPECT_EQ(runtime.num_waits, 2) << "two spans of 512 bytes fit at a time";
}

}  // namespace
}  // namespace runahead::RA_CUDA
