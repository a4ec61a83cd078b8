#include "scheduler/sequence.h"

#include <algorithm>

#include "core/check.h"

namespace runahead {

Sequence::Sequence(const RequestSpec& spec, int choice, uint64_t order, int max_context)
    : request_(spec.id),
      choice_(choice),
      priority_(spec.priority),
      order_(order),
      arrival_(spec.arrival),
      deadline_(spec.deadline),
      max_tokens_(std::min(spec.max_tokens, max_context - static_cast<int>(spec.prompt.size()))),
      min_tokens_(spec.min_tokens),
      stop_ids_(spec.stop_ids),
      cache_salt_(spec.cache_salt),
      looks_up_prefix_(spec.looks_up_prefix),
      tokens_(spec.prompt),
      num_tokens_(static_cast<int>(spec.prompt.size())),
      num_prompt_tokens_(num_tokens_) {
  RA_CHECK_GT(num_prompt_tokens_, 0);
  std::ranges::sort(stop_ids_);
}

void Sequence::SetDrafts(std::span<const int32_t> drafts) {
  DropDrafts();
  tokens_.insert(tokens_.end(), drafts.begin(), drafts.end());
}

void Sequence::SetDraftComputed(int num_tokens) {
  RA_CHECK(num_tokens >= 0 && num_tokens <= static_cast<int>(tokens_.size()));
  num_draft_ran_ = num_tokens;
}

void Sequence::AppendOutput(std::span<const int32_t> tokens) {
  DropDrafts();
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  num_tokens_ = static_cast<int>(tokens_.size());
}

void Sequence::SetComputed(int num_target, int num_draft) {
  RA_CHECK(num_draft <= num_target && num_target <= num_tokens_);
  num_computed_ = {num_target, num_draft};
  num_draft_ran_ = num_draft;
  num_ever_computed_ = std::max(num_ever_computed_, num_target);
}

bool Sequence::IsStopId(int32_t token) const {
  return std::ranges::binary_search(stop_ids_, token);
}

}  // namespace runahead
