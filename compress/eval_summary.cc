#include "compress/eval_summary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "nlohmann/json.hpp"

namespace runahead {
namespace {

template <typename Figure>
MeanAndError MeanOf(const std::vector<RowScore>& scores, const Figure& figure) {
  const auto n = static_cast<double>(scores.size());
  if (scores.empty()) return {};
  double sum = 0;
  for (const RowScore& score : scores) sum += figure(score);
  const double mean = sum / n;
  double squares = 0;
  for (const RowScore& score : scores) squares += std::pow(figure(score) - mean, 2);
  return {mean, n > 1 ? std::sqrt(squares / (n - 1) / n) : 0};
}

std::string Line(const char* label, const char* format, double value, double error) {
  std::array<char, 160> text = {};
  std::snprintf(text.data(), text.size(), format, label, value, error);
  return text.data();
}

}  // namespace

double EvalSummary::Perplexity() const { return std::exp(nll.mean); }
double EvalSummary::ReferencePerplexity() const { return std::exp(reference_nll.mean); }

void EvalScores::Add(const RowScore& score) { scores_.push_back(score); }

EvalSummary EvalScores::Summarize() const {
  EvalSummary summary;
  summary.num_tokens = static_cast<int64_t>(scores_.size());
  summary.has_reference = has_reference_;
  summary.nll = MeanOf(scores_, [](const RowScore& s) { return s.nll; });
  if (!has_reference_ || scores_.empty()) return summary;
  summary.reference_nll = MeanOf(scores_, [](const RowScore& s) { return s.reference_nll; });
  summary.kl = MeanOf(scores_, [](const RowScore& s) { return s.kl; });
  const auto square = [](const RowScore& s) { return s.DeltaP() * s.DeltaP(); };
  summary.rms_delta_p = std::sqrt(MeanOf(scores_, square).mean);
  summary.same_top = MeanOf(scores_, [](const RowScore& s) { return s.has_same_top ? 1 : 0; }).mean;
  std::vector<double> kls;
  for (const RowScore& score : scores_) kls.push_back(score.kl);
  std::sort(kls.begin(), kls.end());
  summary.kl_99 = kls[(kls.size() * 99 + 99) / 100 - 1];
  summary.kl_max = kls.back();
  return summary;
}

std::string ToTable(const EvalSummary& summary) {
  constexpr const char* kPlain = "%-22s %12.6f\n";
  constexpr const char* kWithError = "%-22s %12.6f +- %.6f\n";
  // The error of exp(mean) is exp(mean) times that of the mean.
  const auto perplexity = [&](const char* label, const MeanAndError& nll) {
    return Line(label, kWithError, std::exp(nll.mean), std::exp(nll.mean) * nll.error);
  };
  std::string text = perplexity("perplexity", summary.nll);
  if (!summary.has_reference) return text;
  return text + perplexity("reference perplexity", summary.reference_nll) +
         Line("mean KL", kWithError, summary.kl.mean, summary.kl.error) +
         Line("KL, 99 % of tokens", kPlain, summary.kl_99, 0) +
         Line("largest KL", kPlain, summary.kl_max, 0) +
         Line("RMS delta-p", "%-22s %12.4f %%\n", 100 * summary.rms_delta_p, 0) +
         Line("same top-1", "%-22s %12.4f %%\n", 100 * summary.same_top, 0);
}

std::string ToJson(const EvalSummary& summary) {
  nlohmann::ordered_json json = {{"tokens", summary.num_tokens},
                                 {"perplexity", summary.Perplexity()},
                                 {"nll", summary.nll.mean},
                                 {"nll_error", summary.nll.error}};
  if (summary.has_reference) {
    json["reference_perplexity"] = summary.ReferencePerplexity();
    json["reference_nll"] = summary.reference_nll.mean;
    json["mean_kl"] = summary.kl.mean;
    json["mean_kl_error"] = summary.kl.error;
    json["kl_99"] = summary.kl_99;
    json["max_kl"] = summary.kl_max;
    json["rms_delta_p"] = summary.rms_delta_p;
    json["same_top_1"] = summary.same_top;
  }
  return json.dump(2);
}

}  // namespace runahead
