// Passes over a row of logits: maxima, sums, candidates, and the Gumbel-noise argmax that draws a
// token.
//
// Roofline: each pass reads 4 V bytes, from the last-level cache when the LM head has just written
// them.
#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/cpu/isa/kernels.h"
#include "kernels/cpu/isa/simd-inl.h"

namespace runahead::cpu::RA_ISA {
namespace {

constexpr float kBanned = -__builtin_inff();
constexpr float kAnything = __builtin_inff();

// Standard Gumbel noise lies in (-2.78, 16.64) for the 23-bit uniforms of UniformOpen; a little is
// added for rounding.
constexpr float kMaxNoise = 16.75f;

using VU32 = VecU<kLanes>;
struct Words {
  VU32 w0, w1, w2, w3;
};

// High and low halves of a * b, lane by lane.
HWY_INLINE void MulWide(VU32 a, VU32 b, VU32& high, VU32& low) {
  const DU d;
  const auto even = hn::BitCast(d, hn::MulEven(a, b));
  const auto odd = hn::BitCast(d, hn::MulEven(hn::DupOdd(a), hn::DupOdd(b)));
  high = hn::OddEven(odd, hn::DupOdd(even));
  low = hn::OddEven(hn::DupEven(odd), even);
}

// Philox4x32-10 (kernels/philox.h) of one counter per lane.
HWY_INLINE Words Philox(VU32 token_group, const NoiseName& noise) {
  const DU d;
  Words c{token_group, hn::Set(d, noise.position), hn::Set(d, noise.purpose), hn::Zero(d)};
  auto key0 = static_cast<uint32_t>(noise.key);
  auto key1 = static_cast<uint32_t>(noise.key >> 32);
  for (int round = 0; round < 10; ++round) {
    VU32 high0, low0, high1, low1;
    MulWide(hn::Set(d, 0xD2511F53u), c.w0, high0, low0);
    MulWide(hn::Set(d, 0xCD9E8D57u), c.w2, high1, low1);
    c = {hn::Xor(hn::Xor(high1, c.w1), hn::Set(d, key0)), low1,
         hn::Xor(hn::Xor(high0, c.w3), hn::Set(d, key1)), low0};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

// -log(-log(u)), u = UniformOpen(word)
HWY_INLINE VecF<kLanes> Gumbel(VU32 words) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const auto whole = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<9>(words)));
  const auto u = hn::Mul(hn::Add(whole, hn::Set(d, 0.5f)), hn::Set(d, 0x1p-23f));
  return hn::Neg(Log(d, hn::Neg(Log(d, u))));
}

struct Best {
  float score = kBanned;
  int32_t id = 0;
};

// Keeps the higher score, the lower id among equals. NaN never wins.
HWY_INLINE void Offer(Best& best, float score, int32_t id) {
  if (score > best.score || (score == best.score && score > kBanned && id < best.id)) {
    best = {score, id};
  }
}

// Offers the tokens of the kLanes groups from `group` on, tokens [4 group, 4 group + 4 kLanes)
// below `vocab`; `highest` is at least their highest logit.
HWY_INLINE void OfferGroups(const float* logits, int64_t vocab, int64_t group, float highest,
                            const NoiseName& noise, Best& best) {
  const DF d;
  const DU du;
  const auto words = Philox(hn::Iota(du, static_cast<uint32_t>(group)), noise);
  // Noise grows with its word: the noise of each group's largest word tells for most blocks that
  // none can win, at a quarter of the logarithms.
  const auto largest = hn::Max(hn::Max(words.w0, words.w1), hn::Max(words.w2, words.w3));
  const auto reach = hn::Add(Gumbel(largest), hn::Set(d, highest));
  if (hn::AllFalse(d, hn::Ge(reach, hn::Set(d, best.score)))) return;
  HWY_ALIGN float scores[4 * kLanes];
  hn::StoreInterleaved4(Gumbel(words.w0), Gumbel(words.w1), Gumbel(words.w2), Gumbel(words.w3), d,
                        scores);
  const int64_t first = 4 * group;
  const int64_t count = vocab - first < 4 * kLanes ? vocab - first : 4 * kLanes;
  for (int64_t i = 0; i < count; ++i) {
    Offer(best, logits[first + i] + scores[i], static_cast<int32_t>(first + i));
  }
}

}  // namespace

void Divide(float* logits, int64_t vocab, float by) {
  ForLanes(vocab, [&](auto d, int64_t i) HWY_ATTR {
    hn::StoreU(hn::Div(hn::LoadU(d, logits + i), hn::Set(d, by)), d, logits + i);
  });
}

float Max(const float* logits, int64_t vocab) {
  const DF d;
  auto highest = hn::Set(d, kBanned);
  int64_t i = 0;
  for (; i + kLanes <= vocab; i += kLanes) {
    const auto v = hn::LoadU(d, logits + i);
    highest = hn::IfThenElse(hn::Gt(v, highest), v, highest);
  }
  float best = hn::GetLane(hn::MaxOfLanes(d, highest));
  for (; i < vocab; ++i) best = logits[i] > best ? logits[i] : best;
  return best;
}

int32_t ArgMax(const float* logits, int64_t vocab) {
  const float highest = Max(logits, vocab);
  int32_t id = 0;
  if (highest == kBanned || Collect(logits, vocab, highest, true, &id, 1) == 0) return 0;
  return id;
}

double SumExp(const float* logits, int64_t vocab, float highest) {
  const DF d;
  double total = 0;
  // Runs of 64 vectors are summed in f32 lanes, runs in f64: the rounding stays below 64 eps of a
  // run.
  constexpr int64_t kRun = 64 * kLanes;
  int64_t i = 0;
  while (i + kLanes <= vocab) {
    const int64_t end = vocab < i + kRun ? vocab : i + kRun;
    auto sum = hn::Zero(d);
    for (; i + kLanes <= end; i += kLanes) {
      sum = hn::Add(sum, Exp(d, hn::Sub(hn::LoadU(d, logits + i), hn::Set(d, highest))));
    }
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  for (; i < vocab; ++i) {
    const TagF<1> d1;
    total += static_cast<double>(hn::GetLane(Exp(d1, hn::Set(d1, logits[i] - highest))));
  }
  return total;
}

int64_t CountGreater(const float* logits, int64_t vocab, float bound) {
  const DF d;
  int64_t count = 0;
  int64_t i = 0;
  for (; i + kLanes <= vocab; i += kLanes) {
    count +=
        static_cast<int64_t>(hn::CountTrue(d, hn::Gt(hn::LoadU(d, logits + i), hn::Set(d, bound))));
  }
  for (; i < vocab; ++i) count += logits[i] > bound ? 1 : 0;
  return count;
}

int64_t Collect(const float* logits, int64_t vocab, float bound, bool or_equal, int32_t* ids,
                int64_t capacity) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const auto limit = hn::Set(d, bound);
  int64_t count = 0;
  int64_t i = 0;
  for (; i + kLanes <= vocab && count + kLanes <= capacity; i += kLanes) {
    const auto v = hn::LoadU(d, logits + i);
    const auto mask = or_equal ? hn::Ge(v, limit) : hn::Gt(v, limit);
    if (hn::AllFalse(d, mask)) continue;
    const auto id = hn::Iota(di, static_cast<int32_t>(i));
    count += static_cast<int64_t>(
        hn::CompressBlendedStore(id, hn::RebindMask(di, mask), di, ids + count));
  }
  for (; i < vocab && count < capacity; ++i) {
    if (logits[i] > bound || (or_equal && logits[i] == bound)) {
      ids[count++] = static_cast<int32_t>(i);
    }
  }
  return count;
}

void Histogram(const float* logits, int64_t vocab, float highest, LogitHistogram& out) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  for (int b = 0; b <= kBuckets; ++b) {
    out.counts[b] = 0;
    out.mass[b] = 0;
  }
  const auto add = [&](float mass, int32_t bucket) {
    ++out.counts[bucket];
    out.mass[bucket] += static_cast<double>(mass);
  };
  HWY_ALIGN float mass[kLanes];
  HWY_ALIGN int32_t bucket[kLanes];
  for (int64_t i = 0; i < vocab; i += kLanes) {
    const int64_t num = vocab - i < kLanes ? vocab - i : kLanes;
    HWY_ALIGN float padded[kLanes];
    for (int64_t j = 0; num < kLanes && j < kLanes; ++j)
      padded[j] = j < num ? logits[i + j] : kBanned;
    const auto v = num < kLanes ? hn::Load(d, padded) : hn::LoadU(d, logits + i);
    const auto below = hn::Mul(hn::Sub(hn::Set(d, highest), v), hn::Set(d, kBucketsPerUnit));
    // Everything beyond the reach, NaN included, goes to the last bucket.
    const auto last = hn::Set(d, static_cast<float>(kBuckets));
    const auto clamped = hn::IfThenElse(hn::Lt(below, last), below, last);
    hn::Store(hn::ConvertTo(di, clamped), di, bucket);
    const auto weight = Exp(d, hn::Sub(v, hn::Set(d, highest)));
    hn::Store(hn::IfThenElse(hn::IsNaN(v), hn::Zero(d), weight), d, mass);
    for (int64_t j = 0; j < num; ++j) add(mass[j], bucket[j]);
  }
}

void Residual(const SoftmaxRow& p, const SoftmaxRow& q, int64_t vocab, float* out) {
  const auto probability = [](auto d, const SoftmaxRow& row, int64_t i) HWY_ATTR {
    const auto e = Exp(d, hn::Sub(hn::LoadU(d, row.logits + i), hn::Set(d, row.highest)));
    return hn::Mul(e, hn::Set(d, static_cast<float>(1 / row.sum)));
  };
  ForLanes(vocab, [&](auto d, int64_t i) HWY_ATTR {
    const auto rest = hn::Sub(probability(d, p, i), probability(d, q, i));
    const auto smallest = hn::Set(d, 0x1p-126f);
    const auto log = Log(d, hn::Max(rest, smallest));
    hn::StoreU(hn::IfThenElse(hn::Ge(rest, smallest), log, hn::Set(d, kBanned)), d, out + i);
  });
}

int32_t GumbelArgMax(const float* logits, int64_t vocab, const NoiseName& noise) {
  const DF d;
  Best best;
  constexpr int64_t kBlock = 4 * kLanes;
  // The block of the highest logit first: from then on, a block that no noise can lift above the
  // best is skipped after one comparison, and in a peaked row that is nearly all.
  const int32_t peak = ArgMax(logits, vocab);
  OfferGroups(logits, vocab, peak / kBlock * kLanes, kAnything, noise, best);
  for (int64_t i = 0; i < vocab; i += kBlock) {
    float highest = kAnything;
    if (i + kBlock <= vocab) {
      auto most = hn::LoadU(d, logits + i);
      for (int64_t j = kLanes; j < kBlock; j += kLanes) {
        most = hn::Max(most, hn::LoadU(d, logits + i + j));
      }
      const auto reach = hn::Add(most, hn::Set(d, kMaxNoise));
      if (hn::AllFalse(d, hn::Ge(reach, hn::Set(d, best.score)))) continue;
      highest = hn::GetLane(hn::MaxOfLanes(d, most));
    }
    OfferGroups(logits, vocab, i / 4, highest, noise, best);
  }
  return best.id;
}

int32_t GumbelArgMaxOf(const float* logits, const int32_t* ids, int64_t count,
                       const NoiseName& noise) {
  const DF d;
  const DU du;
  Best best;
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t num = count - i < kLanes ? count - i : kLanes;
    HWY_ALIGN uint32_t groups[kLanes] = {};
    for (int64_t j = 0; j < num; ++j) groups[j] = static_cast<uint32_t>(ids[i + j]) / 4;
    const auto words = Philox(hn::Load(du, groups), noise);
    HWY_ALIGN uint32_t drawn[4][kLanes];
    hn::Store(words.w0, du, drawn[0]);
    hn::Store(words.w1, du, drawn[1]);
    hn::Store(words.w2, du, drawn[2]);
    hn::Store(words.w3, du, drawn[3]);
    for (int64_t j = 0; j < num; ++j) groups[j] = drawn[ids[i + j] % 4][j];
    HWY_ALIGN float gumbel[kLanes];
    hn::Store(Gumbel(hn::Load(du, groups)), d, gumbel);
    for (int64_t j = 0; j < num; ++j) Offer(best, logits[ids[i + j]] + gumbel[j], ids[i + j]);
  }
  return best.id;
}

}  // namespace runahead::cpu::RA_ISA
