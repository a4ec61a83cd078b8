#include "tests/kernels/step_fixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace runahead {
namespace {

constexpr int kSequences = 2;
constexpr float kNormEps = 1e-6f;

float Rounded(float value, DType dtype) {
  return dtype == DType::kBF16  ? ToFloat(ToBFloat16(value))
         : dtype == DType::kF16 ? ToFloat(ToFloat16(value))
                                : value;
}

}  // namespace

StepFixture::StepFixture(Backend& backend, const StepShape& shape, DType activation, DType cache)
    : shape_(shape),
      activation_(activation),
      cache_dtype_(cache),
      scale_(1 / std::sqrt(static_cast<float>(shape.head_dim))),
      lens_(kSequences) {
  tokens_.resize(kSequences);
  keys_.resize(static_cast<size_t>(kSequences * shape.num_kv_heads * shape.max_context));
  values_.resize(keys_.size());
  const int blocks = (shape.max_context + shape.block_size - 1) / shape.block_size;
  for (int s = 0; s < kSequences; ++s) {
    auto& table = tables_.emplace_back();
    for (int b = 0; b < blocks; ++b) table.push_back(1 + s + kSequences * b);
  }
  // Twice the blocks, so that a sequence can move.
  const int64_t num_blocks = 1 + 2 * kSequences * blocks;
  const int64_t row = KvRowElements(cache, shape.head_dim);
  k_ = Tensor(cache, {num_blocks, shape.num_kv_heads, shape.block_size, row});
  v_ = Tensor(cache, {num_blocks, shape.num_kv_heads, shape.block_size, row});
  cache_ = {k_.view(), v_.view(), shape.block_size};
  rope_ = Tensor(DType::kF32, {shape.max_context, shape.head_dim});
  const int half = shape.head_dim / 2;
  for (int p = 0; p < shape.max_context; ++p) {
    for (int i = 0; i < half; ++i) {
      const double angle = p * std::pow(10000.0, -i / static_cast<double>(half));
      rope_.set(p, i, std::cos(angle));
      rope_.set(p, half + i, std::sin(angle));
    }
  }
  if (shape.qk_norm) {
    std::mt19937 rng(3);
    q_norm_ = RandomFloats(shape.head_dim, rng);
    k_norm_ = RandomFloats(shape.head_dim, rng);
  }
  plan_ = backend.MakeAttentionPlan({.max_sequences = kSequences,
                                     .max_rows = 2 * shape.max_context,
                                     .max_context = shape.max_context,
                                     .num_heads = shape.num_heads,
                                     .num_kv_heads = shape.num_kv_heads,
                                     .head_dim = shape.head_dim});
}

const std::vector<std::vector<float>>& StepFixture::Tokens(int sequence) const {
  auto& tokens = tokens_[static_cast<size_t>(sequence)];
  if (!tokens.empty()) return tokens;
  std::mt19937 rng(static_cast<uint32_t>(shape_.head_dim * 7 + shape_.num_heads + 1000 * sequence));
  const int64_t width = int64_t{shape_.num_heads + 2 * shape_.num_kv_heads} * shape_.head_dim;
  for (int p = 0; p < shape_.max_context; ++p) {
    tokens.push_back(RandomFloats(width, rng));
    for (float& value : tokens.back()) value = Rounded(value, activation_);
  }
  return tokens;
}

// Relative error of an element of q or k after norm and rotation. With rotation it is relative to
// its pair's size: sqrt(2) covers that in a sum of products.
double StepFixture::RotationError() const {
  return (shape_.qk_norm ? static_cast<double>(shape_.head_dim) / 2 + 10 : 4) * kEpsF32 * 2;
}

// `error`: of an element, relative to the head's largest.
StepFixture::Stored StepFixture::StoredHead(std::vector<double> head, double error) const {
  Stored stored{std::move(head), std::vector<double>(static_cast<size_t>(shape_.head_dim)), 0};
  if (cache_dtype_ != DType::kI8) return stored;  // its roundings are in the caller's bound
  double largest = 0;
  for (const double x : stored.value) largest = std::max(largest, std::abs(x));
  stored.scale = largest / 127;
  error += 4 * kEpsF32;
  for (size_t i = 0; i < stored.value.size(); ++i) {
    const double units = stored.value[i] / stored.scale;
    const double from_tie = std::abs(std::abs(units - std::floor(units)) - 0.5);
    stored.value[i] = std::nearbyint(units) * stored.scale;
    stored.slack[i] =
        std::abs(stored.value[i]) * error + (from_tie < 127 * error ? stored.scale : 0);
  }
  return stored;
}

const StepFixture::Stored& StepFixture::KeyAt(int sequence, int kv_head, int position) const {
  const int64_t at =
      (int64_t{sequence} * shape_.num_kv_heads + kv_head) * shape_.max_context + position;
  Stored& key = keys_[static_cast<size_t>(at)];
  if (key.value.empty()) {
    key = StoredHead(
        Rotated(Tokens(sequence)[static_cast<size_t>(position)], shape_.num_heads + kv_head,
                shape_.qk_norm ? k_norm_.data() : nullptr, position),
        2 * RotationError());
  }
  return key;
}

const StepFixture::Stored& StepFixture::ValueAt(int sequence, int kv_head, int position) const {
  const int64_t at =
      (int64_t{sequence} * shape_.num_kv_heads + kv_head) * shape_.max_context + position;
  Stored& value = values_[static_cast<size_t>(at)];
  if (value.value.empty()) {
    const auto& token = Tokens(sequence)[static_cast<size_t>(position)];
    const auto head =
        token.begin() + int64_t{shape_.num_heads + shape_.num_kv_heads + kv_head} * shape_.head_dim;
    value = StoredHead(std::vector<double>(head, head + shape_.head_dim), 0);
  }
  return value;
}

Tensor StepFixture::Rows(const std::vector<Chunk>& runs, std::vector<int32_t>& positions,
                         std::vector<int64_t>& slots) const {
  std::vector<const std::vector<float>*> rows;
  for (const Chunk& run : runs) {
    const auto s = static_cast<size_t>(run.sequence);
    for (int i = 0; i < run.num_rows; ++i) {
      const int p = lens_[s] + i;
      rows.push_back(&Tokens(run.sequence)[static_cast<size_t>(p)]);
      positions.push_back(p);
      slots.push_back(int64_t{tables_[s][static_cast<size_t>(p / shape_.block_size)]} *
                          shape_.block_size +
                      p % shape_.block_size);
    }
  }
  const int64_t width = int64_t{shape_.num_heads + 2 * shape_.num_kv_heads} * shape_.head_dim;
  Tensor qkv(activation_, {static_cast<int64_t>(rows.size()), width});
  for (size_t t = 0; t < rows.size(); ++t) {
    for (int64_t i = 0; i < width; ++i) {
      qkv.set(static_cast<int64_t>(t), i, (*rows[t])[static_cast<size_t>(i)]);
    }
  }
  return qkv;
}

void StepFixture::Store(Backend& backend, const Tensor& qkv, const std::vector<int32_t>& positions,
                        const std::vector<int64_t>& slots) {
  backend.RopeAndStoreKv({.qkv = qkv.view(),
                          .num_heads = shape_.num_heads,
                          .num_kv_heads = shape_.num_kv_heads,
                          .head_dim = shape_.head_dim,
                          .q_norm = shape_.qk_norm ? q_norm_.data() : nullptr,
                          .k_norm = shape_.qk_norm ? k_norm_.data() : nullptr,
                          .norm_eps = kNormEps,
                          .rope = rope_.view(),
                          .positions = positions,
                          .slots = slots,
                          .cache = cache_});
}

Tensor StepFixture::Run(Backend& backend, const std::vector<Chunk>& runs) {
  int64_t num_rows = 0;
  for (const Chunk& run : runs) num_rows += run.num_rows;
  Tensor out(activation_, {num_rows, int64_t{shape_.num_heads} * shape_.head_dim});
  RunInto(backend, runs, out.view());
  return out;
}

void StepFixture::SpoilToken(int sequence, int position, int head, float value) {
  Tokens(sequence);
  auto& token = tokens_[static_cast<size_t>(sequence)][static_cast<size_t>(position)];
  token[static_cast<size_t>(head * shape_.head_dim + 1)] = value;
}

void StepFixture::RunInto(Backend& backend, const std::vector<Chunk>& runs, const TensorView& out) {
  std::vector<int32_t> positions;
  std::vector<int64_t> slots;
  const Tensor qkv = Rows(runs, positions, slots);
  Store(backend, qkv, positions, slots);
  std::vector<int32_t> row_offsets = {0};
  std::vector<int32_t> context_lens;
  std::vector<int32_t> tables;
  for (const Chunk& run : runs) {
    const auto s = static_cast<size_t>(run.sequence);
    lens_[s] += run.num_rows;
    row_offsets.push_back(row_offsets.back() + run.num_rows);
    context_lens.push_back(lens_[s]);
    tables.insert(tables.end(), tables_[s].begin(), tables_[s].end());
  }
  BatchShape batch;
  batch.row_offsets = row_offsets;
  batch.context_lens = context_lens;
  batch.block_tables = tables;
  batch.table_stride = static_cast<int>(tables_[0].size());
  backend.PlanAttention(batch, *plan_);
  TensorView q(qkv.view().data, activation_,
               {qkv.view().dim(0), shape_.num_heads, shape_.head_dim});
  q.row_stride = qkv.view().row_stride;
  backend.PagedAttention({.q = q,
                          .cache = cache_,
                          .plan = plan_.get(),
                          .scale = scale_,
                          .sliding_window = shape_.window,
                          .out = out});
}

void StepFixture::FillCache(Backend& backend, int sequence, int num_tokens) {
  std::vector<int32_t> positions;
  std::vector<int64_t> slots;
  const Tensor qkv = Rows({{sequence, num_tokens}}, positions, slots);
  Store(backend, qkv, positions, slots);
  lens_[static_cast<size_t>(sequence)] += num_tokens;
}

void StepFixture::PoisonCache() {
  std::memset(k_.view().data, 0xFF, k_.bytes().size());  // a NaN in every float type
  std::memset(v_.view().data, 0xFF, v_.bytes().size());
}

void StepFixture::MoveBlocks(Backend& backend, int sequence) {
  std::vector<int32_t>& table = tables_[static_cast<size_t>(sequence)];
  const std::vector<int32_t> from = table;
  const auto shift = static_cast<int32_t>(kSequences * table.size());
  for (int32_t& block : table) block += shift;
  const KvLayerView layers[] = {cache_};
  backend.CopyBlocks({.layers = layers, .from = from, .to = table});
  for (const int32_t block : from) {
    for (const TensorView& cache : {cache_.k, cache_.v}) {
      const int64_t bytes = cache.RowElements() * DTypeBytes(cache.dtype);
      std::memset(static_cast<char*>(cache.data) + block * bytes, 0xFF, static_cast<size_t>(bytes));
    }
  }
}

std::vector<double> StepFixture::Rotated(const std::vector<float>& row, int head, const float* gain,
                                         int position) const {
  const auto dim = static_cast<size_t>(shape_.head_dim);
  const auto begin = row.begin() + int64_t{head} * shape_.head_dim;
  std::vector<double> x(begin, begin + shape_.head_dim);
  if (gain != nullptr) {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double inverse = 1 / std::sqrt(sum / static_cast<double>(dim) + double{kNormEps});
    for (size_t i = 0; i < dim; ++i) x[i] *= inverse * double{gain[i]};
  }
  std::vector<double> y(dim);
  for (size_t i = 0; i < dim / 2; ++i) {
    const double c = rope_.at(position, static_cast<int64_t>(i));
    const double s = rope_.at(position, static_cast<int64_t>(dim / 2 + i));
    y[i] = x[i] * c - x[dim / 2 + i] * s;
    y[dim / 2 + i] = x[dim / 2 + i] * c + x[i] * s;
  }
  return y;
}

// Each tile's weights, times their values' scales, are rounded to whole 16383rds of the largest.
double StepFixture::WeightRounding(int sequence, int kv_head, int begin,
                                   const std::vector<double>& weights, size_t i) const {
  double error = 0;
  const auto end = begin + static_cast<int>(weights.size());
  for (int tile = begin / kKeyTileTokens * kKeyTileTokens; tile < end; tile += kKeyTileTokens) {
    double largest = 0;
    double units = 0;  // of the values: |value / scale|
    for (int p = std::max(begin, tile); p < std::min(end, tile + kKeyTileTokens); ++p) {
      const Stored& v = ValueAt(sequence, kv_head, p);
      largest = std::max(largest, weights[static_cast<size_t>(p - begin)] * v.scale);
      units += std::abs(v.value[i]) / v.scale;
    }
    error += (0.5 + 1e-3) * largest / 16383 * units;
  }
  return error;
}

// The bound (docs/numerics.md, "attention"): q and k each carry `u`, the roundings of rotation and
// store; a score is then off by at most delta = scale (2u + (D + 4) eps) sum |q k|, so each weight
// by e^(2 delta) - 1 relative, plus its own rounding; the N products are summed in f32; the output
// is rounded once.
void StepFixture::AppendHead(int sequence, int position, int head, std::vector<double>& expected,
                             std::vector<double>& bound) const {
  const auto& tokens = Tokens(sequence);
  const auto dim = static_cast<size_t>(shape_.head_dim);
  const int kv_head = head / (shape_.num_heads / shape_.num_kv_heads);
  const float* q_gain = shape_.qk_norm ? q_norm_.data() : nullptr;
  const auto q = Rotated(tokens[static_cast<size_t>(position)], head, q_gain, position);
  const int begin = shape_.window == 0 ? 0 : std::max(0, position - shape_.window + 1);
  const double rounding_of_cache = DTypeBytes(cache_dtype_) == 2 ? EpsOf(cache_dtype_) : 0;
  const bool is_int8 = cache_dtype_ == DType::kI8;
  double largest_q = 0;
  for (const double x : q) largest_q = std::max(largest_q, std::abs(x));
  const double u =
      RotationError() + rounding_of_cache + (DTypeBytes(activation_) == 2 ? EpsOf(activation_) : 0);
  std::vector<double> scores;
  double delta = 0;
  for (int p = begin; p <= position; ++p) {
    const Stored& k = KeyAt(sequence, kv_head, p);
    double dot = 0;
    double size = 0;
    double rounding = 0;  // of an INT8 cache: of the key and of the query
    for (size_t i = 0; i < dim; ++i) {
      dot += q[i] * k.value[i];
      size += std::abs(q[i] * k.value[i]);
      rounding += std::abs(q[i]) * k.slack[i];
      if (is_int8) rounding += std::abs(k.value[i]) * (0.5 + 1e-3) * largest_q / 127;
    }
    scores.push_back(dot * double{scale_});
    const double off = 2 * u + static_cast<double>(dim + 4) * kEpsF32;
    delta = std::max(delta, double{scale_} * (off * size * std::sqrt(2.0) + rounding));
  }
  const double highest = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - highest);
  const double num_keys = position + 1 - begin;
  const double weight_error = std::expm1(2 * delta) + rounding_of_cache +
                              (num_keys + num_keys / kKeyTileTokens + 16) * kEpsF32;
  for (size_t i = 0; i < dim; ++i) {
    double sum = 0;
    double size = 0;
    double rounding = is_int8 ? WeightRounding(sequence, kv_head, begin, scores, i) / total : 0;
    for (int p = begin; p <= position; ++p) {
      const Stored& v = ValueAt(sequence, kv_head, p);
      const double weight = scores[static_cast<size_t>(p - begin)] / total;
      sum += weight * v.value[i];
      size += weight * std::abs(v.value[i]);
      rounding += weight * v.slack[i];
      // Softmax weights in f16 have no more exponents than that.
      if (cache_dtype_ == DType::kF16) rounding += 0x1p-25 * std::abs(v.value[i]) / total;
    }
    expected.push_back(sum);
    bound.push_back((weight_error + rounding_of_cache) * size + rounding +
                    RoundingOf(activation_, sum) + 1e-30);
  }
}

void StepFixture::ExpectOutputs(const Tensor& out, const std::vector<Chunk>& runs) const {
  std::vector<double> expected;
  std::vector<double> bound;
  for (const Chunk& run : runs) {
    const int end = lens_[static_cast<size_t>(run.sequence)];
    for (int p = end - run.num_rows; p < end; ++p) {
      for (int h = 0; h < shape_.num_heads; ++h) AppendHead(run.sequence, p, h, expected, bound);
    }
  }
  ExpectWithin(out.view(), expected, bound,
               "head_dim " + std::to_string(shape_.head_dim) + " block " +
                   std::to_string(shape_.block_size) + " cache " +
                   std::string(DTypeName(cache_dtype_)));
}

}  // namespace runahead
