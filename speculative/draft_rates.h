// DraftRates: what is known of how often drafts are accepted, over all requests and of a sequence.
// Engine thread only.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "core/speculation.h"
#include "speculative/acceptance.h"

namespace runahead {

// A history per drafter; for lookup drafters also one per length of the match, because what
// followed a long match is far likelier to follow again.
//
// A sequence is judged by its rejected drafts against those expected: rejection is `ratio` times as
// likely as for others, where the ratio leans on 1 as strongly as sequences are alike. How alike
// they are is measured: what a sequence's record says too much or too little predicts what its next
// draft does only as far as sequences differ (a gamma prior of that variance; Robbins 1956). With
// requests much alike, a record of their luck would make plans worse than none.
class DraftRates {
 public:
  DraftRates();

  // `record`, of the sequence, is updated; may be null.
  void Observe(DrafterKind kind, int match_length, int num_drafted, int num_accepted,
               AcceptanceRecord* record);

  // P(drafts 0..i are all accepted), for a sequence with this record (may be null). Fills
  // `survival` until it falls below `least` and returns how many it filled.
  int Survival(DrafterKind kind, int match_length, const AcceptanceRecord* record, float least,
               std::span<float> survival) const;

  const AcceptanceHistory& prior(DrafterKind kind) const {
    return priors_[static_cast<size_t>(kind)];
  }
  // Of a first draft, over all requests.
  double FirstRate(DrafterKind kind) const { return prior_rates_[static_cast<size_t>(kind)][0]; }
  // Variance of the sequences' ratios.
  double Spread(DrafterKind kind) const;

  static constexpr size_t kNumLengths = 8;  // of matches: none, 1, 2, 3, to 5, to 8, to 16, more

 private:
  using Rates = std::array<double, kMaxDrafts>;

  // Decayed sums over steps of sequences: of products of what the record and the step say too much,
  // and of what they would be if sequences differed by a variance of 1.
  struct Likeness {
    double products = 0;
    double expected = 0;
  };

  static size_t LengthBucket(int match_length);
  double RatioOf(DrafterKind kind, const AcceptanceRecord* record) const;
  const Rates& RatesOf(DrafterKind kind, int match_length) const;
  void NoteRecord(DrafterKind kind, const Rates& rates, int num_drafted, int num_accepted,
                  AcceptanceRecord& record);

  std::array<AcceptanceHistory, kNumDrafterKinds> priors_;
  std::array<Rates, kNumDrafterKinds> prior_rates_;  // as priors_ say
  std::array<std::array<AcceptanceHistory, kNumLengths>, kNumDrafterKinds> by_length_;
  std::array<std::array<Rates, kNumLengths>, kNumDrafterKinds> rates_by_length_;
  std::array<Likeness, kNumDrafterKinds> likeness_ = {};
};

constexpr bool IsLookup(DrafterKind kind) {
  return kind == DrafterKind::kNgram || kind == DrafterKind::kPrediction;
}

}  // namespace runahead
