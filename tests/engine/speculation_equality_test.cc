// Speculation on == off: real (tiny) models behind the engine, every request's tokens, finishes and
// logprobs against those it has alone and without drafts, bit for bit. The matrix is
//   {greedy, sampled} x {who drafts} x {batch 1, 7, 32} x {how it is served}
// whole, and over it, in turn, {how k is chosen}; eight kinds of requests (penalties, stop ids,
// biases, n, filters, logprobs, ..) stand side by side in the batches.
#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "answer.h"
#include "loop_fixture.h"
#include "pair_under_test.h"
#include "test_drafters.h"

namespace runahead {
namespace {

using std::chrono::microseconds;

enum class Who { kItself, kOther, kSelf, kNgram, kPrediction, kMix, kRandom };
enum class Serving { kPlain, kChunks, kPrefixHits, kPreempted, kPreemptedWithHits };
constexpr std::array kAllWho = {Who::kItself,     Who::kOther, Who::kSelf,  Who::kNgram,
                                Who::kPrediction, Who::kMix,   Who::kRandom};
constexpr std::array kAllServings = {Serving::kPlain, Serving::kChunks, Serving::kPrefixHits,
                                     Serving::kPreempted, Serving::kPreemptedWithHits};
constexpr std::array kAllBatches = {1, 7, 32};

// How k is chosen: 0 by the policy, negative by a coin, else fixed.
constexpr std::array kAllDepths = {4, 0, -1, 1, 16, 2, -1, 8, 0, 3, 12, 5, -1, 6, 16};

constexpr int kDepthsPerCell = 2;

struct Case {
  bool is_greedy;
  Who who;
  int batch;
  Serving serving;
  int depth;
  int number;

  std::string Name() const {
    return std::string(is_greedy ? "greedy" : "sampled") + ", drafter " +
           std::to_string(static_cast<int>(who)) + ", batch " + std::to_string(batch) +
           ", serving " + std::to_string(static_cast<int>(serving)) + ", k " +
           std::to_string(depth);
  }
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Who who : kAllWho) {
    for (const Serving serving : kAllServings) {
      for (const int batch : kAllBatches) {
        for (const bool is_greedy : {true, false}) {
          for (int turn = 0; turn < kDepthsPerCell; ++turn) {
            const int number = static_cast<int>(cases.size());
            const int depth = kAllDepths[cases.size() % kAllDepths.size()];
            cases.push_back({is_greedy, who, batch, serving, depth, number});
          }
        }
      }
    }
  }
  return cases;
}

// Prompts that begin alike, so that blocks are shared, and repeat themselves, so that lookups find
// something.
Request RequestOf(int i, bool is_greedy) {
  std::vector<int32_t> prompt;
  const int length = i % 8 == 7 ? 104 : 20 + i % 13;  // the longest meets the end of the context
  for (int t = 0; t < length; ++t) {
    prompt.push_back(t < 17 ? 5 * (t % 6) + 3 : (11 * (t % 7) + i) % 96);
  }
  Request request = MakeRequest(std::move(prompt), 22 + i % 9);
  request.sampling.temperature = is_greedy ? 0.0f : 0.6f + 0.1f * static_cast<float>(i % 7);
  request.seed = static_cast<uint64_t>(1000 + i);
  switch (i % 8) {
    case 0:
      request.sampling.num_logprobs = 0;
      break;
    case 1:
      request.stop_token_ids = {5, 16, 27, 38, 49, 60, 71, 82};
      request.min_tokens = 6;
      break;
    case 2:
      request.sampling.repetition_penalty = 1.3f;
      request.sampling.presence_penalty = 0.6f;
      request.sampling.frequency_penalty = 0.4f;
      break;
    case 3:
      request.sampling.logit_bias = {{3, 2.5f}, {4, -100.0f}};
      request.sampling.banned_token_ids = {9, 10, 40};
      request.sampling.num_logprobs = 2;
      break;
    case 4:
      request.num_choices = 3;
      request.sampling.num_logprobs = 1;
      break;
    case 5:
      request.sampling.top_p = 0.9f;
      request.sampling.min_p = 0.02f;
      request.sampling.top_k = 20;
      request.sampling.num_logprobs = 5;
      break;
    case 6:
      request.sampling.num_prompt_logprobs = 1;
      request.sampling.num_logprobs = 3;
      request.ignore_eos = false;
      break;
    case 7:
      request.max_tokens = 60;
      for (int32_t id = 0; id < 96; id += 3) request.sampling.allowed_token_ids.push_back(id);
      request.sampling.presence_penalty = 1;
      break;
  }
  return request;
}

EngineConfig ConfigOf(const Case& tested, const ModelPair& pair) {
  EngineConfig config = pair.Config();
  config.enable_prefix_cache =
      tested.serving == Serving::kPrefixHits || tested.serving == Serving::kPreemptedWithHits;
  if (tested.serving == Serving::kChunks) {
    config.max_num_batched_tokens = tested.batch == 32 ? 96 : 13;
  }
  if (tested.serving == Serving::kPreempted || tested.serving == Serving::kPreemptedWithHits) {
    // Sixteen blocks hold one sequence of the longest context.
    config.num_blocks = tested.batch == 32 ? 64 : tested.batch == 7 ? 20 : 16;
  }
  switch (tested.who) {
    case Who::kItself:
    case Who::kOther:
    case Who::kRandom:
      config.speculation.drafters = {DrafterKind::kModel};
      break;
    case Who::kSelf:
      config.speculation.drafters = {DrafterKind::kSelf};
      break;
    case Who::kNgram:
      config.speculation.drafters = {DrafterKind::kNgram};
      break;
    case Who::kPrediction:
      config.speculation.drafters = {DrafterKind::kPrediction};
      break;
    case Who::kMix:
      config.speculation.drafters = {DrafterKind::kNgram, DrafterKind::kModel,
                                     DrafterKind::kPrediction};
      break;
  }
  return config;
}

struct Totals {
  uint64_t drafted = 0;
  uint64_t accepted = 0;
};

// What both models are kept in.
struct Kept {
  const char* name;
  WeightFormat weights;
  DType kv;
};

class SpeculationEquality : public testing::TestWithParam<Kept> {
 protected:
  // Alone, without speculation, everything in one chunk.
  const Answer& Reference(int i, bool is_greedy) {
    const auto [found, is_new] = references_.try_emplace({i, is_greedy});
    if (is_new) {
      const Request request = RequestOf(i, is_greedy);
      LoopUnderTest loop(alone_.target(), alone_.Config());
      Client client = loop.Submit(request);
      loop.RunUntilIdle();
      found->second = AnswerOf(client, request.num_choices);
    }
    return found->second;
  }

  Request Drafted(const Case& tested, int i) {
    Request request = RequestOf(i, tested.is_greedy);
    if (tested.depth > 0) {
      request.speculation = {.mode = SpeculationMode::kFixed, .max_tokens = tested.depth};
    }
    // What it will say, but for a change, a gap and an addition.
    request.prediction = Reference(i, tested.is_greedy).tokens[0];
    std::vector<int32_t>& prediction = request.prediction;
    if (prediction.size() > 9) prediction[4] = (prediction[4] + 1) % 96;
    if (prediction.size() > 14) prediction.erase(prediction.begin() + 12);
    if (prediction.size() > 19) prediction.insert(prediction.begin() + 17, 50);
    return request;
  }

  void Run(const Case& tested) {
    ModelPair& pair = tested.who == Who::kItself ? itself_
                      : tested.who == Who::kSelf ? self_
                                                 : other_;
    pair.PoisonCaches();
    const EngineConfig config = ConfigOf(tested, pair);
    ManualClock clock;
    TimedRunner target(pair.target(), clock, microseconds(1000), microseconds(20));
    TimedRunner draft(pair.draft(), clock, microseconds(100), microseconds(2));
    ModelDrafter model(draft, kPairLimits, clock, 0, pair.vocab_size(), pair.kind());
    RandomDrafter random(pair.vocab_size());
    RandomDecider coin(static_cast<uint64_t>(tested.number));
    const SpeculationParts parts = {
        .model = tested.who == Who::kRandom ? static_cast<Drafter*>(&random) : &model,
        .decider = tested.depth < 0 ? &coin : nullptr};
    LoopUnderTest loop(target, config, 1, parts, &clock);
    const int num_rounds = tested.serving == Serving::kPrefixHits ? 2 : 1;
    for (int round = 0; round < num_rounds; ++round) Serve(tested, loop);
    Check(tested, loop.metrics.Snapshot());
  }

  void Serve(const Case& tested, LoopUnderTest& loop) {
    std::vector<std::pair<int, Client>> clients;
    for (int b = 0; b < tested.batch; ++b) {
      const int i = tested.batch == 1 ? tested.number % 32 : b;
      clients.emplace_back(i, loop.Submit(Drafted(tested, i)));
      if (tested.serving == Serving::kChunks) loop.Turns(1);
    }
    loop.RunUntilIdle();
    for (auto& [i, client] : clients) {
      const Answer& expected = Reference(i, tested.is_greedy);
      const Answer actual = AnswerOf(client, static_cast<int>(expected.tokens.size()));
      EXPECT_EQ(actual.tokens, expected.tokens) << tested.Name() << ", request " << i;
      EXPECT_TRUE(actual == expected) << tested.Name() << ", logprobs of request " << i;
      ++num_compared_;
      num_tokens_ += actual.tokens[0].size();
    }
  }

  void Check(const Case& tested, const MetricsSnapshot& counts) {
    Totals totals;
    for (const DrafterCounts& drafter : counts.drafters) {
      totals.drafted += drafter.drafted_tokens;
      totals.accepted += drafter.accepted_tokens;
    }
    EXPECT_EQ(counts.generated_tokens, counts.tokens_per_run.count + totals.accepted);
    if (tested.who == Who::kSelf && tested.depth > 0) {
      EXPECT_GT(totals.drafted, 0u) << tested.Name();
    }
    if (tested.who == Who::kItself) {
      // Its K/V is as good as the target's, or it would sometimes say something else.
      EXPECT_EQ(totals.accepted, totals.drafted) << tested.Name();
      if (tested.depth > 0) {
        EXPECT_GT(totals.drafted, 0u) << tested.Name();
      }
    }
    totals_[tested.who].drafted += totals.drafted;
    totals_[tested.who].accepted += totals.accepted;
    num_preemptions_ += counts.preemptions;
    num_hit_tokens_ += counts.prefix_hit_tokens;
    if (tested.depth == 0) num_by_policy_ += totals.drafted;
  }

  static ModelPair Pair(const char* draft) {
    return {"llama_gqa", draft, VerifyMode::kCoupled, GetParam().kv, GetParam().weights};
  }

  ModelPair alone_ = Pair("llama_gqa");
  ModelPair itself_ = Pair("llama_gqa");
  ModelPair self_ = Pair("");
  ModelPair other_ = Pair("qwen3_norm");
  std::map<std::pair<int, bool>, Answer> references_;
  std::map<Who, Totals> totals_;
  uint64_t num_compared_ = 0;
  uint64_t num_tokens_ = 0;
  uint64_t num_preemptions_ = 0;
  uint64_t num_hit_tokens_ = 0;
  uint64_t num_by_policy_ = 0;
};

TEST_P(SpeculationEquality, NoDraftChangesAToken) {
  const std::vector<Case> cases = AllCases();
  // A seventh of the cases meets everything that what the models are kept in could matter to.
  const size_t stride = GetParam().kv == DType::kF32 ? RUNAHEAD_MATRIX_STRIDE : 7;
  int num_cases = 0;
  for (size_t i = 0; i < cases.size(); i += stride, ++num_cases) {
    Run(cases[i]);
    if (HasFailure()) break;  // one case's report says enough
  }
  std::cout << num_cases << " cases, " << num_compared_ << " answers, " << num_tokens_
            << " tokens of first choices, " << num_preemptions_ << " preemptions, "
            << num_hit_tokens_ << " tokens from the prefix cache\n";
  for (const auto& [who, totals] : totals_) {
    std::cout << "drafter " << static_cast<int>(who) << ": " << totals.accepted << " of "
              << totals.drafted << " drafts accepted\n";
    EXPECT_GT(totals.accepted, 0u);
    if (who != Who::kItself && who != Who::kSelf) {
      EXPECT_GT(totals.drafted, totals.accepted);
    }
  }
  EXPECT_EQ(num_cases, static_cast<int>((cases.size() + stride - 1) / stride));
  EXPECT_GT(num_preemptions_, 140u / stride);
  EXPECT_GT(num_hit_tokens_, 7000u / stride);
  EXPECT_GT(num_by_policy_, 0u);
}

INSTANTIATE_TEST_SUITE_P(Kept, SpeculationEquality,
                         testing::Values(Kept{"f32", WeightFormat::kF32, DType::kF32},
                                         Kept{"int8_cache", WeightFormat::kF32, DType::kI8},
                                         Kept{"int4", {WeightType::kInt4, 32, false}, DType::kI8}),
                         [](const auto& kept) { return std::string(kept.param.name); });

}  // namespace
}  // namespace runahead
