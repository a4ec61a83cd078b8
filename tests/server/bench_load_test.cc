#include "server/bench_load.h"

#include "gtest/gtest.h"

#include "core/log.h"
#include "model/model_runner.h"

namespace runahead {
namespace {

// Every sequence that wants a token gets token 1.
class OnesRunner final : public StepRunner {
 public:
  const ModelOutput& Run(std::span<const SequenceRun> runs) override {
    output_ = {};
    output_.offsets.push_back(0);
    for (const SequenceRun& run : runs) {
      if (run.wants_token) output_.token_ids.push_back(1);
      output_.offsets.push_back(static_cast<int32_t>(output_.token_ids.size()));
    }
    output_.logprobs.resize(output_.token_ids.size());
    output_.prompt_logprobs.resize(runs.size());
    return output_;
  }
  void CopyBlocks(std::span<const int32_t>, std::span<const int32_t>) override {}

 private:
  ModelOutput output_;
};

class BenchLoadTest : public testing::Test {
 protected:
  SteadyClock clock_;
  Metrics metrics_;
  NullLogger logger_;
  OnesRunner runner_;
  Engine engine_{{.vocab_size = 100, .max_context = 256, .num_blocks = 64},
                 runner_,
                 clock_,
                 metrics_,
                 logger_};
};

TEST_F(BenchLoadTest, EveryRequestGetsItsTokens) {
  const auto result = RunLoad(
      engine_, {.num_requests = 9, .concurrency = 4, .input_tokens = 20, .output_tokens = 5},
      clock_);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_EQ(result->requests.size(), 9u);
  for (const RequestTimes& times : result->requests) {
    EXPECT_EQ(times.num_tokens, 5);
    EXPECT_EQ(times.gaps.size(), 4u);
    EXPECT_GT(times.ttft, Duration{});
    EXPECT_GE(times.e2e, times.ttft);
  }
  EXPECT_EQ(metrics_.Snapshot().finished_length, 9u);
}

TEST_F(BenchLoadTest, ASharedPrefixIsFoundInTheCache) {
  const auto result = RunLoad(engine_,
                              {.num_requests = 3,
                               .concurrency = 1,
                               .input_tokens = 64,
                               .output_tokens = 2,
                               .shared_prefix = 48},
                              clock_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->requests[0].num_cached_tokens, 0);
  EXPECT_EQ(result->requests[1].num_cached_tokens, 48);
}

TEST_F(BenchLoadTest, AFailureIsReported) {
  const auto result =
      RunLoad(engine_, {.num_requests = 1, .input_tokens = 300, .output_tokens = 2}, clock_);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace runahead
