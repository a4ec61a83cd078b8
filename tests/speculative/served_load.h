// ServedLoad: requests that come and go under a DraftPolicy, with a made-up clock: prompts are
// computed beside decodes, answers end, the next request takes the place. What each step takes and
// which drafts are right is known exactly, so that the same load can be served without drafts, at
// any fixed k and as the policy likes, and compared. One thread.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "speculative/draft_policy.h"
#include "speculative/draft_state.h"
#include "speculative/ngram_drafter.h"
#include "speculative/prediction_drafter.h"

namespace runahead {

// What is asked and what will be answered; no choice of the policy changes it.
struct LoadRequest {
  std::vector<int32_t> prompt = {};
  std::vector<int32_t> output = {};
  std::vector<int32_t> prediction = {};
  int max_tokens = 0;                  // the answer may end before
  std::vector<bool> is_easy = {};      // the draft model gets this output token right
  std::vector<float> confidence = {};  // that it has in what it proposes there
};

struct LoadWorld {
  std::function<double(int)> target;  // seconds by rows
  std::function<double(int)> draft;
  int batch = 1;  // requests at a time
  bool has_model = true;
  bool has_ngram = false;
  bool has_prediction = false;
  double noise = 0;    // standard deviation of what is measured, a share
  double weather = 0;  // likewise, of all that is measured for some steps: a neighbour's doing
};

struct LoadResult {
  double seconds = 0;
  double tokens = 0;
  double drafted = 0;
  double accepted = 0;
  double caught_up = 0;  // draft model's rows
  double num_steps = 0;
  double sequence_steps = 0;
  std::vector<double> ends = {};  // when each request ended

  double rate() const { return tokens / seconds; }
  double mean_k() const { return drafted / std::max(1.0, sequence_steps); }
};

class ServedLoad {
 public:
  ServedLoad(DraftPolicy& policy, const LoadWorld& world, unsigned seed)
      : policy_(policy), world_(world), random_(seed) {}

  // All requests, `batch` of them at a time.
  LoadResult Serve(std::span<const LoadRequest> requests, const SpeculationParams& params) {
    result_ = {};
    params_ = params;
    waiting_ = requests;
    running_.clear();
    for (;;) {
      while (!waiting_.empty() && running_.size() < static_cast<size_t>(world_.batch)) Admit();
      if (running_.empty()) return std::move(result_);
      Step();
    }
  }

 private:
  static constexpr int kMaxStepTokens = 2048;
  static constexpr int kMergedRows = 2;  // ModelDrafter's
  static constexpr double kWeatherStays = 0.9;

  struct Sequence {
    const LoadRequest* request = nullptr;
    std::vector<int32_t> tokens = {};
    int num_computed = 0;        // of the target's
    int num_draft_computed = 0;  // of the draft model's
    std::unique_ptr<DraftState> state = {};
    // Of the step.
    int num_rows = 0;
    DraftChoice choice = {};
    std::vector<int32_t> drafts = {};
    bool was_unsure = false;

    int num_tokens() const { return static_cast<int>(tokens.size()); }
    int num_output() const { return num_tokens() - static_cast<int>(request->prompt.size()); }
    int num_left() const { return request->max_tokens - num_output(); }
    bool has_ended() const { return num_output() == static_cast<int>(request->output.size()); }
    bool decodes() const { return num_tokens() - num_computed == 1; }
    int num_missing() const { return num_tokens() - 1 - num_draft_computed; }
  };

  void Admit() {
    Sequence sequence;
    sequence.request = &waiting_.front();
    sequence.tokens = waiting_.front().prompt;
    sequence.state = std::make_unique<DraftState>();
    sequence.state->prediction.SetPrediction(waiting_.front().prediction);
    running_.push_back(std::move(sequence));
    waiting_ = waiting_.subspan(1);
  }

  double Measured(double seconds) {
    result_.seconds += seconds;
    seconds *= std::exp(weather_);
    if (world_.noise == 0) return seconds;
    return seconds * std::max(0.7, std::normal_distribution<double>(1, world_.noise)(random_));
  }

  static Duration ToDuration(double seconds) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }

  std::span<const DraftOffer> OffersOf(Sequence& sequence,
                                       std::array<DraftOffer, kNumDrafterKinds>& offers) const {
    size_t count = 0;
    const auto add = [&](const DraftOffer& offer) {
      if (offer.max_drafts > 0) offers[count++] = offer;
    };
    if (world_.has_ngram) {
      sequence.state->ngram.Extend(sequence.tokens, sequence.num_tokens());
      add(NgramDrafter::Offer(*sequence.state, sequence.num_tokens()));
    }
    if (world_.has_prediction) {
      sequence.state->prediction.Follow(
          std::span(sequence.tokens).subspan(sequence.request->prompt.size()));
      add(PredictionDrafter::Offer(*sequence.state));
    }
    if (world_.has_model) add({.drafter = DrafterKind::kModel, .max_drafts = kMaxDrafts});
    return std::span(offers).first(count);
  }

  void Decide(int num_prefill) {
    decoding_.clear();
    policy_sequences_.clear();
    offers_.resize(running_.size());
    for (Sequence& sequence : running_) {
      if (!sequence.decodes()) continue;
      const int max_drafts = std::min(params_.max_tokens, sequence.num_left() - 1);
      const bool is_off = params_.mode == SpeculationMode::kOff || max_drafts <= 0;
      policy_sequences_.push_back(
          {.params = params_,
           .offers = is_off ? std::span<const DraftOffer>()
                            : OffersOf(sequence, offers_[decoding_.size()]),
           .history = &sequence.state->history,
           .num_missing = is_off || !world_.has_model ? 0 : sequence.num_missing(),
           .num_context = sequence.num_tokens(),
           .max_drafts = is_off ? 0 : max_drafts,
           .num_left = sequence.num_left()});
      decoding_.push_back(&sequence);
    }
    if (decoding_.empty()) return;
    policy_.Decide(
        {.sequences = policy_sequences_,
         .num_other_rows = num_prefill,
         .max_tokens = kMaxStepTokens - num_prefill - static_cast<int>(decoding_.size())},
        choices_);
    for (size_t i = 0; i < decoding_.size(); ++i) decoding_[i]->choice = choices_[i];
  }

  // As ModelDrafter does: what lags behind first, then pass by pass, whoever is unsure stopping.
  void DraftWithModel() {
    DraftPass catching_up = {.is_catch_up = true};
    for (Sequence* sequence : decoding_) {
      const DraftChoice& choice = sequence->choice;
      if (choice.num_catch_up == 0) continue;
      if (choice.num_drafts > 0 && choice.drafter == DrafterKind::kModel &&
          choice.num_catch_up <= kMergedRows) {
        continue;
      }
      catching_up.num_rows += choice.num_catch_up;
      ++catching_up.num_sequences;
      sequence->num_draft_computed += choice.num_catch_up;
    }
    AddPass(catching_up);
    for (int position = 0; position < kMaxDrafts; ++position) {
      DraftPass pass;
      for (Sequence* sequence : decoding_) {
        const DraftChoice& choice = sequence->choice;
        if (choice.drafter != DrafterKind::kModel || choice.num_drafts <= position) continue;
        if (static_cast<int>(sequence->drafts.size()) < position || sequence->was_unsure) continue;
        pass.num_rows += 1 + (position == 0 ? sequence->num_missing() : 0);
        ++pass.num_sequences;
        const LoadRequest& request = *sequence->request;
        const size_t at = std::min(static_cast<size_t>(sequence->num_output() + position),
                                   request.output.size() - 1);
        sequence->drafts.push_back(request.is_easy[at] ? request.output[at] : -1);
        sequence->num_draft_computed = sequence->num_tokens() + position;
        sequence->was_unsure =
            position + 1 < choice.num_drafts && request.confidence[at] < choice.min_confidence;
      }
      AddPass(pass);
    }
  }

  void AddPass(DraftPass& pass) {
    if (pass.num_rows == 0) return;
    if (pass.is_catch_up) result_.caught_up += pass.num_rows;
    pass.time = ToDuration(Measured(world_.draft(pass.num_rows)));
    passes_.push_back(pass);
  }

  void Draft() {
    passes_.clear();
    for (Sequence* sequence : decoding_) {
      const DraftChoice& choice = sequence->choice;
      if (choice.num_drafts == 0 || !IsLookup(choice.drafter)) continue;
      std::array<DraftTask, 1> task = {{{.tokens = sequence->tokens,
                                         .max_drafts = choice.num_drafts,
                                         .state = sequence->state.get()}}};
      if (choice.drafter == DrafterKind::kNgram) {
        NgramDrafter().Propose(task);
      } else {
        PredictionDrafter().Propose(task);
      }
      sequence->drafts.assign(task[0].proposed().begin(), task[0].proposed().end());
    }
    DraftWithModel();
  }

  // An autoregressive process: what a step met is mostly what the next will meet.
  void ChangeWeather() {
    if (world_.weather == 0) return;
    const double fresh = world_.weather * std::sqrt(1 - kWeatherStays * kWeatherStays);
    weather_ = kWeatherStays * weather_ + std::normal_distribution<double>(0, fresh)(random_);
  }

  void Step() {
    ChangeWeather();
    int budget = kMaxStepTokens;
    int num_prefill = 0;
    for (Sequence& sequence : running_) {
      sequence.choice = {};
      sequence.drafts.clear();
      sequence.was_unsure = false;
      budget -= sequence.decodes() ? 1 : 0;
    }
    for (Sequence& sequence : running_) {
      if (sequence.decodes()) {
        sequence.num_rows = 1;
        continue;
      }
      sequence.num_rows = std::min(budget, sequence.num_tokens() - sequence.num_computed);
      budget -= sequence.num_rows;
      num_prefill += sequence.num_rows;
    }
    Decide(num_prefill);
    Draft();
    Run();
    std::erase_if(running_, [](const Sequence& sequence) { return sequence.has_ended(); });
  }

  void Run() {
    StepOutcome outcome = {.passes = passes_};
    for (const Sequence& sequence : running_) {
      outcome.num_rows += sequence.num_rows + static_cast<int>(sequence.drafts.size());
      outcome.num_context += sequence.num_computed + sequence.num_rows;
    }
    outcome.target = ToDuration(Measured(world_.target(outcome.num_rows)));
    outcomes_.clear();
    for (Sequence& sequence : running_) Apply(sequence);
    outcome.sequences = outcomes_;
    policy_.Observe(outcome);
    ++result_.num_steps;
  }

  void Apply(Sequence& sequence) {
    sequence.num_computed += sequence.num_rows;
    if (sequence.num_computed < sequence.num_tokens()) return;
    const LoadRequest& request = *sequence.request;
    const size_t begin = static_cast<size_t>(sequence.num_output());
    const int left = static_cast<int>(request.output.size() - begin);
    int accepted = 0;
    for (const int32_t draft : sequence.drafts) {
      // Behind the answer's end the models go on agreeing, in vain.
      if (accepted < left ? draft != request.output[begin + static_cast<size_t>(accepted)]
                          : draft < 0) {
        break;
      }
      ++accepted;
    }
    const int emitted = std::min(1 + accepted, left);
    const int num_verified = sequence.num_tokens() + accepted;
    sequence.num_computed = num_verified;
    sequence.num_draft_computed = std::min(sequence.num_draft_computed, num_verified);
    const auto kind = sequence.drafts.empty() ? DrafterKind::kNone : sequence.choice.drafter;
    outcomes_.push_back({.drafter = kind,
                         .num_drafted = static_cast<int>(sequence.drafts.size()),
                         .num_accepted = accepted,
                         .num_emitted = emitted,
                         .num_context = sequence.num_tokens(),
                         .match_length = sequence.choice.match_length,
                         .is_fixed = params_.mode == SpeculationMode::kFixed,
                         .was_unsure = sequence.was_unsure,
                         .history = &sequence.state->history[static_cast<size_t>(kind)]});
    for (int i = 0; i < emitted; ++i) {
      sequence.tokens.push_back(request.output[static_cast<size_t>(sequence.num_output())]);
    }
    result_.tokens += emitted;
    result_.drafted += static_cast<double>(sequence.drafts.size());
    result_.accepted += accepted;
    ++result_.sequence_steps;
    if (sequence.has_ended()) result_.ends.push_back(result_.seconds);
  }

  DraftPolicy& policy_;
  const LoadWorld world_;
  std::mt19937 random_;
  double weather_ = 0;  // logarithm
  SpeculationParams params_;
  std::span<const LoadRequest> waiting_;
  std::vector<Sequence> running_;
  LoadResult result_;
  // Of the step.
  std::vector<Sequence*> decoding_;
  std::vector<std::array<DraftOffer, kNumDrafterKinds>> offers_;
  std::vector<PolicySequence> policy_sequences_;
  std::vector<DraftChoice> choices_;
  std::vector<DraftPass> passes_;
  std::vector<StepOutcome::Sequence> outcomes_;
};

}  // namespace runahead
