// ModelDrafter: drafts with a smaller model over the target's own block tables. Engine thread only.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/clock.h"
#include "model/model_runner.h"
#include "speculative/drafter.h"

namespace runahead {

// A Propose is one or more passes of the draft model, each over all sequences that take part:
//
//   catching up:  [c .. n-1)           in chunks of at most max_rows rows in all, nothing sampled
//   pass 0:       [c' .. n-1] -> d0    c' is n - 1, or up to kMergedRows before it
//   pass i:       d(i-1)      -> di    over the sequences that want more
//
// for a sequence of n tokens of which c have draft K/V. A draft is drawn exactly as the target will
// draw at that position: with the request's filters, biases and bans, penalties that count the
// drafts before it, and in coupled mode the same noise. Nothing is kept between calls: what is
// valid is what the task says.
//
// Where the runner has chains, passes follow each other without a wait, each taking what the one
// before drew on the device. Two kinds of tasks then go their own way: one whose penalties count
// its drafts needs them on the host, so it goes pass by pass; one that may stop early goes in
// chains of kPassesAtOnce, and what those drew behind an unsure draft is dropped. What is proposed
// is the same.
class ModelDrafter final : public Drafter {
 public:
  // Missing rows that ride in the first drafting pass instead of taking one of their own: after a
  // step whose drafts were all accepted, the last of them has no draft K/V yet.
  static constexpr int kMergedRows = 2;
  // A wait saved is worth part of a pass; a pass run in vain is lost.
  static constexpr int kPassesAtOnce = 4;

  // `runner` runs the draft model, within `limits`; its cache has the target's block ids, its
  // vocabulary is the target's. num_kept_rows: of the target's draft_logits(), which the runner's
  // KeepProposals was given; 0 in coupled mode. In rejection mode no more than that many sampled
  // drafts are proposed in one call, by tasks in order. vocab_limit: where the target's table is
  // padded beyond the draft model's, the latter's; behind an id from there on nothing is drafted.
  // Of kind kSelf the model is the target in fewer bits and its cache the target's own: what the
  // target computed needs no catching up, and what is written behind that the target writes over
  // before it reads.
  ModelDrafter(StepRunner& runner, const RunnerLimits& limits, const Clock& clock,
               int num_kept_rows = 0, int vocab_limit = std::numeric_limits<int>::max(),
               DrafterKind kind = DrafterKind::kModel);

  DrafterKind kind() const override { return kind_; }
  void Propose(std::span<DraftTask> tasks) override;
  void CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) override;
  void DoMeanwhile(const std::function<void()>& work) override { runner_.DoMeanwhile(work); }
  std::span<const DraftPass> passes() const override { return passes_; }

 private:
  // How far one task is.
  struct Progress {
    int num_computed = 0;  // tokens, without drafts
    int catch_up_end = 0;  // to be reached before the first drafting pass
    int num_drafts = 0;    // still allowed, in all
  };
  // A block that this call fills: valid up to a token of it. Sequences that share the block need
  // not run those tokens again.
  struct Filled {
    int32_t block = 0;
    int end = 0;
  };

  void Plan(std::span<const DraftTask> tasks);
  void SendSharersAhead(std::span<const DraftTask> tasks);
  void CatchUp(std::span<const DraftTask> tasks);
  bool AddChunk(const DraftTask& task, Progress& progress, int num_rows_left);
  void Leap(const DraftTask& task, Progress& progress) const;
  void Draft(std::span<DraftTask> tasks);
  void DraftInChains(ChainRunner& chains, std::span<DraftTask> tasks);
  void RunChain(ChainRunner& chains, std::span<DraftTask> tasks, std::span<const size_t> places);
  int NumPasses(const DraftTask& task, const Progress& progress) const;
  void AddProposal(const DraftTask& task, const Progress& progress, int index);
  void TakeProposal(DraftTask& task, Progress& progress, const Proposal& proposal, int32_t token,
                    float confidence) const;
  const ModelOutput& RunPass(bool is_catch_up);
  static DraftPass PassOf(std::span<const SequenceRun> runs, bool is_catch_up);

  StepRunner& runner_;
  const RunnerLimits limits_;
  const Clock& clock_;
  const int num_kept_rows_;
  const int vocab_limit_;
  const DrafterKind kind_;

  // Of the call under way; kept to keep their memory.
  std::vector<Progress> progress_;                   // parallel to the tasks
  std::vector<SequenceRun> runs_;                    // of one pass, or of all of a chain
  std::vector<std::span<const SequenceRun>> chain_;  // its passes
  std::vector<size_t> active_;                       // tasks that want another draft
  std::vector<size_t> pass_ends_;                    // in runs_, of a chain
  std::vector<Filled> filled_;
  std::vector<int32_t> written_;  // blocks: by the tasks, or by one pass
  int next_kept_row_ = 0;
  std::vector<DraftPass> passes_;
};

}  // namespace runahead
