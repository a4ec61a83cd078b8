#include "model/forward_graphs.h"

#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include "kernels/registry.h"
#include "tests/model/forwarding_backend.h"

namespace runahead {
namespace {

struct Counts {
  int captures = 0;
  int alive = 0;
  bool refuses = false;
};

class CountedGraph final : public Graph {
 public:
  CountedGraph(Counts& counts, std::function<void()> forward)
      : counts_(counts), forward_(std::move(forward)) {
    ++counts_.alive;
  }
  ~CountedGraph() override { --counts_.alive; }
  void Launch() override { forward_(); }

 private:
  Counts& counts_;
  std::function<void()> forward_;
};

// A backend with graphs, which run the function again.
class GraphDevice final : public ForwardingBackend {
 public:
  GraphDevice(Counts& counts, bool has_graphs)
      : ForwardingBackend(MakeBackend("ref", {}).value()),
        counts_(counts),
        info_(ForwardingBackend::info()) {
    info_.has_graphs = has_graphs;
  }
  const DeviceInfo& info() const override { return info_; }
  std::unique_ptr<Graph> Capture(const std::function<void()>& forward) override {
    if (counts_.refuses) return nullptr;
    ++counts_.captures;
    return std::make_unique<CountedGraph>(counts_, forward);
  }

 private:
  Counts& counts_;
  DeviceInfo info_;
};

class ForwardGraphsTest : public testing::Test {
 protected:
  Counts counts_;
  GraphDevice device_{counts_, true};
  int num_runs_ = 0;
  std::function<void()> forward_ = [this] { ++num_runs_; };
};

TEST_F(ForwardGraphsTest, BucketsHoldTheirRows) {
  const ForwardGraphs graphs(device_);
  EXPECT_EQ(graphs.BucketFor(0), 0);
  EXPECT_EQ(graphs.BucketFor(1), 1);
  EXPECT_EQ(graphs.BucketFor(3), 4);
  EXPECT_EQ(graphs.BucketFor(17), 24);
  EXPECT_EQ(graphs.BucketFor(128), 128);
  EXPECT_EQ(graphs.BucketFor(129), 0);
  GraphDevice without(counts_, false);
  EXPECT_EQ(ForwardGraphs(without).BucketFor(4), 0);
}

TEST_F(ForwardGraphsTest, CapturesWhatIsMetTwice) {
  ForwardGraphs graphs(device_);
  const GraphKey key = {.num_rows = 4, .slice = {.num_rows = 4}, .plan = 7};
  EXPECT_FALSE(graphs.Launch(key, forward_));
  EXPECT_EQ(counts_.captures, 0);
  EXPECT_TRUE(graphs.Launch(key, forward_));
  EXPECT_TRUE(graphs.Launch(key, forward_));
  EXPECT_EQ(counts_.captures, 1);
  EXPECT_EQ(num_runs_, 2);
  EXPECT_FALSE(graphs.Launch({4, {4}, 8}, forward_));
  EXPECT_FALSE(graphs.Launch({4, {2}, 7}, forward_));
  EXPECT_FALSE(graphs.Launch({4, {4, 1}, 7}, forward_));
  EXPECT_FALSE(graphs.Launch({4, {.num_rows = 4, .num_adjusts = 64}, 7}, forward_));
  EXPECT_EQ(graphs.num_graphs(), 1);
  EXPECT_EQ(graphs.num_launches(), 2);
}

TEST_F(ForwardGraphsTest, TheLeastRecentlyUsedMakesRoom) {
  ForwardGraphs graphs(device_);
  const GraphKey kept = {.num_rows = 1, .slice = {.num_rows = 1}, .plan = 0};
  graphs.Launch(kept, forward_);
  for (uint64_t plan = 1; plan <= 200; ++plan) {
    graphs.Launch({1, {1}, plan}, forward_);
    graphs.Launch({1, {1}, plan}, forward_);
    EXPECT_TRUE(graphs.Launch(kept, forward_)) << "used all along";
    EXPECT_LE(counts_.alive, ForwardGraphs::kMaxGraphs);
    EXPECT_EQ(counts_.alive, graphs.num_graphs());
  }
  EXPECT_EQ(counts_.alive, ForwardGraphs::kMaxGraphs);
  EXPECT_FALSE(graphs.Launch({1, {1}, 1}, forward_)) << "long gone";
}

TEST_F(ForwardGraphsTest, WithoutAGraphTheCallerRuns) {
  ForwardGraphs graphs(device_);
  counts_.refuses = true;
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(graphs.Launch({1, {1}, 0}, forward_));
  EXPECT_EQ(num_runs_, 0);
}

}  // namespace
}  // namespace runahead
