#include "model/tensor_names.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/model/safetensors_file.h"
#include "tests/model/test_model.h"

namespace runahead {
namespace {

using testing::HasSubstr;

ModelConfig OneLayer() {
  ModelConfig config;
  config.vocab_size = 3;
  config.hidden_size = 4;
  config.intermediate_size = 2;
  config.num_layers = 1;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 2;
  return config;
}

void Write(const TestFolder& folder, const std::vector<NamedShape>& tensors) {
  WriteCheckpoint(folder, tensors, [](const NamedShape&, int64_t) { return 1.0f; });
}

std::string ErrorOf(const TestFolder& folder, const ModelConfig& config) {
  const Status status = CheckTensors(*Checkpoint::Open(folder.path()).value(), config);
  return status.ok() ? "no error" : status.message();
}

TEST(TensorNamesTest, CountsAgreeWithNumWeights) {
  for (int bits = 0; bits < 32; ++bits) {
    ModelConfig config = OneLayer();
    config.num_layers = 3;
    config.qkv_bias = bits & 1;
    config.output_bias = bits & 2;
    config.mlp_bias = bits & 4;
    config.qk_norm = bits & 8;
    config.tie_embeddings = bits & 16;
    int64_t weights = 0;
    for (const NamedShape& tensor : TensorsOf(config)) {
      weights += tensor.shape[0] * (tensor.shape.size() == 2 ? tensor.shape[1] : 1);
    }
    EXPECT_EQ(weights, config.NumWeights()) << bits;
  }
}

TEST(TensorNamesTest, MissingMisshapenAndUnknownTensorsAreNamed) {
  TestFolder folder;
  const ModelConfig config = OneLayer();
  std::vector<NamedShape> tensors = TensorsOf(config);
  Write(folder, tensors);
  EXPECT_EQ(ErrorOf(folder, config), "no error");
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::vector<NamedShape> fewer = tensors;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    Write(folder, fewer);
    EXPECT_THAT(ErrorOf(folder, config), HasSubstr("has no tensor " + tensors[i].name));
    std::vector<NamedShape> wrong = tensors;
    wrong[i].shape[0] += 1;
    Write(folder, wrong);
    EXPECT_THAT(ErrorOf(folder, config), HasSubstr("tensor " + tensors[i].name + " has shape"));
  }
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", {4}});
  Write(folder, tensors);
  EXPECT_THAT(ErrorOf(folder, config),
              HasSubstr("holds the tensor model.layers.0.self_attn.q_proj.bias"));
}

TEST(TensorNamesTest, HarmlessLeftoversAreIgnored) {
  TestFolder folder;
  ModelConfig config = OneLayer();
  std::vector<NamedShape> tensors = TensorsOf(config);
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {1}});
  Write(folder, tensors);
  EXPECT_EQ(ErrorOf(folder, config), "no error");
  config.tie_embeddings = true;  // and a head all the same
  EXPECT_EQ(ErrorOf(folder, config), "no error");
}

}  // namespace
}  // namespace runahead
