#include "model/model_runner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "kernels/quantized_rows.h"
#include "model/forward_graphs.h"
#include "model/sampling_input.h"
#include "model/step_input.h"

namespace runahead {
namespace {

constexpr int kMaxLogprobRows = 64;      // rows of raw logits kept aside in one slice
constexpr int kSmallestGroup = 32;       // of quantized rows: the most scales, the longest row
constexpr int kSurvivorCapacity = 1024;  // listed per row; a longer list is not worth writing

int NumLogprobs(const SequenceRun& run) {
  return run.proposal.has_value() ? -1 : run.sampling->num_logprobs;
}

int LogprobRows(const RunnerLimits& limits) {
  return std::min(limits.max_logit_rows, kMaxLogprobRows);
}

// Where each buffer lies in the one allocation of a runner.
struct WorkspaceLayout {
  WorkspaceLayout(const ModelConfig& config, const RunnerLimits& limits, DType activation) {
    const int64_t t = limits.max_rows;
    const int64_t r = limits.max_logit_rows;
    const int64_t h = config.hidden_size;
    const int64_t v = config.vocab_size;
    const int64_t a = DTypeBytes(activation);
    // Rows in the next layer's input format.
    const auto widest = [](int64_t k) {
      return std::max({RowBytes({DType::kF32}, k), RowBytes({DType::kI8, 0}, k),
                       RowBytes({DType::kI8, kSmallestGroup}, k)});
    };
    residual = Add(t * h * a);
    branch = Add(t * h * a);
    normed = Add(t * widest(h));
    qkv = Add(t * config.qkv_rows() * a);
    attention = Add(t * widest(int64_t{config.num_heads} * config.head_dim));
    gate_up = Add(t * 2 * config.intermediate_size * a);
    gated = Add(t * widest(config.intermediate_size));
    gathered = Add(r * widest(h));
    logits = Add(r * v * 4);
    spare = Add(LogprobRows(limits) * v * 4);
    survivor_ids = Add(r * std::min<int64_t>(v, kSurvivorCapacity) * 4);
    survivor_counts = Add(r * 4);
    draft_logits = Add(limits.verify_mode == VerifyMode::kRejection ? r * v * 4 : 0);
  }

  int64_t Add(int64_t bytes) {
    constexpr int64_t kAlignment = 256;
    const int64_t at = total;
    total += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }

  int64_t residual, branch, normed, qkv, attention, gate_up, gated, gathered, logits, spare;
  int64_t survivor_ids, survivor_counts, draft_logits;
  int64_t total = 0;
};

// Host outputs of one TopLogprobs call, at most `rows` rows of it.
struct LogprobRowsOutput {
  static constexpr size_t kMaxTop = 20;

  explicit LogprobRowsOutput(size_t rows)
      : chosen(rows), logprobs(rows), ranks(rows), top_ids(rows * kMaxTop), tops(rows * kMaxTop) {}

  TopLogprobsArgs Args(const TensorView& logits, int top_n) {
    const auto rows = static_cast<size_t>(logits.dim(0));
    const size_t listed = rows * static_cast<size_t>(top_n);
    return {.logits = logits,
            .chosen = std::span(chosen).first(rows),
            .top_n = top_n,
            .chosen_logprobs = std::span(logprobs).first(rows),
            .chosen_ranks = std::span(ranks).first(rows),
            .top_ids = std::span(top_ids).first(listed),
            .top_logprobs = std::span(tops).first(listed)};
  }

  // Row `row` of a call that listed top_n, cut to the `wanted` most likely.
  void Read(size_t row, int top_n, int wanted, PositionLogprobs& out) const {
    out.chosen = {.token = chosen[row], .logprob = logprobs[row], .rank = ranks[row]};
    out.top.clear();
    for (int i = 0; i < std::min(wanted, top_n); ++i) {
      const size_t at = row * static_cast<size_t>(top_n) + static_cast<size_t>(i);
      out.top.push_back({.token = top_ids[at], .logprob = tops[at], .rank = i + 1});
    }
  }

  std::vector<int32_t> chosen;
  std::vector<float> logprobs;
  std::vector<int32_t> ranks;
  std::vector<int32_t> top_ids;
  std::vector<float> tops;
};

}  // namespace

int MaxVerifyRows(const RunnerLimits& limits) { return LogprobRows(limits); }

struct ModelRunner::State {
  State(Backend& device, const Transformer& model, KvCache& kv, const RunnerLimits& bounds)
      : backend(device),
        transformer(model),
        cache(kv),
        limits(bounds),
        layout(model.config(), bounds, device.info().activation_dtype),
        memory(device.Allocate(layout.total, MemoryKind::kDevice)),
        plan(device.MakeAttentionPlan({.max_sequences = bounds.max_sequences,
                                       .max_rows = bounds.max_rows,
                                       .max_context = bounds.max_context,
                                       .num_heads = model.config().num_heads,
                                       .num_kv_heads = model.config().num_kv_heads,
                                       .head_dim = model.config().head_dim})),
        input(bounds),
        sampling(model.config().vocab_limit, bounds.verify_mode),
        logprob_rows(static_cast<size_t>(bounds.max_logit_rows)),
        row_index(static_cast<size_t>(bounds.max_logit_rows)),
        graphs(device) {
    graph_rows.reserve(static_cast<size_t>(bounds.max_logit_rows));
  }

  void* At(int64_t offset) const { return static_cast<char*>(memory.data()) + offset; }

  // The first rows of a buffer of activations.
  TensorView Activations(int64_t offset, int64_t rows, int64_t width) const {
    return {At(offset), backend.info().activation_dtype, {rows, width}};
  }
  int vocab() const { return transformer.config().vocab_limit; }
  TensorView DraftLogits() const {
    if (limits.verify_mode != VerifyMode::kRejection) return {};
    return {At(layout.draft_logits), DType::kF32, {limits.max_logit_rows, vocab()}};
  }

  void Forward();
  void ForwardLayers();
  bool ForwardInBuckets(std::span<const SequenceRun> runs);
  bool CollectLogitRows(std::span<const SequenceRun> runs);
  TensorView Logits(int64_t num_rows) const;
  TensorView Head(std::span<const int32_t> rows);
  void RunSlice(std::span<const SequenceRun> runs);
  void EmitSlice();
  void EmitLogprobs(std::span<const SequenceRun> runs, const TensorView& raw);
  void EmitConfidences(std::span<const SequenceRun> runs, const TensorView& processed);
  void KeepProposals(std::span<const SequenceRun> runs, const TensorView& processed);
  void Sample(std::span<const SequenceRun> runs);
  void PromptLogprobs(const SequenceRun& run, size_t s);

  Backend& backend;
  const Transformer& transformer;
  KvCache& cache;
  RunnerLimits limits;
  WorkspaceLayout layout;
  DeviceBuffer memory;
  std::unique_ptr<AttentionPlan> plan;
  StepInput input;
  SamplingInput sampling;
  LogprobRowsOutput logprob_rows;
  std::vector<int32_t> row_index;   // scratch: some rows of a slice
  TensorView kept;                  // the target's draft_logits, or rank 0
  std::vector<int32_t> graph_rows;  // of the step, whose logits a graph computes; it never moves
  bool has_logits = false;          // of the one slice of the step: a graph's
  ForwardGraphs graphs;
  ModelOutput output;
};

void ModelRunner::State::Forward() {
  backend.PlanAttention(input.Shape(), *plan);
  ForwardLayers();
}

// Layers and head of a small step as one graph, its rows and logit rows padded to buckets. False
// where that cannot be: nothing is done.
bool ModelRunner::State::ForwardInBuckets(std::span<const SequenceRun> runs) {
  const int rows = graphs.BucketFor(input.num_rows());
  if (rows == 0 || rows > limits.max_rows || !CollectLogitRows(runs)) return false;
  const int logit_rows =
      std::min(graphs.BucketFor(static_cast<int>(graph_rows.size())), limits.max_logit_rows);
  graph_rows.resize(static_cast<size_t>(logit_rows), 0);
  input.PadTo(rows);
  backend.PlanAttention(input.Shape(), *plan);
  const auto forward = [this] {
    ForwardLayers();
    if (!graph_rows.empty()) Head(graph_rows);
  };
  if (!graphs.Launch({rows, logit_rows, plan->graph_key()}, forward)) forward();
  has_logits = !graph_rows.empty();
  return true;
}

// Into graph_rows, in the order of SamplingInput. False where they are more than one slice.
bool ModelRunner::State::CollectLogitRows(std::span<const SequenceRun> runs) {
  graph_rows.clear();
  int num_logprob_rows = 0;
  for (size_t s = 0; s < runs.size(); ++s) {
    if (!runs[s].wants_token) continue;
    const int rows = runs[s].num_drafts + 1;
    if (NumLogprobs(runs[s]) >= 0) num_logprob_rows += rows;
    if (static_cast<int>(graph_rows.size()) + rows > limits.max_logit_rows) return false;
    for (int row = 0; row < rows; ++row)
      graph_rows.push_back(input.row_offsets[s + 1] - rows + row);
  }
  return num_logprob_rows <= LogprobRows(limits);
}

void ModelRunner::State::ForwardLayers() {
  const ModelConfig& config = transformer.config();
  const int64_t rows = input.num_rows();
  transformer.Forward(
      backend, {.ids = input.ids,
                .positions = input.positions,
                .slots = input.slots,
                .plan = plan.get(),
                .cache = &cache,
                .buffers = {.residual = Activations(layout.residual, rows, config.hidden_size),
                            .branch = Activations(layout.branch, rows, config.hidden_size),
                            .normed = At(layout.normed),
                            .qkv = Activations(layout.qkv, rows, config.qkv_rows()),
                            .attention = At(layout.attention),
                            .gate_up = Activations(layout.gate_up, rows,
                                                   2 * int64_t{config.intermediate_size}),
                            .gated = At(layout.gated)}});
}

// The first rows of the logits, without the columns of added ids.
TensorView ModelRunner::State::Logits(int64_t num_rows) const {
  TensorView logits(At(layout.logits), DType::kF32, {num_rows, transformer.config().vocab_size});
  logits.dims[1] = vocab();
  return logits;
}

TensorView ModelRunner::State::Head(std::span<const int32_t> rows) {
  RA_CHECK_LE(rows.size(), static_cast<size_t>(limits.max_logit_rows));
  const auto num_rows = static_cast<int64_t>(rows.size());
  const TensorView logits(At(layout.logits), DType::kF32,
                          {num_rows, transformer.config().vocab_size});
  transformer.Head(backend, {.normed = At(layout.normed),
                             .num_rows = input.num_rows(),
                             .rows = rows,
                             .gathered = At(layout.gathered),
                             .logits = logits});
  return Logits(num_rows);
}

// Logits, sampling and logprobs of the sequences gathered in `sampling`, appended to the output.
void ModelRunner::State::RunSlice(std::span<const SequenceRun> runs) {
  if (sampling.num_rows() == 0) return;
  const TensorView logits = has_logits ? Logits(sampling.num_rows()) : Head(sampling.step_rows());
  has_logits = false;
  const TensorView raw(At(layout.spare), DType::kF32, {sampling.num_logprob_rows(), vocab()});
  if (sampling.num_logprob_rows() > 0) {
    backend.GatherRows({.x = logits, .rows = sampling.logprob_rows(), .out = raw});
  }
  const SurvivorsView survivors = {.ids = static_cast<int32_t*>(At(layout.survivor_ids)),
                                   .counts = static_cast<int32_t*>(At(layout.survivor_counts)),
                                   .capacity = std::min(vocab(), kSurvivorCapacity)};
  backend.ProcessLogits(sampling.ProcessArgs(logits, survivors));
  backend.SampleAndVerify(sampling.SampleArgs(logits, survivors, DraftLogits()));
  KeepProposals(runs, logits);
  backend.Wait(backend.Record());
  EmitLogprobs(runs, raw);
  EmitConfidences(runs, logits);
  EmitSlice();
  sampling.Clear();
}

void ModelRunner::State::EmitSlice() {
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    const auto first = static_cast<size_t>(sampling.first_row(static_cast<int>(i)));
    const int emitted = sampling.num_emitted(static_cast<int>(i));
    const auto tokens = sampling.token_ids().subspan(first, static_cast<size_t>(emitted));
    output.token_ids.insert(output.token_ids.end(), tokens.begin(), tokens.end());
    output.offsets[static_cast<size_t>(sampling.sequences()[i]) + 1] = emitted;
  }
}

// Logprobs of the slice's tokens, from the raw logits kept before processing; token_ids still ends
// before this slice.
void ModelRunner::State::EmitLogprobs(std::span<const SequenceRun> runs, const TensorView& raw) {
  const size_t num_before = output.token_ids.size();
  size_t num_emitted = 0;
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    num_emitted += static_cast<size_t>(sampling.num_emitted(static_cast<int>(i)));
  }
  output.logprobs.resize(num_before + num_emitted);
  const auto rows = sampling.logprob_rows();
  const int top_n = std::min(sampling.max_top_logprobs(), vocab());
  if (!rows.empty()) {
    for (size_t j = 0; j < rows.size(); ++j) {
      logprob_rows.chosen[j] = sampling.token_ids()[static_cast<size_t>(rows[j])];
    }
    backend.TopLogprobs(logprob_rows.Args(raw, top_n));
    backend.Wait(backend.Record());
  }
  size_t at = num_before;
  size_t next = 0;  // first of this sequence's logprob rows
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    const SequenceRun& run = runs[static_cast<size_t>(sampling.sequences()[i])];
    const int wanted = NumLogprobs(run);
    for (int j = 0; j < sampling.num_emitted(static_cast<int>(i)); ++j, ++at) {
      PositionLogprobs& out = output.logprobs[at];
      if (wanted < 0) {
        out.chosen = {};
        out.top.clear();
      } else {
        logprob_rows.Read(next + static_cast<size_t>(j), top_n, wanted, out);
      }
    }
    if (wanted >= 0) next += static_cast<size_t>(run.num_drafts) + 1;
  }
}

// Probabilities of the slice's proposals; token_ids still ends before this slice.
void ModelRunner::State::EmitConfidences(std::span<const SequenceRun> runs,
                                         const TensorView& processed) {
  output.confidences.resize(output.logprobs.size());
  bool wanted = false;
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    const SequenceRun& run = runs[static_cast<size_t>(sampling.sequences()[i])];
    wanted = wanted || (run.proposal && run.proposal->wants_confidence);
  }
  if (!wanted) return;
  std::copy(sampling.token_ids().begin(), sampling.token_ids().end(), logprob_rows.chosen.begin());
  backend.TopLogprobs(logprob_rows.Args(processed, 0));
  backend.Wait(backend.Record());
  size_t at = output.token_ids.size();
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    const SequenceRun& run = runs[static_cast<size_t>(sampling.sequences()[i])];
    if (run.proposal && run.proposal->wants_confidence) {
      const auto row = static_cast<size_t>(sampling.first_row(static_cast<int>(i)));
      output.confidences[at] = std::exp(logprob_rows.logprobs[row]);
    }
    at += static_cast<size_t>(sampling.num_emitted(static_cast<int>(i)));
  }
}

void ModelRunner::State::KeepProposals(std::span<const SequenceRun> runs,
                                       const TensorView& processed) {
  size_t count = 0;
  int32_t first = 0;
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    const SequenceRun& run = runs[static_cast<size_t>(sampling.sequences()[i])];
    if (!run.proposal || run.proposal->keep_row < 0) continue;
    if (count == 0) first = run.proposal->keep_row;
    RA_CHECK_EQ(run.proposal->keep_row, first + static_cast<int32_t>(count));
    row_index[count++] = sampling.first_row(static_cast<int>(i));
  }
  if (count == 0) return;
  RA_CHECK(kept.rank == 2, "KeepProposals says where");
  backend.GatherRows({.x = processed,
                      .rows = std::span(row_index).first(count),
                      .out = kept.Rows(first, static_cast<int64_t>(count))});
}

void ModelRunner::State::Sample(std::span<const SequenceRun> runs) {
  for (size_t s = 0; s < runs.size(); ++s) {
    const SequenceRun& run = runs[s];
    if (!run.wants_token) continue;
    const int rows = run.num_drafts + 1;
    RA_CHECK_LE(rows, MaxVerifyRows(limits));
    RA_CHECK(!run.proposal || limits.verify_mode == VerifyMode::kCoupled,
             "who proposes judges not");
    const bool with_logprobs = NumLogprobs(run) >= 0;
    if (sampling.num_rows() + rows > limits.max_logit_rows ||
        (with_logprobs && sampling.num_logprob_rows() + rows > LogprobRows(limits))) {
      RunSlice(runs);
    }
    sampling.Add(run, static_cast<int>(s), input.row_offsets[s + 1]);
  }
  RunSlice(runs);
  for (size_t s = 0; s < runs.size(); ++s) output.offsets[s + 1] += output.offsets[s];
}

void ModelRunner::State::PromptLogprobs(const SequenceRun& run, size_t s) {
  std::vector<PositionLogprobs>& out = output.prompt_logprobs[s];
  const size_t num_tokens = run.tokens.size();
  const size_t num_rows = run.next_prompt_token >= 0 ? num_tokens : num_tokens - 1;
  const int wanted = std::max(0, run.sampling->num_prompt_logprobs);
  const int top_n = std::min(wanted, vocab());
  out.resize(num_rows);
  for (size_t begin = 0; begin < num_rows;) {
    const size_t count = std::min(num_rows - begin, row_index.size());
    for (size_t i = 0; i < count; ++i) {
      const size_t row = begin + i;
      row_index[i] = input.row_offsets[s] + static_cast<int32_t>(row);
      logprob_rows.chosen[i] = row + 1 < num_tokens ? run.tokens[row + 1] : run.next_prompt_token;
    }
    const TensorView logits = Head(std::span(row_index).first(count));
    backend.TopLogprobs(logprob_rows.Args(logits, top_n));
    backend.Wait(backend.Record());
    for (size_t i = 0; i < count; ++i) logprob_rows.Read(i, top_n, wanted, out[begin + i]);
    begin += count;
  }
}

ModelRunner::ModelRunner(Backend& backend, const Transformer& transformer, KvCache& cache,
                         const RunnerLimits& limits)
    : state_(std::make_unique<State>(backend, transformer, cache, limits)) {
  RA_CHECK_EQ(cache.shape().block_size, limits.block_size);
  RA_CHECK_EQ(cache.shape().num_layers, transformer.config().num_layers);
}

ModelRunner::~ModelRunner() = default;

const ModelOutput& ModelRunner::Run(std::span<const SequenceRun> runs) {
  State& state = *state_;
  ModelOutput& output = state.output;
  output.token_ids.clear();
  output.confidences.clear();
  output.offsets.assign(runs.size() + 1, 0);
  output.prompt_logprobs.resize(runs.size());
  state.input.Fill(runs);
  if (!runs.empty() && !state.ForwardInBuckets(runs)) state.Forward();
  state.Sample(runs);
  for (size_t s = 0; s < runs.size(); ++s) {
    output.prompt_logprobs[s].clear();
    if (runs[s].wants_prompt_logprobs) state.PromptLogprobs(runs[s], s);
  }
  output.logprobs.resize(output.token_ids.size());
  return output;
}

void ModelRunner::CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) {
  state_->cache.CopyBlocks(from, to);
}

TensorView ModelRunner::draft_logits() const { return state_->DraftLogits(); }

void ModelRunner::KeepProposals(const TensorView& rows) {
  State& state = *state_;
  if (rows.rank == 0) return;
  RA_CHECK_LE(state.vocab(), rows.RowElements());
  // What this model has no column for it never proposes.
  const std::vector<float> banned(static_cast<size_t>(rows.RowElements()), -INFINITY);
  for (int64_t row = 0; row < rows.dim(0); ++row) {
    state.backend.CopyToDevice(rows.Row<float>(row), banned.data(), rows.RowElements() * 4);
  }
  state.backend.Wait(state.backend.Record());
  state.kept = rows;
  state.kept.dims[1] = state.vocab();
}

int64_t ModelRunner::num_graph_launches() const { return state_->graphs.num_launches(); }

TensorView ModelRunner::LogitsOf(std::span<const int32_t> rows) { return state_->Head(rows); }

int64_t ModelRunner::WorkspaceBytes(const ModelConfig& config, const RunnerLimits& limits,
                                    DType activation_dtype) {
  return WorkspaceLayout(config, limits, activation_dtype).total;
}

}  // namespace runahead
