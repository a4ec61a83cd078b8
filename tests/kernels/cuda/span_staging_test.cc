#include "kernels/cuda/span_staging.h"

#include <array>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/host_memory.h"

namespace runahead::RA_CUDA {
namespace {

// Pinned memory that is the host's own, and a count of waits.
class HostRuntime : public DeviceRuntime {
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

// One that copies at once.
class CopyingRuntime final : public HostRuntime {
 public:
  void CopyFromPinned(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void CopyToHost(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
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

// Of a graph: its memory, and what a launch brings there and back.
struct CapturedSpans {
  static constexpr int64_t kBytes = SpanStaging::kPlacesBytes;

  DeviceBuffer memory = AllocateHostMemory(kBytes);
  char* device = static_cast<char*>(memory.data());
  SpanStaging::Places places;
};

TEST(SpanStagingTest, CapturedSpansHavePlacesThatAreFilledAnew) {
  CopyingRuntime runtime;
  SpanStaging staging(runtime, 4096);
  CapturedSpans captured;
  std::vector<int32_t> ids = {1, 2, 3};
  std::vector<int64_t> slots = {4, 5, 6};
  staging.BeginCapture(captured.device);
  const int32_t* ids_place = staging.In(std::span<const int32_t>(ids));
  const int64_t* slots_place = staging.In(std::span<const int64_t>(slots));
  EXPECT_EQ(staging.In(std::span<const int32_t>(ids)), ids_place) << "the layers share a place";
  const auto* doubled = staging.Made<int32_t>(ids.size(), [&ids](std::span<int32_t> out) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = 2 * ids[i];
  });
  captured.places = staging.EndCapture();
  EXPECT_EQ(captured.places.ins.size(), 3u);
  EXPECT_EQ(staging.used_bytes(), 0);
  ids[1] = 20;  // another step
  slots[2] = 60;
  staging.CopyIn(captured.places, captured.device);
  EXPECT_EQ(std::vector(ids_place, ids_place + 3), ids);
  EXPECT_EQ(std::vector(slots_place, slots_place + 3), slots);
  EXPECT_EQ(std::vector(doubled, doubled + 3), (std::vector<int32_t>{2, 40, 6}));
}

// Two launches before a wait: the second's results stand, whatever the first's place held.
TEST(SpanStagingTest, ResultsOfCapturedOpsAreDeliveredWhenDrained) {
  CopyingRuntime runtime;
  SpanStaging staging(runtime, 4096);
  CapturedSpans captured;
  std::array<int32_t, 2> tokens = {};
  std::array<int32_t, 1> counts = {};
  staging.BeginCapture(captured.device);
  int32_t* tokens_place = staging.Out(std::span<int32_t>(tokens));
  int32_t* counts_place = staging.Out(std::span<int32_t>(counts));
  captured.places = staging.EndCapture();
  for (const int32_t launch : {1, 2}) {
    tokens_place[1] = 10 * launch;
    counts_place[0] = launch;
    staging.CopyOut(captured.places, captured.device);
    tokens_place[1] = counts_place[0] = -1;
  }
  EXPECT_EQ(tokens[1], 0) << "nobody has waited";
  staging.Drain();
  EXPECT_EQ(tokens[1], 20);
  EXPECT_EQ(counts[0], 2);
}

TEST(SpanStagingTest, MakesWhatIsReadAtOnce) {
  HostRuntime runtime;
  SpanStaging staging(runtime, 4096);
  const auto* made = staging.Made<int64_t>(2, [](std::span<int64_t> out) { out[0] = out[1] = 7; });
  EXPECT_EQ(made[1], 7);
  EXPECT_EQ(staging.Made<int64_t>(0, [](std::span<int64_t>) {}), nullptr);
}

}  // namespace
}  // namespace runahead::RA_CUDA
