// ModelConfig: what config.json says of a Llama-family transformer. Immutable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"
#include "model/quantization_config.h"

namespace runahead {

enum class RopeScalingKind : uint8_t { kNone, kLinear, kLlama3 };

struct RopeScaling {
  RopeScalingKind kind = RopeScalingKind::kNone;
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int original_max_positions = 8192;
};

struct ModelConfig {
  std::string architecture = {};  // "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM",
                                  // "Qwen3ForCausalLM"
  int vocab_size = 0;
  // Ids below it are tokens, the rest only widens the table: no step produces one (config.json's
  // "runahead_vocab_limit", without it vocab_size).
  int vocab_limit = 0;
  int hidden_size = 0;        // H
  int intermediate_size = 0;  // I
  int num_layers = 0;         // L
  int num_heads = 0;          // Nq
  int num_kv_heads = 0;       // Nkv
  int head_dim = 0;           // D, may differ from H / Nq
  float rms_norm_eps = 1e-5f;
  double rope_theta = 10000;
  RopeScaling rope_scaling = {};
  int max_positions = 2048;
  bool tie_embeddings = false;
  bool qkv_bias = false;
  bool output_bias = false;  // attention_bias of Llama: o_proj too
  bool mlp_bias = false;
  bool qk_norm = false;
  // Window of each layer; 0 sees all. Empty: no layer has one.
  std::vector<int> sliding_windows = {};
  DType checkpoint_dtype = DType::kBF16;
  std::vector<int32_t> eos_token_ids = {};  // of config.json and generation_config.json
  std::optional<int32_t> bos_token_id = {};
  // Modules that the checkpoint stores quantized, by name ("model.layers.0.mlp.up_proj").
  std::map<std::string, StoredFormat> quantized = {};

  int qkv_rows() const { return (num_heads + 2 * num_kv_heads) * head_dim; }
  int64_t NumWeights() const;  // parameters, a tied head counted once
};

// Parses config.json; generation_config.json (may be empty) adds stop ids. Errors name the key; an
// unknown architecture is listed beside the supported ones.
Result<ModelConfig> ParseModelConfig(std::string_view config_json,
                                     std::string_view generation_config_json);

// Reads both from a checkpoint directory.
Result<ModelConfig> LoadModelConfig(const std::string& directory);

}  // namespace runahead
