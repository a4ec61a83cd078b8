#include "model/memory_plan.h"

#include <filesystem>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/forwarding_backend.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::HasSubstr;

std::vector<WeightFormats> Formats() {
  WeightFormats mixed = WeightFormat{WeightType::kInt4, 32, true};
  mixed.rules = {{"down_proj", WeightFormat::kInt8}, {"embed_tokens", std::nullopt}};
  return {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kInt8, WeightFormat::kInt4, mixed};
}

class MemoryPlanTest : public testing::TestWithParam<std::string> {
 protected:
  // The same model again in INT4 shares the tables and has no cache.
  static void ExpectCopyPlanned(ForwardingBackend& backend, const Transformer& original,
                                const std::string& directory, MemoryRequest request) {
    request.weight_format = WeightFormat::kInt4;
    request.is_copy = true;
    const MemoryPlan plan = PlanMemory(backend, original.config(), request);
    const int64_t before = backend.allocated_bytes();
    const auto copy = Transformer::Load(backend, directory,
                                        {.weight_format = request.weight_format,
                                         .max_context = request.limits.max_context,
                                         .original = &original})
                          .value();
    EXPECT_EQ(plan.weight_bytes(), copy->weight_bytes()) << directory;
    EXPECT_EQ(plan.table_bytes, 0);
    EXPECT_EQ(plan.block_bytes(), 0);
    EXPECT_LE(backend.allocated_bytes() - before, plan.weight_bytes());
  }
};

// The plan must be what loading, caching and running then allocate, to the byte.
TEST_P(MemoryPlanTest, EqualsWhatIsAllocated) {
  for (const auto& entry : std::filesystem::directory_iterator(GoldenModel(""))) {
    const std::string directory = entry.path();
    for (const WeightFormats& format : Formats()) {
      ForwardingBackend backend(MakeBackend(GetParam(), {}).value());
      const MemoryRequest request = {
          .weight_format = format,
          .kv_dtype = format.unquantized == WeightFormat::kF32 ? DType::kF32 : DType::kBF16,
          .limits = {.max_rows = 50,
                     .max_sequences = 3,
                     .max_logit_rows = 70,
                     .max_context = 100,
                     .block_size = 8}};
      const ModelConfig config = LoadModelConfig(directory).value();
      const MemoryPlan plan = PlanMemory(backend, config, request);
      EXPECT_EQ(backend.allocated_bytes(), 0);
      const auto transformer =
          Transformer::Load(backend, directory, {.weight_format = format, .max_context = 100})
              .value();
      EXPECT_EQ(plan.weight_bytes(), transformer->weight_bytes()) << directory;
      int64_t before = backend.allocated_bytes();
      KvCache cache(backend, plan.kv_shape, 7);
      EXPECT_EQ(7 * plan.block_bytes(), backend.allocated_bytes() - before);
      EXPECT_EQ(7 * plan.block_bytes(), cache.bytes());
      before = backend.allocated_bytes();
      const ModelRunner runner(backend, *transformer, cache, request.limits);
      EXPECT_EQ(plan.workspace_bytes, backend.allocated_bytes() - before) << directory;
      EXPECT_EQ(plan.num_weights, config.NumWeights());
      MemoryRequest rejecting = request;
      rejecting.limits.verify_mode = VerifyMode::kRejection;
      before = backend.allocated_bytes();
      const ModelRunner judge(backend, *transformer, cache, rejecting.limits);
      const int64_t taken = backend.allocated_bytes() - before;
      EXPECT_EQ(PlanMemory(backend, config, rejecting).workspace_bytes, taken);
      EXPECT_GE(taken, plan.workspace_bytes + judge.draft_logits().NumBytes());
      EXPECT_EQ(judge.draft_logits().dim(0), 70);
      EXPECT_EQ(runner.draft_logits().rank, 0);
      ExpectCopyPlanned(backend, *transformer, directory, request);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, MemoryPlanTest, testing::ValuesIn(BackendNames()));

TEST(MemoryPlanBlocksTest, BlocksFitTheBudget) {
  MemoryPlan plan;
  plan.linear_bytes = 600;
  plan.table_bytes = 200;
  plan.small_bytes = 100;
  plan.workspace_bytes = 100;
  plan.kv_shape = {
      .num_layers = 1, .num_kv_heads = 1, .head_dim = 4, .block_size = 4, .dtype = DType::kBF16};
  ASSERT_EQ(plan.block_bytes(), 64);
  EXPECT_EQ(plan.token_bytes(), 16);
  EXPECT_EQ(plan.fixed_bytes(), 1000);
  EXPECT_EQ(plan.BlocksWithin(999), 0);
  EXPECT_EQ(plan.BlocksWithin(0), 0);
  EXPECT_EQ(plan.BlocksWithin(1063), 0);
  EXPECT_EQ(plan.BlocksWithin(1064), 1);
  EXPECT_EQ(plan.BlocksWithin(1000 + 64 * 10 + 63), 10);
  EXPECT_EQ(plan.TotalBytes(10), 1640);
  EXPECT_EQ(plan.BlocksFor(0), 0);
  EXPECT_EQ(plan.BlocksFor(1), 1);
  EXPECT_EQ(plan.BlocksFor(5), 2);
}

// Llama-3.1-8B in BF16: 8.03 G weights; 128 KiB of K/V a token.
TEST(MemoryPlanBlocksTest, Llama8B) {
  const auto backend = MakeBackend("cpu", {}).value();
  ModelConfig config;
  config.vocab_size = 128256;
  config.hidden_size = 4096;
  config.intermediate_size = 14336;
  config.num_layers = 32;
  config.num_heads = 32;
  config.num_kv_heads = 8;
  config.head_dim = 128;
  const MemoryPlan plan = PlanMemory(*backend, config, {});
  EXPECT_EQ(plan.token_bytes(), 128 * 1024);
  // Two bytes a weight, and what a bias row, f32 gains and the rope table add: less than 0.1 %.
  EXPECT_GT(plan.weight_bytes(), 2 * config.NumWeights());
  EXPECT_LT(plan.weight_bytes(), 2 * config.NumWeights() / 1000 * 1001);
  const std::string table = MemoryTable(plan, 1000);
  EXPECT_THAT(table, HasSubstr("8030261248 parameters"));
  EXPECT_THAT(table, HasSubstr("1000 blocks of 16 tokens, 2097152 bytes each"));
  EXPECT_THAT(table, HasSubstr(std::to_string(plan.TotalBytes(1000)) + " bytes"));
}

TEST(CheckCheckpointTest, HeadersAloneTell) {
  const ModelConfig config = LoadModelConfig(GoldenModel("llama_mqa_sharded")).value();
  EXPECT_EQ(CheckCheckpoint(GoldenModel("llama_mqa_sharded"), config).value(),
            2 * config.NumWeights());
  EXPECT_FALSE(CheckCheckpoint(GoldenModel("llama_gqa"), config).ok());
  EXPECT_EQ(CheckCheckpoint("/nowhere", config).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace runahead
