#include "server/memory_check.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "kernels/registry.h"
#include "tests/source_dir.h"

namespace runahead {
namespace {

using testing::HasSubstr;
using testing::Not;

class MemoryCheckTest : public testing::Test {
 protected:
  MemoryCheckTest() { settings_.directory = SourceDir() + "/models/demo/target"; }

  ModelPlan Plan() {
    auto plan = PlanModel(*backend_, settings_);
    RA_CHECK(plan.ok(), plan.status().message());
    return *plan;
  }

  std::unique_ptr<Backend> backend_ = MakeBackend("ref", {}).value();
  ModelSettings settings_;
};

TEST_F(MemoryCheckTest, TheTotalIsTheSumOfItsParts) {
  const ModelPlan plan = Plan();
  EXPECT_EQ(plan.total_bytes(), plan.memory.weight_bytes() + plan.memory.workspace_bytes +
                                    plan.num_blocks * plan.memory.block_bytes());
  EXPECT_GE(plan.num_blocks * plan.memory.kv_shape.block_size, 65536);
}

TEST_F(MemoryCheckTest, ADraftModelIsInEveryFigure) {
  const ModelPlan alone = Plan();
  settings_.speculation.draft_directory = SourceDir() + "/models/demo/draft";
  const ModelPlan pair = Plan();
  ASSERT_TRUE(pair.draft.has_value());
  const MemoryPlan& draft = pair.draft->memory;
  EXPECT_EQ(pair.block_bytes(), pair.memory.block_bytes() + draft.block_bytes());
  EXPECT_EQ(pair.total_bytes(), alone.total_bytes() + draft.weight_bytes() + draft.workspace_bytes +
                                    pair.num_blocks * draft.block_bytes());
  EXPECT_EQ(draft.kv_shape.dtype, pair.memory.kv_shape.dtype);
  EXPECT_THAT(pair.Table(), HasSubstr("draft weights"));
  EXPECT_THAT(pair.Table(), HasSubstr(std::to_string(pair.total_bytes()) + " bytes"));
  EXPECT_TRUE(CheckFits(pair, pair.total_bytes()).ok());
  const Status refused = CheckFits(pair, pair.total_bytes() - 1);
  EXPECT_THAT(refused.message(), HasSubstr("draft KV cache"));

  settings_.kv_cache_bytes = 64 << 20;
  EXPECT_LE(Plan().num_blocks * pair.block_bytes(), 64 << 20);
  EXPECT_GT((Plan().num_blocks + 1) * pair.block_bytes(), 64 << 20);
}

TEST_F(MemoryCheckTest, ADraftModelNobodyUsesIsNotPlanned) {
  settings_.speculation.draft_directory = SourceDir() + "/models/demo/draft";
  settings_.speculation.drafters = {DrafterKind::kNgram};
  EXPECT_FALSE(Plan().draft.has_value());
  settings_.speculation.drafters.reset();
  settings_.speculation.max_drafts = 0;
  EXPECT_FALSE(Plan().draft.has_value());
}

TEST_F(MemoryCheckTest, AModelThatDraftsForItselfTakesNoMoreThanItsWeightsInInt4) {
  const ModelPlan alone = Plan();
  settings_.speculation.drafters = {DrafterKind::kNgram, DrafterKind::kSelf};
  const ModelPlan plan = Plan();
  ASSERT_TRUE(plan.draft.has_value());
  EXPECT_EQ(plan.draft->kind, DrafterKind::kSelf);
  EXPECT_EQ(plan.draft->weight_format.quantized, WeightFormat::kInt4);
  const MemoryPlan& copy = plan.draft->memory;
  EXPECT_EQ(copy.table_bytes, 0);
  EXPECT_EQ(plan.block_bytes(), alone.block_bytes());
  EXPECT_EQ(plan.total_bytes(), alone.total_bytes() + copy.fixed_bytes());
  EXPECT_THAT(plan.Table(), Not(HasSubstr("draft KV cache")));

  settings_.quantization.format = "int4";
  EXPECT_THAT(PlanModel(*backend_, settings_).status().message(), HasSubstr("INT4 already"));
  settings_.quantization.format = "int8";
  settings_.speculation.drafters = {DrafterKind::kModel, DrafterKind::kSelf};
  EXPECT_THAT(PlanModel(*backend_, settings_).status().message(), HasSubstr("name one of them"));
}

TEST_F(MemoryCheckTest, QuantizedWeightsAreSmaller) {
  backend_ = MakeBackend("cpu", {}).value();  // the reference keeps all in f32
  const int64_t bf16 = Plan().memory.linear_bytes;
  EXPECT_EQ(Plan().weight_format, WeightFormats(WeightFormat::kBF16));
  settings_.quantization.format = "int8";
  const int64_t int8 = Plan().memory.linear_bytes;
  settings_.quantization.format = "int4";
  const int64_t int4 = Plan().memory.linear_bytes;
  EXPECT_LT(int8, bf16 * 55 / 100);
  EXPECT_LT(int4, int8 * 60 / 100);
  EXPECT_GT(Plan().memory.bits_per_weight(), 4.125);
  settings_.quantization.group_size = 32;
  const int64_t groups32 = Plan().memory.linear_bytes;
  EXPECT_GT(groups32, int4);
  settings_.quantization.has_zero_points = true;
  EXPECT_GT(Plan().memory.linear_bytes, groups32);
  const int64_t table = Plan().memory.table_bytes;
  settings_.quantization.overrides = {"embed_tokens=none", "lm_head=int8"};
  EXPECT_GT(Plan().memory.table_bytes, table * 150 / 100);
  EXPECT_EQ(WeightsText(Plan().config, Plan().weight_format, Plan().memory).substr(0, 40),
            "int4-g32-zp, head int8, embeddings bf16,");
}

TEST_F(MemoryCheckTest, ADraftModelIsQuantizedAsItsTargetUnlessSaidOtherwise) {
  settings_.speculation.draft_directory = SourceDir() + "/models/demo/draft";
  settings_.quantization = {.format = "int4", .group_size = 64, .overrides = {"lm_head=int8"}};
  constexpr WeightFormat kGroups64{WeightType::kInt4, 64, false};
  EXPECT_EQ(Plan().weight_format.rules.size(), 1u);
  EXPECT_EQ(Plan().draft->weight_format, WeightFormats(kGroups64));
  settings_.speculation.draft_quantization = "int8";
  EXPECT_EQ(Plan().draft->weight_format, WeightFormats(WeightFormat::kInt8));
  settings_.speculation.draft_quantization = "none";
  EXPECT_EQ(Plan().draft->weight_format, WeightFormats(WeightFormat::kBF16));
}

TEST_F(MemoryCheckTest, QuantizationThatCannotBeIsRefused) {
  const auto refusal = [&] {
    const auto plan = PlanModel(*backend_, settings_);
    return plan.ok() ? "no error" : plan.status().message();
  };
  settings_.quantization = {.format = "int4", .group_size = 96};
  EXPECT_THAT(refusal(), HasSubstr("quantization_group_size 96 is none of 128, 64, 32"));
  settings_.quantization = {.format = "int3"};
  EXPECT_THAT(refusal(), HasSubstr("'int3' is none of none, int8, int8-a16, int4"));
  settings_.quantization = {.format = "int4", .overrides = {"lm_head"}};
  EXPECT_THAT(refusal(), HasSubstr("quantization_overrides: 'lm_head' is not of the form"));
  settings_.quantization = {.format = "int4", .overrides = {"layers.99.*=int8"}};
  EXPECT_THAT(refusal(), HasSubstr("'layers.99.*' matches no weight"));
  settings_.quantization = {.format = "int4", .overrides = {"*.v_proj=none"}};
  EXPECT_THAT(refusal(), HasSubstr("they are one layer here"));
}

TEST_F(MemoryCheckTest, ABudgetForTheCacheIsKept) {
  settings_.kv_cache_bytes = 64 << 20;
  const ModelPlan plan = Plan();
  EXPECT_LE(plan.num_blocks * plan.memory.block_bytes(), 64 << 20);
  EXPECT_GT((plan.num_blocks + 1) * plan.memory.block_bytes(), 64 << 20);
}

TEST_F(MemoryCheckTest, ANumberOfBlocksIsTakenAsItIs) {
  settings_.num_kv_blocks = 321;
  EXPECT_EQ(Plan().num_blocks, 321);
  settings_.num_kv_blocks = 1;
  EXPECT_THAT(CheckFits(Plan(), int64_t{1} << 60).message(), HasSubstr("--num-kv-blocks"));
}

TEST_F(MemoryCheckTest, BlocksTheKernelsCannotReadAreRefused) {
  for (const int size : {1, 5, 12}) {
    settings_.block_size = size;
    EXPECT_EQ(PlanModel(*backend_, settings_).status().param(), "block_size") << size;
  }
  settings_.block_size = 24;
  EXPECT_TRUE(PlanModel(*backend_, settings_).ok());
}

TEST_F(MemoryCheckTest, WhatFitsExactlyFits) {
  const ModelPlan plan = Plan();
  EXPECT_TRUE(CheckFits(plan, plan.total_bytes()).ok());
  const Status refused = CheckFits(plan, plan.total_bytes() - 1);
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("--kv-cache-bytes"));
}

TEST_F(MemoryCheckTest, ACacheTooSmallForOneContextIsRefused) {
  settings_.kv_cache_bytes = 1 << 20;
  const Status refused = CheckFits(Plan(), int64_t{1} << 50);
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("cannot hold one context"));
}

TEST_F(MemoryCheckTest, AContextBeyondTheModelsIsRefused) {
  settings_.max_model_len = 1 << 20;
  EXPECT_EQ(PlanModel(*backend_, settings_).status().param(), "max_model_len");
}

TEST_F(MemoryCheckTest, UnknownTypesAreRefusedByName) {
  settings_.kv_cache_dtype = "int3";
  EXPECT_THAT(PlanModel(*backend_, settings_).status().message(), HasSubstr("int3"));
}

// A float16 checkpoint is served as it is where the backend computes in F16, and else in BF16.
TEST_F(MemoryCheckTest, F16IsForBackendsThatComputeInIt) {
  const std::filesystem::path folder = testing::TempDir() + "runahead_float16";
  std::filesystem::create_directory(folder);
  std::ifstream in(settings_.directory + "/config.json");
  std::string config((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const size_t at = config.find("bfloat16");
  ASSERT_NE(at, std::string::npos);
  std::ofstream(folder / "config.json") << config.replace(at, 8, "float16");
  settings_.directory = folder;
  EXPECT_EQ(Plan().weight_format, WeightFormats(WeightFormat::kF16));
  EXPECT_EQ(Plan().memory.kv_shape.dtype, DType::kF16);
  settings_.dtype = "bf16";
  EXPECT_EQ(Plan().weight_format, WeightFormats(WeightFormat::kBF16));

  backend_ = MakeBackend("cpu", {}).value();
  settings_.dtype = "auto";
  EXPECT_EQ(Plan().weight_format, WeightFormats(WeightFormat::kBF16));
  EXPECT_EQ(Plan().memory.kv_shape.dtype, DType::kBF16);
  settings_.dtype = "f16";
  EXPECT_THAT(PlanModel(*backend_, settings_).status().message(),
              HasSubstr("dtype 'f16' is not for the cpu backend"));
  settings_.dtype = "f32";
  settings_.kv_cache_dtype = "f16";
  EXPECT_EQ(PlanModel(*backend_, settings_).status().param(), "kv_cache_dtype");
  std::filesystem::remove_all(folder);
}

// An INT8 cache has an f32 scale for each token and head; the draft model's is of the same type.
TEST_F(MemoryCheckTest, AnInt8CacheIsPlannedWithItsScales) {
  settings_.kv_cache_dtype = "int8";
  const ModelPlan plan = Plan();
  const KvCacheShape& kv = plan.memory.kv_shape;
  EXPECT_EQ(kv.dtype, DType::kI8);
  EXPECT_EQ(kv.head_dim % 16, 0);
  EXPECT_EQ(plan.memory.token_bytes(),
            2 * kv.num_layers * kv.num_kv_heads * (int64_t{kv.head_dim} + 4));
  EXPECT_THAT(plan.Table(), HasSubstr(" x 1 + 4) bytes a token"));
}

TEST_F(MemoryCheckTest, SomeMemoryIsAvailableHere) {
  EXPECT_GT(AvailableHostMemory(), 1 << 20);
  EXPECT_LT(AvailableHostMemory(), int64_t{1} << 50);
  EXPECT_GT(AvailableMemory(backend_->info()), 1 << 20);
  DeviceInfo device = backend_->info();
  device.free_bytes = 12345;  // its own memory
  EXPECT_EQ(AvailableMemory(device), 12345);
}

}  // namespace
}  // namespace runahead
