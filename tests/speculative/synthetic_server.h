// SyntheticServer: a batch of endless sequences under a DraftPolicy, with a made-up clock: true
// costs and acceptance are known exactly, so that what the policy achieves can be compared with
// what could be achieved. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "speculative/draft_policy.h"

namespace runahead {

// Seconds of one pass by rows; times are scaled by what `drift` says.
struct SyntheticCosts {
  std::function<double(int)> target;
  std::function<double(int)> draft;
};

// Measured on a CPU with a 1 B model in BF16: flat to 8 rows, then dearer.
inline double CpuSeconds(int rows) {
  constexpr std::array<std::pair<int, double>, 6> kMeasured = {
      {{1, 1.0}, {4, 1.02}, {8, 1.03}, {16, 1.29}, {32, 1.82}, {1088, 36}}};
  for (size_t i = 1; i < kMeasured.size(); ++i) {
    const auto [rows0, time0] = kMeasured[i - 1];
    const auto [rows1, time1] = kMeasured[i];
    if (rows <= rows1) return time0 + (time1 - time0) * (rows - rows0) / (rows1 - rows0);
  }
  return kMeasured.back().second;
}

// A GPU far from its knee.
inline double FlatSeconds(int rows) { return 1 + 0.0006 * rows; }

inline SyntheticCosts CpuCosts() {
  return {CpuSeconds, [](int rows) { return 0.1 * CpuSeconds(rows); }};
}
inline SyntheticCosts FlatCosts() {
  return {FlatSeconds, [](int rows) { return 0.08 * FlatSeconds(rows); }};
}

struct SyntheticWorld {
  SyntheticCosts costs = CpuCosts();
  int batch = 1;
  double acceptance = 0.7;  // of each draft, independently
  double noise = 0;         // standard deviation, a share of each duration
  double spike_rate = 0;    // of passes that take five times as long
  int num_missing = 0;      // prompt tokens that the draft model starts without
  SpeculationParams params = {};
};

class SyntheticServer {
 public:
  SyntheticServer(DraftPolicy& policy, const SyntheticWorld& world, unsigned seed = 1)
      : policy_(policy), world_(world), random_(seed) {
    histories_.resize(static_cast<size_t>(world.batch));
    missing_.assign(static_cast<size_t>(world.batch), world.num_missing);
    offer_ = {.drafter = DrafterKind::kModel, .max_drafts = kMaxDrafts};
  }

  SyntheticWorld& world() { return world_; }
  void set_scale(double target, double draft) {
    target_scale_ = target;
    draft_scale_ = draft;
  }

  // All sequences end and others take their places.
  void Renew() {
    histories_.assign(histories_.size(), {});
    missing_.assign(missing_.size(), world_.num_missing);
  }

  void Step() {
    sequences_.assign(histories_.size(), {});
    for (size_t i = 0; i < histories_.size(); ++i) {
      sequences_[i] = {.params = world_.params,
                       .offers = std::span(&offer_, 1),
                       .history = &histories_[i],
                       .num_missing = missing_[i],
                       .num_context = 100,
                       .max_drafts = kMaxDrafts};
    }
    policy_.Decide({.sequences = sequences_, .max_tokens = 2048}, choices_);
    Run();
  }

  // Since the last Reset.
  double seconds() const { return seconds_; }
  double tokens() const { return tokens_; }
  double expected_tokens() const { return expected_; }     // without the luck of the draw
  double plain_seconds() const { return plain_seconds_; }  // the same tokens without drafts
  double mean_drafts() const { return drafted_ / std::max(1.0, num_steps_); }  // a sequence's
  const std::vector<int>& num_missing() const { return missing_; }
  const std::vector<DraftChoice>& choices() const { return choices_; }
  double num_steps() const { return num_steps_; }
  double num_speculative_steps() const { return num_speculative_; }
  void Reset() {
    seconds_ = tokens_ = expected_ = plain_seconds_ = drafted_ = num_steps_ = num_speculative_ = 0;
  }

  // Tokens per second at a fixed k, without noise.
  double Rate(int k) const {
    const double tokens = 1 + ExpectedAccepted(k);
    const double seconds = target_scale_ * world_.costs.target(world_.batch * (k + 1)) +
                           k * draft_scale_ * world_.costs.draft(world_.batch);
    return world_.batch * tokens / seconds;
  }
  double BestRate() const {
    double best = 0;
    for (int k = 0; k <= kMaxDrafts; ++k) best = std::max(best, Rate(k));
    return best;
  }

  double ExpectedAccepted(int k) const {
    double sum = 0;
    for (int i = 1; i <= k; ++i) sum += std::pow(world_.acceptance, i);
    return sum;
  }

 private:
  // What is measured; what it takes is counted without the noise, which nobody can decide about.
  double Noisy(double seconds) {
    step_seconds_ += seconds;
    if (world_.noise > 0) {
      seconds *= std::max(0.5, std::normal_distribution<double>(1, world_.noise)(random_));
    }
    if (world_.spike_rate > 0 && std::bernoulli_distribution(world_.spike_rate)(random_))
      seconds *= 5;
    return seconds;
  }

  static Duration ToDuration(double seconds) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }

  void Draft() {
    passes_.clear();
    for (int position = 0;; ++position) {
      DraftPass pass;
      bool is_catch_up = true;
      for (size_t i = 0; i < choices_.size(); ++i) {
        const DraftChoice& choice = choices_[i];
        if (choice.drafter != DrafterKind::kModel) continue;
        const bool draws = choice.num_drafts > position;
        const int rows = (draws ? 1 : 0) + (position == 0 ? choice.num_catch_up : 0);
        if (rows == 0) continue;
        pass.num_rows += rows;
        ++pass.num_sequences;
        is_catch_up = is_catch_up && !draws;
      }
      if (pass.num_rows == 0) return;
      pass.is_catch_up = is_catch_up;
      pass.time = ToDuration(Noisy(draft_scale_ * world_.costs.draft(pass.num_rows)));
      passes_.push_back(pass);
    }
  }

  void Run() {
    step_seconds_ = 0;
    Draft();
    outcomes_.clear();
    int num_rows = 0;
    bool is_speculative = !passes_.empty();
    for (size_t i = 0; i < choices_.size(); ++i) {
      const DraftChoice& choice = choices_[i];
      int accepted = 0;
      std::bernoulli_distribution accepts(world_.acceptance);
      while (accepted < choice.num_drafts && accepts(random_)) ++accepted;
      missing_[i] -= choice.num_catch_up;
      if (choice.num_drafts == 0) {
        missing_[i] += 1;
      } else {
        missing_[i] = accepted == choice.num_drafts ? 1 : 0;
        is_speculative = true;
      }
      num_rows += 1 + choice.num_drafts;
      tokens_ += 1 + accepted;
      expected_ += 1 + ExpectedAccepted(choice.num_drafts);
      plain_seconds_ +=
          target_scale_ * world_.costs.target(world_.batch) * (1 + accepted) / world_.batch;
      drafted_ += choice.num_drafts / static_cast<double>(world_.batch);
      outcomes_.push_back({.drafter = choice.num_drafts > 0 ? choice.drafter : DrafterKind::kNone,
                           .num_drafted = choice.num_drafts,
                           .num_accepted = accepted,
                           .num_emitted = 1 + accepted,
                           .num_context = 100,
                           .match_length = choice.match_length,
                           .is_fixed = world_.params.mode == SpeculationMode::kFixed,
                           .history = &histories_[i][static_cast<size_t>(choice.drafter)]});
    }
    const Duration target = ToDuration(Noisy(target_scale_ * world_.costs.target(num_rows)));
    policy_.Observe({.sequences = outcomes_,
                     .num_rows = num_rows,
                     .num_context = 100 * world_.batch,
                     .target = target,
                     .passes = passes_});
    seconds_ += step_seconds_;
    ++num_steps_;
    if (is_speculative) ++num_speculative_;
  }

  DraftPolicy& policy_;
  SyntheticWorld world_;
  std::mt19937 random_;
  DraftOffer offer_;
  std::vector<std::array<AcceptanceRecord, kNumDrafterKinds>> histories_;
  std::vector<int> missing_;
  std::vector<PolicySequence> sequences_;
  std::vector<DraftChoice> choices_;
  std::vector<DraftPass> passes_;
  std::vector<StepOutcome::Sequence> outcomes_;
  double target_scale_ = 1;
  double draft_scale_ = 1;
  double step_seconds_ = 0;
  double seconds_ = 0;
  double tokens_ = 0;
  double expected_ = 0;
  double plain_seconds_ = 0;
  double drafted_ = 0;
  double num_steps_ = 0;
  double num_speculative_ = 0;
};

}  // namespace runahead
