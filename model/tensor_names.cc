#include "model/tensor_names.h"

#include <set>
#include <string_view>
#include <utility>

#include "model/quantized_checkpoint.h"

namespace runahead {
namespace {

class Lister {
 public:
  explicit Lister(const ModelConfig& config) : config_(config) {}

  void Vector(const std::string& name, int64_t n) { tensors.push_back({name, {n}}); }
  void Linear(const std::string& stem, int64_t n, int64_t k, bool has_bias) {
    tensors.push_back({stem + ".weight", {n, k}});
    if (has_bias) tensors.push_back({stem + ".bias", {n}});
  }

  void Layer(int index) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    const int64_t h = config_.hidden_size;
    const int64_t d = config_.head_dim;
    const int64_t kv = config_.num_kv_heads * d;
    const int64_t ffn = config_.intermediate_size;
    Vector(prefix + "input_layernorm.weight", h);
    Linear(attention + "q_proj", config_.num_heads * d, h, config_.qkv_bias);
    Linear(attention + "k_proj", kv, h, config_.qkv_bias);
    Linear(attention + "v_proj", kv, h, config_.qkv_bias);
    if (config_.qk_norm) {
      Vector(attention + "q_norm.weight", d);
      Vector(attention + "k_norm.weight", d);
    }
    Linear(attention + "o_proj", h, config_.num_heads * d, config_.output_bias);
    Vector(prefix + "post_attention_layernorm.weight", h);
    Linear(prefix + "mlp.gate_proj", ffn, h, config_.mlp_bias);
    Linear(prefix + "mlp.up_proj", ffn, h, config_.mlp_bias);
    Linear(prefix + "mlp.down_proj", h, ffn, config_.mlp_bias);
  }

  std::vector<NamedShape> tensors;

 private:
  const ModelConfig& config_;
};

}  // namespace

std::string ModuleOfWeight(const std::string& tensor) {
  constexpr std::string_view kSuffix = ".weight";
  return tensor.ends_with(kSuffix) ? tensor.substr(0, tensor.size() - kSuffix.size()) : "";
}

std::vector<NamedShape> TensorsOf(const ModelConfig& config) {
  Lister lister(config);
  lister.Linear("model.embed_tokens", config.vocab_size, config.hidden_size, false);
  for (int i = 0; i < config.num_layers; ++i) lister.Layer(i);
  lister.Vector("model.norm.weight", config.hidden_size);
  if (!config.tie_embeddings) {
    lister.Linear("lm_head", config.vocab_size, config.hidden_size, false);
  }
  return std::move(lister.tensors);
}

std::vector<ModuleOfModel> ModulesOf(const ModelConfig& config) {
  std::vector<ModuleOfModel> modules;
  for (const NamedShape& tensor : TensorsOf(config)) {
    if (tensor.shape.size() != 2) continue;
    const std::string name = ModuleOfWeight(tensor.name);
    modules.push_back({.name = name, .is_embedding = name == kEmbeddingModule});
  }
  return modules;
}

Status CheckTensors(const Checkpoint& checkpoint, const ModelConfig& config) {
  std::set<std::string> known;
  for (const NamedShape& tensor : TensorsOf(config)) {
    const std::string module = ModuleOfWeight(tensor.name);
    const auto form = config.quantized.find(module);
    if (form == config.quantized.end()) {
      RA_RETURN_IF_ERROR(checkpoint.Check(tensor.name, tensor.shape));
      known.insert(tensor.name);
      continue;
    }
    RA_RETURN_IF_ERROR(
        CheckQuantized(checkpoint, module, tensor.shape[0], tensor.shape[1], form->second));
    for (std::string& name : QuantizedTensorNames(module, form->second)) {
      known.insert(std::move(name));
    }
  }
  for (const std::string& name : checkpoint.Names()) {
    if (known.contains(name)) continue;
    // Old exporters saved the rope's frequencies, and a tied head beside its table.
    if (name.ends_with("rotary_emb.inv_freq")) continue;
    if (config.tie_embeddings && name == "lm_head.weight") continue;
    return InvalidArgument("the checkpoint holds the tensor " + name +
                           ", which config.json's model does not have");
  }
  return {};
}

}  // namespace runahead
