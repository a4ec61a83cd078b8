#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "model/rope.h"
#include "model/transformer.h"
#include "model/transformer_weights.h"
#include "model/weight_source.h"

namespace runahead {
namespace {

// Element i of row `row` of a vector (row 0) or matrix.
float ValueAt(const TensorView& in, int64_t row, int64_t i) {
  const int64_t at = (in.rank == 1 ? 0 : row * in.row_stride) + i;
  switch (in.dtype) {
    case DType::kF32:
      return static_cast<const float*>(in.data)[at];
    case DType::kF16:
      return ToFloat(static_cast<const Float16*>(in.data)[at]);
    default:
      return ToFloat(static_cast<const BFloat16*>(in.data)[at]);
  }
}

// Rows [begin, begin + count) of a matrix as contiguous f32 or bf16.
void ConvertRows(const TensorView& in, int64_t begin, int64_t count, const TensorView& out) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < in.dim(1); ++i) {
      const float value = ValueAt(in, begin + row, i);
      if (out.dtype == DType::kF32) {
        out.Row<float>(row)[i] = value;
      } else {
        out.Row<BFloat16>(row)[i] = ToBFloat16(value);
      }
    }
  }
}

}  // namespace

// Fetches, packs and counts one tensor after another; the first error stops it.
class TransformerLoader {
 public:
  TransformerLoader(Backend& backend, const ModelConfig& config, WeightSource& source,
                    const LoadOptions& options)
      : backend_(backend), config_(config), source_(source), options_(options) {}

  Result<std::unique_ptr<Transformer>> Load() {
    auto weights = std::make_unique<Transformer::Weights>();
    const int64_t h = config_.hidden_size;
    RA_RETURN_IF_ERROR(LoadEmbedding(*weights));
    for (int i = 0; i < config_.num_layers; ++i) {
      RA_ASSIGN_OR_RETURN(LayerWeights layer, LoadLayer(i));
      weights->layers.push_back(std::move(layer));
    }
    RA_ASSIGN_OR_RETURN(weights->final_norm, Vector("model.norm.weight", h));
    const std::string head =
        config_.tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
    RA_ASSIGN_OR_RETURN(weights->head, Linear({{head, config_.vocab_size}}, h, false));
    LoadRope(*weights);
    return std::unique_ptr<Transformer>(new Transformer(config_, std::move(weights)));
  }

 private:
  struct Part {
    std::string name;  // of the weight
    int64_t rows;
  };

  void CountLoaded(int64_t elements) {
    loaded_ += elements;
    const int64_t total = config_.NumWeights() + (config_.tie_embeddings ? TableElements() : 0);
    if (options_.progress) {
      options_.progress(static_cast<double>(loaded_) / static_cast<double>(total));
    }
  }

  int64_t TableElements() const { return int64_t{config_.vocab_size} * config_.hidden_size; }

  // [n] f32 on the device.
  Result<DeviceBuffer> Vector(const std::string& name, int64_t n) {
    RA_ASSIGN_OR_RETURN(const HostTensor tensor, source_.Fetch(name, {n}));
    std::vector<float> host(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) host[static_cast<size_t>(i)] = ValueAt(tensor.view, 0, i);
    DeviceBuffer buffer = backend_.Allocate(n * 4, MemoryKind::kDevice);
    backend_.CopyToDevice(buffer.data(), host.data(), n * 4);
    backend_.Wait(backend_.Record());
    CountLoaded(n);
    return buffer;
  }

  // One packed layer of parts stacked along N; each part's bias is the tensor "<stem>.bias".
  Result<std::unique_ptr<LinearWeight>> Linear(const std::vector<Part>& parts, int64_t k,
                                               bool has_bias) {
    std::vector<HostTensor> held;  // the views below point into these
    std::vector<TensorView> weights;
    std::vector<TensorView> biases;
    int64_t elements = 0;
    held.reserve(2 * parts.size());
    for (const Part& part : parts) {
      RA_ASSIGN_OR_RETURN(HostTensor weight, source_.Fetch(part.name, {part.rows, k}));
      weights.push_back(weight.view);
      held.push_back(std::move(weight));
      elements += part.rows * (k + (has_bias ? 1 : 0));
      if (!has_bias) continue;
      const std::string stem = part.name.substr(0, part.name.size() - std::strlen("weight"));
      RA_ASSIGN_OR_RETURN(HostTensor bias, source_.Fetch(stem + "bias", {part.rows}));
      biases.push_back(bias.view);
      held.push_back(std::move(bias));
    }
    std::unique_ptr<LinearWeight> packed =
        backend_.PackLinear({.parts = weights, .biases = biases, .format = options_.weight_format});
    CountLoaded(elements);
    return packed;
  }

  Status LoadEmbedding(Transformer::Weights& weights) {
    const int64_t v = config_.vocab_size;
    const int64_t h = config_.hidden_size;
    RA_ASSIGN_OR_RETURN(const HostTensor table, source_.Fetch("model.embed_tokens.weight", {v, h}));
    const DType dtype = options_.weight_format == WeightFormat::kF32 ? DType::kF32 : DType::kBF16;
    weights.embedding_buffer = backend_.Allocate(v * h * DTypeBytes(dtype), MemoryKind::kDevice);
    weights.embedding = TensorView(weights.embedding_buffer.data(), dtype, {v, h});
    // Through a staging piece of about 1 Mi elements, so that the table is never held twice.
    const int64_t rows = std::clamp<int64_t>((1 << 20) / h, 1, v);
    std::vector<char> memory(static_cast<size_t>(rows * h * DTypeBytes(dtype)));
    const TensorView staging(memory.data(), dtype, {rows, h});
    for (int64_t at = 0; at < v; at += rows) {
      const TensorView piece = weights.embedding.Rows(at, std::min(rows, v - at));
      ConvertRows(table.view, at, piece.dim(0), staging);
      backend_.CopyToDevice(piece.data, staging.data, piece.NumBytes());
      backend_.Wait(backend_.Record());
    }
    CountLoaded(v * h);
    return {};
  }

  Result<LayerWeights> LoadLayer(int index) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    const std::string mlp = prefix + "mlp.";
    const int64_t h = config_.hidden_size;
    const int64_t d = config_.head_dim;
    const int64_t q = config_.num_heads * d;
    const int64_t kv = config_.num_kv_heads * d;
    const int64_t ffn = config_.intermediate_size;
    LayerWeights layer;
    RA_ASSIGN_OR_RETURN(layer.attention_norm, Vector(prefix + "input_layernorm.weight", h));
    RA_ASSIGN_OR_RETURN(layer.qkv, Linear({{attention + "q_proj.weight", q},
                                           {attention + "k_proj.weight", kv},
                                           {attention + "v_proj.weight", kv}},
                                          h, config_.qkv_bias));
    if (config_.qk_norm) {
      RA_ASSIGN_OR_RETURN(layer.q_norm, Vector(attention + "q_norm.weight", d));
      RA_ASSIGN_OR_RETURN(layer.k_norm, Vector(attention + "k_norm.weight", d));
    }
    RA_ASSIGN_OR_RETURN(layer.output,
                        Linear({{attention + "o_proj.weight", h}}, q, config_.output_bias));
    RA_ASSIGN_OR_RETURN(layer.mlp_norm, Vector(prefix + "post_attention_layernorm.weight", h));
    RA_ASSIGN_OR_RETURN(layer.gate_up,
                        Linear({{mlp + "gate_proj.weight", ffn}, {mlp + "up_proj.weight", ffn}}, h,
                               config_.mlp_bias));
    RA_ASSIGN_OR_RETURN(layer.down, Linear({{mlp + "down_proj.weight", h}}, ffn, config_.mlp_bias));
    const auto i = static_cast<size_t>(index);
    layer.sliding_window = config_.sliding_windows.empty() ? 0 : config_.sliding_windows[i];
    return layer;
  }

  void LoadRope(Transformer::Weights& weights) {
    const int rows = options_.max_context > 0 ? options_.max_context : config_.max_positions;
    const std::vector<float> host = RopeTable(config_, rows);
    const auto bytes = static_cast<int64_t>(host.size() * sizeof(float));
    weights.rope_buffer = backend_.Allocate(bytes, MemoryKind::kDevice);
    weights.rope = TensorView(weights.rope_buffer.data(), DType::kF32, {rows, config_.head_dim});
    backend_.CopyToDevice(weights.rope_buffer.data(), host.data(), bytes);
    backend_.Wait(backend_.Record());
  }

  Backend& backend_;
  const ModelConfig& config_;
  WeightSource& source_;
  const LoadOptions& options_;
  int64_t loaded_ = 0;  // elements
};

Result<std::unique_ptr<Transformer>> Transformer::Load(Backend& backend,
                                                       const std::string& directory,
                                                       const LoadOptions& options) {
  RA_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  if (options.vocab_limit > 0) {
    config.vocab_limit = std::min(config.vocab_limit, options.vocab_limit);
  }
  Result<std::unique_ptr<WeightSource>> source = options.format == LoadFormat::kDummy
                                                     ? MakeDummySource()
                                                     : OpenCheckpointSource(directory, config);
  auto loaded = source.ok() ? TransformerLoader(backend, config, **source, options).Load()
                            : Result<std::unique_ptr<Transformer>>(source.status());
  if (loaded.ok()) return loaded;
  return Status(loaded.status().code(), directory + ": " + loaded.status().message());
}

}  // namespace runahead
