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
#include "model/weight_formats.h"

namespace runahead {

class Transformer;

enum class LoadFormat : uint8_t {
  kAuto,   // safetensors
  kDummy,  // random weights from config.json alone
};

struct LoadOptions {
  LoadFormat format = LoadFormat::kAuto;
  WeightFormats weight_format = {};  // one for all, or rules; see FormatsOf
  int max_context = 0;               // rows of the rope table; 0: config.max_positions
  // Lowers config().vocab_limit: ids from it on count as padding. 0: as the checkpoint says.
  int vocab_limit = 0;
  // The same checkpoint loaded before, for as many positions: the result looks rows up in its
  // embedding and rope tables, and must not outlive it. Null: it has its own.
  const Transformer* original = nullptr;
  std::function<void(double fraction)> progress = {};  // may be empty; called on the loading thread
};

// Memory the forward pass works in; all of it belongs to the caller. Untyped ones are in the input
// format of the linear layer they feed.
struct ForwardBuffers {
  TensorView residual;        // [T, H] activation dtype
  TensorView branch;          // [T, H] activation dtype: what a block adds to the residual
  void* normed = nullptr;     // [T, H] for qkv, gate_up or the head
  TensorView qkv;             // [T, (Nq + 2 Nkv) D] activation dtype
  void* attention = nullptr;  // [T, Nq D] for o_proj
  TensorView gate_up;         // [T, 2 I] activation dtype
  void* gated = nullptr;      // [T, I] for down_proj
};

// One step's rows.
struct ForwardArgs {
  std::span<const int32_t> ids;        // [T]
  const int32_t* drawn_ids = nullptr;  // [T] on the device, instead of `ids`
  std::span<const int32_t> positions;  // [T], below the rope table's rows
  std::span<const int64_t> slots;      // [T]
  const AttentionPlan* plan = nullptr;
  const KvCache* cache = nullptr;
  ForwardBuffers buffers;
};

// The rows that need logits.
struct HeadArgs {
  const void* normed = nullptr;   // [T, H], as Forward left it
  int num_rows = 0;               // T
  std::span<const int32_t> rows;  // [R]
  void* gathered = nullptr;       // [R, H] in the head's input format
  TensorView logits;              // [R, V] f32, out
};

class Transformer {
 public:
  // Streams the checkpoint tensor by tensor into the backend's layouts; the backend outlives the
  // result.
  static Result<std::unique_ptr<Transformer>> Load(Backend& backend, const std::string& directory,
                                                   const LoadOptions& options);
  ~Transformer();

  const ModelConfig& config() const { return config_; }
  DType activation_dtype() const { return activation_dtype_; }  // of ForwardBuffers
  int64_t weight_bytes() const;  // resident, as packed, tables included
  int64_t linear_bytes() const;  // of them, what every decode step reads once

  // The last norm's output of all rows into buffers.normed, their K/V into the cache.
  void Forward(Backend& backend, const ForwardArgs& args) const;
  // Logits of some rows of the last Forward.
  void Head(Backend& backend, const HeadArgs& args) const;

 private:
  friend class TransformerLoader;
  struct Weights;
  Transformer(ModelConfig config, DType activation_dtype, std::unique_ptr<Weights> weights);
  ModelConfig config_;
  DType activation_dtype_;
  std::unique_ptr<Weights> weights_;
};

}  // namespace runahead
