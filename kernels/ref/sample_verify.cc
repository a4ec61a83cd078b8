#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/ref/ops.h"

namespace runahead::ref {
namespace {

constexpr double kBanned = -std::numeric_limits<double>::infinity();

// Standard Gumbel noise of one token.
double Gumbel(const SampleRow& row, NoisePurpose purpose, int32_t token) {
  const auto id = static_cast<uint32_t>(token);
  const float u = UniformOpen(NoiseWords(row.key, row.position, purpose, id / 4)[id % 4]);
  return -std::log(-std::log(double{u}));
}

// The token of the highest score, lowest id among equals; 0 where every score is -infinity or NaN.
int32_t ArgMax(int64_t vocab, const std::function<double(int32_t)>& score) {
  int32_t best = 0;
  double highest = kBanned;
  for (int32_t id = 0; id < vocab; ++id) {
    const double s = score(id);
    if (s > highest) {
      highest = s;
      best = id;
    }
  }
  return best;
}

class RowSampler {
 public:
  RowSampler(const SampleVerifyArgs& args, int64_t r)
      : args_(args), r_(r), row_(args.rows[static_cast<size_t>(r)]), vocab_(args.logits.dim(1)) {}

  // Greedy, or argmax of logit + noise of `purpose`.
  int32_t Draw(NoisePurpose purpose) const {
    return ArgMax(vocab_, [&](int32_t id) {
      const double l = Logit(id);
      return row_.greedy || l == kBanned ? l : l + Gumbel(row_, purpose, id);
    });
  }

  // True when rejection sampling takes `draft`; else `token` is the residual draw.
  bool Judge(int32_t draft, int32_t& token) const {
    if (row_.greedy) {
      token = Draw(NoisePurpose::kTarget);
      return token == draft;
    }
    const std::vector<double> p = Softmax(args_.logits.Row<float>(r_));
    const std::vector<double> q = DraftProbabilities(draft);
    const double coin =
        UniformOpen(NoiseWords(row_.key, row_.position, NoisePurpose::kAccept, 0)[0]);
    token = draft;
    if (coin * q[static_cast<size_t>(draft)] < p[static_cast<size_t>(draft)]) return true;
    token = ArgMax(vocab_, [&](int32_t id) {
      const double residual = p[static_cast<size_t>(id)] - q[static_cast<size_t>(id)];
      if (!(residual > 0)) return kBanned;
      return std::log(residual) + Gumbel(row_, NoisePurpose::kResidual, id);
    });
    // Rounding may leave nothing of a residual that is next to nothing.
    const auto drawn = static_cast<size_t>(token);
    if (!(p[drawn] > q[drawn])) token = Draw(NoisePurpose::kResidual);
    return false;
  }

 private:
  double Logit(int32_t id) const { return args_.logits.Row<float>(r_)[id]; }

  // What `draft` was drawn from.
  std::vector<double> DraftProbabilities(int32_t draft) const {
    const int32_t row =
        args_.draft_logits.rank == 0 ? -1 : args_.draft_rows[static_cast<size_t>(r_)];
    if (row >= 0) return Softmax(args_.draft_logits.Row<float>(row));
    std::vector<double> one_hot(static_cast<size_t>(vocab_));
    one_hot[static_cast<size_t>(draft)] = 1;
    return one_hot;
  }

  std::vector<double> Softmax(const float* logits) const {
    std::vector<double> p(static_cast<size_t>(vocab_));
    double highest = kBanned;
    for (int32_t id = 0; id < vocab_; ++id) highest = std::max(highest, double{logits[id]});
    double total = 0;
    for (int32_t id = 0; id < vocab_; ++id) {
      total += p[static_cast<size_t>(id)] = std::exp(logits[id] - highest);
    }
    for (double& value : p) value /= total;
    return p;
  }

  const SampleVerifyArgs& args_;
  int64_t r_;
  const SampleRow& row_;
  int64_t vocab_;
};

// The token of row r, and whether the row's draft was accepted.
int32_t JudgeRow(const SampleVerifyArgs& args, int64_t r, bool& accepted) {
  const RowSampler sampler(args, r);
  const int32_t draft = args.drafts[static_cast<size_t>(r)];
  if (args.mode == VerifyMode::kCoupled) {
    const int32_t token = sampler.Draw(args.rows[static_cast<size_t>(r)].purpose);
    accepted = token == draft;
    return token;
  }
  if (draft < 0) {
    accepted = false;
    return sampler.Draw(NoisePurpose::kResidual);
  }
  int32_t token = 0;
  accepted = sampler.Judge(draft, token);
  return token;
}

}  // namespace

void SampleAndVerify(const SampleVerifyArgs& args) {
  CheckArgs(args);
  std::fill(args.token_ids.begin(), args.token_ids.end(), -1);
  for (size_t s = 0; s < args.num_accepted.size(); ++s) {
    const int64_t first = args.row_offsets[s];
    const int64_t end = args.row_offsets[s + 1];
    args.num_accepted[s] = 0;
    for (int64_t r = first; r < end; ++r) {
      bool accepted = false;
      args.token_ids[static_cast<size_t>(r)] = JudgeRow(args, r, accepted);
      if (!accepted) break;
      ++args.num_accepted[s];
    }
    if (args.last_tokens == nullptr) continue;
    args.last_tokens[s] =
        first == end ? 0 : args.token_ids[static_cast<size_t>(first + args.num_accepted[s])];
  }
}

}  // namespace runahead::ref
