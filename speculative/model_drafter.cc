#include "speculative/model_drafter.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {
namespace {

int NumTokens(const DraftTask& task) { return static_cast<int>(task.tokens.size()); }

bool IsGreedy(const DraftTask& task) {
  return task.run.sampling != nullptr && task.run.sampling->IsGreedy();
}

// The blocks that hold tokens [begin, end) of a task.
std::span<const int32_t> BlocksOf(const DraftTask& task, int begin, int end, int block_size) {
  if (begin >= end) return {};
  const int first = begin / block_size;
  const int last = (end - 1) / block_size;
  RA_CHECK_LT(static_cast<size_t>(last), task.run.block_table.size());
  return task.run.block_table.subspan(static_cast<size_t>(first),
                                      static_cast<size_t>(last - first + 1));
}

}  // namespace

ModelDrafter::ModelDrafter(StepRunner& runner, const RunnerLimits& limits, const Clock& clock,
                           int num_kept_rows, int vocab_limit, DrafterKind kind)
    : runner_(runner),
      limits_(limits),
      clock_(clock),
      num_kept_rows_(num_kept_rows),
      vocab_limit_(vocab_limit),
      kind_(kind) {
  RA_CHECK(kind == DrafterKind::kModel || kind == DrafterKind::kSelf);
}

void ModelDrafter::CopyBlocks(std::span<const int32_t> from, std::span<const int32_t> to) {
  if (kind_ == DrafterKind::kSelf) return;  // the target's runner does it
  runner_.CopyBlocks(from, to);
}

void ModelDrafter::Propose(std::span<DraftTask> tasks) {
  passes_.clear();
  filled_.clear();
  next_kept_row_ = 0;
  Plan(tasks);
  SendSharersAhead(tasks);
  CatchUp(tasks);
  Draft(tasks);
  for (size_t t = 0; t < tasks.size(); ++t) {
    const int num_drafts = tasks[t].num_drafts;
    // The last draft was drawn, not run.
    tasks[t].num_computed_after =
        num_drafts > 0 ? NumTokens(tasks[t]) + num_drafts - 1 : progress_[t].num_computed;
  }
}

void ModelDrafter::Plan(std::span<const DraftTask> tasks) {
  progress_.assign(tasks.size(), {});
  int num_kept_left = num_kept_rows_;
  for (size_t t = 0; t < tasks.size(); ++t) {
    const DraftTask& task = tasks[t];
    Progress& progress = progress_[t];
    const int num_tokens = NumTokens(task);
    RA_CHECK(task.num_computed >= 0 && task.num_computed < num_tokens);
    const int num_missing = num_tokens - 1 - task.num_computed;
    progress.num_computed = task.num_computed;
    progress.catch_up_end =
        std::min({task.num_computed + task.num_catch_up, num_tokens - 1, limits_.max_context});
    const auto missing = task.tokens.subspan(static_cast<size_t>(task.num_computed));
    const auto unknown =
        std::ranges::find_if(missing, [this](int32_t id) { return id >= vocab_limit_; });
    if (unknown != missing.end()) {  // found again at once in the next step
      const auto num_known = static_cast<int>(unknown - missing.begin());
      progress.catch_up_end = std::min(progress.catch_up_end, task.num_computed + num_known);
      continue;
    }
    if (task.num_catch_up < num_missing) continue;
    // Draft i comes of a pass over num_tokens + i tokens.
    const int room = limits_.max_context - num_tokens + 1;
    progress.num_drafts = std::clamp(task.max_drafts, 0, std::max(0, room));
    if (num_kept_rows_ > 0 && !IsGreedy(task)) {
      progress.num_drafts = std::min(progress.num_drafts, num_kept_left);
      num_kept_left -= progress.num_drafts;
    }
    const bool merges = progress.num_drafts > 0 && num_missing <= kMergedRows;
    if (merges) progress.catch_up_end = task.num_computed;
  }
}

// Two sequences of one pass never write the same block. Rows of a shared block that would ride in
// the first drafting pass catch up before it, where one sequence waits for the other.
void ModelDrafter::SendSharersAhead(std::span<const DraftTask> tasks) {
  const auto blocks_of = [&](size_t t) {
    const int end =
        progress_[t].num_drafts > 0 ? NumTokens(tasks[t]) - 1 : progress_[t].catch_up_end;
    return BlocksOf(tasks[t], progress_[t].num_computed, end, limits_.block_size);
  };
  written_.clear();
  for (size_t t = 0; t < tasks.size(); ++t) {
    const auto blocks = blocks_of(t);
    written_.insert(written_.end(), blocks.begin(), blocks.end());
  }
  std::sort(written_.begin(), written_.end());
  if (std::adjacent_find(written_.begin(), written_.end()) == written_.end()) return;
  for (size_t t = 0; t < tasks.size(); ++t) {
    const bool shares = std::ranges::any_of(blocks_of(t), [&](int32_t block) {
      const auto [first, last] = std::equal_range(written_.begin(), written_.end(), block);
      return last - first > 1;
    });
    if (shares && progress_[t].num_drafts > 0) progress_[t].catch_up_end = NumTokens(tasks[t]) - 1;
  }
}

void ModelDrafter::CatchUp(std::span<const DraftTask> tasks) {
  for (;;) {
    runs_.clear();
    written_.clear();
    int num_rows_left = limits_.max_rows;
    for (size_t t = 0; t < tasks.size(); ++t) {
      if (static_cast<int>(runs_.size()) == limits_.max_sequences) break;
      if (!AddChunk(tasks[t], progress_[t], num_rows_left)) continue;
      num_rows_left -= static_cast<int>(runs_.back().tokens.size());
    }
    if (runs_.empty()) return;
    RunPass(true);
  }
}

// Adds the next rows of a task that may run in this pass, and counts them as computed.
bool ModelDrafter::AddChunk(const DraftTask& task, Progress& progress, int num_rows_left) {
  const int block_size = limits_.block_size;
  Leap(task, progress);
  const int begin = progress.num_computed;
  const int end = std::min(progress.catch_up_end, begin + num_rows_left);
  const auto blocks = BlocksOf(task, begin, end, block_size);
  const bool waits = std::ranges::any_of(blocks, [&](int32_t block) {
    return std::find(written_.begin(), written_.end(), block) != written_.end();
  });
  if (begin >= end || waits) return false;
  SequenceRun run = task.run;
  run.tokens = task.tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  run.num_computed = begin;
  run.num_drafts = 0;
  run.wants_token = false;
  run.wants_prompt_logprobs = false;
  runs_.push_back(run);
  written_.insert(written_.end(), blocks.begin(), blocks.end());
  for (int i = begin / block_size; i * block_size < end; ++i) {
    filled_.push_back({.block = task.run.block_table[static_cast<size_t>(i)],
                       .end = std::min(block_size, end - i * block_size)});
  }
  progress.num_computed = end;
  return true;
}

// Over tokens that another sequence ran in an earlier pass of this call, into a block both hold.
void ModelDrafter::Leap(const DraftTask& task, Progress& progress) const {
  const int last = NumTokens(task) - 1;
  for (bool leaps = true; leaps && progress.num_computed < last;) {
    leaps = false;
    const int index = progress.num_computed / limits_.block_size;
    const int32_t block = task.run.block_table[static_cast<size_t>(index)];
    if (std::find(written_.begin(), written_.end(), block) != written_.end()) return;
    for (const Filled& filled : filled_) {
      const int end = std::min(index * limits_.block_size + filled.end, last);
      if (filled.block != block || end <= progress.num_computed) continue;
      progress.num_computed = end;
      leaps = true;
    }
  }
}

void ModelDrafter::Draft(std::span<DraftTask> tasks) {
  if (ChainRunner* chains = runner_.chains()) DraftInChains(*chains, tasks);
  for (;;) {
    active_.clear();
    for (size_t t = 0; t < tasks.size(); ++t) {
      if (tasks[t].num_drafts < progress_[t].num_drafts) active_.push_back(t);
    }
    if (active_.empty()) return;
    for (size_t begin = 0; begin < active_.size();) {
      runs_.clear();
      int num_rows = 0;
      size_t end = begin;
      for (; end < active_.size() && end - begin < static_cast<size_t>(limits_.max_sequences);
           ++end) {
        const DraftTask& task = tasks[active_[end]];
        AddProposal(task, progress_[active_[end]], task.num_drafts);
        num_rows += static_cast<int>(runs_.back().tokens.size());
        if (num_rows > limits_.max_rows) break;
      }
      if (num_rows > limits_.max_rows) {
        RA_CHECK(runs_.size() > 1, "one sequence's rows fit a pass");
        if (runs_.back().proposal->keep_row >= 0) --next_kept_row_;
        runs_.pop_back();
      }
      const ModelOutput& output = RunPass(false);
      for (size_t i = begin; i < end; ++i) {
        const size_t t = active_[i];
        const Proposal& proposal = *runs_[i - begin].proposal;
        const auto at = static_cast<size_t>(output.offsets[i - begin]);
        TakeProposal(tasks[t], progress_[t], proposal, output.token_ids[at],
                     proposal.wants_confidence ? output.confidences[at] : 1);
      }
      begin = end;
    }
  }
}

// All tasks but those that need their drafts on the host between passes.
void ModelDrafter::DraftInChains(ChainRunner& chains, std::span<DraftTask> tasks) {
  const auto most = static_cast<size_t>(std::min(limits_.max_sequences, limits_.max_logit_rows));
  for (;;) {
    active_.clear();
    for (size_t t = 0; t < tasks.size(); ++t) {
      if (NumPasses(tasks[t], progress_[t]) == 0) continue;
      if (!tasks[t].run.sampling->HasPenalties()) active_.push_back(t);
    }
    if (active_.empty()) return;
    // A pass has the first sequences of the one before.
    std::stable_sort(active_.begin(), active_.end(), [&](size_t a, size_t b) {
      return NumPasses(tasks[a], progress_[a]) > NumPasses(tasks[b], progress_[b]);
    });
    for (size_t begin = 0; begin < active_.size();) {
      size_t end = begin;
      for (int num_rows_left = limits_.max_rows; end < active_.size() && end - begin < most;
           ++end) {
        const size_t t = active_[end];
        const bool is_first = tasks[t].num_drafts == 0;
        num_rows_left -= is_first ? NumTokens(tasks[t]) - progress_[t].num_computed : 1;
        if (num_rows_left < 0) break;
      }
      RA_CHECK_GT(end, begin);
      RunChain(chains, tasks, std::span(active_).subspan(begin, end - begin));
      begin = end;
    }
  }
}

// Of the next chain.
int ModelDrafter::NumPasses(const DraftTask& task, const Progress& progress) const {
  const int num_left = progress.num_drafts - task.num_drafts;
  return task.min_confidence > 0 ? std::min(num_left, kPassesAtOnce) : num_left;
}

void ModelDrafter::RunChain(ChainRunner& chains, std::span<DraftTask> tasks,
                            std::span<const size_t> places) {
  const auto num_passes_of = [&](size_t i) {
    return NumPasses(tasks[places[i]], progress_[places[i]]);
  };
  const int num_passes = num_passes_of(0);
  std::vector<size_t>& ends = pass_ends_;
  ends.clear();
  runs_.clear();
  for (int p = 0; p < num_passes; ++p) {
    for (size_t i = 0; i < places.size() && p < num_passes_of(i); ++i) {
      const DraftTask& task = tasks[places[i]];
      AddProposal(task, progress_[places[i]], task.num_drafts + p);
    }
    ends.push_back(runs_.size());
  }
  chain_.clear();
  const size_t first_pass = passes_.size();
  for (size_t p = 0, begin = 0; p < ends.size(); begin = ends[p++]) {
    chain_.push_back(std::span(runs_).subspan(begin, ends[p] - begin));
    passes_.push_back(PassOf(chain_.back(), false));
  }
  const TimePoint start = clock_.Now();
  const ModelOutput& output = chains.RunChain(chain_);
  const Duration time = clock_.Now() - start;
  for (size_t p = first_pass; p < passes_.size(); ++p) passes_[p].time = time / num_passes;
  for (size_t p = 0; p < chain_.size(); ++p) {
    for (size_t i = 0; i < chain_[p].size(); ++i) {
      DraftTask& task = tasks[places[i]];
      Progress& progress = progress_[places[i]];
      if (task.num_drafts == progress.num_drafts) continue;  // stopped before
      const size_t at = static_cast<size_t>(output.offsets[p]) + i;
      TakeProposal(task, progress, *chain_[p][i].proposal, output.token_ids[at],
                   output.confidences[at]);
    }
  }
}

// The run that draws draft `index`, which a chain may ask for before it knows the one before.
void ModelDrafter::AddProposal(const DraftTask& task, const Progress& progress, int index) {
  static constexpr int32_t kUnknown = 0;
  const bool keeps = num_kept_rows_ > 0 && !IsGreedy(task);
  SequenceRun run = task.run;
  if (index == 0) {
    run.tokens = task.tokens.subspan(static_cast<size_t>(progress.num_computed));
    run.num_computed = progress.num_computed;
  } else {
    run.tokens = index == task.num_drafts ? task.proposed().last(1) : std::span(&kUnknown, 1);
    run.num_computed = NumTokens(task) + index - 1;
  }
  run.num_drafts = 0;
  run.wants_token = true;
  run.wants_prompt_logprobs = false;
  run.num_suppressed_rows = std::clamp(task.run.num_suppressed_rows - index, 0, 1);
  run.proposal =
      Proposal{.pending = task.proposed(),
               .noise = num_kept_rows_ > 0 ? DraftNoise(index) : NoisePurpose::kTarget,
               .wants_confidence = task.min_confidence > 0 && index + 1 < progress.num_drafts,
               .keep_row = keeps ? next_kept_row_++ : -1};
  runs_.push_back(run);
}

void ModelDrafter::TakeProposal(DraftTask& task, Progress& progress, const Proposal& proposal,
                                int32_t token, float confidence) const {
  const auto draft = static_cast<size_t>(task.num_drafts++);
  task.drafts[draft] = token;
  task.draft_rows[draft] = proposal.keep_row;
  // Behind the token, not in place of it: what is proposed must not depend on its own draw, or
  // rejection sampling would be biased.
  const bool is_unsure = proposal.wants_confidence && confidence < task.min_confidence;
  if (is_unsure) progress.num_drafts = task.num_drafts;
}

DraftPass ModelDrafter::PassOf(std::span<const SequenceRun> runs, bool is_catch_up) {
  DraftPass pass = {.num_sequences = static_cast<int>(runs.size()), .is_catch_up = is_catch_up};
  for (const SequenceRun& run : runs) {
    pass.num_rows += static_cast<int>(run.tokens.size());
    pass.num_context += run.num_computed + static_cast<int64_t>(run.tokens.size());
  }
  return pass;
}

const ModelOutput& ModelDrafter::RunPass(bool is_catch_up) {
  DraftPass pass = PassOf(runs_, is_catch_up);
  const TimePoint start = clock_.Now();
  const ModelOutput& output = runner_.Run(runs_);
  pass.time = clock_.Now() - start;
  passes_.push_back(pass);
  return output;
}

}  // namespace runahead
