#include "model/forward_pass.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {
namespace {

// The first pass of a chain may have rows that the model is behind with.
constexpr int kMaxJoinedRows = 4;

}  // namespace

ForwardPass::Step::Step(ForwardPass& pass, const RunnerLimits& limits, const AttentionPlan* beside)
    : input(limits), sampling(pass.vocab(), limits.verify_mode, limits.max_logit_rows) {
  const ModelConfig& config = pass.transformer_.config();
  plan = pass.backend_.MakeAttentionPlan({.max_sequences = limits.max_sequences,
                                          .max_rows = limits.max_rows,
                                          .max_context = limits.max_context,
                                          .num_heads = config.num_heads,
                                          .num_kv_heads = config.num_kv_heads,
                                          .head_dim = config.head_dim,
                                          .beside = beside});
}

ForwardPass::ForwardPass(Backend& backend, const Transformer& transformer, KvCache& cache,
                         const RunnerLimits& limits)
    : backend_(backend),
      transformer_(transformer),
      cache_(cache),
      limits_(limits),
      layout_(transformer.config(), limits, transformer.activation_dtype()),
      memory_(backend.Allocate(layout_.total, MemoryKind::kDevice)),
      step_(*this, limits, nullptr),
      graphs_(backend),
      joined_graphs_(backend) {
  if (!backend.info().has_graphs) return;
  RunnerLimits of_one = limits;
  of_one.max_sequences = of_one.max_logit_rows = 1;
  of_one.max_rows = std::min(limits.max_rows, kMaxJoinedRows);
  joined_.reserve(static_cast<size_t>(limits.max_joined_passes));
  for (int p = 0; p < limits.max_joined_passes; ++p) {
    joined_.push_back({.step = Step(*this, of_one, step_.plan.get())});
  }
}

// The first rows of a buffer of activations.
TensorView ForwardPass::Activations(int64_t offset, int64_t rows, int64_t width) const {
  return {At(offset), transformer_.activation_dtype(), {rows, width}};
}

// The first rows of the logits, without the columns of added ids.
TensorView ForwardPass::Logits(int64_t num_rows) const {
  TensorView logits(At(layout_.logits), DType::kF32, {num_rows, transformer_.config().vocab_size});
  logits.dims[1] = vocab();
  return logits;
}

TensorView ForwardPass::Raw(int64_t num_rows) const {
  return {At(layout_.spare), DType::kF32, {num_rows, vocab()}};
}

TensorView ForwardPass::draft_logits() const {
  if (limits_.verify_mode != VerifyMode::kRejection) return {};
  return {At(layout_.draft_logits), DType::kF32, {limits_.max_logit_rows, vocab()}};
}

size_t ForwardPass::Run(std::span<const SequenceRun> runs, bool continues) {
  RA_CHECK(!continues || runs.size() <= static_cast<size_t>(step_.sampling.num_rows()));
  step_.input.Fill(runs);
  RA_CHECK(!continues || runs.size() == static_cast<size_t>(step_.input.num_rows()));
  const size_t end = FillSlice(runs, 0);
  if (runs.empty() || (end == runs.size() && RunInBuckets(continues))) return end;
  backend_.PlanAttention(step_.input.Shape(), *step_.plan);
  Layers(step_, continues);
  if (step_.sampling.num_rows() == 0) return end;
  HeadOfSlice(step_);
  Sample(step_);
  return end;
}

size_t ForwardPass::RunSlice(std::span<const SequenceRun> runs, size_t begin) {
  const size_t end = FillSlice(runs, begin);
  HeadOfSlice(step_);
  Sample(step_);
  return end;
}

size_t ForwardPass::FillSlice(std::span<const SequenceRun> runs, size_t begin) {
  step_.sampling.Clear();
  for (size_t s = begin; s < runs.size(); ++s) {
    const SequenceRun& run = runs[s];
    if (!run.wants_token) continue;
    const int rows = run.num_drafts + 1;
    RA_CHECK_LE(rows, MaxVerifyRows(limits_));
    RA_CHECK(!run.proposal || limits_.verify_mode == VerifyMode::kCoupled,
             "who proposes judges not");
    const int logprob_rows = NumLogprobs(run) >= 0 ? rows : 0;
    if (step_.sampling.num_rows() + rows > limits_.max_logit_rows ||
        step_.sampling.num_logprob_rows() + logprob_rows > MaxVerifyRows(limits_)) {
      return s;
    }
    step_.sampling.Add(run, static_cast<int>(s), step_.input.row_offsets[s + 1]);
  }
  return runs.size();
}

// A small step as one graph, its rows and lists padded to buckets. False where that cannot be:
// nothing is done. Adjustments too many for a graph leave sampling outside of it.
bool ForwardPass::RunInBuckets(bool continues) {
  const int rows = graphs_.BucketFor(step_.input.num_rows());
  if (rows == 0 || rows > limits_.max_rows) return false;
  const auto bucket = [this](int count, int most) {
    return std::min(graphs_.BucketFor(count), most);
  };
  const SliceBuckets slice =
      step_.sampling.PadTo(bucket(step_.sampling.num_rows(), limits_.max_logit_rows),
                           bucket(step_.sampling.num_logprob_rows(), MaxVerifyRows(limits_)));
  step_.input.PadTo(rows);
  backend_.PlanAttention(step_.input.Shape(), *step_.plan);
  const auto forward = [&] {
    Layers(step_, continues);
    if (slice.num_rows > 0) HeadOfSlice(step_);
    if (slice.num_rows > 0 && slice.has_lists) Sample(step_);
  };
  if (!graphs_.Launch({rows, slice, step_.plan->graph_key(), continues}, forward)) forward();
  if (slice.num_rows > 0 && !slice.has_lists) Sample(step_);
  return true;
}

void ForwardPass::Layers(const Step& step, bool continues) {
  const ModelConfig& config = transformer_.config();
  const int64_t rows = step.input.num_rows();
  transformer_.Forward(
      backend_, {.ids = continues ? std::span<const int32_t>() : step.input.ids,
                 .drawn_ids = continues ? last_tokens() : nullptr,
                 .positions = step.input.positions,
                 .slots = step.input.slots,
                 .plan = step.plan.get(),
                 .cache = &cache_,
                 .buffers = {.residual = Activations(layout_.residual, rows, config.hidden_size),
                             .branch = Activations(layout_.branch, rows, config.hidden_size),
                             .normed = At(layout_.normed),
                             .qkv = Activations(layout_.qkv, rows, config.qkv_rows()),
                             .attention = At(layout_.attention),
                             .gate_up = Activations(layout_.gate_up, rows,
                                                    2 * int64_t{config.intermediate_size}),
                             .gated = At(layout_.gated)}});
}

TensorView ForwardPass::Head(std::span<const int32_t> rows) { return Head(step_, rows); }

TensorView ForwardPass::Head(const Step& step, std::span<const int32_t> rows) {
  RA_CHECK_LE(rows.size(), static_cast<size_t>(limits_.max_logit_rows));
  const auto num_rows = static_cast<int64_t>(rows.size());
  const TensorView logits(At(layout_.logits), DType::kF32,
                          {num_rows, transformer_.config().vocab_size});
  transformer_.Head(backend_, {.normed = At(layout_.normed),
                               .num_rows = step.input.num_rows(),
                               .rows = rows,
                               .gathered = At(layout_.gathered),
                               .logits = logits});
  return Logits(num_rows);
}

void ForwardPass::HeadOfSlice(const Step& step) {
  const TensorView logits = Head(step, step.sampling.step_rows());
  const auto rows = step.sampling.logprob_rows();
  if (rows.empty()) return;
  backend_.GatherRows({.x = logits, .rows = rows, .out = Raw(static_cast<int64_t>(rows.size()))});
}

void ForwardPass::Sample(Step& step) {
  const TensorView logits = Logits(static_cast<int64_t>(step.sampling.step_rows().size()));
  const SurvivorsView survivors = {.ids = static_cast<int32_t*>(At(layout_.survivor_ids)),
                                   .counts = static_cast<int32_t*>(At(layout_.survivor_counts)),
                                   .capacity = std::min(vocab(), kSurvivorCapacity)};
  backend_.ProcessLogits(step.sampling.ProcessArgs(logits, survivors));
  backend_.SampleAndVerify(
      step.sampling.SampleArgs(logits, survivors, draft_logits(), last_tokens()));
}

}  // namespace runahead
