#include "engine/engine.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "loop_fixture.h"

namespace runahead {
namespace {

// An engine with its thread, on the system's clock.
class EngineTest : public testing::Test {
 protected:
  void Start(EngineConfig config = SmallEngineConfig()) {
    runner_ = std::make_unique<FakeRunner>(config.num_blocks, config.block_size, kFakeVocab);
    runner_->before_run = [this](auto) {
      if (is_held_) is_held_.wait(true);
      if (throws_) throw std::runtime_error("device lost");
    };
    engine_ = std::make_unique<Engine>(config, *runner_, clock_, metrics_, logger_);
  }
  Client Submit(Request request) {
    Client client;
    client.stream =
        std::move(engine_->Submit(std::make_unique<Request>(std::move(request)))).value();
    return client;
  }
  static void ReadAll(Client& client) {
    while (!client.stream->finished()) client.See(client.stream->Wait());
  }
  void Hold() { is_held_ = true; }  // the runner waits at its next step
  void Release() {
    is_held_ = false;
    is_held_.notify_all();
  }

  SteadyClock clock_;
  Metrics metrics_;
  RecordingLogger logger_;
  std::atomic<bool> is_held_ = false;
  std::atomic<bool> throws_ = false;
  std::unique_ptr<FakeRunner> runner_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, ServesAndShowsItsConfig) {
  Start();
  const Request request = MakeRequest({1, 2, 3}, 20);
  Client client = Submit(request);
  ReadAll(client);
  EXPECT_EQ(client[0].tokens, FakeTokens(request.prompt, 20, request.sampling, kFakeVocab));
  EXPECT_EQ(engine_->config().vocab_size, kFakeVocab);
  EXPECT_EQ(engine_->health(), EngineHealth::kServing);
}

TEST_F(EngineTest, AClientThatHasItsFinishIsCounted) {
  Start();
  for (uint64_t i = 1; i <= 20; ++i) {
    Client client = Submit(MakeRequest({1}, 2));
    ReadAll(client);
    EXPECT_EQ(metrics_.Snapshot().finished_length, i);
  }
}

TEST_F(EngineTest, ASeedMakesTheDrawnSeedsRepeatable) {
  const auto drawn_with = [this](std::optional<uint64_t> seed) {
    EngineConfig config = SmallEngineConfig();
    config.seed = seed;
    const size_t num_before = logger_.lines().size();
    Start(config);
    for (int i = 0; i < 3; ++i) {
      Request request = MakeRequest({1}, 2);
      request.sampling.temperature = 1;
      Client client = Submit(std::move(request));
      ReadAll(client);
    }
    engine_.reset();
    std::vector<std::string> lines = logger_.lines();
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(num_before));
    EXPECT_EQ(lines.size(), 3u);
    return lines;
  };
  const auto first = drawn_with(7);
  EXPECT_EQ(drawn_with(7), first);
  EXPECT_NE(drawn_with(8), first);
  EXPECT_NE(drawn_with(std::nullopt), drawn_with(std::nullopt));
  EXPECT_NE(first[0], first[1]);
}

TEST_F(EngineTest, WakersRunOnTheEngineThreadAndTakeNothing) {
  Start();
  Client client = Submit(MakeRequest({1}, 30));
  std::atomic<int> num_wakes = 0;
  while (!client.stream->finished()) {
    const int before = num_wakes;
    client.stream->Arm([&num_wakes] {
      ++num_wakes;
      num_wakes.notify_one();
    });
    num_wakes.wait(before);
    client.Take();
  }
  EXPECT_EQ(client[0].tokens.size(), 30u);
}

TEST_F(EngineTest, SubmitNeverWaitsForAStep) {
  EngineConfig config = SmallEngineConfig();
  config.max_queue = 3;
  Start(config);
  Hold();
  std::vector<Client> clients;
  Result<std::unique_ptr<ResponseStream>> refused = InvalidArgument("none yet");
  for (int i = 0; i < 10; ++i) {  // the engine hangs in its first step, yet all of this returns
    auto stream = engine_->Submit(std::make_unique<Request>(MakeRequest({i}, 2)));
    if (stream.ok()) {
      clients.emplace_back().stream = std::move(stream).value();
    } else {
      EXPECT_EQ(stream.status().code(), StatusCode::kResourceExhausted);
    }
  }
  EXPECT_GE(clients.size(), 3u);
  EXPECT_LE(clients.size(), 6u);  // three wait, up to three more run in the step that hangs
  const MetricsSnapshot counts = metrics_.Snapshot();
  EXPECT_TRUE(counts.Reconciles());
  EXPECT_EQ(counts.received, 10u);
  Release();
  for (Client& client : clients) {
    ReadAll(client);
    EXPECT_EQ(client[0].tokens.size(), 2u);
  }
}

TEST_F(EngineTest, DrainEndsWhenTheLastRequestDoes) {
  Start();
  Client client = Submit(MakeRequest({1}, 100));
  engine_->Drain(kNoDeadline);
  engine_->WaitUntilDrained();
  EXPECT_EQ(engine_->health(), EngineHealth::kStopped);
  ReadAll(client);
  EXPECT_EQ(client[0].tokens.size(), 100u);
  EXPECT_EQ(engine_->Submit(std::make_unique<Request>(MakeRequest({1}, 1))).status().code(),
            StatusCode::kUnavailable);
}

TEST_F(EngineTest, DrainWakesAnIdleEngineAtItsDeadline) {
  EngineConfig config = SmallEngineConfig();
  config.batch_wait = std::chrono::hours(1);  // the request waits, the engine sleeps
  Start(config);
  Client client = Submit(MakeRequest({1}, 100));
  engine_->Drain(clock_.Now() + std::chrono::milliseconds(5));
  engine_->WaitUntilDrained();
  ReadAll(client);
  EXPECT_EQ(client[0].finish, FinishReason::kFailed);
  EXPECT_EQ(client[0].error.code(), StatusCode::kUnavailable);
}

TEST_F(EngineTest, FailureWakesReadersAndDrainers) {
  Start();
  Hold();
  Client client = Submit(MakeRequest({1}, 100));
  std::thread drainer([this] { engine_->WaitUntilDrained(); });
  throws_ = true;
  Release();
  ReadAll(client);
  drainer.join();
  EXPECT_EQ(client[0].finish, FinishReason::kFailed);
  EXPECT_EQ(engine_->health(), EngineHealth::kFailed);
}

TEST_F(EngineTest, DestroyingTheEngineEndsStreamsThatOutliveIt) {
  Start();
  Client client = Submit(MakeRequest({1}, 200));
  Client unread = Submit(MakeRequest({2}, 200));
  std::thread reader([&client] { ReadAll(client); });
  engine_.reset();
  reader.join();
  EXPECT_NE(client[0].finish, FinishReason::kNone);
  unread.stream.reset();
}

TEST_F(EngineTest, AStuckStepTurnsHealthRedWhileItLasts) {
  EngineConfig config = SmallEngineConfig();
  config.stuck_after = std::chrono::nanoseconds(1);
  Start(config);
  std::atomic<bool> is_in_step = false;
  runner_->before_run = [&](auto) {
    is_in_step = true;
    is_in_step.notify_all();
    is_held_.wait(true);
  };
  Hold();
  Client client = Submit(MakeRequest({1}, 1));
  is_in_step.wait(false);
  EXPECT_EQ(engine_->health(), EngineHealth::kStuck);
  Release();
  ReadAll(client);
}

}  // namespace
}  // namespace runahead
