// ModelRunner: one step of one model over any mix of prefill chunks, decodes and verifications.
// Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/logprobs.h"
#include "core/sampling_params.h"
#include "kernels/backend.h"
#include "kvcache/kv_cache.h"
#include "model/token_counts.h"
#include "model/transformer.h"

namespace runahead {

// What sets a draft model's run apart: it proposes one token, which no client sees as such. It has
// no drafts to judge and no logprobs.
struct Proposal {
  // Drafts proposed so far. They stand behind `output`, before the sampled row: penalties count
  // them, TokenCounts does not.
  std::span<const int32_t> pending = {};
  NoisePurpose noise = NoisePurpose::kTarget;
  bool wants_confidence = false;
  int32_t keep_row = -1;  // where KeepProposals puts the row it was drawn from; -1: nowhere
};

// What one sequence runs in a step: q new tokens against its cached ones. The last num_drafts of
// `tokens` are drafts to be judged.
struct SequenceRun {
  std::span<const int32_t> tokens = {};       // [q], q >= 1
  int num_computed = 0;                       // tokens whose K/V is valid before the step
  std::span<const int32_t> block_table = {};  // covers num_computed + q tokens
  int num_drafts = 0;                         // below MaxVerifyRows(limits)
  bool wants_token = false;  // false: a chunk that does not reach the sequence's end
  const SamplingParams* sampling = nullptr;  // with wants_token or wants_prompt_logprobs
  uint32_t choice = 0;                       // index of the request's choice
  std::span<const int32_t> prompt = {};      // for penalties
  std::span<const int32_t> output = {};      // tokens generated before this step
  // The sequence's own counts, brought up to date here when its parameters have penalties. Null:
  // they are counted anew in each step, at O(context).
  TokenCounts* counts = nullptr;
  std::span<const int32_t> suppressed = {};  // ids banned at some rows (stop ids before min_tokens)
  int num_suppressed_rows = 0;  // rows (from the first sampled one) that `suppressed` holds for
  bool wants_prompt_logprobs = false;  // of the tokens of this chunk
  int32_t next_prompt_token = -1;      // the prompt token after the chunk, where there is one
  // [num_drafts] Rejection mode: each draft's row of draft_logits(), or -1; empty: one-hot drafts.
  std::span<const int32_t> draft_rows = {};
  std::optional<Proposal> proposal = std::nullopt;
};

// One step's result (a chain's: see ChainRunner). Sequence s emitted tokens [offsets[s], offsets[s
// + 1]): its accepted drafts and one more where it wanted a token, else none. Valid until the next
// Run.
struct ModelOutput {
  std::vector<int32_t> token_ids;
  std::vector<int32_t> offsets;            // [S + 1]
  std::vector<PositionLogprobs> logprobs;  // parallel to token_ids; default where nobody asked
  // Parallel to token_ids: a proposed token's probability after filters (greedy: of the softmax of
  // its row); 0 where nobody asked.
  std::vector<float> confidences;
  // Prompt logprobs by sequence: row i of the chunk judged the prompt token after it, so a chunk of
  // q tokens has q rows where next_prompt_token is there, else q - 1.
  std::vector<std::vector<PositionLogprobs>> prompt_logprobs;  // [S]

  std::span<const int32_t> TokensOf(int s) const {
    const auto begin = static_cast<size_t>(offsets[static_cast<size_t>(s)]);
    const auto end = static_cast<size_t>(offsets[static_cast<size_t>(s) + 1]);
    return std::span(token_ids).subspan(begin, end - begin);
  }
};

struct RunnerLimits {
  int max_rows = 2048;       // T of a step (the scheduler's token budget)
  int max_sequences = 256;   // S of a step
  int max_logit_rows = 512;  // R of one pass of the head; more are run in slices
  int max_context = 2048;
  int block_size = 16;
  // Server-wide. kRejection takes another [max_logit_rows, V] f32 for what drafts were drawn from.
  VerifyMode verify_mode = VerifyMode::kCoupled;
  // Of a draft model where the device has graphs: passes of one sequence that one graph may hold.
  int max_joined_passes = 0;
};

// Rows one sequence may verify in a step (1 + drafts), so that each sequence fits one slice, its
// spare raw logits included.
int MaxVerifyRows(const RunnerLimits& limits);

// Steps that follow each other without a wait: a draft's.
class ChainRunner {
 public:
  virtual ~ChainRunner() = default;
  // Runs `passes` as Run would, one by one; every run is a proposal. Run j of a later pass goes on
  // where run j of the one before ended: its one token is what was drawn there, whatever `tokens`
  // says, and its pending drafts are not known, so it has no penalties. A later pass may have fewer
  // runs; none has more than max_logit_rows.
  // Of the result, [offsets[p], offsets[p + 1]) are pass p's, in the order of its runs.
  virtual const ModelOutput& RunChain(std::span<const std::span<const SequenceRun>> passes) = 0;
};

// What the engine needs of a runner; tests give it a fake with behaviour.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // Runs one step. The reference stays valid until the next call.
  virtual const ModelOutput& Run(std::span<const SequenceRun> runs) = 0;
  // Copies whole K/V blocks (a choice's private copy of a shared partial block).
  virtual void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) = 0;
  // Where a chain takes less time than its passes one by one; else null.
  virtual ChainRunner* chains() { return nullptr; }
  // Host work for the time that the device computes alone: `work` runs in every Run and RunChain,
  // at least once, between their last op and the wait for it. False, and never, where steps are
  // computed in the caller's time.
  virtual bool DoMeanwhile(std::function<void()> /*work*/) { return false; }
};

class ModelRunner final : public StepRunner, public ChainRunner {
 public:
  // All are borrowed and outlive the runner. Allocates every device buffer here, none later.
  ModelRunner(Backend& backend, const Transformer& transformer, KvCache& cache,
              const RunnerLimits& limits);
  ~ModelRunner() override;

  const ModelOutput& Run(std::span<const SequenceRun> runs) override;
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override;
  // On every backend; worth it where the device has graphs, and works while the host prepares.
  const ModelOutput& RunChain(std::span<const std::span<const SequenceRun>> passes) override;
  ChainRunner* chains() override;
  bool DoMeanwhile(std::function<void()> work) override;

  // Rejection mode: where a draft model keeps the rows its drafts were drawn from until the next
  // Run judges them, [max_logit_rows, vocab_limit] f32 on the device. Else rank 0.
  TensorView draft_logits() const;
  // Of a draft model: every proposal with a keep_row leaves its processed logits in that row of
  // `rows`, the target's draft_logits(). Keep rows of one Run ascend by one. Called once; the
  // target may have more columns.
  void KeepProposals(const TensorView& rows);

  // Raw logits of rows of the last Run, [R, vocab_limit] f32 on the device, valid until the next
  // call of any kind; for tests and tools. R <= max_logit_rows.
  TensorView LogitsOf(std::span<const int32_t> rows);

  // Steps so far that were replays of a captured one.
  int64_t num_graph_launches() const;

  // Bytes of device memory a runner allocates, before building one (`plan`). Exact.
  static int64_t WorkspaceBytes(const ModelConfig& config, const RunnerLimits& limits,
                                DType activation_dtype);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace runahead
