// Random requests, cancels, finishes and deadlines on a pool that is far too small, turn by turn:
// after every turn the state is whole and the counts add up, and whatever a client has read is what
// the request gives alone.
#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"

namespace runahead {
namespace {

constexpr int kOperations = 3000;

struct OpenRequest {
  Request request;
  Client client;
  std::vector<bool> was_cut;  // by Finish
};

class RandomClients {
 public:
  RandomClients(TestLoop& test, uint64_t seed) : test_(test), random_(seed) {}

  void Operate() {
    const size_t operation = Draw(10);
    if (operation < 2 && open_.size() < 12) return Submit();
    if (operation == 2) return Leave();
    if (operation == 3) return FinishEarly();
    if (operation == 4) test_.clock.Advance(std::chrono::milliseconds(Draw(3)));
    if (operation == 5) ReadAll();
    test_.Turn();
  }

  // Everybody reads to the end.
  void End() {
    test_.RunUntilIdle();
    ReadAll();
    EXPECT_TRUE(open_.empty());
    test_.RunUntilIdle();
  }

  int num_compared() const { return num_compared_; }

 private:
  size_t Draw(size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); }
  int DrawInt(size_t bound) { return static_cast<int>(Draw(bound)); }

  void Submit() {
    Request request = MakeRequest(Counting(DrawInt(2) * 100, 1 + DrawInt(40)), 1 + DrawInt(25));
    request.prompt.push_back(DrawInt(4));
    request.sampling.temperature = Draw(2) == 0 ? 0.0f : 1.0f;
    request.seed = request.sampling.seed = Draw(1000);
    request.num_choices = Draw(4) == 0 ? 1 + DrawInt(3) : 1;
    request.priority = DrawInt(2);
    request.may_finish_early = Draw(3) == 0;
    if (Draw(5) == 0) request.deadline = test_.clock.Now() + std::chrono::milliseconds(Draw(20));
    if (Draw(6) == 0) request.sampling.num_prompt_logprobs = 0;
    OpenRequest open = {request, test_.Submit(request), {}};
    open.was_cut.resize(static_cast<size_t>(request.num_choices));
    open_.push_back(std::move(open));
  }

  void Leave() {
    if (open_.empty()) return;
    OpenRequest& open = open_[Draw(open_.size())];
    std::swap(open, open_.back());
    Compare(open_.back());
    open_.pop_back();
  }

  void FinishEarly() {
    for (OpenRequest& open : open_) {
      const auto choice = Draw(open.was_cut.size());
      const int index = static_cast<int>(choice);
      const ClientChoice& seen = open.client[index];
      if (!open.request.may_finish_early || open.was_cut[choice] || seen.tokens.empty()) continue;
      if (seen.finish == FinishReason::kExpired) continue;
      open.was_cut[choice] = true;
      open.client.stream->Finish(index, 1 + DrawInt(seen.tokens.size()));
      return;
    }
  }

  void ReadAll() {
    for (OpenRequest& open : open_) open.client.Take();
    std::erase_if(open_, [this](OpenRequest& open) {
      if (!open.client.stream->finished()) return false;
      Compare(open);
      return true;
    });
  }

  void Compare(OpenRequest& open) {
    for (size_t c = 0; c < open.was_cut.size(); ++c) {
      const ClientChoice& seen = open.client[static_cast<int>(c)];
      const std::vector<int32_t> alone =
          FakeTokens(open.request.prompt, open.request.max_tokens, open.request.sampling,
                     kFakeVocab, static_cast<uint32_t>(c));
      ASSERT_LE(seen.tokens.size(), alone.size());
      EXPECT_TRUE(std::equal(seen.tokens.begin(), seen.tokens.end(), alone.begin()));
      if (seen.finish == FinishReason::kLength) {
        EXPECT_EQ(seen.tokens.size(), alone.size());
      }
      EXPECT_NE(seen.finish, FinishReason::kFailed) << seen.error.message();
    }
    ++num_compared_;
  }

  TestLoop& test_;
  std::mt19937_64 random_;
  std::vector<OpenRequest> open_;
  int num_compared_ = 0;
};

class EngineLoopRandom : public testing::TestWithParam<uint64_t> {};

TEST_P(EngineLoopRandom, EveryTurnIsWholeAndEveryTokenItsOwn) {
  EngineConfig config = SmallEngineConfig();
  config.num_blocks = 24;  // 96 tokens; one sequence wants up to 66
  config.max_num_batched_tokens = 32;
  TestLoop test(config);
  RandomClients clients(test, GetParam());
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

INSTANTIATE_TEST_SUITE_P(Seeds, EngineLoopRandom, testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace runahead
