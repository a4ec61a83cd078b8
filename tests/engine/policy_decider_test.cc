#include "engine/policy_decider.h"

#include <chrono>
#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "loop_fixture.h"
#include "pair_under_test.h"
#include "random_clients.h"
#include "test_drafters.h"

namespace runahead {
namespace {

using std::chrono::microseconds;

// An engine with its own policy, a fake target and a draft model of a given quality, where a step
// takes the time it is told to.
class WithPolicy {
 public:
  explicit WithPolicy(int quality, const EngineConfig& config = Config())
      : fake_(config.num_blocks, config.block_size, config.vocab_size),
        target_(fake_, clock_, microseconds(1000), microseconds(10)),
        model_(config.num_blocks, config.block_size, config.vocab_size, quality),
        loop(target_, config, 1, {.model = &model_}, &clock_) {}

  static EngineConfig Config() {
    EngineConfig config = SmallEngineConfig();
    config.speculation.drafters = {DrafterKind::kModel};
    return config;
  }

  Client Serve(const Request& request) {
    Client client = loop.Submit(request);
    loop.RunUntilIdle();
    client.Take();
    return client;
  }

 private:
  ManualClock clock_;
  FakeRunner fake_;
  TimedRunner target_;
  FakeDraftModel model_;  // takes no time

 public:
  LoopUnderTest loop;
};

// k tokens drafted wherever so many may still come, whatever it costs.
TEST(PolicyDecider, AFixedDepthIsHonouredExactly) {
  for (const int k : {1, 3, 16}) {
    WithPolicy test(50);
    Request request = MakeRequest({1, 2, 3}, 60);
    request.speculation = {.mode = SpeculationMode::kFixed, .max_tokens = k};
    Client client = test.loop.Submit(request);
    int num_tokens = 0;
    while (test.loop.Turn()) {
      for (const TokenEvent& event : client.stream->Take()) {
        const int num_left = request.max_tokens - num_tokens++;
        if (!event.starts_step || num_left == request.max_tokens) continue;
        EXPECT_EQ(event.num_drafted, std::min(k, num_left - 1)) << "with " << num_left << " left";
      }
    }
    EXPECT_EQ(num_tokens, 60);
  }
}

TEST(PolicyDecider, OfItselfItDraftsWhereThatPays) {
  WithPolicy good(95);
  const Request request = MakeRequest({1, 2, 3}, 200);
  Client client = good.Serve(request);
  EXPECT_EQ(client[0].tokens, FakeAlone(request, 0));
  EXPECT_LT(client[0].num_steps, 100);
  WithPolicy bad(0);
  Client other = bad.Serve(request);
  EXPECT_EQ(other[0].tokens, FakeAlone(request, 0));
  EXPECT_EQ(other[0].num_steps, 200);
  EXPECT_LT(other[0].num_drafted, 60);
}

TEST(PolicyDecider, TheLedgersWordReachesTheMetrics) {
  WithPolicy good(95);
  good.Serve(MakeRequest({1, 2, 3}, 200));
  const MetricsSnapshot counts = good.loop.metrics.Snapshot();
  EXPECT_LT(counts.speculation_loss_seconds, 0) << "time was gained";
  EXPECT_FALSE(counts.speculation_rests);
  EXPECT_GT(counts.draft_length, 0);
}

}  // namespace
}  // namespace runahead
