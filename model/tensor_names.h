// Names and shapes of a Llama-family checkpoint's tensors. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "model/model_config.h"
#include "model/quantization_config.h"
#include "model/safetensors.h"

namespace runahead {

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;  // [N] or [N, K]
};

inline constexpr const char* kEmbeddingModule = "model.embed_tokens";

// "model.layers.0.mlp.up_proj" of "model.layers.0.mlp.up_proj.weight"; empty for what is no weight.
std::string ModuleOfWeight(const std::string& tensor);

// Every tensor of the model, each once: the embedding, layer by layer, the last norm, the head
// unless tied.
std::vector<NamedShape> TensorsOf(const ModelConfig& config);

// Its matrices without ".weight": what quantization_config speaks of.
std::vector<ModuleOfModel> ModulesOf(const ModelConfig& config);

// Checks by the headers alone that a checkpoint holds every tensor of the model in the right shape,
// and none that the model has no place for (its model would be another one than config.json
// describes).
Status CheckTensors(const Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace runahead
