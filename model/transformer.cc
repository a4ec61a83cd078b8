#include "model/transformer.h"

#include <cmath>
#include <utility>

#include "kernels/quantized_rows.h"
#include "model/transformer_weights.h"

namespace runahead {
namespace {

// `memory` as rows in the format `weight` takes.
TensorView InputOf(const LinearWeight& weight, void* memory, int64_t num_rows) {
  return RowsIn(weight.input_format(), memory, num_rows, weight.k());
}

}  // namespace

Transformer::Transformer(ModelConfig config, DType activation_dtype,
                         std::unique_ptr<Weights> weights)
    : config_(std::move(config)),
      activation_dtype_(activation_dtype),
      weights_(std::move(weights)) {}

Transformer::~Transformer() = default;

int64_t Transformer::weight_bytes() const {
  const Weights& w = *weights_;
  int64_t bytes =
      w.embedding_buffer.bytes() + w.final_norm.bytes() + w.head->bytes() + w.rope_buffer.bytes();
  for (const LayerWeights& layer : w.layers) {
    bytes += layer.attention_norm.bytes() + layer.qkv->bytes() + layer.q_norm.bytes() +
             layer.k_norm.bytes() + layer.output->bytes() + layer.mlp_norm.bytes() +
             layer.gate_up->bytes() + layer.down->bytes();
  }
  return bytes;
}

int64_t Transformer::linear_bytes() const {
  int64_t bytes = weights_->head->bytes();
  for (const LayerWeights& layer : weights_->layers) {
    bytes +=
        layer.qkv->bytes() + layer.output->bytes() + layer.gate_up->bytes() + layer.down->bytes();
  }
  return bytes;
}

void Transformer::Forward(Backend& backend, const ForwardArgs& args) const {
  const Weights& w = *weights_;
  const ForwardBuffers& b = args.buffers;
  const auto num_rows = static_cast<int64_t>(args.positions.size());
  const float eps = config_.rms_norm_eps;
  TensorView q = b.qkv;  // the first Nq D columns of the fused rows, as heads
  q.rank = 3;
  q.dims = {num_rows, config_.num_heads, config_.head_dim, 0};

  backend.Embed(
      {.table = w.embedding, .ids = args.ids, .out = b.residual, .drawn_ids = args.drawn_ids});
  TensorView normed = InputOf(*w.layers[0].qkv, b.normed, num_rows);
  backend.RmsNorm({b.residual, Gain(w.layers[0].attention_norm), eps, normed});
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const LayerWeights& layer = w.layers[i];
    const KvLayerView& cache = args.cache->layer(static_cast<int>(i));
    backend.Linear({.x = normed, .weight = layer.qkv.get(), .y = b.qkv});
    backend.RopeAndStoreKv({.qkv = b.qkv,
                            .num_heads = config_.num_heads,
                            .num_kv_heads = config_.num_kv_heads,
                            .head_dim = config_.head_dim,
                            .q_norm = Gain(layer.q_norm),
                            .k_norm = Gain(layer.k_norm),
                            .norm_eps = eps,
                            .rope = w.rope,
                            .positions = args.positions,
                            .slots = args.slots,
                            .cache = cache});
    const TensorView attention = InputOf(*layer.output, b.attention, num_rows);
    backend.PagedAttention({.q = q,
                            .cache = cache,
                            .plan = args.plan,
                            .scale = 1 / std::sqrt(static_cast<float>(config_.head_dim)),
                            .sliding_window = layer.sliding_window,
                            .out = attention});
    backend.Linear({.x = attention, .weight = layer.output.get(), .y = b.branch});
    normed = InputOf(*layer.gate_up, b.normed, num_rows);
    backend.AddRmsNorm({b.residual, b.branch, Gain(layer.mlp_norm), eps, normed});
    backend.Linear({.x = normed, .weight = layer.gate_up.get(), .y = b.gate_up});
    const TensorView gated = InputOf(*layer.down, b.gated, num_rows);
    backend.SiluMul({.gate_up = b.gate_up, .out = gated});
    backend.Linear({.x = gated, .weight = layer.down.get(), .y = b.branch});
    const bool last = i + 1 == w.layers.size();
    normed = InputOf(last ? *w.head : *w.layers[i + 1].qkv, b.normed, num_rows);
    const DeviceBuffer& next_norm = last ? w.final_norm : w.layers[i + 1].attention_norm;
    backend.AddRmsNorm({b.residual, b.branch, Gain(next_norm), eps, normed});
  }
}

void Transformer::Head(Backend& backend, const HeadArgs& args) const {
  const LinearWeight& head = *weights_->head;
  const auto num_rows = static_cast<int64_t>(args.rows.size());
  const TensorView gathered = InputOf(head, args.gathered, num_rows);
  backend.GatherRows({.x = InputOf(head, const_cast<void*>(args.normed), args.num_rows),
                      .rows = args.rows,
                      .out = gathered});
  backend.Linear({.x = gathered, .weight = &head, .y = args.logits});
}

}  // namespace runahead
