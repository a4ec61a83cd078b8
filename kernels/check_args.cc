#include "kernels/check_args.h"

#include "core/check.h"
#include "kernels/quantized_rows.h"

namespace runahead {
namespace {

bool IsActivation(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

void CheckMatrix(const TensorView& view, int64_t rows, int64_t cols) {
  RA_CHECK_EQ(view.dim(0), rows);
  RA_CHECK_EQ(view.RowElements(), cols);
  RA_CHECK(IsActivation(view.dtype), "f32, bf16 or f16");
}

// Rows that may be quantized.
void CheckRows(const TensorView& view, int64_t rows, int64_t cols) {
  if (view.dtype != DType::kI8) return CheckMatrix(view, rows, cols);
  RA_CHECK_EQ(view.dim(0), rows);
  RA_CHECK_EQ(view.RowElements(), cols);
  RA_CHECK_GE(view.row_stride, QuantizedRowLayout(cols, view.group).row_bytes);
}

void CheckCache(const KvLayerView& cache) {
  RA_CHECK_EQ(cache.k.rank, 4);
  RA_CHECK_GT(cache.block_size, 0);
  RA_CHECK_EQ(cache.k.dim(2), cache.block_size);
  RA_CHECK(cache.k.dims == cache.v.dims && cache.k.dtype == cache.v.dtype, "k and v agree");
  RA_CHECK(cache.k.IsContiguous() && cache.v.IsContiguous(), "a cache is contiguous");
  RA_CHECK(IsActivation(cache.k.dtype) || cache.k.dtype == DType::kI8, "f32, bf16, f16 or i8");
}

void CheckQuantizedMatrix(const QuantizedMatrix& matrix, WeightFormat format) {
  const bool is_int4 = format.type == WeightType::kInt4;
  const int64_t n = matrix.codes.dim(0);
  const int64_t groups = format.group == 0 ? 1 : (matrix.k + format.group - 1) / format.group;
  RA_CHECK(matrix.codes.dtype == (is_int4 ? DType::kU8 : DType::kI8), "codes: i8, or u8 of INT4");
  RA_CHECK_EQ(matrix.codes.RowElements(), is_int4 ? (matrix.k + 1) / 2 : matrix.k);
  RA_CHECK_EQ(matrix.scales.dim(0), n);
  RA_CHECK_EQ(matrix.scales.RowElements(), groups);
  RA_CHECK(IsActivation(matrix.scales.dtype), "scales are f32, f16 or bf16");
  if (matrix.zero_points.data == nullptr) return;
  RA_CHECK(format.has_zero_points, "zero points need a format that has them");
  RA_CHECK(matrix.zero_points.dtype == DType::kU8, "zero points are u8");
  RA_CHECK_EQ(matrix.zero_points.dim(0), n);
  RA_CHECK_EQ(matrix.zero_points.RowElements(), groups);
}

void CheckQuantized(const HostLinear& linear) {
  const WeightFormat& format = linear.format;
  RA_CHECK(linear.parts.empty() && !linear.quantized.empty(),
           "a quantized layer has its own parts");
  RA_CHECK(format.type == WeightType::kInt8
               ? format.group == 0 && !format.has_zero_points
               : format.group == 32 || format.group == 64 || format.group == 128,
           "INT8 a whole row, INT4 groups of 32, 64 or 128");
  RA_CHECK(linear.rows == DType::kBF16 || linear.rows == DType::kF16, "16-bit rows");
  RA_CHECK(linear.biases.empty() || linear.biases.size() == linear.quantized.size());
  for (size_t i = 0; i < linear.quantized.size(); ++i) {
    CheckQuantizedMatrix(linear.quantized[i], format);
    RA_CHECK_EQ(linear.quantized[i].k, linear.quantized[0].k);
    if (linear.biases.empty() || linear.biases[i].data == nullptr) continue;
    RA_CHECK_EQ(linear.biases[i].dim(0), linear.quantized[i].codes.dim(0));
  }
}

int64_t Size(size_t n) { return static_cast<int64_t>(n); }

}  // namespace

void CheckArgs(const EmbedArgs& args) {
  const int64_t rows = args.drawn_ids != nullptr ? args.out.dim(0) : Size(args.ids.size());
  RA_CHECK(args.drawn_ids == nullptr || args.ids.empty(), "ids are the host's or the device's");
  CheckMatrix(args.out, rows, args.table.RowElements());
  CheckRows(args.table, args.table.dim(0), args.out.RowElements());
}

void CheckArgs(const RmsNormArgs& args) {
  CheckMatrix(args.x, args.y.dim(0), args.y.RowElements());
  CheckRows(args.y, args.x.dim(0), args.x.RowElements());
  RA_CHECK(args.gain != nullptr);
}

void CheckArgs(const AddRmsNormArgs& args) {
  CheckMatrix(args.residual, args.x.dim(0), args.x.RowElements());
  RA_CHECK(args.residual.dtype == args.x.dtype, "one type of activations");
  CheckMatrix(args.x, args.y.dim(0), args.y.RowElements());
  CheckRows(args.y, args.x.dim(0), args.x.RowElements());
  RA_CHECK(args.gain != nullptr);
}

void CheckArgs(const LinearArgs& args) {
  RA_CHECK(args.weight != nullptr);
  const InputFormat format = args.weight->input_format();
  CheckRows(args.x, args.y.dim(0), args.weight->k());
  CheckMatrix(args.y, args.x.dim(0), args.weight->n());
  RA_CHECK(args.x.dtype == format.dtype, "x must be in the input format");
  RA_CHECK(args.y.dtype == DType::kF32 || args.x.dtype == DType::kI8 ||
               DTypeBytes(args.x.dtype) == 4 || args.y.dtype == args.x.dtype,
           "one 16-bit type a layer");
  RA_CHECK_EQ(args.x.group, format.group);
}

void CheckArgs(const SiluMulArgs& args) {
  CheckMatrix(args.gate_up, args.out.dim(0), 2 * args.out.RowElements());
  CheckRows(args.out, args.gate_up.dim(0), args.gate_up.RowElements() / 2);
}

void CheckArgs(const GatherRowsArgs& args) {
  CheckRows(args.out, Size(args.rows.size()), args.x.RowElements());
  CheckRows(args.x, args.x.dim(0), args.out.RowElements());
  RA_CHECK(args.x.dtype == args.out.dtype && args.x.group == args.out.group, "rows are copied");
}

void CheckArgs(const RopeStoreKvArgs& args) {
  const int64_t width = int64_t{args.num_heads + 2 * args.num_kv_heads} * args.head_dim;
  CheckMatrix(args.qkv, Size(args.positions.size()), width);
  RA_CHECK_EQ(args.slots.size(), args.positions.size());
  RA_CHECK_EQ(args.head_dim % 2, 0);
  CheckCache(args.cache);
  RA_CHECK_EQ(args.cache.k.dim(1), args.num_kv_heads);
  RA_CHECK_EQ(args.cache.k.dim(3), KvRowElements(args.cache.k.dtype, args.head_dim));
  RA_CHECK(args.rope.dtype == DType::kF32 && args.rope.RowElements() == args.head_dim);
}

void CheckArgs(const PagedAttentionArgs& args) {
  CheckCache(args.cache);
  RA_CHECK(args.plan != nullptr);
  RA_CHECK_EQ(args.q.rank, 3);
  CheckMatrix(args.q, args.out.dim(0), args.out.RowElements());
  CheckRows(args.out, args.q.dim(0), args.q.RowElements());
  RA_CHECK_EQ(args.cache.k.dim(3), KvRowElements(args.cache.k.dtype, args.q.dim(2)));
  RA_CHECK_EQ(args.q.dim(1) % args.cache.k.dim(1), 0);
  RA_CHECK_GE(args.sliding_window, 0);
}

void CheckArgs(const ProcessLogitsArgs& args) {
  const int64_t rows = args.logits.dim(0);
  RA_CHECK(args.logits.dtype == DType::kF32, "logits are f32");
  RA_CHECK_EQ(Size(args.params.size()), rows);
  RA_CHECK(args.adjust_offsets.empty() || Size(args.adjust_offsets.size()) == rows + 1);
  RA_CHECK(args.allowed_offsets.empty() || Size(args.allowed_offsets.size()) == rows + 1);
  RA_CHECK(rows == 0 || args.survivors.counts != nullptr, "survivors are an output");
}

void CheckArgs(const SampleVerifyArgs& args) {
  const int64_t rows = args.logits.dim(0);
  RA_CHECK(args.logits.dtype == DType::kF32, "logits are f32");
  RA_CHECK_EQ(Size(args.rows.size()), rows);
  RA_CHECK_EQ(Size(args.drafts.size()), rows);
  RA_CHECK_EQ(Size(args.token_ids.size()), rows);
  // No sequences: no offsets, or the one that ends them.
  RA_CHECK(args.num_accepted.size() + 1 == args.row_offsets.size() ||
           (args.num_accepted.empty() && args.row_offsets.empty()));
  if (args.draft_logits.rank == 0) return;
  RA_CHECK(args.draft_logits.dtype == DType::kF32, "logits are f32");
  RA_CHECK_EQ(args.draft_logits.RowElements(), args.logits.RowElements());
  RA_CHECK_EQ(Size(args.draft_rows.size()), rows);
  for (const int32_t row : args.draft_rows) {
    RA_CHECK(row >= -1 && row < args.draft_logits.dim(0), "a row of draft_logits, or -1");
  }
}

void CheckArgs(const TopLogprobsArgs& args) {
  const int64_t rows = args.logits.dim(0);
  RA_CHECK(args.logits.dtype == DType::kF32, "logits are f32");
  RA_CHECK(args.top_n >= 0 && args.top_n <= 20, "0..20");
  RA_CHECK_LE(args.top_n, args.logits.RowElements());
  RA_CHECK_EQ(Size(args.chosen.size()), args.drawn != nullptr ? 0 : rows);
  RA_CHECK_EQ(Size(args.chosen_logprobs.size()), rows);
  RA_CHECK_EQ(Size(args.chosen_ranks.size()), rows);
  RA_CHECK_GE(Size(args.top_ids.size()), rows * args.top_n);
  RA_CHECK_GE(Size(args.top_logprobs.size()), rows * args.top_n);
}

void CheckArgs(const CopyBlocksArgs& args) {
  RA_CHECK_EQ(args.from.size(), args.to.size());
  for (const KvLayerView& layer : args.layers) CheckCache(layer);
}

void CheckArgs(const HostLinear& linear) {
  if (linear.format.is_quantized()) return CheckQuantized(linear);
  RA_CHECK(!linear.parts.empty(), "a linear layer has at least one part");
  RA_CHECK(linear.biases.empty() || linear.biases.size() == linear.parts.size());
  for (size_t i = 0; i < linear.parts.size(); ++i) {
    RA_CHECK_EQ(linear.parts[i].rank, 2);
    RA_CHECK_EQ(linear.parts[i].dim(1), linear.parts[0].dim(1));
    if (linear.biases.empty() || linear.biases[i].data == nullptr) continue;
    RA_CHECK_EQ(linear.biases[i].dim(0), linear.parts[i].dim(0));
  }
}

void CheckArgs(const BatchShape& shape, const AttentionLimits& limits) {
  const int num_sequences = shape.num_sequences();
  if (num_sequences == 0) return;
  RA_CHECK_EQ(Size(shape.row_offsets.size()), num_sequences + 1);
  RA_CHECK_LE(num_sequences, limits.max_sequences);
  RA_CHECK_LE(shape.row_offsets.back(), limits.max_rows);
  RA_CHECK_GE(Size(shape.block_tables.size()), int64_t{num_sequences - 1} * shape.table_stride);
  for (int s = 0; s < num_sequences; ++s) {
    const auto i = static_cast<size_t>(s);
    const int num_rows = shape.row_offsets[i + 1] - shape.row_offsets[i];
    RA_CHECK_GE(num_rows, 0);
    RA_CHECK_LE(num_rows, shape.context_lens[i]);
    RA_CHECK_LE(shape.context_lens[i], limits.max_context);
  }
}

}  // namespace runahead
