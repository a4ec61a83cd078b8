// What an evaluation says of a text: perplexity, and how far a model is from its reference. Value
// types.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compress/row_score.h"

namespace runahead {

// A mean with the standard error it has as one of independent tokens.
struct MeanAndError {
  double mean = 0;
  double error = 0;
};

// Figures of a reference stay 0 without one.
struct EvalSummary {
  int64_t num_tokens = 0;  // scored
  bool has_reference = false;
  MeanAndError nll;  // nats a token
  MeanAndError reference_nll;
  MeanAndError kl;   // KL(reference || model), nats a token
  double kl_99 = 0;  // 99 of 100 tokens have no more
  double kl_max = 0;
  double rms_delta_p = 0;  // of the text's tokens' probabilities
  double same_top = 0;     // share of tokens

  double Perplexity() const;
  double ReferencePerplexity() const;
};

// Gathers scores in any order.
class EvalScores {
 public:
  explicit EvalScores(bool has_reference) : has_reference_(has_reference) {}

  void Add(const RowScore& score);
  EvalSummary Summarize() const;

 private:
  bool has_reference_;
  std::vector<RowScore> scores_;
};

// Lines for people; one JSON object for machines.
std::string ToTable(const EvalSummary& summary);
std::string ToJson(const EvalSummary& summary);

}  // namespace runahead
