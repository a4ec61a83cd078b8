#include <algorithm>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/sampling.h"

namespace runahead::cpu {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();

// Draws and judges one row. A row whose survivors are listed is never passed over as a whole.
class RowSampler {
 public:
  RowSampler(const SampleVerifyArgs& args, int64_t row, const KernelTable& kernels,
             SamplingScratch& scratch)
      : args_(args),
        row_(row),
        name_(args.rows[static_cast<size_t>(row)]),
        kernels_(kernels),
        scratch_(scratch),
        logits_(args.logits.Row<float>(row)),
        vocab_(args.logits.RowElements()) {
    if (args.survivors.counts == nullptr || args.survivors.counts[row] < 0) return;
    listed_ = {args.survivors.ids + row * args.survivors.capacity,
               static_cast<size_t>(args.survivors.counts[row])};
    is_listed_ = true;
  }

  // Greedy, or argmax of logit + noise of `purpose`.
  int32_t Draw(NoisePurpose purpose) const {
    return name_.greedy ? ArgMax() : DrawFrom(logits_, purpose);
  }

  // Rejection sampling of a draft: true when taken; else `token` is drawn from the residual.
  bool Judge(int32_t draft, int32_t& token) const {
    if (name_.greedy) {
      token = ArgMax();
      return token == draft;
    }
    const float highest = Highest();
    const SoftmaxRow p = {logits_, highest, SumExp(highest)};
    const int32_t row =
        args_.draft_logits.rank == 0 ? -1 : args_.draft_rows[static_cast<size_t>(row_)];
    const SoftmaxRow q = row >= 0 ? DraftRow(row) : SoftmaxRow{};
    const double coin =
        UniformOpen(NoiseWords(name_.key, name_.position, NoisePurpose::kAccept, 0)[0]);
    token = draft;
    if (coin * (row >= 0 ? Probability(q, draft) : 1) < Probability(p, draft)) return true;
    token = row >= 0 ? DrawResidual(p, q) : DrawWithout(draft);
    return false;
  }

 private:
  NoiseName Noise(NoisePurpose purpose) const {
    return {PhiloxKey(name_.key), name_.position, static_cast<uint32_t>(purpose)};
  }

  int32_t DrawFrom(const float* logits, NoisePurpose purpose) const {
    if (!is_listed_) return kernels_.gumbel_arg_max(logits, vocab_, Noise(purpose));
    return kernels_.gumbel_arg_max_of(logits, listed_.data(), static_cast<int64_t>(listed_.size()),
                                      Noise(purpose));
  }

  int32_t ArgMax() const {
    if (!is_listed_) return kernels_.arg_max(logits_, vocab_);
    int32_t best = listed_.empty() ? 0 : listed_[0];
    for (const int32_t id : listed_) {
      if (logits_[id] > logits_[best]) best = id;
    }
    return best;
  }

  float Highest() const { return is_listed_ ? logits_[ArgMax()] : kernels_.max(logits_, vocab_); }

  double SumExp(float highest) const {
    if (!is_listed_) return kernels_.sum_exp(logits_, vocab_, highest);
    double sum = 0;
    for (const int32_t id : listed_) sum += std::exp(double{logits_[id]} - highest);
    return sum;
  }

  SoftmaxRow DraftRow(int32_t row) const {
    const float* logits = args_.draft_logits.Row<float>(row);
    const float highest = kernels_.max(logits, vocab_);
    return {logits, highest, kernels_.sum_exp(logits, vocab_, highest)};
  }

  static double Probability(const SoftmaxRow& row, int32_t id) {
    return std::exp(double{row.logits[id]} - row.highest) / row.sum;
  }

  // The residual of a one-hot draft is the target without it.
  int32_t DrawWithout(int32_t draft) const {
    const float own = logits_[draft];
    logits_[draft] = kBanned;
    const int32_t token = DrawFrom(logits_, NoisePurpose::kResidual);
    logits_[draft] = own;
    return token;
  }

  int32_t DrawResidual(const SoftmaxRow& p, const SoftmaxRow& q) const {
    scratch_.values.resize(static_cast<size_t>(vocab_));
    float* residual = scratch_.values.data();
    if (is_listed_) {
      for (const int32_t id : listed_) {
        const double rest = Probability(p, id) - Probability(q, id);
        residual[id] = rest > 0 ? static_cast<float>(std::log(rest)) : kBanned;
      }
    } else {
      kernels_.residual(p, q, vocab_, residual);
    }
    const int32_t token = DrawFrom(residual, NoisePurpose::kResidual);
    // Rounding may leave nothing of a residual that is next to nothing.
    return residual[token] > kBanned ? token : DrawFrom(logits_, NoisePurpose::kResidual);
  }

  const SampleVerifyArgs& args_;
  int64_t row_;
  const SampleRow& name_;
  const KernelTable& kernels_;
  SamplingScratch& scratch_;
  float* logits_;
  int64_t vocab_;
  std::span<const int32_t> listed_;
  bool is_listed_ = false;
};

// The token of a row; `accepted` when it is the row's draft.
int32_t JudgeRow(const SampleVerifyArgs& args, int64_t row, const RowSampler& sampler,
                 bool& accepted) {
  const int32_t draft = args.drafts[static_cast<size_t>(row)];
  RA_CHECK(draft < args.logits.RowElements(), "a draft is a token");
  accepted = false;
  if (args.mode == VerifyMode::kRejection && draft < 0)
    return sampler.Draw(NoisePurpose::kResidual);
  int32_t token = 0;
  if (args.mode == VerifyMode::kRejection) {
    accepted = sampler.Judge(draft, token);
  } else {
    token = sampler.Draw(args.rows[static_cast<size_t>(row)].purpose);
    accepted = token == draft;
  }
  return token;
}

}  // namespace

void SampleAndVerify(const SampleVerifyArgs& args, const SamplingContext& context) {
  CheckArgs(args);
  std::fill(args.token_ids.begin(), args.token_ids.end(), -1);
  const auto num_sequences = static_cast<int64_t>(args.num_accepted.size());
  ForLogitRows(num_sequences, args.logits.RowElements(), context.pool, [&](int thread, int64_t s) {
    SamplingScratch& scratch = context.scratch[static_cast<size_t>(thread)];
    const auto sequence = static_cast<size_t>(s);
    int32_t last_token = 0;
    args.num_accepted[sequence] = 0;
    for (int64_t r = args.row_offsets[sequence]; r < args.row_offsets[sequence + 1]; ++r) {
      const RowSampler sampler(args, r, context.kernels, scratch);
      bool accepted = false;
      args.token_ids[static_cast<size_t>(r)] = last_token = JudgeRow(args, r, sampler, accepted);
      if (!accepted) break;
      ++args.num_accepted[sequence];
    }
    if (args.last_tokens != nullptr) args.last_tokens[sequence] = last_token;
  });
}

}  // namespace runahead::cpu
