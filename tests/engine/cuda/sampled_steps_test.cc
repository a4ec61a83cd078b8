// Steps with all that sampling knows, as graphs and op by op: the same tokens and logprobs, bit for
// bit, and nothing of a small step launched outside of its graph.
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "model/sampling_input.h"
#include "tests/cuda_emulator/emulator.h"
#include "tests/engine/cuda/cuda_devices.h"
#include "tests/model/forwarding_backend.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

constexpr int kSteps = 4;  // a prompt; then met, captured, replayed
constexpr int kPrompt = 4;

// Counts what is sampled op by op, captures included.
class CountingBackend final : public ForwardingBackend {
 public:
  CountingBackend(std::unique_ptr<Backend> inner, int& num_samplings)
      : ForwardingBackend(std::move(inner)), num_samplings_(num_samplings) {}
  void SampleAndVerify(const SampleVerifyArgs& args) override {
    ++num_samplings_;
    ForwardingBackend::SampleAndVerify(args);
  }

 private:
  int& num_samplings_;
};

// Sequences whose tokens are foretold, each step one and some drafts of each.
struct Load {
  SamplingParams sampling;
  int num_drafts = 0;
  bool has_draft_rows = false;  // of draft_logits, else one-hot
};

struct Answers {
  std::vector<int32_t> token_ids;
  std::vector<int32_t> offsets;
  std::vector<float> logprobs;  // with tokens and ranks, one behind the other

  bool operator==(const Answers&) const = default;
};

std::vector<float> Flat(const std::vector<PositionLogprobs>& logprobs) {
  std::vector<float> flat;
  const auto add = [&](const TokenLogprob& token) {
    for (const int32_t value : {token.token, token.rank}) flat.push_back(static_cast<float>(value));
    flat.push_back(token.logprob);
  };
  for (const PositionLogprobs& position : logprobs) {
    add(position.chosen);
    for (const TokenLogprob& token : position.top) add(token);
  }
  return flat;
}

class SampledStepsTest : public testing::TestWithParam<std::string> {
 protected:
  // What kernels access is checked where they are tested one by one; here it would take minutes.
  SampledStepsTest() { emulator::SetAccessChecks(false); }
  ~SampledStepsTest() override { emulator::SetAccessChecks(true); }

  std::unique_ptr<TestModel> Make(bool has_graphs, VerifyMode mode) {
    TestModelOptions options = {
        .weights = WeightFormat::kBF16, .kv = DType::kBF16, .num_blocks = 96};
    options.limits.verify_mode = mode;
    options.make_backend = [=, this] {
      return std::make_unique<CountingBackend>(MakerOf(GetParam(), has_graphs)(), num_samplings_);
    };
    auto model = std::make_unique<TestModel>(GoldenModel("llama_gqa"), options);
    if (mode == VerifyMode::kRejection) FillDraftLogits(*model);
    return model;
  }

  static void FillDraftLogits(TestModel& model) {
    const TensorView rows = model.runner().draft_logits();
    std::mt19937 random(7);
    std::vector<float> logits(static_cast<size_t>(rows.RowElements()));
    for (int64_t r = 0; r < 16; ++r) {
      for (float& logit : logits) logit = static_cast<float>(random() % 1000) / 200;
      model.backend().CopyToDevice(rows.Row<float>(r), logits.data(), rows.RowElements() * 4);
    }
  }

  // kSteps steps over all loads at once; whether the last one was sampled op by op.
  std::vector<Answers> RunAll(TestModel& model, const std::vector<Load>& loads, int& num_sampled) {
    std::mt19937 random(11);
    std::vector<std::vector<int32_t>> ids(loads.size());
    std::vector<std::vector<int32_t>> tables;
    std::vector<TokenCounts> counts(loads.size());
    for (auto& sequence : ids) {
      for (int i = 0; i < 40; ++i) sequence.push_back(static_cast<int32_t>(random() % 96));
      tables.push_back(model.NewTable(40));
    }
    const std::vector<int32_t> draft_rows = {3, -1, 8};
    const std::vector<int32_t> suppressed = {1, 2};
    std::vector<int> computed(loads.size());
    std::vector<Answers> answers;
    for (int step = 0; step < kSteps; ++step) {
      if (step == kSteps - 1) num_samplings_ = 0;
      std::vector<SequenceRun> runs;
      for (size_t i = 0; i < loads.size(); ++i) {
        const auto begin = static_cast<size_t>(computed[i]);
        const int count = step == 0 ? kPrompt : 1 + loads[i].num_drafts;
        const auto num_drafts = static_cast<size_t>(step == 0 ? 0 : loads[i].num_drafts);
        const std::span<const int32_t> all(ids[i]);
        SequenceRun run = {.tokens = all.subspan(begin, static_cast<size_t>(count)),
                           .num_computed = computed[i],
                           .block_table = tables[i],
                           .num_drafts = static_cast<int>(num_drafts),
                           .wants_token = step > 0,
                           .sampling = &loads[i].sampling,
                           .prompt = all.first(kPrompt),
                           .output = all.subspan(kPrompt, step == 0 ? 0 : begin + 1 - kPrompt),
                           .counts = &counts[i],
                           .suppressed = suppressed,
                           .num_suppressed_rows = 1};
        if (loads[i].has_draft_rows) run.draft_rows = std::span(draft_rows).first(num_drafts);
        runs.push_back(run);
        computed[i] += count;
      }
      const ModelOutput& output = model.runner().Run(runs);
      answers.push_back({output.token_ids, output.offsets, Flat(output.logprobs)});
    }
    num_sampled = num_samplings_;
    return answers;
  }

  void Check(const char* what, const std::vector<Load>& loads, VerifyMode mode,
             bool is_in_graph = true) {
    const auto graphs = Make(true, mode);
    const auto plain = Make(false, mode);
    int in_graphs = 0;
    int one_by_one = 0;
    const std::vector<Answers> actual = RunAll(*graphs, loads, in_graphs);
    const std::vector<Answers> expected = RunAll(*plain, loads, one_by_one);
    for (size_t step = 0; step < expected.size(); ++step) {
      EXPECT_TRUE(actual[step] == expected[step]) << what << ", step " << step;
    }
    EXPECT_GE(graphs->runner().num_graph_launches(), 2) << what;
    EXPECT_EQ(one_by_one, 1) << what;
    EXPECT_EQ(in_graphs, is_in_graph ? 0 : 1) << what;
  }

  int num_samplings_ = 0;
};

SamplingParams Warm(uint64_t seed) { return {.temperature = 0.8f, .seed = seed}; }

std::vector<Load> Mixed(int num_drafts) {
  SamplingParams filtered = Warm(2);
  filtered.top_k = 20;
  filtered.top_p = 0.9f;
  filtered.min_p = 0.01f;
  SamplingParams penalised = Warm(3);
  penalised.repetition_penalty = 1.3f;
  penalised.frequency_penalty = 0.5f;
  penalised.presence_penalty = 0.2f;
  SamplingParams listed = Warm(4);
  listed.logit_bias = {{3, 2.5f}, {4, -100.0f}};
  listed.allowed_token_ids = {3, 4, 5, 60, 61, 62};
  listed.num_logprobs = 2;
  return {{.sampling = {.temperature = 0}, .num_drafts = num_drafts},
          {.sampling = Warm(1), .num_drafts = 0},
          {.sampling = filtered, .num_drafts = num_drafts},
          {.sampling = penalised, .num_drafts = 1},
          {.sampling = listed, .num_drafts = num_drafts}};
}

TEST_P(SampledStepsTest, GreedyAndSampledStepsAreGraphs) {
  Check("greedy", {{.sampling = {.temperature = 0}}}, VerifyMode::kCoupled);
  Check("all sorts", Mixed(0), VerifyMode::kCoupled);
}

TEST_P(SampledStepsTest, DraftsAreJudgedInGraphs) {
  Check("coupled", Mixed(3), VerifyMode::kCoupled);
  std::vector<Load> loads = Mixed(3);
  loads[1].num_drafts = 3;
  loads[1].has_draft_rows = loads[2].has_draft_rows = true;
  Check("rejection", loads, VerifyMode::kRejection);
}

// More adjustments than a graph has places for: layers and head alone are its.
TEST_P(SampledStepsTest, LongListsAreSampledBesideTheGraph) {
  SamplingParams biased = Warm(5);
  for (int32_t id = 0; id < 96; ++id) {
    biased.logit_bias.push_back({id, static_cast<float>(id % 7)});
  }
  const std::vector<Load> loads(6, {.sampling = biased, .num_drafts = 3});
  static_assert(6 * 4 * 96 > SamplingInput::kMaxListed);
  Check("long lists", loads, VerifyMode::kCoupled, false);
}

INSTANTIATE_TEST_SUITE_P(On, SampledStepsTest, testing::ValuesIn(CudaDevices()),
                         [](const auto& device) { return device.param; });

}  // namespace
}  // namespace runahead
