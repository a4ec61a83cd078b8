#include "server/draft_usage.h"

#include <utility>

namespace runahead {

DraftUsage::Counts DraftUsage::total() const {
  Counts sum;
  for (const Counts& counts : by_drafter) {
    sum.drafted_tokens += counts.drafted_tokens;
    sum.accepted_tokens += counts.accepted_tokens;
  }
  return sum;
}

void DraftUsage::Add(const DraftUsage& other) {
  for (size_t i = 0; i < by_drafter.size(); ++i) {
    by_drafter[i].drafted_tokens += other.by_drafter[i].drafted_tokens;
    by_drafter[i].accepted_tokens += other.by_drafter[i].accepted_tokens;
  }
  target_steps += other.target_steps;
}

void DraftTally::Count(const TokenEvent& event, DraftUsage& usage) {
  if (event.starts_step) {
    ++usage.target_steps;
    drafter_ = event.step_drafter;
    num_undecided_ = event.num_drafted;
  }
  DraftUsage::Counts& counts = usage.by_drafter[static_cast<size_t>(drafter_)];
  if (event.drafted_by != DrafterKind::kNone) {
    ++counts.drafted_tokens;
    ++counts.accepted_tokens;
    --num_undecided_;
  } else {
    counts.drafted_tokens += std::exchange(num_undecided_, 0);
  }
}

}  // namespace runahead
