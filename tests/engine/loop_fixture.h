// LoopUnderTest: an EngineLoop with a manual clock, turned by the test; and what a client sees.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/log.h"
#include "engine/engine_door.h"
#include "engine/engine_loop.h"
#include "fake_runner.h"

namespace runahead {

inline constexpr int kFakeVocab = 1000;
inline constexpr int32_t kFakeEos = 7;

inline EngineConfig SmallEngineConfig() {
  EngineConfig config;
  config.eos_token_ids = {kFakeEos};
  config.vocab_size = kFakeVocab;
  config.max_context = 256;
  config.num_blocks = 256;
  config.block_size = 4;
  config.max_num_seqs = 8;
  config.max_num_batched_tokens = 64;
  config.max_logit_rows = 64;
  config.max_queue = 100;
  return config;
}

class RecordingLogger final : public Logger {
 public:
  void Log(LogLevel, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(message);
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// A greedy request for exactly max_tokens tokens.
inline Request MakeRequest(std::vector<int32_t> prompt, int max_tokens) {
  Request request;
  request.id = "test";
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

// [first, first + 1, ..., first + count - 1]
inline std::vector<int32_t> Counting(int32_t first, int count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// What a client has seen of one choice.
struct ClientChoice {
  std::vector<int32_t> tokens;
  std::vector<DrafterKind> drafted_by;  // parallel to tokens
  int num_drafted = 0;
  int num_steps = 0;
  std::vector<PositionLogprobs> logprobs;
  FinishReason finish = FinishReason::kNone;
  std::optional<int32_t> stop_token;
  Status error;
};

struct Client {
  std::unique_ptr<ResponseStream> stream;
  std::map<int, ClientChoice> choices;
  std::vector<PositionLogprobs> prompt_logprobs;
  int num_cached_tokens = -1;  // of the first event of choice 0

  const ClientChoice& operator[](int choice) { return choices[choice]; }

  void See(const std::vector<TokenEvent>& events) {
    for (const TokenEvent& event : events) {
      ClientChoice& choice = choices[event.choice];
      EXPECT_EQ(choice.finish, FinishReason::kNone) << "an event follows the finish";
      if (event.choice == 0 && num_cached_tokens < 0) {
        num_cached_tokens = event.num_cached_tokens;
        prompt_logprobs = event.prompt_logprobs;
      } else {
        EXPECT_TRUE(event.prompt_logprobs.empty());
      }
      if (event.token >= 0) {
        choice.tokens.push_back(event.token);
        choice.drafted_by.push_back(event.drafted_by);
        choice.num_drafted += event.num_drafted;
        choice.num_steps += event.starts_step ? 1 : 0;
      }
      if (event.logprobs) choice.logprobs.push_back(*event.logprobs);
      choice.finish = event.finish;
      choice.stop_token = event.stop_token;
      choice.error = event.error;
    }
  }
  void Take() { See(stream->Take()); }
};

// A loop over any runner, turned by the test.
class LoopUnderTest {
 public:
  LoopUnderTest(StepRunner& step_runner, const EngineConfig& config, uint64_t entropy = 1,
                const SpeculationParts& speculation = {}, ManualClock* shared_clock = nullptr)
      : clock(shared_clock != nullptr ? *shared_clock : own_clock),
        door(config, clock, metrics),
        loop(config,
             {step_runner, clock, metrics, logger, door.mailbox(), door.gate(), door.status(),
              speculation},
             entropy) {}

  Client Submit(Request request) {
    Result<std::unique_ptr<ResponseStream>> stream =
        door.Submit(std::make_unique<Request>(std::move(request)));
    EXPECT_TRUE(stream.ok()) << stream.status().message();
    Client client;
    if (stream.ok()) client.stream = std::move(stream).value();
    return client;
  }

  // Every turn leaves a whole state and counts that add up.
  bool Turn() {
    EXPECT_TRUE(metrics.Snapshot().Reconciles());
    const bool has_more = loop.RunOnce();
    loop.CheckIntegrity();
    EXPECT_TRUE(metrics.Snapshot().Reconciles());
    return has_more;
  }
  void Turns(int count) {
    for (int i = 0; i < count; ++i) Turn();
  }
  void RunUntilIdle() {
    while (Turn()) {
    }
  }

  ManualClock own_clock;
  ManualClock& clock;
  Metrics metrics;
  RecordingLogger logger;
  EngineDoor door;
  EngineLoop loop;
};

struct OwnsFakeRunner {
  OwnsFakeRunner(const EngineConfig& config, bool is_asynchronous)
      : runner(config.num_blocks, config.block_size, config.vocab_size) {
    runner.is_asynchronous = is_asynchronous;
  }
  FakeRunner runner;
};

class TestLoop : public OwnsFakeRunner, public LoopUnderTest {
 public:
  explicit TestLoop(const EngineConfig& config = SmallEngineConfig(), uint64_t entropy = 1,
                    const SpeculationParts& speculation = {}, bool is_asynchronous = false)
      : OwnsFakeRunner(config, is_asynchronous),
        LoopUnderTest(runner, config, entropy, speculation) {}
};

}  // namespace runahead
