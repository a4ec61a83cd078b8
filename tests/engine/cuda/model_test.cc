// ModelRunner over the CUDA backend, on the emulator and on a GPU where there is one: logits
// against transformers' and the reference's, and the same bits whatever the batch, the chunks, the
// padding and the graphs.
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/cuda_emulator/emulator.h"
#include "tests/engine/cuda/cuda_devices.h"
#include "tests/model/golden_logits.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

// What kernels access is checked where they are tested one by one; here it would take minutes.
class CudaModelTest : public testing::TestWithParam<std::string> {
 protected:
  CudaModelTest() { emulator::SetAccessChecks(false); }
  ~CudaModelTest() override { emulator::SetAccessChecks(true); }
};

// ||actual - expected|| / ||expected||, the worst of the stored rows.
double WorstError(TestModel& model, const Golden& golden) {
  double worst = 0;
  for (const GoldenPrompt& prompt : golden.prompts) {
    if (prompt.ids.size() > 40) continue;  // the emulator takes its time
    const Rows rows = model.Logits(prompt.ids, 17);
    for (size_t i = 0; i < prompt.rows.size(); ++i) {
      const auto& actual = rows[static_cast<size_t>(prompt.rows[i])];
      double error = 0;
      double norm = 0;
      for (size_t c = 0; c < actual.size(); ++c) {
        error += std::pow(double{actual[c]} - prompt.logits[i][c], 2);
        norm += std::pow(double{prompt.logits[i][c]}, 2);
      }
      worst = std::max(worst, std::sqrt(error / norm));
    }
  }
  return worst;
}

// docs/numerics.md, "Model goldens": activations are of the weights' type.
TEST_P(CudaModelTest, LogitsAreTransformers) {
  for (const char* name : {"qwen2_window", "qwen3_wide_heads", "llama_mha_f16"}) {
    const Golden golden = ReadGolden(GoldenModel(name));
    TestModel model(GoldenModel(name), {.make_backend = MakerOf(GetParam(), true),
                                        .weights = WeightFormat::kBF16,
                                        .kv = DType::kBF16});
    EXPECT_LE(WorstError(model, golden), 3 * golden.bf16_error) << name;
    TestModel f16(GoldenModel(name), {.make_backend = MakerOf(GetParam(), true),
                                      .weights = WeightFormat::kF16,
                                      .kv = DType::kF16});
    EXPECT_LE(WorstError(f16, golden), 3 * golden.bf16_error / 8) << name;
  }
  const Golden golden = ReadGolden(GoldenModel("llama_gqa"));
  TestModel model(GoldenModel("llama_gqa"), {.make_backend = MakerOf(GetParam(), true)});
  EXPECT_LE(WorstError(model, golden), 1e-4) << "F32 weights and cache";
}

// A quantized checkpoint's own rounding (of INT8 activations, say) is the reference's too; the rest
// is BF16's.
TEST_P(CudaModelTest, QuantizedLogitsAreWithinTheReferencesError) {
  for (const char* name : {"w4_group", "w8_channel"}) {
    const std::string folder = SourceDir() + "/tests/golden/quantized/" + name;
    const Golden golden = ReadGolden(folder);
    TestModel reference(folder, {.backend = "ref"});
    TestModel model(folder, {.make_backend = MakerOf(GetParam(), true), .kv = DType::kBF16});
    EXPECT_LE(WorstError(model, golden), 3 * golden.bf16_error + 3 * WorstError(reference, golden))
        << name;
  }
}

// Sequences that advance together: prompts in chunks, then a token or a few at a time, each step a
// mix, so that buckets, padding and lists of every length come about.
struct Script {
  std::vector<int32_t> ids;
  std::vector<int32_t> table;
  int num_computed = 0;
};

using LogitsByPlace = std::map<std::pair<size_t, int>, std::vector<float>>;

// All logits, and the sampled tokens of the last rows.
LogitsByPlace RunScripts(TestModel& model, std::vector<Script> scripts, uint32_t seed) {
  std::mt19937 random(seed);
  const SamplingParams greedy = {.temperature = 0, .num_logprobs = 1};
  LogitsByPlace logits;
  for (bool is_left = true; is_left;) {
    std::vector<SequenceRun> runs;
    std::vector<size_t> who;
    is_left = false;
    int num_rows = 0;
    for (size_t i = 0; i < scripts.size(); ++i) {
      const int rest = static_cast<int>(scripts[i].ids.size()) - scripts[i].num_computed;
      is_left = is_left || rest > 0;
      if (rest == 0 || random() % 4 == 0) continue;
      const bool is_prompt = scripts[i].num_computed < 12;
      const int count = std::min(rest, is_prompt ? 7 : 1 + static_cast<int>(random() % 3));
      runs.push_back({.tokens = std::span(scripts[i].ids)
                                    .subspan(static_cast<size_t>(scripts[i].num_computed),
                                             static_cast<size_t>(count)),
                      .num_computed = scripts[i].num_computed,
                      .block_table = scripts[i].table,
                      .num_drafts = is_prompt ? 0 : count - 1,
                      .wants_token = !is_prompt,
                      .sampling = &greedy});
      who.push_back(i);
      num_rows += count;
    }
    model.runner().Run(runs);
    const Rows rows = model.LastLogits(num_rows);
    size_t row = 0;
    for (size_t r = 0; r < runs.size(); ++r) {
      Script& script = scripts[who[r]];
      for (size_t t = 0; t < runs[r].tokens.size(); ++t) {
        logits[{who[r], script.num_computed++}] = rows[row++];
      }
    }
  }
  return logits;
}

std::vector<Script> Scripts(TestModel& model) {
  std::mt19937 random(5);
  std::vector<Script> scripts;
  for (const int length : {30, 24, 19}) {
    Script script;
    for (int i = 0; i < length; ++i) script.ids.push_back(static_cast<int32_t>(random() % 96));
    script.table = model.NewTable(length);
    scripts.push_back(std::move(script));
  }
  return scripts;
}

TEST_P(CudaModelTest, LogitsDependOnNeitherBatchNorGraphs) {
  struct Kept {
    const char* name;
    WeightFormats weights;
    DType kv;
  };
  WeightFormats int4_with_f16 = WeightFormat::kF16;
  int4_with_f16.quantized = WeightFormat{WeightType::kInt4, 32, true};
  const Kept all[] = {{"llama_mha_f16", int4_with_f16, DType::kF16},
                      {"llama_gqa", WeightFormat::kBF16, DType::kBF16},
                      {"qwen3_wide_heads", WeightFormat{WeightType::kInt4, 32, false}, DType::kI8}};
  for (const Kept& kept : all) {
    TestModelOptions options = {.weights = kept.weights, .kv = kept.kv, .num_blocks = 96};
    options.make_backend = MakerOf(GetParam(), true);
    TestModel graphs(GoldenModel(kept.name), options);
    options.make_backend = MakerOf(GetParam(), false);
    TestModel plain(GoldenModel(kept.name), options);
    TestModel alone(GoldenModel(kept.name), options);
    const std::vector<Script> scripts = Scripts(plain);
    const LogitsByPlace with_graphs = RunScripts(graphs, scripts, 1);
    const LogitsByPlace without = RunScripts(plain, scripts, 1);
    EXPECT_TRUE(with_graphs == without) << kept.name;
    EXPECT_GT(graphs.runner().num_graph_launches(), 3) << kept.name;
    EXPECT_EQ(plain.runner().num_graph_launches(), 0);
    const Rows one = alone.Logits(scripts[0].ids, 11);
    for (size_t t = 0; t < one.size(); ++t) {
      EXPECT_EQ(one[t], without.at({0, static_cast<int>(t)})) << kept.name << " at " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(On, CudaModelTest, testing::ValuesIn(CudaDevices()),
                         [](const auto& device) { return device.param; });

}  // namespace
}  // namespace runahead
