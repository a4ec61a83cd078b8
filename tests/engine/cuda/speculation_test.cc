// Speculation on == off, graphs on == off, and drafts in chains == one by one, on the CUDA backend
// on the emulator: tiny real models behind the engine, every answer against the one the request
// gets alone, without drafts and without graphs, bit for bit:
//   pairs of {greedy, sampled}, {who drafts}, {plain, preempted, chunks with prefix hits};
// the whole matrix runs on the CPU (speculation_equality_test.cc). Rejection answers otherwise than
// without drafts, but in chains and graphs as pass by pass and op by op.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/cuda_emulator/emulator.h"
#include "tests/engine/answer.h"
#include "tests/engine/cuda/cuda_devices.h"
#include "tests/engine/loop_fixture.h"
#include "tests/engine/pair_under_test.h"

namespace runahead {
namespace {

using std::chrono::microseconds;

constexpr int kNumRequests = 3;
constexpr int kContext = 32;

Request RequestOf(int i, bool is_greedy) {
  std::vector<int32_t> prompt;
  for (int t = 0; t < 12 + 3 * i; ++t) {
    prompt.push_back(t < 9 ? 5 * (t % 4) + 3 : (11 * (t % 7) + i) % 96);
  }
  Request request = MakeRequest(std::move(prompt), 8 + i);
  request.sampling.temperature = is_greedy ? 0.0f : 0.6f + 0.1f * static_cast<float>(i);
  request.seed = static_cast<uint64_t>(1000 + i);
  if (i == 0) request.num_choices = 2;
  if (i == 1) {
    request.sampling.repetition_penalty = 1.3f;
    request.sampling.frequency_penalty = 0.4f;
    request.sampling.num_prompt_logprobs = 1;
  }
  if (i == 2) {
    request.sampling.top_p = 0.9f;
    request.sampling.top_k = 20;
    request.sampling.num_logprobs = 3;
    request.sampling.logit_bias = {{3, 2.5f}, {4, -100.0f}};
  }
  return request;
}

enum class Serving { kPlain, kPreempted, kChunksWithHits };

struct Case {
  DrafterKind who;
  bool is_greedy;
  Serving serving;

  std::string Name() const {
    return std::string(DrafterName(who)) + (is_greedy ? ", greedy" : ", sampled") + ", serving " +
           std::to_string(static_cast<int>(serving));
  }
};

std::unique_ptr<ModelPair> MakePair(const std::string& device, const char* draft, bool has_graphs,
                                    VerifyMode mode = VerifyMode::kCoupled) {
  return std::make_unique<ModelPair>("llama_gqa", draft, mode, DType::kBF16, WeightFormat::kBF16,
                                     MakerOf(device, has_graphs));
}

class CudaSpeculationTest : public testing::TestWithParam<std::string> {
 protected:
  // What kernels access is checked where they are tested one by one; here it would take minutes.
  CudaSpeculationTest() { emulator::SetAccessChecks(false); }
  ~CudaSpeculationTest() override { emulator::SetAccessChecks(true); }

  static EngineConfig ConfigOf(const ModelPair& pair) {
    EngineConfig config = pair.Config();
    config.max_context = kContext;
    return config;
  }

  const Answer& Reference(int i, bool is_greedy) {
    const auto [found, is_new] = references_.try_emplace({i, is_greedy});
    if (is_new) {
      const Request request = RequestOf(i, is_greedy);
      LoopUnderTest loop(alone_->target(), ConfigOf(*alone_));
      Client client = loop.Submit(request);
      loop.RunUntilIdle();
      found->second = AnswerOf(client, request.num_choices);
    }
    return found->second;
  }

  // All requests together.
  std::vector<Answer> Serve(ModelPair& pair, const Case& tested) {
    pair.PoisonCaches();
    EngineConfig config = ConfigOf(pair);
    config.speculation.drafters = {tested.who};
    config.enable_prefix_cache = tested.serving == Serving::kChunksWithHits;
    const bool is_preempted = tested.serving == Serving::kPreempted;
    if (is_preempted) config.max_num_seqs = 3;  // the two choices of the first, and one more
    if (tested.serving == Serving::kChunksWithHits) config.max_num_batched_tokens = 11;
    ManualClock clock;
    TimedRunner target(pair.target(), clock, microseconds(1000), microseconds(20));
    TimedRunner draft(pair.draft(), clock, microseconds(100), microseconds(2));
    ModelDrafter model(draft, kPairLimits, clock, 0, pair.vocab_size(), pair.kind());
    LoopUnderTest loop(target, config, 1, {.model = &model}, &clock);
    std::vector<Client> clients;
    for (int i = 0; i < kNumRequests; ++i) {
      Request request = RequestOf(i, tested.is_greedy);
      request.speculation = {.mode = SpeculationMode::kFixed, .max_tokens = 3};
      // The last comes while the others run, and before them.
      request.priority = -i;
      if (is_preempted && i + 1 == kNumRequests) loop.Turns(4);
      clients.push_back(loop.Submit(std::move(request)));
    }
    loop.RunUntilIdle();
    const MetricsSnapshot counts = loop.metrics.Snapshot();
    num_chains_ += draft.num_chains();
    num_preemptions_ += counts.preemptions;
    num_hit_tokens_ += counts.prefix_hit_tokens;
    for (const DrafterCounts& drafter : counts.drafters) {
      drafted_[tested.who] += drafter.drafted_tokens;
      accepted_[tested.who] += drafter.accepted_tokens;
    }
    std::vector<Answer> answers;
    for (int i = 0; i < kNumRequests; ++i) {
      answers.push_back(
          AnswerOf(clients[static_cast<size_t>(i)], RequestOf(i, tested.is_greedy).num_choices));
    }
    return answers;
  }

  static void ExpectSame(const Answer& actual, const Answer& expected, const Case& tested, int i) {
    EXPECT_EQ(actual.tokens, expected.tokens) << tested.Name() << ", request " << i;
    EXPECT_TRUE(actual == expected) << tested.Name() << ", logprobs of request " << i;
  }

  void Run(const Case& tested) {
    const std::vector<Answer> answers =
        Serve(tested.who == DrafterKind::kSelf ? *self_ : *pair_, tested);
    for (int i = 0; i < kNumRequests; ++i) {
      ExpectSame(answers[static_cast<size_t>(i)], Reference(i, tested.is_greedy), tested, i);
    }
  }

  std::unique_ptr<ModelPair> alone_ = MakePair(GetParam(), "", false);
  std::unique_ptr<ModelPair> pair_ = MakePair(GetParam(), "qwen3_norm", true);
  std::unique_ptr<ModelPair> self_ = MakePair(GetParam(), "", true);
  std::map<std::pair<int, bool>, Answer> references_;
  std::map<DrafterKind, uint64_t> drafted_;
  std::map<DrafterKind, uint64_t> accepted_;
  int num_chains_ = 0;
  uint64_t num_preemptions_ = 0;
  uint64_t num_hit_tokens_ = 0;
};

TEST_P(CudaSpeculationTest, NeitherDraftsNorGraphsChangeAToken) {
  constexpr auto kModel = DrafterKind::kModel;
  constexpr auto kSelf = DrafterKind::kSelf;
  constexpr auto kNgram = DrafterKind::kNgram;
  for (const Case& tested :
       {Case{kModel, true, Serving::kPreempted}, Case{kModel, false, Serving::kPlain},
        Case{kSelf, false, Serving::kPreempted}, Case{kSelf, true, Serving::kChunksWithHits},
        Case{kNgram, true, Serving::kPlain}, Case{kNgram, false, Serving::kChunksWithHits}}) {
    Run(tested);
    if (HasFailure()) return;  // one case's report says enough
  }
  for (const DrafterKind who : {kModel, kSelf, kNgram}) {
    EXPECT_GT(drafted_[who], 0u) << DrafterName(who);
  }
  EXPECT_GT(accepted_[DrafterKind::kSelf], 0u);
  EXPECT_GT(num_chains_, 5);
  EXPECT_GT(num_preemptions_, 0u);
  EXPECT_GT(num_hit_tokens_, 0u);
  EXPECT_GT(pair_->target().num_graph_launches(), 5);
  EXPECT_GT(pair_->draft().num_graph_launches(), 5);
  std::cout << num_preemptions_ << " preemptions, " << num_hit_tokens_
            << " tokens from the prefix cache, " << pair_->target().num_graph_launches() << " and "
            << pair_->draft().num_graph_launches() << " graph launches of target and draft\n";
}

TEST_P(CudaSpeculationTest, RejectionAnswersAlikeInChainsAndPassByPass) {
  const Case tested = {DrafterKind::kSelf, false, Serving::kPreempted};
  const auto chains = MakePair(GetParam(), "", true, VerifyMode::kRejection);
  const std::vector<Answer> actual = Serve(*chains, tested);
  EXPECT_GT(num_chains_, 2);
  EXPECT_GT(chains->target().num_graph_launches(), 0);
  num_chains_ = 0;
  const auto passes = MakePair(GetParam(), "", false, VerifyMode::kRejection);
  const std::vector<Answer> expected = Serve(*passes, tested);
  EXPECT_EQ(num_chains_, 0);
  EXPECT_EQ(passes->target().num_graph_launches(), 0);
  for (int i = 0; i < kNumRequests; ++i) {
    ExpectSame(actual[static_cast<size_t>(i)], expected[static_cast<size_t>(i)], tested, i);
  }
  EXPECT_GT(accepted_[DrafterKind::kSelf], 0u);
  EXPECT_LT(accepted_[DrafterKind::kSelf], drafted_[DrafterKind::kSelf]);
}

INSTANTIATE_TEST_SUITE_P(On, CudaSpeculationTest, testing::ValuesIn(CudaDevices()),
                         [](const auto& device) { return device.param; });

}  // namespace
}  // namespace runahead
