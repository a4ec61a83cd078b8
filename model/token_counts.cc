#include "model/token_counts.h"

#include "core/check.h"

namespace runahead {

TokenAdjust& TokenCounts::At(int32_t token) {
  const auto [found, inserted] = index_.try_emplace(token, entries_.size());
  if (inserted) entries_.push_back({.token = token});
  return entries_[found->second];
}

int64_t TokenCounts::Find(int32_t token) const {
  const auto found = index_.find(token);
  return found == index_.end() ? -1 : static_cast<int64_t>(found->second);
}

void TokenCounts::Update(std::span<const int32_t> prompt, std::span<const int32_t> output) {
  RA_CHECK(prompt.size() >= num_prompt_ && output.size() >= num_output_, "counts only grow");
  for (; num_prompt_ < prompt.size(); ++num_prompt_) At(prompt[num_prompt_]).in_prompt = true;
  for (; num_output_ < output.size(); ++num_output_) ++At(output[num_output_]).output_count;
}

void TokenCounts::Clear() {
  entries_.clear();
  index_.clear();
  num_prompt_ = 0;
  num_output_ = 0;
}

}  // namespace runahead
