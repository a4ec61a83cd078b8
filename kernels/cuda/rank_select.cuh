// The first tokens of a row's ranking without a sort: a radix search for the border. One block a
// row.
//
// A ranking goes by logit, largest first, and by id, lowest first, among equals. Any prefix of it
// is named by its last token alone:
//
//   Cut {key, last_id}:   keys above `key` | those equal to it up to `last_id` || the rest
//
// The border is found digit by digit of the logit's ordered key (11, 11, 10 bits): a histogram of
// weights in shared memory, then the first bucket from above at which the sum of weights reaches
// what is still wanted. Weights are integers, so no order of adding matters.
#pragma once

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/primitives/count_bits.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/cuda/primitives/memory.h"

namespace runahead::RA_CUDA {

inline constexpr int kLastOfAll = 0x7fffffff;

// The bits of a float in ascending order of value, -0 and 0 alike; NaN is 1, below -infinity. Never
// 0, which stands for "not in the ranking".
RA_DEVICE uint32_t OrderedKey(float value) {
  if (isnan(value)) return 1;
  const uint32_t bits = FloatToBits(value + 0.0f);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
}
RA_DEVICE float KeyToFloat(uint32_t key) {
  return BitsToFloat((key >> 31) != 0 ? key & 0x7fffffffu : ~key);
}
// The same, 0 for what cannot be drawn.
RA_DEVICE uint32_t FiniteKey(float value) { return value > -INFINITY ? OrderedKey(value) : 0; }

struct Cut {
  uint32_t key = 1;
  int last_id = kLastOfAll;
};
RA_DEVICE bool Keeps(const Cut& cut, uint32_t key, int id) {
  return key > cut.key || (key == cut.key && id <= cut.last_id);
}

inline constexpr int kMaxDigit = 11;

struct SelectStorage {
  uint32_t low[1 << kMaxDigit];  // 64-bit sums in halves: atomics are of 32 bits
  uint32_t high[1 << kMaxDigit];
  uint32_t bucket;
  int last_id;
  uint64_t wanted;  // within the bucket
  uint64_t weight;  // of the bucket
  int counts[kWarp];
};

// Adds to a 64-bit sum in two halves. A carry belongs to the one whose addition wraps, so the total
// is right in any order.
RA_DEVICE void AddWide(uint32_t* low, uint32_t* high, uint64_t value) {
  const auto part = static_cast<uint32_t>(value);
  const uint32_t before = AtomicAdd(low, part);
  const uint32_t rest = static_cast<uint32_t>(value >> 32) + (before + part < before ? 1u : 0u);
  if (rest != 0) AtomicAdd(high, rest);
}

// Warp 0 finds the first bucket from above at which the sum reaches `wanted`. Lane l adds up
// buckets [size - (l + 1) each, size - l each).
RA_DEVICE void FindBucket(int size, uint64_t wanted, SelectStorage& shared) {
  const int each = size / kWarp;
  const int top = size - Lane() * each;
  const auto weight = [&](int i) { return uint64_t{shared.high[i]} << 32 | shared.low[i]; };
  uint64_t sum = 0;
  for (int i = top - each; i < top; ++i) sum += weight(i);
  uint64_t through = sum;
#pragma unroll
  for (int step = 1; step < kWarp; step *= 2) {
    const uint64_t before = ShuffleUp(through, step);
    if (Lane() >= step) through += before;
  }
  uint64_t above = through - sum;
  if (above >= wanted || through < wanted) return;
  int i = top - 1;
  for (; above + weight(i) < wanted; --i) above += weight(i);
  shared.bucket = static_cast<uint32_t>(i);
  shared.wanted = wanted - above;
  shared.weight = weight(i);
}

// Warps share out [0, n) in runs of whole warps' widths, so that ids ascend with warps and lanes.
struct Segment {
  int begin;
  int end;
};
template <int kThreads>
RA_DEVICE Segment SegmentOf(int n) {
  constexpr int kWarps = kThreads / kWarp;
  const int each = (n + kThreads - 1) / kThreads * kWarp;
  const int begin = WarpIndex() * each;
  static_assert(kWarps <= kWarp, "a count for each warp");
  return {begin, begin + each < n ? begin + each : n};
}

// How many ids of this warp's segment `is_one` holds for, and where its first counts: the warps
// before it. All threads call; counts stay readable until the next barrier.
template <int kThreads, typename IsOne>
RA_DEVICE int CountBefore(const Segment& segment, IsOne is_one, int (&counts)[kWarp], int& total) {
  int count = 0;
  for (int id = segment.begin + Lane(); id < segment.end; id += kWarp) count += is_one(id) ? 1 : 0;
  count = ReduceAdd(count);
  if (Lane() == 0) counts[WarpIndex()] = count;
  SyncThreads();
  int before = 0;
  total = 0;
  for (int warp = 0; warp < kThreads / kWarp; ++warp) {
    if (warp < WarpIndex()) before += counts[warp];
    total += counts[warp];
  }
  return before;
}

// Calls visit(id, index) for each id of the segment that `is_one` holds for, index counting from
// `first`.
template <typename IsOne, typename Visit>
RA_DEVICE void Enumerate(const Segment& segment, int first, IsOne is_one, Visit visit) {
  for (int base = segment.begin; base < segment.end; base += kWarp) {
    const int id = base + Lane();
    const bool one = id < segment.end && is_one(id);
    const uint32_t lanes = Ballot(one);
    if (one) visit(id, first + CountBits(lanes & ((1u << Lane()) - 1)));
    first += CountBits(lanes);
  }
}

// The shortest prefix of the ranking whose weights sum to `target`, 1 <= target <= all of it. Ids
// of [0, n) with key_of(id) != 0 take part; a token's weight is weight_of(its key). All threads
// call; `shared` is free again after the caller's next barrier.
template <int kThreads, typename KeyOf, typename WeightOf>
RA_DEVICE Cut SelectPrefix(int n, KeyOf key_of, WeightOf weight_of, uint64_t target,
                           SelectStorage& shared) {
  uint32_t prefix = 0;
  int shift = 32;
#pragma unroll 1
  for (int pass = 0; pass < 3; ++pass) {
    const int bits = pass < 2 ? 11 : 10;
    for (int i = ThreadX(); i < 1 << bits; i += kThreads) shared.low[i] = shared.high[i] = 0;
    SyncThreads();
    for (int id = ThreadX(); id < n; id += kThreads) {
      const uint32_t key = key_of(id);
      if (key == 0 || uint64_t{key} >> shift != prefix) continue;
      const uint32_t digit = key >> (shift - bits) & ((1u << bits) - 1);
      AddWide(&shared.low[digit], &shared.high[digit], weight_of(key));
    }
    SyncThreads();
    if (WarpIndex() == 0) FindBucket(1 << bits, target, shared);
    SyncThreads();
    shift -= bits;
    prefix = prefix << bits | shared.bucket;
    target = shared.wanted;
  }
  // All that is left are equals.
  const uint64_t each = weight_of(prefix);
  const auto wanted = static_cast<int>((target + each - 1) / each);
  if (static_cast<uint64_t>(wanted) * each >= shared.weight) return {prefix, kLastOfAll};
  const Segment segment = SegmentOf<kThreads>(n);
  const auto is_equal = [&](int id) { return key_of(id) == prefix; };
  int total = 0;
  const int before = CountBefore<kThreads>(segment, is_equal, shared.counts, total);
  Enumerate(segment, before, is_equal, [&](int id, int index) {
    if (index + 1 == wanted) shared.last_id = id;
  });
  SyncThreads();
  return {prefix, shared.last_id};
}

}  // namespace runahead::RA_CUDA
