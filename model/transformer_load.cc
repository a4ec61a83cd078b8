#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "kernels/quantized_rows.h"
#include "model/matrix_loader.h"
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

// Rows [begin, begin + count) of a matrix as contiguous f32, bf16 or f16.
void ConvertRows(const TensorView& in, int64_t begin, int64_t count, const TensorView& out) {
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < in.dim(1); ++i) {
      const float value = ValueAt(in, begin + row, i);
      if (out.dtype == DType::kF32) {
        out.Row<float>(row)[i] = value;
      } else if (out.dtype == DType::kF16) {
        out.Row<Float16>(row)[i] = ToFloat16(value);
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
    RA_CHECK(options_.weight_format.unquantized != WeightFormat::kF16 || backend_.info().has_f16,
             "no f16 on this backend");
    auto weights = std::make_unique<Transformer::Weights>();
    const int64_t h = config_.hidden_size;
    RA_ASSIGN_OR_RETURN(formats_, FormatsOf(config_, options_.weight_format));
    if (options_.original != nullptr) {
      ShareTables(*options_.original->weights_, *weights);
    } else {
      RA_RETURN_IF_ERROR(LoadEmbedding(*weights));
      LoadRope(*weights);
    }
    for (int i = 0; i < config_.num_layers; ++i) {
      RA_ASSIGN_OR_RETURN(LayerWeights layer, LoadLayer(i));
      weights->layers.push_back(std::move(layer));
    }
    RA_ASSIGN_OR_RETURN(weights->final_norm, Vector("model.norm.weight", h));
    const std::string head = config_.tie_embeddings ? "model.embed_tokens" : "lm_head";
    RA_ASSIGN_OR_RETURN(weights->head,
                        Linear({{head, config_.vocab_size}}, h, false, formats_.head));
    const DType activation = ActivationDType(backend_.info(), options_.weight_format);
    return std::unique_ptr<Transformer>(new Transformer(config_, activation, std::move(weights)));
  }

 private:
  struct Part {
    std::string module;
    int64_t rows;
  };

  void CountLoaded(int64_t elements) {
    loaded_ += elements;
    const int64_t total = config_.NumWeights() + (config_.tie_embeddings ? TableElements() : 0);
    if (options_.progress) {
      options_.progress(static_cast<double>(loaded_) / static_cast<double>(total));
    }
  }

  int num_threads() const { return backend_.info().num_threads; }
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

  // One packed layer of parts stacked along N; each part's bias is the tensor "<module>.bias".
  Result<std::unique_ptr<LinearWeight>> Linear(const std::vector<Part>& parts, int64_t k,
                                               bool has_bias, WeightFormat format) {
    std::vector<LoadedMatrix> matrices;  // the views below point into these
    std::vector<HostTensor> held;
    std::vector<TensorView> values;
    std::vector<QuantizedMatrix> quantized;
    std::vector<TensorView> biases;
    int64_t elements = 0;
    for (const Part& part : parts) {
      RA_ASSIGN_OR_RETURN(LoadedMatrix matrix, LoadedMatrix::Load(source_, part.module, part.rows,
                                                                  k, format, num_threads()));
      if (matrix.is_quantized()) {
        quantized.push_back(matrix.quantized());
      } else {
        values.push_back(matrix.values());
      }
      matrices.push_back(std::move(matrix));
      elements += part.rows * (k + (has_bias ? 1 : 0));
      if (!has_bias) continue;
      RA_ASSIGN_OR_RETURN(HostTensor bias, source_.Fetch(part.module + ".bias", {part.rows}));
      biases.push_back(bias.view);
      held.push_back(std::move(bias));
    }
    const bool is_f16 = options_.weight_format.unquantized == WeightFormat::kF16;
    std::unique_ptr<LinearWeight> packed =
        backend_.PackLinear({.parts = values,
                             .quantized = quantized,
                             .biases = biases,
                             .format = format,
                             .rows = is_f16 ? DType::kF16 : DType::kBF16});
    CountLoaded(elements);
    return packed;
  }

  void ShareTables(const Transformer::Weights& original, Transformer::Weights& weights) {
    RA_CHECK_EQ(original.embedding.dim(0), config_.vocab_size);
    RA_CHECK_EQ(original.embedding.dim(1), config_.hidden_size);
    RA_CHECK(options_.max_context <= original.rope.dim(0), "the original has as many positions");
    weights.embedding = original.embedding;
    weights.rope = original.rope;
    CountLoaded(TableElements());
  }

  Status LoadEmbedding(Transformer::Weights& weights) {
    const char* module = "model.embed_tokens";
    const int64_t v = config_.vocab_size;
    const int64_t h = config_.hidden_size;
    // Rounded below a piece at a time, unless the checkpoint has rounded it.
    RA_ASSIGN_OR_RETURN(const LoadedMatrix table,
                        LoadedMatrix::Fetch(source_, module, v, h, formats_.embedding));
    const InputFormat rows_format = formats_.table_rows();
    const int64_t row_bytes = RowBytes(rows_format, h);
    weights.embedding_buffer = backend_.Allocate(v * row_bytes, MemoryKind::kDevice);
    weights.embedding = RowsIn(rows_format, weights.embedding_buffer.data(), v, h);
    // Through a staging piece of about 1 Mi elements, so that the table is never held twice.
    const int64_t rows = std::clamp<int64_t>((1 << 20) / h, 1, v);
    std::vector<char> memory(static_cast<size_t>(rows * row_bytes));
    for (int64_t at = 0; at < v; at += rows) {
      const int64_t count = std::min(rows, v - at);
      const TensorView staging = RowsIn(rows_format, memory.data(), count, h);
      RA_RETURN_IF_ERROR(FillTable(table, module, at, staging));
      backend_.CopyToDevice(weights.embedding.Rows(at, count).data, staging.data,
                            count * row_bytes);
      backend_.Wait(backend_.Record());
      CountLoaded(count * h);
    }
    return {};
  }

  // Rows of the embedding table from row `at` on.
  Status FillTable(const LoadedMatrix& table, const char* module, int64_t at,
                   const TensorView& rows) {
    if (table.is_quantized()) {
      FillQuantizedRows(table.quantized(), at, rows);
      return {};
    }
    if (rows.dtype != DType::kI8) {
      ConvertRows(table.values(), at, rows.dim(0), rows);
      return {};
    }
    RA_ASSIGN_OR_RETURN(
        const OwnedQuantizedMatrix rounded,
        LoadedMatrix::Quantize(table.values().Rows(at, rows.dim(0)), module, WeightFormat::kInt8,
                               {.num_threads = num_threads(), .first_row = at}));
    FillQuantizedRows(rounded.view(), 0, rows);
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
    const LayerFormats& formats = formats_.layers[static_cast<size_t>(index)];
    LayerWeights layer;
    RA_ASSIGN_OR_RETURN(layer.attention_norm, Vector(prefix + "input_layernorm.weight", h));
    RA_ASSIGN_OR_RETURN(
        layer.qkv,
        Linear({{attention + "q_proj", q}, {attention + "k_proj", kv}, {attention + "v_proj", kv}},
               h, config_.qkv_bias, formats.qkv));
    if (config_.qk_norm) {
      RA_ASSIGN_OR_RETURN(layer.q_norm, Vector(attention + "q_norm.weight", d));
      RA_ASSIGN_OR_RETURN(layer.k_norm, Vector(attention + "k_norm.weight", d));
    }
    RA_ASSIGN_OR_RETURN(
        layer.output, Linear({{attention + "o_proj", h}}, q, config_.output_bias, formats.output));
    RA_ASSIGN_OR_RETURN(layer.mlp_norm, Vector(prefix + "post_attention_layernorm.weight", h));
    RA_ASSIGN_OR_RETURN(layer.gate_up, Linear({{mlp + "gate_proj", ffn}, {mlp + "up_proj", ffn}}, h,
                                              config_.mlp_bias, formats.gate_up));
    RA_ASSIGN_OR_RETURN(layer.down,
                        Linear({{mlp + "down_proj", h}}, ffn, config_.mlp_bias, formats.down));
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
  ModelFormats formats_;
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
