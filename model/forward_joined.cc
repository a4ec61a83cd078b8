// The passes of a chain as one graph.
#include "model/forward_pass.h"

namespace runahead {
namespace {

// Adjustments and allowed ids of a joined pass: many passes' must fit a graph's places.
constexpr int kMaxJoinedListed = 64;

}  // namespace

// False where the pass is not one to join.
bool ForwardPass::FillJoined(JoinedPass& pass, const SequenceRun& run, GraphKey& key) {
  StepInput& input = pass.step.input;
  SamplingInput& sampling = pass.step.sampling;
  if (static_cast<int>(run.tokens.size()) > input.limits.max_rows) return false;
  if (run.proposal->keep_row >= 0) return false;
  input.Fill({&run, 1});
  sampling.Clear();
  sampling.Add(run, 0, input.row_offsets[1]);
  key.num_rows = graphs_.BucketFor(input.num_rows());
  key.slice = sampling.PadTo(1, 0);
  key.has_confidence = run.proposal->wants_confidence;
  const bool is_short = key.slice.has_lists && key.slice.num_adjusts <= kMaxJoinedListed &&
                        key.slice.num_allowed <= kMaxJoinedListed;
  if (!is_short || key.num_rows > input.limits.max_rows) return false;
  input.PadTo(key.num_rows);
  return true;
}

bool ForwardPass::RunJoined(std::span<const std::span<const SequenceRun>> passes) {
  if (passes.size() < 2 || passes.size() > joined_.size()) return false;
  std::vector<GraphKey> keys(passes.size());
  for (size_t p = 0; p < passes.size(); ++p) {
    if (passes[p].size() != 1 || !FillJoined(joined_[p], passes[p][0], keys[p])) return false;
  }
  for (size_t p = 0; p < passes.size(); ++p) {
    const Step& step = joined_[p].step;
    backend_.PlanAttention(step.input.Shape(), *step.plan);
    keys[p].plan = step.plan->graph_key();
    keys[p].continues = p > 0;
  }
  const auto forward = [&] {
    for (size_t p = 0; p < passes.size(); ++p) {
      JoinedPass& pass = joined_[p];
      Layers(pass.step, p > 0);
      HeadOfSlice(pass.step);
      Sample(pass.step);
      if (!keys[p].has_confidence) continue;
      backend_.TopLogprobs({.logits = Logits(1),
                            .drawn = last_tokens(),
                            .chosen_logprobs = {&pass.logprob, 1},
                            .chosen_ranks = {&pass.rank, 1}});
    }
  };
  if (!joined_graphs_.Launch(keys, forward)) forward();
  return true;
}

}  // namespace runahead
