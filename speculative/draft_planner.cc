#include "speculative/draft_planner.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "core/check.h"

namespace runahead {
namespace {

// Survival probabilities are sorted by their exponent and four bits of mantissa: 16 levels an
// octave, seven octaves.
constexpr int kNumLevels = 16 * 7;
// With so few sequences every single draft is weighed; with more, those of a level and position
// together, and not less than so many parts of all sequences.
constexpr size_t kWeighEach = 8;
constexpr double kAsGood = 0.01;

uint8_t LevelOf(float survival) {
  constexpr int kShift = 23 - 4;
  const auto one = std::bit_cast<int32_t>(1.0F) >> kShift;
  const int level = one - (std::bit_cast<int32_t>(survival) >> kShift);
  return static_cast<uint8_t>(std::clamp(level, 0, kNumLevels - 1));
}

// Of the tokens to catch up, those that are this step's own price. One or two are the rule after
// every step that drafted; more are left by steps that did not, and pay over the steps to come.
double CatchUpNow(int num_catch_up) {
  constexpr int kUsual = 2;
  constexpr double kLaterSteps = 16;
  return std::min(num_catch_up, kUsual) + std::max(num_catch_up - kUsual, 0) / kLaterSteps;
}

}  // namespace

// A counting sort; within a level nearer positions come first, as none can be taken without them.
void DraftPlanner::Sort(std::span<const DraftSource> sources) {
  std::array<uint32_t, kNumLevels + 1> begin = {};
  size_t count = 0;
  for (const DraftSource& source : sources) count += static_cast<size_t>(source.num_drafts);
  unsorted_.resize(count);
  candidates_.resize(count);
  size_t next = 0;
  for (int position = 0; position < kMaxDrafts; ++position) {
    bool is_any = false;
    for (size_t s = 0; s < sources.size(); ++s) {
      if (position >= sources[s].num_drafts) continue;
      const float survival = sources[s].survival[static_cast<size_t>(position)];
      const uint8_t level = LevelOf(survival);
      unsorted_[next++] = {static_cast<uint16_t>(s), static_cast<uint8_t>(position), level,
                           survival};
      ++begin[level + 1U];
      is_any = true;
    }
    if (!is_any) break;
  }
  for (size_t level = 0; level < kNumLevels; ++level) begin[level + 1] += begin[level];
  for (const Candidate& candidate : unsorted_) candidates_[begin[candidate.level]++] = candidate;
}

void DraftPlanner::MeasurePasses(const PlanTerms& terms, size_t num_model) {
  pass_seconds_.assign(num_model + 1, 0);
  for (size_t n = 1; n <= num_model; ++n) {
    const auto rows = static_cast<int>(n);
    pass_seconds_[n] = terms.costs->DraftSeconds(rows, terms.num_draft_context * rows);
  }
}

bool DraftPlanner::IsKnown(const PlanTerms& terms, int num_drafts) {
  return terms.costs->target().num_observed(terms.num_rows + num_drafts) > 0;
}

DraftPlan DraftPlanner::Plan(const PlanTerms& terms, std::span<const DraftSource> sources,
                             std::vector<int>& num_drafts) {
  RA_CHECK_LT(sources.size(), size_t{1} << 16);
  Sort(sources);
  const auto num_model = static_cast<size_t>(
      std::ranges::count_if(sources, [](const DraftSource& source) { return source.is_model; }));
  MeasurePasses(terms, num_model);
  Weigh(terms, sources);
  const End best = ShortestOfTheBest(terms);
  num_drafts.assign(sources.size(), 0);
  for (size_t c = 0; c < best.num_candidates; ++c) ++num_drafts[candidates_[c].source];
  return best.plan;
}

// Fills ends_ with the plans that take the likeliest 1, 2, .. candidates, as far as they are
// allowed.
void DraftPlanner::Weigh(const PlanTerms& terms, std::span<const DraftSource> sources) {
  const double base = terms.costs->TargetSeconds(terms.num_rows, terms.num_context);
  DraftPlan plan = {.tokens = static_cast<double>(terms.num_sequences),
                    .seconds = terms.plain_seconds};
  std::array<size_t, kMaxDrafts> drawn = {};  // sequences whose model draws a draft there
  int num_tokens = 0;
  ends_.clear();
  const bool weighs_each = sources.size() <= kWeighEach;
  const size_t least = sources.size() / kWeighEach;
  size_t num_weighed = 0;
  for (size_t c = 0; c < candidates_.size(); ++c) {
    const Candidate& candidate = candidates_[c];
    const DraftSource& source = sources[candidate.source];
    ++num_tokens;
    ++plan.num_drafts;
    plan.tokens += static_cast<double>(candidate.survival);
    if (source.is_model) {
      const size_t n = drawn[candidate.position]++;
      plan.pass_seconds += pass_seconds_[n + 1] - pass_seconds_[n];
      if (candidate.position == 0) {
        num_tokens += source.num_catch_up;
        plan.pass_seconds += terms.catch_up_row * CatchUpNow(source.num_catch_up);
      }
    }
    if (num_tokens > terms.max_tokens) return;
    const bool is_last = c + 1 == candidates_.size();
    const bool is_end = is_last || candidates_[c + 1].level != candidate.level ||
                        candidates_[c + 1].position != candidate.position;
    const bool is_enough = is_last || c + 1 - num_weighed >= least;
    if (!weighs_each && !(is_end && is_enough)) continue;
    num_weighed = c + 1;
    const double rows =
        terms.row_seconds > 0
            ? terms.row_seconds * plan.num_drafts
            : terms.costs->TargetSeconds(terms.num_rows + plan.num_drafts, terms.num_context) -
                  base;
    plan.seconds = terms.plain_seconds + plan.pass_seconds + rows;
    if (IsAllowed(terms, plan)) ends_.push_back({plan, c + 1});
  }
}

// Nothing may be risked beyond max_loss. Where all is known half of what is expected comes at
// least, and only the rest is at risk.
bool DraftPlanner::IsAllowed(const PlanTerms& terms, const DraftPlan& plan) {
  const double loss = plan.seconds - terms.plain_seconds;
  if (loss <= terms.max_loss) return true;
  const double sure = (plan.tokens / terms.num_sequences - 1) / 2 * terms.plain_seconds;
  return loss - sure <= terms.max_loss && terms.are_proven && IsKnown(terms, plan.num_drafts);
}

// Of plans that are as good as the best the shortest, as what is expected of longer ones is the
// less sure.
DraftPlanner::End DraftPlanner::ShortestOfTheBest(const PlanTerms& terms) const {
  const End none = {
      .plan = {.tokens = static_cast<double>(terms.num_sequences), .seconds = terms.plain_seconds}};
  const double least = none.plan.tokens / none.plan.seconds;
  double most = least;
  for (const End& end : ends_) most = std::max(most, end.plan.tokens / end.plan.seconds);
  if (most <= least) return none;
  return *std::ranges::find_if(ends_, [&](const End& end) {
    const double rate = end.plan.tokens / end.plan.seconds;
    return rate > least && rate >= (1 - kAsGood) * most;
  });
}

}  // namespace runahead
