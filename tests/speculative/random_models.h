// Tiny checkpoints of pseudo-random weights: a model, and another one that resembles it. One
// thread.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "model/model_config.h"
#include "tests/model/safetensors_file.h"

namespace runahead {

// A standard normal number (nearly) of a name.
inline float NormalOf(uint64_t name) {
  float sum = 0;
  for (int i = 0; i < 6; ++i) {
    name = name * 6364136223846793005u + 1442695040888963407u;
    sum += static_cast<float>(name >> 40) * 0x1p-24f - 0.5f;
  }
  return sum * std::sqrt(2.0f);
}

// Weights w of `seed` plus `distance` times as many others: models of one seed resemble each other
// the more the smaller it is. Logits spread by about `sharpness`.
inline void WriteRandomModel(const TestFolder& folder, int vocab, uint64_t seed, float distance,
                             float sharpness = 1.5f) {
  folder.Write("config.json",
               R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":16,)"
               R"("intermediate_size":24,"num_hidden_layers":1,"num_attention_heads":2,)"
               R"("num_key_value_heads":1,"head_dim":8,"max_position_embeddings":256,)"
               R"("rms_norm_eps":1e-05,"rope_theta":10000.0,"hidden_act":"silu",)"
               R"("tie_word_embeddings":false,"dtype":"bfloat16","vocab_size":)" +
                   std::to_string(vocab) + "}");
  const ModelConfig config = LoadModelConfig(folder.path()).value();
  WriteCheckpoint(folder, TensorsOf(config), [&](const NamedShape& tensor, int64_t i) {
    if (tensor.shape.size() == 1) return 1.0f;
    uint64_t name = static_cast<uint64_t>(i);
    for (const char c : tensor.name) name = (name ^ static_cast<uint64_t>(c)) * 1099511628211u;
    const float w =
        NormalOf(name ^ (seed << 40)) + distance * NormalOf(name ^ ((seed + 1000) << 40));
    const bool is_head = tensor.name == "lm_head.weight";
    const float scale = (is_head ? sharpness : 1) / std::sqrt(1 + distance * distance);
    return w * scale / std::sqrt(static_cast<float>(tensor.shape[1]));
  });
}

}  // namespace runahead
