#include "model/model_runner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "model/forward_pass.h"
#include "model/logprob_rows.h"
#include "model/workspace.h"

namespace runahead {
namespace {

constexpr int kMaxVerifyRows = 64;  // rows of raw logits kept aside in one slice

}  // namespace

int MaxVerifyRows(const RunnerLimits& limits) {
  return std::min(limits.max_logit_rows, kMaxVerifyRows);
}

struct ModelRunner::State {
  State(Backend& device, const Transformer& transformer, KvCache& kv, const RunnerLimits& limits)
      : backend(device),
        cache(kv),
        pass(device, transformer, kv, limits),
        logprob_rows(static_cast<size_t>(limits.max_logit_rows)),
        row_index(static_cast<size_t>(limits.max_logit_rows)) {}

  int vocab() const { return pass.vocab(); }
  const SamplingInput& slice() const { return pass.slice(); }

  void Run(std::span<const SequenceRun> runs);
  void WaitForStep();
  void RunChain(std::span<const std::span<const SequenceRun>> passes);
  void TakeJoined(std::span<const std::span<const SequenceRun>> passes);
  void EnqueueConfidences(std::span<const SequenceRun> runs, size_t at);
  void TakeSlice(std::span<const SequenceRun> runs);
  void EmitSlice();
  void EmitLogprobs(std::span<const SequenceRun> runs);
  void EmitConfidences(std::span<const SequenceRun> runs);
  void KeepProposals(std::span<const SequenceRun> runs);
  void PromptLogprobs(const SequenceRun& run, size_t s);

  Backend& backend;
  KvCache& cache;
  ForwardPass pass;
  LogprobRowsOutput logprob_rows;
  std::vector<int32_t> row_index;   // scratch: some rows of a slice
  std::vector<int32_t> ranks;       // scratch: of a chain's tokens
  TensorView kept;                  // the target's draft_logits, or rank 0
  std::function<void()> meanwhile;  // may be empty
  ModelOutput output;
};

void ModelRunner::State::Run(std::span<const SequenceRun> runs) {
  for (size_t next = pass.Run(runs);; next = pass.RunSlice(runs, next)) {
    TakeSlice(runs);
    if (next == runs.size()) break;
  }
  for (size_t s = 0; s < runs.size(); ++s) output.offsets[s + 1] += output.offsets[s];
}

void ModelRunner::State::WaitForStep() {
  const Ticket ticket = backend.Record();
  if (meanwhile) meanwhile();
  backend.Wait(ticket);
}

// One wait for all: each pass leaves its tokens on the device for the next.
void ModelRunner::State::RunChain(std::span<const std::span<const SequenceRun>> passes) {
  output.offsets.assign(1, 0);
  for (const auto& runs : passes) {
    output.offsets.push_back(output.offsets.back() + static_cast<int32_t>(runs.size()));
  }
  const auto num_tokens = static_cast<size_t>(output.offsets.back());
  output.token_ids.assign(num_tokens, 0);
  output.confidences.assign(num_tokens, 0);
  ranks.resize(num_tokens);
  for (const auto& runs : passes) {
    for (const SequenceRun& run : runs) {
      RA_CHECK(run.proposal && run.wants_token && !run.sampling->HasPenalties());
    }
  }
  if (pass.RunJoined(passes)) return TakeJoined(passes);
  for (size_t p = 0; p < passes.size(); ++p) {
    const auto runs = passes[p];
    const auto at = static_cast<size_t>(output.offsets[p]);
    RA_CHECK_EQ(pass.Run(runs, p > 0), runs.size());
    KeepProposals(runs);
    EnqueueConfidences(runs, at);
    backend.CopyToHost(&output.token_ids[at], pass.last_tokens(),
                       4 * static_cast<int64_t>(runs.size()));
  }
  WaitForStep();
  for (size_t p = 0; p < passes.size(); ++p) {
    for (size_t i = 0; i < passes[p].size(); ++i) {
      float& confidence = output.confidences[static_cast<size_t>(output.offsets[p]) + i];
      confidence = passes[p][i].proposal->wants_confidence ? std::exp(confidence) : 0;
    }
  }
}

void ModelRunner::State::TakeJoined(std::span<const std::span<const SequenceRun>> passes) {
  WaitForStep();
  for (size_t p = 0; p < passes.size(); ++p) {
    output.token_ids[p] = pass.joined_token(p);
    if (!passes[p][0].proposal->wants_confidence) continue;
    output.confidences[p] = std::exp(pass.joined_logprob(p));
  }
}

// Logprobs, as yet, of what the pass drew, from where its tokens stand on.
void ModelRunner::State::EnqueueConfidences(std::span<const SequenceRun> runs, size_t at) {
  const bool are_wanted = std::ranges::any_of(
      runs, [](const SequenceRun& run) { return run.proposal->wants_confidence; });
  if (!are_wanted) return;
  backend.TopLogprobs({.logits = pass.logits(),
                       .drawn = pass.last_tokens(),
                       .chosen_logprobs = std::span(output.confidences).subspan(at, runs.size()),
                       .chosen_ranks = std::span(ranks).subspan(at, runs.size())});
}

// Waits for the slice, and appends its tokens and what belongs to them to the output. A step that
// samples nothing is waited for as well, so that the time it takes is its own.
void ModelRunner::State::TakeSlice(std::span<const SequenceRun> runs) {
  if (slice().num_rows() == 0) return WaitForStep();
  KeepProposals(runs);
  WaitForStep();
  EmitLogprobs(runs);
  EmitConfidences(runs);
  EmitSlice();
}

void ModelRunner::State::EmitSlice() {
  const SamplingInput& sampling = slice();
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
void ModelRunner::State::EmitLogprobs(std::span<const SequenceRun> runs) {
  const SamplingInput& sampling = slice();
  const size_t num_before = output.token_ids.size();
  size_t num_emitted = 0;
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    num_emitted += static_cast<size_t>(sampling.num_emitted(static_cast<int>(i)));
  }
  output.logprobs.resize(num_before + num_emitted);
  const auto rows = sampling.logprob_rows().first(static_cast<size_t>(sampling.num_logprob_rows()));
  const int top_n = std::min(sampling.max_top_logprobs(), vocab());
  if (!rows.empty()) {
    for (size_t j = 0; j < rows.size(); ++j) {
      logprob_rows.chosen[j] = sampling.token_ids()[static_cast<size_t>(rows[j])];
    }
    backend.TopLogprobs(logprob_rows.Args(pass.raw_logits(), top_n));
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
void ModelRunner::State::EmitConfidences(std::span<const SequenceRun> runs) {
  const SamplingInput& sampling = slice();
  output.confidences.resize(output.logprobs.size());
  bool wanted = false;
  for (size_t i = 0; i < sampling.sequences().size(); ++i) {
    const SequenceRun& run = runs[static_cast<size_t>(sampling.sequences()[i])];
    wanted = wanted || (run.proposal && run.proposal->wants_confidence);
  }
  if (!wanted) return;
  std::copy(sampling.token_ids().begin(), sampling.token_ids().end(), logprob_rows.chosen.begin());
  backend.TopLogprobs(logprob_rows.Args(pass.logits(), 0));
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

void ModelRunner::State::KeepProposals(std::span<const SequenceRun> runs) {
  const SamplingInput& sampling = slice();
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
  backend.GatherRows({.x = pass.logits(),
                      .rows = std::span(row_index).first(count),
                      .out = kept.Rows(first, static_cast<int64_t>(count))});
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
      row_index[i] = pass.input().row_offsets[s] + static_cast<int32_t>(row);
      logprob_rows.chosen[i] = row + 1 < num_tokens ? run.tokens[row + 1] : run.next_prompt_token;
    }
    const TensorView logits = pass.Head(std::span(row_index).first(count));
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
  state.Run(runs);
  for (size_t s = 0; s < runs.size(); ++s) {
    output.prompt_logprobs[s].clear();
    if (runs[s].wants_prompt_logprobs) state.PromptLogprobs(runs[s], s);
  }
  output.logprobs.resize(output.token_ids.size());
  return output;
}

const ModelOutput& ModelRunner::RunChain(std::span<const std::span<const SequenceRun>> passes) {
  State& state = *state_;
  state.output.prompt_logprobs.clear();
  state.output.logprobs.clear();
  state.RunChain(passes);
  return state.output;
}

ChainRunner* ModelRunner::chains() { return state_->backend.info().has_graphs ? this : nullptr; }

bool ModelRunner::DoMeanwhile(std::function<void()> work) {
  if (!state_->backend.info().is_asynchronous) return false;
  state_->meanwhile = std::move(work);
  return true;
}

void ModelRunner::CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) {
  state_->cache.CopyBlocks(from, to);
}

TensorView ModelRunner::draft_logits() const { return state_->pass.draft_logits(); }

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

int64_t ModelRunner::num_graph_launches() const { return state_->pass.num_graph_launches(); }

TensorView ModelRunner::LogitsOf(std::span<const int32_t> rows) { return state_->pass.Head(rows); }

int64_t ModelRunner::WorkspaceBytes(const ModelConfig& config, const RunnerLimits& limits,
                                    DType activation_dtype) {
  return WorkspaceLayout(config, limits, activation_dtype).total;
}

}  // namespace runahead
