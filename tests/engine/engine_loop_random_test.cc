// Random requests, cancels, finishes and deadlines on a pool that is far too small, turn by turn:
// after every turn the state is whole and the counts add up, and whatever a client has read is what
// the request gives alone.
#include <cstdint>
#include <tuple>

#include <gtest/gtest.h>

#include "loop_fixture.h"
#include "random_clients.h"

namespace runahead {
namespace {

constexpr int kOperations = 3000;

class EngineLoopRandom : public testing::TestWithParam<std::tuple<uint64_t, bool>> {};

TEST_P(EngineLoopRandom, EveryTurnIsWholeAndEveryTokenItsOwn) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 24;  // 96 tokens; one sequence wants up to 66
  config.max_num_batched_tokens = 32;
  const auto [seed, is_asynchronous] = GetParam();
  TestLoop test(config, 1, {}, is_asynchronous);
  RandomClients clients(test, FakeAlone, seed);
  for (int i = 0; i < kOperations && !testing::Test::HasFailure(); ++i) clients.Operate();
  clients.End();
  const MetricsSnapshot counts = test.metrics.Snapshot();
  EXPECT_EQ(counts.waiting + counts.running, 0u);
  EXPECT_EQ(counts.used_blocks, 0);
  EXPECT_GT(counts.preemptions, 0u);
  EXPECT_GT(counts.prefix_hit_tokens, 0u);
  EXPECT_GT(counts.cancelled[0] + counts.cancelled[1], 0u);
  EXPECT_GT(counts.expired[0] + counts.expired[1], 0u);
  EXPECT_GT(counts.finished_stop, 0u);
  EXPECT_GT(counts.finished_length, 0u);
  EXPECT_EQ(counts.received, static_cast<uint64_t>(clients.num_compared()));
}

// The runner in the engine's time, and one that computes while the events of the last step go out.
INSTANTIATE_TEST_SUITE_P(Seeds, EngineLoopRandom,
                         testing::Combine(testing::Values(1, 2, 3, 4), testing::Bool()));

}  // namespace
}  // namespace runahead
