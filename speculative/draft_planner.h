// DraftPlanner: how far to draft for each sequence of a step, given what each draft may bring and
// what passes cost. Engine thread only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/speculation.h"
#include "speculative/cost_model.h"

namespace runahead {

// What one sequence's drafter may bring.
struct DraftSource {
  int sequence = 0;  // index in the step
  DrafterKind drafter = DrafterKind::kNone;
  int match_length = 0;
  bool is_model = false;                        // its drafts take passes of the draft model
  int num_catch_up = 0;                         // tokens that its first pass has to make up for
  int num_drafts = 0;                           // survival known
  std::array<float, kMaxDrafts> survival = {};  // P(drafts 0..i are all accepted), falling
};

// Seconds of target and draft model, and the limits of a plan.
struct PlanTerms {
  const CostModel* costs = nullptr;
  int num_sequences = 0;          // that get a token anyhow
  int num_rows = 0;               // of the target without these drafts
  int64_t num_context = 0;        // of the target
  int64_t num_draft_context = 0;  // a sequence's, on average
  double plain_seconds = 0;       // of the step without drafts, prefill left out
  double row_seconds = 0;         // of one more of the target's; 0: as costs say
  double catch_up_row = 0;        // seconds
  int max_tokens = 0;             // drafts and tokens caught up
  // Seconds that a plan may cost if nothing is accepted; or, where its drafters are proven and its
  // rows were measured while serving, if half of what is expected is.
  double max_loss = 0;
  bool are_proven = false;
};

struct DraftPlan {
  double tokens = 0;        // expected
  double seconds = 0;       // prefill left out
  double pass_seconds = 0;  // of them, the draft model's
  int num_drafts = 0;
};

class DraftPlanner {
 public:
  // The plan with the most expected tokens per second (the shortest of those within 1 % of it),
  // that of no drafts included, among those that take the likeliest drafts first; num_drafts[i] is
  // what source i should draft.
  DraftPlan Plan(const PlanTerms& terms, std::span<const DraftSource> sources,
                 std::vector<int>& num_drafts);

 private:
  struct Candidate {
    uint16_t source = 0;
    uint8_t position = 0;
    uint8_t level = 0;
    float survival = 0;
  };

  struct End {
    DraftPlan plan;
    size_t num_candidates = 0;
  };

  static bool IsKnown(const PlanTerms& terms, int num_drafts);
  static bool IsAllowed(const PlanTerms& terms, const DraftPlan& plan);
  void Sort(std::span<const DraftSource> sources);
  void Weigh(const PlanTerms& terms, std::span<const DraftSource> sources);
  End ShortestOfTheBest(const PlanTerms& terms) const;
  void MeasurePasses(const PlanTerms& terms, size_t num_model);

  std::vector<Candidate> unsorted_;
  std::vector<Candidate> candidates_;  // likeliest first, in levels of about 4 %
  std::vector<End> ends_;              // plans weighed, shortest first
  std::vector<double> pass_seconds_;   // [n]: a pass over n sequences
};

}  // namespace runahead
