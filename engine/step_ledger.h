// StepLedger: gathers what one turn of the engine's loop counts, and books it as one change. Engine
// thread only.
#pragma once

#include <cstdint>
#include <vector>

#include "core/clock.h"
#include "engine/active_request.h"
#include "engine/metrics.h"

namespace runahead {

// What is counted from containers at the end of a turn.
struct EngineGauges {
  uint64_t waiting = 0;
  uint64_t running = 0;
  int num_blocks = 0;
  int used_blocks = 0;
  int cached_blocks = 0;
  uint64_t preemptions = 0;
  uint64_t prefix_query_tokens = 0;
  uint64_t prefix_hit_tokens = 0;
  double draft_length = 0;
  double speculation_loss_seconds = 0;
  double speculation_booked_seconds = 0;
  bool speculation_rests = false;
};

// One sequence's drafts of one step.
struct JudgedDraft {
  DrafterKind drafter = DrafterKind::kNone;
  int num_drafted = 0;   // at least 1
  int num_accepted = 0;  // those past a stop or a limit included
};

class StepLedger {
 public:
  void CountAdmitted() { ++num_admitted_; }
  // A request's first step; its cached tokens are known.
  void CountScheduled(const ActiveRequest& request);
  void CountFirstToken(const ActiveRequest& request);
  // `count` tokens of one choice came `gap` after the one before them.
  void CountGap(Duration gap, int count);
  // `count` tokens of one choice came together with its first.
  void CountFirstGap(int count) { together_ += static_cast<uint64_t>(count); }
  void CountGenerated(int count) { generated_ += static_cast<uint64_t>(count); }
  void CountDiscarded(int count) { discarded_ += static_cast<uint64_t>(count); }
  // Once per request. `phase` matters to those cancelled or expired.
  void CountOutcome(const ActiveRequest& request, FinishReason outcome, RequestPhase phase,
                    TimePoint now);
  // One sequence in one step of the target that wanted a token of it.
  void CountRun(int num_emitted) { runs_.push_back(num_emitted); }
  void CountDraft(const JudgedDraft& draft) { drafts_.push_back(draft); }
  void CountCatchUp(int num_tokens) { catch_up_ += static_cast<uint64_t>(num_tokens); }
  void CountDrafting(Duration time) { drafting_.push_back(Seconds(time)); }
  void CountVerifying(Duration time) { verifying_.push_back(Seconds(time)); }
  void CountStep(int num_sequences, int num_tokens, Duration total, Duration host);

  void Commit(const EngineGauges& gauges, Metrics& metrics);

 private:
  struct Scheduled {
    double queue_seconds;
    int prompt_tokens;
    int cached_tokens;
  };
  struct FirstToken {
    double prefill_seconds;
    double ttft_seconds;
  };
  struct Gap {
    double seconds;
    int count;
  };
  struct Outcome {
    FinishReason reason;
    RequestPhase phase;
    double e2e_seconds;
    double decode_seconds;     // negative: no token came
    double inference_seconds;  // likewise
    int prompt_tokens;
    int cached_tokens;
    int generated_tokens;
    int longest_tokens;
    int max_tokens;
    int num_choices;
  };
  struct Step {
    int num_sequences;
    int num_tokens;
    double total_seconds;
    double host_seconds;
  };

  void Book(MetricsSnapshot& counts) const;
  void BookDrafts(MetricsSnapshot& counts) const;
  static void BookOutcome(const Outcome& outcome, MetricsSnapshot& counts);
  static void BookGauges(const EngineGauges& gauges, MetricsSnapshot& counts);
  void Clear();

  uint64_t num_admitted_ = 0;
  uint64_t generated_ = 0;
  uint64_t discarded_ = 0;
  uint64_t together_ = 0;
  std::vector<Scheduled> scheduled_;
  std::vector<FirstToken> first_tokens_;
  std::vector<Gap> gaps_;
  std::vector<Outcome> outcomes_;
  std::vector<Step> steps_;  // none or one
  std::vector<int> runs_;    // tokens emitted
  std::vector<JudgedDraft> drafts_;
  std::vector<double> drafting_;   // seconds; none or one
  std::vector<double> verifying_;  // likewise
  uint64_t catch_up_ = 0;
};

}  // namespace runahead
