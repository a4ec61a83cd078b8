// Transformer: the weights of a Llama-family model and its one forward pass. Immutable after load.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/backend.h"
#include "kvcache/kv_cache.h"
#include "model/model_config.h"

namespace runahead {

enum class LoadFormat : uint8_t {
  kAuto,   // safetensors
  kDummy,  // random weights from config.json alone
};

struct LoadOptions {
  LoadFormat format = LoadFormat::kAuto;
  WeightFormat weight_format = WeightFormat::kBF16;
  int max_context = 0;                            // rows of the rope table; 0: config.max_positions
  std::function<void(double fraction)> progress;  // may be empty; called on the loading thread
};

// Everything the forward pass touches. Activation buffers belong to the caller.
struct ForwardArgs {
  std::span<const int32_t> ids;         // [T]
  std::span<const int32_t> positions;   // [T]
  std::span<const int64_t> slots;       // [T]
  std::span<const int32_t> logit_rows;  // [R] rows that need logits
  const AttentionPlan* plan = nullptr;
  const KvCache* cache = nullptr;
  struct Buffers {
    TensorView residual;        // [T, H] activation dtype
    TensorView branch;          // [T, H] activation dtype: what a block adds to the residual
    void* normed = nullptr;     // [T, H] in the next layer's input format
    TensorView qkv;             // [T, (Nq + 2 Nkv) D] activation dtype
    void* attention = nullptr;  // [T, Nq D] in o_proj's input format
    TensorView gate_up;         // [T, 2 I] activation dtype
    void* gated = nullptr;      // [T, I] in down_proj's input format
    void* gathered = nullptr;   // [R, H] in the head's input format
    TensorView logits;          // [R, V] f32, out
  } buffers;
};

class Transformer {
 public:
  // Streams the checkpoint tensor by tensor into the backend's layouts.
  static Result<std::unique_ptr<Transformer>> Load(Backend& backend, const std::string& directory,
                                                   const LoadOptions& options);
  ~Transformer();

  const ModelConfig& config() const { return config_; }
  int64_t weight_bytes() const;  // resident, as packed

  // Logits of args.logit_rows into buffers.logits; K/V of all rows into the cache.
  void Forward(Backend& backend, const ForwardArgs& args) const;

 private:
  struct Weights;
  Transformer(ModelConfig config, std::unique_ptr<Weights> weights);
  ModelConfig config_;
  std::unique_ptr<Weights> weights_;
};

}  // namespace runahead
