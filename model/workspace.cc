#include "model/workspace.h"

#include <algorithm>

#include "kernels/quantized_rows.h"

namespace runahead {
namespace {

constexpr int kSmallestGroup = 32;  // of quantized rows: the most scales, the longest row

// Of rows in the next layer's input format, whichever that is.
int64_t WidestRow(int64_t k) {
  return std::max({RowBytes({DType::kF32}, k), RowBytes({DType::kI8, 0}, k),
                   RowBytes({DType::kI8, kSmallestGroup}, k)});
}

}  // namespace

WorkspaceLayout::WorkspaceLayout(const ModelConfig& config, const RunnerLimits& limits,
                                 DType activation) {
  const int64_t t = limits.max_rows;
  const int64_t r = limits.max_logit_rows;
  const int64_t h = config.hidden_size;
  const int64_t v = config.vocab_size;
  const int64_t a = DTypeBytes(activation);
  residual = Add(t * h * a);
  branch = Add(t * h * a);
  normed = Add(t * WidestRow(h));
  qkv = Add(t * config.qkv_rows() * a);
  attention = Add(t * WidestRow(int64_t{config.num_heads} * config.head_dim));
  gate_up = Add(t * 2 * config.intermediate_size * a);
  gated = Add(t * WidestRow(config.intermediate_size));
  gathered = Add(r * WidestRow(h));
  logits = Add(r * v * 4);
  spare = Add(MaxVerifyRows(limits) * v * 4);
  survivor_ids = Add(r * std::min<int64_t>(v, kSurvivorCapacity) * 4);
  survivor_counts = Add(r * 4);
  last_tokens = Add(r * 4);
  draft_logits = Add(limits.verify_mode == VerifyMode::kRejection ? r * v * 4 : 0);
}

int64_t WorkspaceLayout::Add(int64_t bytes) {
  constexpr int64_t kAlignment = 256;
  const int64_t at = total;
  total += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return at;
}

}  // namespace runahead
