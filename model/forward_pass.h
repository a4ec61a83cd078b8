// ForwardPass: the ops of a runner's steps, from ids to sampled tokens, and the memory they work
// in. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

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

  const StepInput& input() const { return input_; }
  const SamplingInput& slice() const { return sampling_; }
  TensorView logits() const { return Logits(sampling_.num_rows()); }  // of the slice, processed
  TensorView raw_logits() const { return Raw(sampling_.num_logprob_rows()); }  // logprob rows
  TensorView draft_logits() const;                                             // ModelRunner's

  // [num_rows()] on the device: the last token of each of the slice's sequences.
  int32_t* last_tokens() const { return static_cast<int32_t*>(At(layout_.last_tokens)); }

  // Raw logits of rows of the step, in the place of the slice's.
  TensorView Head(std::span<const int32_t> rows);

  int vocab() const { return transformer_.config().vocab_limit; }
  int64_t num_graph_launches() const { return graphs_.num_launches(); }

 private:
  void* At(int64_t offset) const { return static_cast<char*>(memory_.data()) + offset; }
  TensorView Activations(int64_t offset, int64_t rows, int64_t width) const;
  TensorView Logits(int64_t num_rows) const;
  TensorView Raw(int64_t num_rows) const;

  size_t FillSlice(std::span<const SequenceRun> runs, size_t begin);
  bool RunInBuckets(bool continues);
  void Layers(bool continues);
  void HeadOfSlice();
  void Sample();

  Backend& backend_;
  const Transformer& transformer_;
  KvCache& cache_;
  const RunnerLimits limits_;
  const WorkspaceLayout layout_;
  DeviceBuffer memory_;
  std::unique_ptr<AttentionPlan> plan_;
  StepInput input_;
  SamplingInput sampling_;
  ForwardGraphs graphs_;
};

}  // namespace runahead
