// Draws each row's token and judges its draft. One block a row; a row with little to look at has a
// block of one warp, others one of 512 threads. A second kernel walks each sequence up to its first
// rejection.
//
//   JudgeKernel    coupled   argmax of logit + Gumbel noise; accepted where it equals the draft
//                  greedy    argmax of logits
//                  rejection accept coin with p(draft), q(draft); else argmax of log(p - q) + noise
//   ResolveKernel  one thread a sequence
//
// Which tokens: the listed survivors, else all of the row. A row's draw is two passes: the largest
// logit, then scores of tokens within reach of it (noise spans less than 19.5), four tokens to one
// Philox call.
//
// Exactness. The argmax is the reference's, which scores in double, without scoring in double:
// threads keep their best score in f32 and the runner-up; after the block's best is known, only
// those within f32's error of it are scored in double, one token as a rule. p and q are quotients
// of integer masses (softmax_mass.cuh), right to 2^-36 of p and to 2^-44 of the best's: a
// decision differs from the reference's in about one draw of 10^8, and never between devices.
//
// Roofline: 4 V bytes a row, twice (second time from L2), or what is listed; 30 integer operations
// a token within reach for noise. One block draws what one multiprocessor can from L2. A
// rejected row in rejection mode reads p and q three times and works in double: slow where that is
// (sm_89). Not yet measured: no GPU yet.
#include <span>

#include "kernels/check_args.h"
#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/philox.cuh"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/softmax_mass.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kManyThreads = 512;
constexpr int kFewTokens = 1024;  // up to here one warp is quicker than a block's barriers

constexpr float kNoiseSpan = 19.5f;  // no two tokens' noise differs by more (docs/numerics.md)
constexpr int kNone = 0x7fffffff;    // an id beyond all others

// A row as the kernel takes it, prepared on the host.
struct RowPlan {
  NoiseStream stream;
  uint32_t purpose = 0;
  int32_t draft = -1;
  int32_t draft_row = -1;  // of draft_logits, or -1: one-hot
  bool is_greedy = false;
  bool is_padding = false;
};

struct JudgeParams {
  const float* logits = nullptr;  // [R, V]
  int64_t stride = 0;
  const float* draft_logits = nullptr;  // [D, V]
  int64_t draft_stride = 0;
  int vocab = 0;
  SurvivorsView survivors;
  const RowPlan* rows = nullptr;  // [R]
  bool is_rejection = false;
  // [R] out: the token where the draft was accepted, else ~token.
  int32_t* verdicts = nullptr;
};

struct ResolveParams {
  const int32_t* row_offsets = nullptr;  // [S + 1]
  int num_sequences = 0;
  int32_t* token_ids = nullptr;  // [R] in: verdicts
  int32_t* num_accepted = nullptr;
  int32_t* last_tokens = nullptr;  // [S], or null
};

// What a row's tokens are drawn from: ids[0..count), or all of [0, count) where ids is null.
struct Candidates {
  const float* logits;
  const int32_t* ids;
  int count;
};

// A thread's best and the score of its runner-up.
struct Best {
  float score = -INFINITY;
  float second = -INFINITY;
  int id = 0;
};
RA_DEVICE void Offer(Best& best, float score, int id) {
  if (score > best.score) {
    best.second = best.score;
    best.score = score;
    best.id = id;
  } else if (score > best.second) {
    best.second = score;
  }
}

// A token's exact score: larger wins, and the lower id among equals.
struct Exact {
  double score;
  int id;
};
struct BetterOp {
  RA_DEVICE Exact operator()(const Exact& a, const Exact& b) const {
    return a.score > b.score || (a.score == b.score && a.id < b.id) ? a : b;
  }
};

struct SharedStorage {
  ReduceStorage<float> floats;
  ReduceStorage<float> best;
  ReduceStorage<uint64_t> mass;
  ReduceStorage<uint64_t> draft_mass;
  // Of the warps' best. Apart, as the padding of an Exact would be read unwritten.
  double scores[kWarp];
  int ids[kWarp];
};

template <int kThreads>
RA_DEVICE Exact BlockBest(Exact best, SharedStorage& shared) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    best = BetterOp()(best, {ShuffleXor(best.score, step), ShuffleXor(best.id, step)});
  }
  if constexpr (kThreads == kWarp) return best;
  if (Lane() == 0) {
    shared.scores[WarpIndex()] = best.score;
    shared.ids[WarpIndex()] = best.id;
  }
  SyncThreads();
  best = {shared.scores[0], shared.ids[0]};
  for (int warp = 1; warp < kThreads / kWarp; ++warp) {
    best = BetterOp()(best, {shared.scores[warp], shared.ids[warp]});
  }
  return best;
}

// Standard Gumbel noise; in f32 for most, in double for the few that decide.
RA_DEVICE float Gumbel(float u) { return -logf(-logf(u)); }
RA_DEVICE double Gumbel(double u) { return -log(-log(u)); }

RA_DEVICE float UniformOf(const RowPlan& row, uint32_t purpose, int id) {
  const NoiseWords4 words = NoiseOf(row.stream, purpose, static_cast<uint32_t>(id / 4));
  const uint32_t even = id % 4 < 2 ? words.x[0] : words.x[2];
  const uint32_t odd = id % 4 < 2 ? words.x[1] : words.x[3];
  return Uniform(id % 2 == 0 ? even : odd);
}

// Calls visit(id, logit, u) for this thread's candidates with logits of `least` and more; u is the
// token's uniform.
template <int kThreads, typename Visit>
RA_DEVICE void ForEach(const Candidates& from, float least, const RowPlan& row, uint32_t purpose,
                       Visit visit) {
  if (from.ids != nullptr) {
    for (int i = ThreadX(); i < from.count; i += kThreads) {
      const int id = from.ids[i];
      const float logit = from.logits[id];
      if (!(logit >= least)) continue;
      visit(id, logit, UniformOf(row, purpose, id));
    }
    return;
  }
  for (int group = ThreadX(); group * 4 < from.count; group += kThreads) {
    float logits[4];
    bool any = false;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int id = group * 4 + i;
      logits[i] = id < from.count ? from.logits[id] : NAN;
      any = any || logits[i] >= least;
    }
    if (!any) continue;
    const NoiseWords4 words = NoiseOf(row.stream, purpose, static_cast<uint32_t>(group));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (logits[i] >= least) visit(group * 4 + i, logits[i], Uniform(words.x[i]));
    }
  }
}

// The largest logit; NaN is none.
template <int kThreads>
RA_DEVICE float Highest(const Candidates& from, ReduceStorage<float>& storage) {
  float highest = -INFINITY;
  for (int i = ThreadX(); i < from.count; i += kThreads) {
    highest = MaxOp()(from.logits[from.ids != nullptr ? from.ids[i] : i], highest);
  }
  return BlockReduce<kThreads>(highest, MaxOp(), storage);
}

// Lowest id of those with the largest logit; 0 where there is none.
template <int kThreads>
RA_DEVICE int Greedy(const Candidates& from, SharedStorage& shared) {
  Exact best = {-INFINITY, kNone};
  for (int i = ThreadX(); i < from.count; i += kThreads) {
    const int id = from.ids != nullptr ? from.ids[i] : i;
    const float logit = from.logits[id];
    if (logit > best.score) best = {logit, id};
  }
  best = BlockBest<kThreads>(best, shared);
  return best.id == kNone ? 0 : best.id;
}

// logit + noise.
struct LogitScore {
  RA_DEVICE float InF32(int /*id*/, float logit, float u) const { return logit + Gumbel(u); }
  RA_DEVICE double InF64(int /*id*/, float logit, float u) const {
    return static_cast<double>(logit) + Gumbel(static_cast<double>(u));
  }
};

// One side of a judgement: probabilities of a row of logits.
struct Softmax {
  const float* logits = nullptr;
  float highest = 0;
  double inverse = 0;  // of the sum of masses

  RA_DEVICE double Of(int id) const {
    return static_cast<double>(MassOf(logits[id], highest)) * inverse;
  }
};

// log(p - q) + noise; -infinity where p does not exceed q.
struct ResidualScore {
  Softmax p;
  Softmax q;  // without logits: one-hot
  int draft = 0;

  RA_DEVICE double Q(int id) const {
    if (q.logits != nullptr) return q.Of(id);
    return id == draft ? 1.0 : 0.0;
  }
  RA_DEVICE float InF32(int id, float /*logit*/, float u) const {
    const double residual = p.Of(id) - Q(id);
    return residual > 0 ? logf(static_cast<float>(residual)) + Gumbel(u) : -INFINITY;
  }
  RA_DEVICE double InF64(int id, float /*logit*/, float u) const {
    return log(p.Of(id) - Q(id)) + Gumbel(static_cast<double>(u));
  }
};

// The candidate of the best score, among those with logits of `least` and more; kNone where all
// scores are -infinity.
template <int kThreads, typename Score>
RA_DEVICE int ArgMax(const Candidates& from, float least, const RowPlan& row, uint32_t purpose,
                     const Score& score, SharedStorage& shared) {
  Best best;
  ForEach<kThreads>(from, least, row, purpose, [&](int id, float logit, float u) {
    Offer(best, score.InF32(id, logit, u), id);
  });
  const float highest = BlockReduce<kThreads>(best.score, MaxOp(), shared.best);
  if (highest == -INFINITY) return kNone;
  // Logs of numbers below 40 to two units in the last place, and the sum's rounding.
  const float margin = isinf(highest) ? 0.0f : 5e-5f + fabsf(highest) * 0x1p-21f;
  const float limit = isinf(highest) ? highest : highest - margin;
  Exact exact = {-INFINITY, kNone};
  if (best.second >= limit) {
    ForEach<kThreads>(from, least, row, purpose, [&](int id, float logit, float u) {
      if (!(score.InF32(id, logit, u) >= limit)) return;
      exact = BetterOp()(exact, {score.InF64(id, logit, u), id});
    });
  } else if (best.score >= limit) {
    const float u = UniformOf(row, purpose, best.id);
    exact = {score.InF64(best.id, from.logits[best.id], u), best.id};
  }
  return BlockBest<kThreads>(exact, shared).id;
}

// Logit plus noise; 0 where nothing can be drawn.
template <int kThreads>
RA_DEVICE int Draw(const Candidates& from, float highest, const RowPlan& row, uint32_t purpose,
                   SharedStorage& shared) {
  const float least = isinf(highest) ? highest : highest - (kNoiseSpan + fabsf(highest) * 0x1p-22f);
  if (least == -INFINITY) return 0;
  const int id = ArgMax<kThreads>(from, least, row, purpose, LogitScore(), shared);
  return id == kNone ? 0 : id;
}

template <int kThreads>
RA_DEVICE Softmax MakeSoftmax(const Candidates& from, float highest,
                              ReduceStorage<uint64_t>& storage) {
  uint64_t mass = 0;
  for (int i = ThreadX(); i < from.count; i += kThreads) {
    mass += MassOf(from.logits[from.ids != nullptr ? from.ids[i] : i], highest);
  }
  mass = BlockReduce<kThreads>(mass, AddOp(), storage);
  return {from.logits, highest, mass == 0 ? 0.0 : 1.0 / static_cast<double>(mass)};
}

// Rejection sampling of a row that has a draft: the token, and whether it is the draft.
template <int kThreads>
RA_DEVICE int JudgeByRejection(const JudgeParams& params, const Candidates& from,
                               const RowPlan& row, bool& accepted, SharedStorage& shared) {
  const float highest = Highest<kThreads>(from, shared.floats);
  ResidualScore score;
  score.draft = row.draft;
  score.p = MakeSoftmax<kThreads>(from, highest, shared.mass);
  if (row.draft_row >= 0) {
    const Candidates all = {params.draft_logits + row.draft_row * params.draft_stride, nullptr,
                            params.vocab};
    const float draft_highest = Highest<kThreads>(all, shared.floats);
    score.q = MakeSoftmax<kThreads>(all, draft_highest, shared.draft_mass);
  }
  const float coin =
      Uniform(NoiseOf(row.stream, static_cast<uint32_t>(NoisePurpose::kAccept), 0).x[0]);
  accepted = static_cast<double>(coin) * score.Q(row.draft) < score.p.Of(row.draft);
  if (accepted) return row.draft;
  const auto purpose = static_cast<uint32_t>(NoisePurpose::kResidual);
  const int id = ArgMax<kThreads>(from, highest - 31.0f, row, purpose, score, shared);
  if (id != kNone) return id;
  SyncThreads();  // before its storage is used again
  // Rounding may leave nothing of a residual that is next to nothing.
  return Draw<kThreads>(from, highest, row, purpose, shared);
}

template <int kThreads>
__global__ void __launch_bounds__(kThreads, 1)
    JudgeKernel(const __grid_constant__ JudgeParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int r = BlockX();
  const RowPlan row = params.rows[r];
  if (row.is_padding) {
    if (ThreadX() == 0) params.verdicts[r] = -1;
    return;
  }
  Candidates from = {params.logits + r * params.stride, nullptr, params.vocab};
  if (params.survivors.counts != nullptr && params.survivors.counts[r] >= 0) {
    from.ids = params.survivors.ids + int64_t{r} * params.survivors.capacity;
    from.count = params.survivors.counts[r];
  }
  bool accepted = false;
  int token = 0;
  if (row.is_greedy) {
    token = Greedy<kThreads>(from, shared);
    accepted = token == row.draft;
  } else if (params.is_rejection && row.draft >= 0) {
    token = JudgeByRejection<kThreads>(params, from, row, accepted, shared);
  } else {
    const float highest = Highest<kThreads>(from, shared.floats);
    token = Draw<kThreads>(from, highest, row, row.purpose, shared);
    accepted = token == row.draft;
  }
  if (ThreadX() == 0) params.verdicts[r] = accepted ? token : ~token;
}

constexpr int kResolveThreads = 64;

__global__ void __launch_bounds__(kResolveThreads)
    ResolveKernel(const __grid_constant__ ResolveParams params) {
  const int s = BlockX() * kResolveThreads + ThreadX();
  if (s >= params.num_sequences) return;
  int num_accepted = 0;
  int last_token = 0;
  bool goes_on = true;
  for (int r = params.row_offsets[s]; r < params.row_offsets[s + 1]; ++r) {
    const int verdict = params.token_ids[r];
    if (goes_on) last_token = verdict >= 0 ? verdict : ~verdict;
    params.token_ids[r] = goes_on ? last_token : -1;
    goes_on = goes_on && verdict >= 0;
    num_accepted += goes_on ? 1 : 0;
  }
  params.num_accepted[s] = num_accepted;
  if (params.last_tokens != nullptr) params.last_tokens[s] = last_token;
}

void PlanRows(const SampleVerifyArgs& args, std::span<RowPlan> plans) {
  for (size_t r = 0; r < plans.size(); ++r) {
    const SampleRow& row = args.rows[r];
    RowPlan plan;
    const uint64_t key = PhiloxKey(row.key);
    plan.stream = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32), row.position};
    plan.draft = args.drafts[r];
    RA_CHECK(plan.draft >= -1 && plan.draft < args.logits.RowElements(), "a token id, or -1");
    if (args.draft_logits.rank > 0) plan.draft_row = args.draft_rows[r];
    plan.is_greedy = row.greedy;
    const bool is_bonus = args.mode == VerifyMode::kRejection && plan.draft < 0;
    plan.purpose = static_cast<uint32_t>(is_bonus ? NoisePurpose::kResidual : row.purpose);
    plan.is_padding = static_cast<int32_t>(r) >= args.row_offsets.back();
    plans[r] = plan;
  }
}

}  // namespace

void SampleAndVerify(const SampleVerifyArgs& args, OpContext& context) {
  CheckArgs(args);
  if (args.num_accepted.empty() || args.rows.empty()) return;
  RA_CHECK_LE(args.logits.RowElements(), int64_t{kMaxVocab});
  RA_CHECK(args.row_offsets.front() == 0, "every row is a sequence's");
  RA_CHECK_LE(static_cast<size_t>(args.row_offsets.back()), args.rows.size());
  JudgeParams judge;
  judge.logits = static_cast<const float*>(args.logits.data);
  judge.stride = args.logits.row_stride;
  judge.draft_logits = static_cast<const float*>(args.draft_logits.data);
  judge.draft_stride = args.draft_logits.row_stride;
  judge.vocab = static_cast<int>(args.logits.RowElements());
  judge.survivors = args.survivors;
  judge.rows = context.spans.Made<RowPlan>(
      args.rows.size(), [args](std::span<RowPlan> plans) { PlanRows(args, plans); });
  judge.is_rejection = args.mode == VerifyMode::kRejection;
  judge.verdicts = context.spans.Out(args.token_ids);
  const Dim3 grid = {.x = static_cast<int>(args.rows.size())};
  if (judge.vocab <= kFewTokens) {
    Launch(JudgeKernel<kWarp>, grid, {.x = kWarp}, 0, context.stream(), judge);
  } else {
    Launch(JudgeKernel<kManyThreads>, grid, {.x = kManyThreads}, 0, context.stream(), judge);
  }
  ResolveParams resolve;
  resolve.row_offsets = context.spans.In(args.row_offsets);
  resolve.num_sequences = static_cast<int>(args.num_accepted.size());
  resolve.token_ids = judge.verdicts;
  resolve.num_accepted = context.spans.Out(args.num_accepted);
  resolve.last_tokens = args.last_tokens;
  Launch(ResolveKernel, {.x = (resolve.num_sequences + kResolveThreads - 1) / kResolveThreads},
         {.x = kResolveThreads}, 0, context.stream(), resolve);
}

}  // namespace runahead::RA_CUDA
