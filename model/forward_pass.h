// ForwardPass: the ops of a runner's steps, from ids to sampled tokens, and the memory they work
// in. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/backend.h"
#include "kvcache/kv_cache.h"
#include "model/forward_graphs.h"
#include "model/model_runner.h"
#include "model/sampling_input.h"
#include "model/step_input.h"
#include "model/transformer.h"
#include "model/workspace.h"

namespace runahead {

// A step is its layers, then slices of its sampled rows, each as many whole sequences as the logits
// have room for:
//
//   Run       layers, first slice       a small step with one slice: one graph, padded to buckets
//   RunSlice  another slice             once the one before has been waited for and read
//
// A slice is: head, raw logits aside where somebody wants logprobs, ProcessLogits, SampleAndVerify.
// Nothing here waits: what is said of a slice's results holds after a wait.
class ForwardPass {
 public:
  // All are borrowed and outlive the pass. Allocates every device buffer here, none later.
  ForwardPass(Backend& backend, const Transformer& transformer, KvCache& cache,
              const RunnerLimits& limits);

  // Both return the first run that is in no slice yet; runs.size(): none. A step that continues the
  // one before takes what that drew: run j, of one token that nobody reads, what its run j drew.
  size_t Run(std::span<const SequenceRun> runs, bool continues = false);
  size_t RunSlice(std::span<const SequenceRun> runs, size_t begin);

  // Passes of a chain (ChainRunner) as one graph: those of one sequence, few rows, short lists, no
  // rows to keep. False: they are not like that, and nothing was done.
  bool RunJoined(std::span<const std::span<const SequenceRun>> passes);
  // What pass `p` of them drew, and its logprob where its run wants confidence; after a wait.
  int32_t joined_token(size_t p) const { return joined_[p].step.sampling.token_ids()[0]; }
  float joined_logprob(size_t p) const { return joined_[p].logprob; }

  const StepInput& input() const { return step_.input; }
  const SamplingInput& slice() const { return step_.sampling; }
  TensorView logits() const { return Logits(slice().num_rows()); }  // of the slice, processed
  TensorView raw_logits() const { return Raw(slice().num_logprob_rows()); }  // logprob rows
  TensorView draft_logits() const;                                           // ModelRunner's

  // [num_rows()] on the device: the last token of each of the slice's sequences.
  int32_t* last_tokens() const { return static_cast<int32_t*>(At(layout_.last_tokens)); }

  // Raw logits of rows of the step, in the place of the slice's.
  TensorView Head(std::span<const int32_t> rows);

  int vocab() const { return transformer_.config().vocab_limit; }
  int64_t num_graph_launches() const {
    return graphs_.num_launches() + joined_graphs_.num_launches();
  }

 private:
  void* At(int64_t offset) const { return static_cast<char*>(memory_.data()) + offset; }
  TensorView Activations(int64_t offset, int64_t rows, int64_t width) const;
  TensorView Logits(int64_t num_rows) const;
  TensorView Raw(int64_t num_rows) const;

  // A step's arrays and its plan.
  struct Step {
    Step(ForwardPass& pass, const RunnerLimits& limits, const AttentionPlan* beside);
    StepInput input;
    SamplingInput sampling;
    std::unique_ptr<AttentionPlan> plan;
  };
  // A pass of a chain that is one graph, whose spans never move.
  struct JoinedPass {
    Step step;
    float logprob = 0;
    int32_t rank = 0;
  };

  size_t FillSlice(std::span<const SequenceRun> runs, size_t begin);
  bool RunInBuckets(bool continues);
  bool FillJoined(JoinedPass& pass, const SequenceRun& run, GraphKey& key);
  void Layers(const Step& step, bool continues);
  TensorView Head(const Step& step, std::span<const int32_t> rows);
  void HeadOfSlice(const Step& step);
  void Sample(Step& step);

  Backend& backend_;
  const Transformer& transformer_;
  KvCache& cache_;
  const RunnerLimits limits_;
  const WorkspaceLayout layout_;
  DeviceBuffer memory_;
  Step step_;
  std::vector<JoinedPass> joined_;
  ForwardGraphs graphs_;
  ForwardGraphs joined_graphs_;
};

}  // namespace runahead
