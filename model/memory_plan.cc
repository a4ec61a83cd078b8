#include "model/memory_plan.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>
#include <vector>

#include "kernels/quantized_rows.h"
#include "model/safetensors.h"
#include "model/tensor_names.h"

namespace runahead {
namespace {

// "1.25 GiB"
std::string Amount(int64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 32> text = {};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
  return text.data();
}

std::string Line(const std::string& label, int64_t bytes, const std::string& note) {
  std::array<char, 96> text = {};
  std::snprintf(text.data(), text.size(), "%-15s %20lld bytes  %11s  ", label.c_str(),
                static_cast<long long>(bytes), Amount(bytes).c_str());
  return text.data() + note + "\n";
}

// "64 x 2 bytes"; "(64 x 1 + 4) bytes" of INT8 values and their scale
std::string RowText(const KvCacheShape& kv) {
  const std::string values =
      std::to_string((kv.RowBytes() - (kv.dtype == DType::kI8 ? kKvScaleBytes : 0)) /
                     DTypeBytes(kv.dtype)) +
      " x " + std::to_string(DTypeBytes(kv.dtype));
  if (kv.dtype != DType::kI8) return values + " bytes";
  return "(" + values + " + " + std::to_string(kKvScaleBytes) + ") bytes";
}

std::string Items(const MemoryPlan& plan, int64_t num_blocks, const std::string& whose) {
  const KvCacheShape& kv = plan.kv_shape;
  const std::string blocks =
      std::to_string(num_blocks) + " blocks of " + std::to_string(kv.block_size) + " tokens, " +
      std::to_string(plan.block_bytes()) + " bytes each (2 x " + std::to_string(kv.num_layers) +
      " layers x " + std::to_string(kv.num_kv_heads) + " heads x " + RowText(kv) + " a token)";
  return Line(
             whose + "weights", plan.weight_bytes(),
             std::to_string(plan.num_weights) + " parameters as packed, embedding and rope table") +
         (plan.block_bytes() == 0
              ? ""
              : Line(whose + "KV cache", num_blocks * plan.block_bytes(), blocks)) +
         Line(whose + "workspace", plan.workspace_bytes, "activations and logits");
}

}  // namespace

int64_t MemoryPlan::BlocksWithin(int64_t budget_bytes) const {
  return std::max<int64_t>(0, (budget_bytes - fixed_bytes()) / block_bytes());
}

int64_t MemoryPlan::BlocksFor(int64_t num_tokens) const {
  return (num_tokens + kv_shape.block_size - 1) / kv_shape.block_size;
}

MemoryPlan PlanMemory(const Backend& backend, const ModelConfig& config,
                      const MemoryRequest& request) {
  const int64_t h = config.hidden_size;
  const int64_t v = config.vocab_size;
  const int64_t d = config.head_dim;
  const int64_t q = config.num_heads * d;
  const int64_t ffn = config.intermediate_size;
  const ModelFormats formats = FormatsOf(config, request.weight_format).value();
  MemoryPlan plan;
  plan.num_weights = config.NumWeights();
  const auto add = [&](int64_t n, int64_t k, WeightFormat format) {
    plan.linear_bytes += backend.PackedLinearBytes(n, k, format);
    plan.num_linear += n * k;
  };
  add(v, h, formats.head);
  for (const LayerFormats& layer : formats.layers) {
    add(config.qkv_rows(), h, layer.qkv);
    add(h, q, layer.output);
    add(2 * ffn, h, layer.gate_up);
    add(h, ffn, layer.down);
  }
  plan.table_bytes = request.is_copy ? 0 : v * RowBytes(formats.table_rows(), h);
  const int64_t gains = config.num_layers * (2 * h + (config.qk_norm ? 2 * d : 0)) + h;
  const int64_t rope = request.is_copy ? 0 : request.limits.max_context * d;
  plan.small_bytes = 4 * (gains + rope);
  plan.workspace_bytes = ModelRunner::WorkspaceBytes(
      config, request.limits, ActivationDType(backend.info(), request.weight_format));
  plan.kv_shape = {.num_layers = request.is_copy ? 0 : config.num_layers,
                   .num_kv_heads = config.num_kv_heads,
                   .head_dim = config.head_dim,
                   .block_size = request.limits.block_size,
                   .dtype = request.kv_dtype};
  return plan;
}

std::string WeightsText(const ModelConfig& config, const WeightFormats& formats,
                        const MemoryPlan& plan) {
  std::array<char, 48> bits = {};
  std::snprintf(bits.data(), bits.size(), ", %.2f bits a weight", plan.bits_per_weight());
  return FormatsText(FormatsOf(config, formats).value()) + bits.data();
}

std::string MemoryTable(const MemoryPlan& plan, int64_t num_blocks, const MemoryPlan* draft) {
  std::string items = Items(plan, num_blocks, "");
  int64_t total = plan.TotalBytes(num_blocks);
  if (draft != nullptr) {
    items += Items(*draft, num_blocks, "draft ");
    total += draft->TotalBytes(num_blocks);
  }
  return items + Line("total", total, "");
}

Result<int64_t> CheckCheckpoint(const std::string& directory, const ModelConfig& config) {
  RA_ASSIGN_OR_RETURN(const std::unique_ptr<Checkpoint> checkpoint, Checkpoint::Open(directory));
  RA_RETURN_IF_ERROR(CheckTensors(*checkpoint, config));
  int64_t bytes = 0;
  for (const std::string& name : checkpoint->Names()) bytes += checkpoint->Find(name)->num_bytes();
  return bytes;
}

}  // namespace runahead
