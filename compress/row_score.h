// How two models' logits judge one token: its probability in each, and how far the two
// distributions lie apart. Pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace runahead {

// Natural logarithms, computed in double.
struct RowScore {
  double nll = 0;  // -log of the token's probability
  // Against a reference; 0 without one.
  double reference_nll = 0;
  double kl = 0;             // KL(reference || model), never below 0
  bool has_same_top = true;  // whether both find the same token the most likely
  // A NaN, +inf or nothing but -inf: the row is no distribution, the rest means nothing.
  bool is_broken = false;

  // Probability of the token in the model less that in the reference.
  double DeltaP() const;
};

// `token` is an index of `logits` [V].
RowScore ScoreRow(std::span<const float> logits, int32_t token);
// `reference` [V] are the reference's logits of the same row.
RowScore ScoreRow(std::span<const float> logits, std::span<const float> reference, int32_t token);

}  // namespace runahead
