#include "speculative/draft_policy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace runahead {
namespace {

constexpr int kProvenTrials = 12;  // of a drafter, before its rate is believed
constexpr float kLeastSurvival = 0.03F;
constexpr int kMaxCatchUp = 1024;       // tokens in one step, so that nobody waits long for another
constexpr int kExpectedLeft = 128;      // tokens a sequence is expected to emit still, if it may
constexpr double kCatchUpReturn = 1.5;  // expected, per second of catching up
constexpr double kMaxUnwritten = 64;    // plain steps of catching up not yet written off
constexpr double kMaxFirstCatchUp = 16;  // plain steps, once in a server's life
constexpr double kGainToStart = 1.04;    // over no drafts
constexpr double kGainToGoOn = 1.01;
constexpr double kWaitingShare = 1.0;  // of what steps take longer for who drafts nothing
constexpr float kAlike = 0.95F;      // chance of a first draft to that of the least sure who drafts
constexpr double kPriceStep = 0.25;  // of the running mean of a token's price
constexpr int kProbeDrafts = 2;
constexpr int kOnProbeInterval = 48;  // of sequences left out while others draft
constexpr int kDeeperProbeInterval = 24;
constexpr double kProbeCredit = 0.25;     // share of the ledger's credit that a probe may cost
constexpr double kPlainShare = 0.01;      // of steps may be without drafts only to measure them
constexpr double kMaxPlainBudget = 4;     // steps
constexpr int kMaxPlainAge = 128;         // steps since the last one without drafts,
constexpr int kMaxClearPlainAge = 384;    // and where tokens are much cheaper with them
constexpr double kClearlyCheaper = 0.75;  // a token's price with drafts to that without

int NumWanted(const PolicySequence& sequence) {
  if (sequence.params.mode == SpeculationMode::kOff) return 0;
  return std::clamp(std::min(sequence.max_drafts, sequence.params.max_tokens), 0, kMaxDrafts);
}

bool IsFixed(const PolicySequence& sequence) {
  return sequence.params.mode == SpeculationMode::kFixed;
}

const AcceptanceRecord* HistoryOf(const PolicySequence& sequence, DrafterKind kind) {
  return sequence.history == nullptr ? nullptr : &(*sequence.history)[static_cast<size_t>(kind)];
}

bool IsBehind(const DraftSource& source, const PolicySequence& sequence) {
  return source.is_model && sequence.num_missing > kSmallGap;
}

// Tokens that a sequence is expected to emit still.
int NumLeft(const PolicySequence& sequence) {
  const int most = sequence.max_drafts < kMaxDrafts ? sequence.max_drafts + 1 : kExpectedLeft;
  return std::min({sequence.num_left, kExpectedLeft, most});
}

int64_t SumContext(const PolicyStep& step) {
  int64_t sum = 0;
  for (const PolicySequence& sequence : step.sequences) sum += sequence.num_context;
  return sum;
}

}  // namespace

DraftPolicy::DraftPolicy(const CostModel& costs)
    : costs_(costs), plain_budget_(kMaxPlainBudget), probe_interval_(kFirstProbeInterval) {}

bool DraftPolicy::IsProven(DrafterKind kind) const {
  return prior(kind).num_trials(0) >= kProvenTrials;
}

void DraftPolicy::Decide(const PolicyStep& step, std::vector<DraftChoice>& choices) {
  choices.assign(step.sequences.size(), {});
  is_probing_ = false;
  has_pilot_ = false;
  num_fixed_rows_ = 0;
  num_tokens_left_ = step.max_tokens;
  num_catch_up_left_ = kMaxCatchUp;
  ++num_since_probe_;
  plain_budget_ = std::min(plain_budget_ + kPlainShare, kMaxPlainBudget);
  int num_auto = 0;
  for (size_t i = 0; i < step.sequences.size(); ++i) {
    const PolicySequence& sequence = step.sequences[i];
    if (NumWanted(sequence) == 0 || sequence.offers.empty()) continue;
    if (IsFixed(sequence)) {
      Grant(sequence, choices[i]);
    } else {
      ++num_auto;
    }
  }
  if (num_auto == 0 || !costs_.knows_target()) return;
  if (!ledger_.allows_drafts()) {
    was_on_ = false;
    return;
  }
  if (WantsPlainStep(step)) return;
  prices_ = PricesOf(step);
  sources_.clear();
  // Of equals those draft first who were left out last time.
  const size_t count = step.sequences.size();
  for (size_t n = 0; n < count; ++n) {
    const size_t i = (draft_turn_ + n) % count;
    AddSource(step.sequences[i], i);
  }
  ChooseDrafts(step, choices);
  Probe(step, choices);
}

// The drafter of which most drafts are expected to be accepted, at the k asked for.
void DraftPolicy::Grant(const PolicySequence& sequence, DraftChoice& choice) {
  double most = -1;
  for (const DraftOffer& offer : sequence.offers) {
    const int count = std::min({NumWanted(sequence), offer.max_drafts, num_tokens_left_});
    if (count <= 0) continue;
    std::array<float, kMaxDrafts> survival = {};
    rates_.Survival(offer.drafter, offer.match_length, HistoryOf(sequence, offer.drafter), 0,
                    std::span(survival).first(static_cast<size_t>(count)));
    double accepted = 0;
    for (const float s : survival) accepted += static_cast<double>(s);
    if (accepted <= most) continue;
    most = accepted;
    choice = {.drafter = offer.drafter, .num_drafts = count, .match_length = offer.match_length};
  }
  if (choice.drafter == DrafterKind::kNone) return;
  if (!IsLookup(choice.drafter)) {
    choice.num_catch_up = std::min(sequence.num_missing, num_tokens_left_);
    const int num_left = num_tokens_left_ - choice.num_catch_up;
    choice.num_drafts =
        choice.num_catch_up < sequence.num_missing ? 0 : std::min(choice.num_drafts, num_left);
  }
  num_tokens_left_ -= choice.num_catch_up + choice.num_drafts;
  num_fixed_rows_ += choice.num_drafts;
}

// Before anything is drafted a step without drafts must have been measured at about this batch, and
// now and then again.
bool DraftPolicy::WantsPlainStep(const PolicyStep& step) {
  if (step.num_other_rows > 0) return false;
  const int rows = static_cast<int>(step.sequences.size()) + num_fixed_rows_;
  bool is_known = false;
  int64_t age = std::numeric_limits<int64_t>::max();
  for (const int near : {rows, rows - 1, rows + 1, rows - rows / 6, rows + rows / 6}) {
    if (near < 1 || costs_.target().num_observed(near) < 2 || 5 * std::abs(near - rows) > rows) {
      continue;
    }
    is_known = true;
    age = std::min(age, costs_.target().age(near));
  }
  if (!is_known) return true;
  const int most = price_ratio_ < kClearlyCheaper ? kMaxClearPlainAge : kMaxPlainAge;
  if (plain_budget_ < 1 || age <= most) return false;
  plain_budget_ -= 1;
  return true;
}

DraftPolicy::Prices DraftPolicy::PricesOf(const PolicyStep& step) const {
  const int num_sequences = static_cast<int>(step.sequences.size());
  const int64_t context = SumContext(step);
  const int rows = num_sequences + step.num_other_rows + num_fixed_rows_;
  const int64_t all_context = context + step.num_other_context;
  Prices prices;
  prices.plain = costs_.TargetSeconds(num_sequences, context);
  prices.token = prices.plain / num_sequences * price_ratio_;
  prices.is_even = rows > CostModel::kManyRows;
  prices.row = prices.is_even ? costs_.TargetRowSeconds(rows, all_context)
                              : (costs_.TargetSeconds(rows + num_sequences, all_context) -
                                 costs_.TargetSeconds(rows, all_context)) /
                                    num_sequences;
  prices.row = std::max(prices.row, 0.0);  // fewer rows may be known as dearer
  const double pass = costs_.DraftSeconds(num_sequences, context);
  prices.pass = pass / num_sequences;
  prices.catch_up_row = (costs_.DraftSeconds(num_sequences + 64, context) - pass) / 64;
  return prices;
}

// The sequence's most valuable drafter becomes a source of drafts.
void DraftPolicy::AddSource(const PolicySequence& sequence, size_t index) {
  const int wanted = NumWanted(sequence);
  if (wanted == 0 || IsFixed(sequence)) return;
  DraftSource best;
  double most = -std::numeric_limits<double>::infinity();
  for (const DraftOffer& offer : sequence.offers) {
    DraftSource source = {.sequence = static_cast<int>(index),
                          .drafter = offer.drafter,
                          .match_length = offer.match_length,
                          .is_model = !IsLookup(offer.drafter)};
    const double price = prices_.row + (source.is_model ? prices_.pass : 0);
    const auto least = static_cast<float>(0.5 * price / prices_.token);
    source.num_drafts = rates_.Survival(
        offer.drafter, offer.match_length, HistoryOf(sequence, offer.drafter),
        std::max(kLeastSurvival, least),
        std::span(source.survival).first(static_cast<size_t>(std::min(wanted, offer.max_drafts))));
    double value = 0;
    for (int i = 0; i < source.num_drafts; ++i) {
      const auto survival = static_cast<double>(source.survival[static_cast<size_t>(i)]);
      if (survival * prices_.token <= price) break;
      value += survival * prices_.token - price;
    }
    // What many steps to come profit from is no part of this one's price.
    if (source.is_model && sequence.num_missing <= kSmallGap) {
      source.num_catch_up = sequence.num_missing;
    }
    if (value <= most || source.num_drafts == 0) continue;
    most = value;
    best = source;
  }
  if (best.drafter != DrafterKind::kNone) sources_.push_back(best);
}

// Seconds that a token is cheaper where every sequence drafts with the model as far as pays: what
// catching up buys. Of the batch that is coming: prompts being computed will decode soon.
double DraftPolicy::SavedPerToken(const PolicyStep& step, DrafterKind kind) const {
  const auto count = static_cast<int64_t>(step.sequences.size());
  const int64_t context = std::max(SumContext(step), count);
  const int64_t coming = count + step.num_other_rows * count / context;
  const int64_t all_context = context * coming / count;
  const auto num_sequences = static_cast<int>(coming);
  std::array<float, kMaxDrafts> survival = {};
  const int most = rates_.Survival(kind, 0, nullptr, kLeastSurvival, survival);
  const double plain = costs_.TargetSeconds(num_sequences, all_context) / num_sequences;
  const double pass = costs_.DraftSeconds(num_sequences, all_context);
  double best = plain;
  double tokens = num_sequences;
  for (int k = 1; k <= most; ++k) {
    tokens += num_sequences * static_cast<double>(survival[static_cast<size_t>(k) - 1]);
    const double target = costs_.TargetSeconds(num_sequences * (k + 1), all_context);
    best = std::min(best, (target + k * pass) / tokens);
  }
  return plain - best;
}

// A draft model that lags far behind is caught up where that is expected to pay over the rest of
// the sequences, of all together: passes are cheap where many share them, and drafts for some alone
// would leave the others behind in a batch that shrinks. One that nobody knows yet for one sequence
// at a time. Sources that cannot draft now are dropped. True if any was.
bool DraftPolicy::CatchUp(const PolicyStep& step, std::vector<DraftChoice>& choices) {
  double cost = 0;
  double value = 0;
  double saved = -1;  // a token
  for (size_t i = 0; i < sources_.size(); ++i) {
    const PolicySequence& sequence = step.sequences[static_cast<size_t>(sources_[i].sequence)];
    if (!IsBehind(sources_[i], sequence) || num_drafts_[i] == 0) continue;
    if (saved < 0) saved = SavedPerToken(step, sources_[i].drafter);
    cost += prices_.catch_up_row * sequence.num_missing;
    value += saved * NumLeft(sequence);
  }
  const bool pays = value >= kCatchUpReturn * cost;
  size_t num_kept = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const DraftSource& source = sources_[i];
    const auto index = static_cast<size_t>(source.sequence);
    const PolicySequence& sequence = step.sequences[index];
    if (IsBehind(source, sequence)) {
      if (num_drafts_[i] == 0) continue;
      if (!MayCatchUp(sequence, source.drafter, pays ? saved * NumLeft(sequence) : 0)) continue;
      StartCatchUp(source, sequence, choices[index]);
      if (choices[index].num_catch_up < sequence.num_missing) continue;
    }
    sources_[num_kept++] = source;
  }
  const bool is_any_dropped = num_kept < sources_.size();
  sources_.resize(num_kept);
  return is_any_dropped;
}

// `value`: seconds that drafts are expected to save over the rest of the sequence.
bool DraftPolicy::MayCatchUp(const PolicySequence& sequence, DrafterKind kind, double value) const {
  if (num_catch_up_left_ <= 0 || num_tokens_left_ <= 0) return false;
  const double cost = prices_.catch_up_row * sequence.num_missing;
  const double step = ledger_.plain_step_seconds();
  if (!IsProven(kind)) {
    if (has_pilot_) return false;
    const double first = has_caught_up_ ? 0 : kMaxFirstCatchUp * step;
    return cost <= std::max(ledger_.credit_seconds(), first);
  }
  return value >= cost && ledger_.unwritten_seconds() + cost <= kMaxUnwritten * step;
}

void DraftPolicy::StartCatchUp(const DraftSource& source, const PolicySequence& sequence,
                               DraftChoice& choice) {
  const int count = std::min({sequence.num_missing, num_catch_up_left_, num_tokens_left_});
  choice.drafter = source.drafter;
  choice.num_catch_up = count;
  num_catch_up_left_ -= count;
  num_tokens_left_ -= count;
  has_pilot_ = true;
}

void DraftPolicy::ChooseDrafts(const PolicyStep& step, std::vector<DraftChoice>& choices) {
  const int num_sequences = static_cast<int>(step.sequences.size());
  const int64_t context = SumContext(step);
  PlanTerms terms = {.costs = &costs_,
                     .num_sequences = num_sequences,
                     .num_rows = num_sequences + step.num_other_rows + num_fixed_rows_,
                     .num_context = context + step.num_other_context,
                     .num_draft_context = context / num_sequences,
                     .plain_seconds = prices_.plain,
                     .row_seconds = prices_.is_even ? prices_.row : 0,
                     .catch_up_row = prices_.catch_up_row,
                     .max_tokens = num_tokens_left_,
                     .max_loss = ledger_.credit_seconds(),
                     .are_proven = true};
  for (const DraftSource& source : sources_) {
    terms.are_proven = terms.are_proven && IsProven(source.drafter);
  }
  DraftPlan plan = planner_.Plan(terms, sources_, num_drafts_);
  const bool was_on = std::exchange(was_on_, Pays(plan, num_sequences));
  if (was_on_ && CatchUp(step, choices)) {
    terms.max_tokens = num_tokens_left_;
    plan = planner_.Plan(terms, sources_, num_drafts_);
    was_on_ = Pays(plan, num_sequences);
  }
  const double gain = plan.tokens / plan.seconds * (prices_.plain / num_sequences);
  price_ratio_ += kPriceStep * ((was_on_ ? 1 / gain : 1) - price_ratio_);
  expected_gain_ = was_on_ ? gain : 0;
  if (was_on_ && !was_on) num_since_probe_ = 0;
  if (!was_on_) return;
  int num_model_drafts = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].is_model) num_model_drafts += num_drafts_[i];
  }
  const double pass = plan.pass_seconds / std::max(num_model_drafts, 1);
  const float confidence = gate_.Threshold((pass + prices_.row) / prices_.token);
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (num_drafts_[i] == 0) continue;
    ++draft_turn_;
    TakeDrafts(sources_[i], num_drafts_[i], choices[static_cast<size_t>(sources_[i].sequence)]);
    if (sources_[i].is_model) {
      choices[static_cast<size_t>(sources_[i].sequence)].min_confidence = confidence;
    }
  }
}

// Who drafts nothing waits for those who do: such steps must pay for that too. But for those whose
// turn comes next.
bool DraftPolicy::Pays(const DraftPlan& plan, int num_sequences) const {
  if (plan.num_drafts == 0) return false;
  float least = 1;
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (num_drafts_[i] > 0) least = std::min(least, sources_[i].survival[0]);
  }
  int num_served = 0;
  for (size_t i = 0; i < sources_.size(); ++i) {
    num_served += num_drafts_[i] > 0 || sources_[i].survival[0] >= kAlike * least ? 1 : 0;
  }
  const double gain = plan.tokens / plan.seconds * (prices_.plain / num_sequences);
  const double share_waiting = 1 - static_cast<double>(num_served) / num_sequences;
  const double waiting = (plan.seconds / prices_.plain - 1) * share_waiting;
  return gain * candour_ >= (was_on_ ? kGainToGoOn : kGainToStart) + kWaitingShare * waiting;
}

void DraftPolicy::TakeDrafts(const DraftSource& source, int num_drafts, DraftChoice& choice) {
  choice.drafter = source.drafter;
  choice.num_drafts = num_drafts;
  choice.num_catch_up += source.is_model ? source.num_catch_up : 0;
  choice.match_length = source.match_length;
  num_tokens_left_ -= num_drafts + (source.is_model ? source.num_catch_up : 0);
}

// Two drafts of one sequence that drafts nothing now, so that what was given up can come back; of
// the drafters in turn, and where the draft model has least to catch up. A drafter nobody knows yet
// is tried at once.
void DraftPolicy::Probe(const PolicyStep& step, std::vector<DraftChoice>& choices) {
  const size_t count = step.sequences.size();
  int num_idle = 0;
  size_t best = count;
  DraftOffer best_offer;
  double least = std::numeric_limits<double>::infinity();
  for (size_t n = 0; n < count; ++n) {
    const size_t index = (probe_turn_ + n) % count;
    const PolicySequence& sequence = step.sequences[index];
    const DraftChoice& choice = choices[index];
    if (IsFixed(sequence) || NumWanted(sequence) == 0 || sequence.offers.empty()) continue;
    if (was_on_ && sequence.num_missing > kSmallGap) continue;  // left out for its catching up
    if (choice.num_drafts > 0) continue;
    const bool is_catching_up =
        choice.num_catch_up > 0 && choice.num_catch_up < sequence.num_missing;
    if (is_catching_up) continue;
    ++num_idle;
    const DraftOffer& offer = sequence.offers[probe_turn_ % sequence.offers.size()];
    const double cost = ProbeCost(sequence, offer, choice);
    if (cost >= least || offer.max_drafts == 0) continue;
    least = cost;
    best = index;
    best_offer = offer;
  }
  if (num_idle == 0) {
    ProbeDeeper(step, choices);
    return;
  }
  const int interval =
      was_on_ ? std::max(kOnProbeInterval / num_idle, kFirstProbeInterval / 4) : probe_interval_;
  const bool is_new = best < count && !IsProven(best_offer.drafter);
  if (num_since_probe_ < interval && !is_new) return;
  ++probe_turn_;
  num_since_probe_ = 0;
  if (best == count || least > (is_new ? 1 : kProbeCredit) * ledger_.credit_seconds()) return;
  DraftChoice& choice = choices[best];
  const bool is_model = !IsLookup(best_offer.drafter);
  const int num_missing = is_model ? step.sequences[best].num_missing : 0;
  const int num_drafts =
      std::min({NumWanted(step.sequences[best]), kProbeDrafts, best_offer.max_drafts});
  if (num_missing - choice.num_catch_up + num_drafts > num_tokens_left_) return;
  choice = {.drafter = best_offer.drafter,
            .num_drafts = num_drafts,
            .num_catch_up = num_missing,
            .match_length = best_offer.match_length};
  is_probing_ = true;
}

// Two drafts more than pay, where all sequences draft: an unlucky start must not hide for ever that
// later drafts are as good as the first.
void DraftPolicy::ProbeDeeper(const PolicyStep& step, std::vector<DraftChoice>& choices) {
  if (num_since_probe_ < kDeeperProbeInterval) return;
  num_since_probe_ = 0;
  const size_t index = probe_turn_++ % choices.size();
  DraftChoice& choice = choices[index];
  if (choice.num_drafts == 0) return;
  const PolicySequence& sequence = step.sequences[index];
  int most = NumWanted(sequence);
  for (const DraftOffer& offer : sequence.offers) {
    if (offer.drafter == choice.drafter) most = std::min(most, offer.max_drafts);
  }
  const int more = std::min({kProbeDrafts, most - choice.num_drafts, num_tokens_left_});
  if (IsFixed(sequence) || more <= 0) return;
  choice.num_drafts += more;
  choice.min_confidence = 0;
}

double DraftPolicy::ProbeCost(const PolicySequence& sequence, const DraftOffer& offer,
                              const DraftChoice& choice) const {
  const double rows = kProbeDrafts * prices_.row;
  if (IsLookup(offer.drafter)) return rows;
  const int num_missing = sequence.num_missing - choice.num_catch_up;
  return rows + kProbeDrafts * costs_.DraftSeconds(1, sequence.num_context) +
         num_missing * prices_.catch_up_row;
}

}  // namespace runahead
