// A real (tiny) model behind the engine: however a request is served, its tokens and logprobs are
// those it has alone, bit for bit.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "answer.h"
#include "loop_fixture.h"
#include "poison_cache.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

struct Device {
  const char* name;
  const char* backend;
  WeightFormat weights;
  DType kv;
};

class EngineEquivalence : public testing::TestWithParam<Device> {
 protected:
  EngineEquivalence()
      : model_(GoldenModel("tiny_llama"), {.backend = GetParam().backend,
                                           .num_threads = 2,
                                           .weights = GetParam().weights,
                                           .kv = GetParam().kv}) {}

  void Poison() { PoisonCache(model_.backend(), model_.cache()); }

  EngineConfig Config() const {
    EngineConfig config;
    config.eos_token_ids = {2};
    config.vocab_size = model_.config().vocab_size;
    config.max_context = 128;
    config.num_blocks = 64;
    config.block_size = 16;
    config.max_num_seqs = 16;
    config.max_num_batched_tokens = 256;
    config.max_logit_rows = 128;
    config.enable_prefix_cache = false;
    return config;
  }

  // Prompts of 20 to 48 tokens that begin alike, so that their first blocks can be shared.
  std::vector<int32_t> Prompt(int length, int32_t tail) const {
    std::vector<int32_t> prompt;
    for (int32_t i = 0; i < length; ++i) {
      const int32_t token = i < 18 ? 7 * i + 3 : 11 * i + tail;
      prompt.push_back(token % model_.config().vocab_size);
    }
    return prompt;
  }

  std::vector<Request> Requests() const {
    std::vector<Request> requests;
    for (int32_t i = 0; i < 9; ++i) {
      Request request = MakeRequest(Prompt(20 + 3 * i, i), 36 + i);
      request.sampling.num_logprobs = 2;
      if (i > 1) request.sampling.temperature = 0.5f + 0.1f * static_cast<float>(i);
      request.seed = static_cast<uint64_t>(1000 + i);
      requests.push_back(request);
    }
    // Enough of them that every way of keeping the weights meets one.
    for (int32_t id = 5; id < 90; id += id % 7 == 4 ? 15 : 1) {
      requests[1].stop_token_ids.push_back(id);
    }
    requests[1].min_tokens = 4;
    requests[2].sampling.top_p = 0.9f;
    requests[2].sampling.min_p = 0.02f;
    requests[3].sampling.top_k = 12;
    requests[4].sampling.repetition_penalty = 1.2f;
    requests[4].sampling.presence_penalty = 0.4f;
    requests[4].sampling.frequency_penalty = 0.3f;
    requests[5].sampling.logit_bias = {{3, 2.5f}, {4, -100.0f}};
    requests[5].sampling.banned_token_ids = {9, 10};
    requests[6].num_choices = 3;
    requests[7].sampling.num_prompt_logprobs = 1;
    requests[8].ignore_eos = false;
    return requests;
  }

  // Serves the requests in one engine, `turns_apart` turns between two arrivals.
  std::vector<Answer> Serve(LoopUnderTest& loop, const std::vector<Request>& requests,
                            int turns_apart = 0) {
    std::vector<Client> clients;
    for (const Request& request : requests) {
      clients.push_back(loop.Submit(request));
      loop.Turns(turns_apart);
    }
    loop.RunUntilIdle();
    std::vector<Answer> answers;
    for (size_t i = 0; i < clients.size(); ++i) {
      answers.push_back(AnswerOf(clients[i], requests[i].num_choices));
    }
    return answers;
  }

  std::vector<Answer> ServeEachAlone(const std::vector<Request>& requests) {
    std::vector<Answer> answers;
    for (const Request& request : requests) {
      LoopUnderTest loop(model_.runner(), Config());
      answers.push_back(Serve(loop, {request})[0]);
    }
    return answers;
  }

  static void ExpectSame(const std::vector<Answer>& actual, const std::vector<Answer>& expected,
                         const char* how) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(actual[i].tokens, expected[i].tokens) << how << ", request " << i;
      EXPECT_TRUE(actual[i] == expected[i]) << how << ", logprobs of request " << i;
    }
  }

  TestModel model_;
};

TEST_P(EngineEquivalence, NoCompanyChangesAnAnswer) {
  const std::vector<Request> requests = Requests();
  const std::vector<Answer> alone = ServeEachAlone(requests);
  EXPECT_EQ(alone[1].finishes[0], FinishReason::kStop);
  EXPECT_GE(alone[1].tokens[0].size(), 5u);
  EXPECT_NE(alone[6].tokens[0], alone[6].tokens[1]);
  EXPECT_EQ(alone[0].tokens[0].size(), 36u);

  {
    Poison();
    LoopUnderTest loop(model_.runner(), Config());
    ExpectSame(Serve(loop, requests), alone, "one batch");
  }
  {
    EngineConfig config = Config();
    config.max_num_batched_tokens = 7;  // chunks, mixed with decodes
    Poison();
    LoopUnderTest loop(model_.runner(), config);
    ExpectSame(Serve(loop, requests, 2), alone, "small chunks, one after the other");
  }
  {
    EngineConfig config = Config();
    config.enable_prefix_cache = true;
    Poison();
    LoopUnderTest loop(model_.runner(), config);
    ExpectSame(Serve(loop, requests, 1), alone, "prefix cache");
    ExpectSame(Serve(loop, requests), alone, "prefix cache, every prompt seen before");
    EXPECT_GT(loop.metrics.Snapshot().prefix_hit_tokens, 200u);
  }
  for (const bool with_cache : {false, true}) {
    EngineConfig config = Config();
    config.num_blocks = 10;  // 160 tokens for eleven sequences of 56 to 88
    config.enable_prefix_cache = with_cache;
    Poison();
    LoopUnderTest loop(model_.runner(), config);
    ExpectSame(Serve(loop, requests), alone, "preemption");
    EXPECT_GT(loop.metrics.Snapshot().preemptions, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Devices, EngineEquivalence,
    testing::Values(Device{"ref", "ref", WeightFormat::kF32, DType::kF32},
                    Device{"cpu_f32", "cpu", WeightFormat::kF32, DType::kF32},
                    Device{"cpu_bf16", "cpu", WeightFormat::kBF16, DType::kBF16},
                    Device{"cpu_int8", "cpu", WeightFormat::kInt8, DType::kBF16},
                    Device{"cpu_int4", "cpu", WeightFormat::kInt4, DType::kI8}),
    [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace runahead
