// From raw logits to what may be drawn: allowed ids, bias, penalties, temperature, top_k, top_p,
// min_p, and a list of the survivors. In place, one block of 512 threads a row.
//
//   KeepAllowed   ids by threads, a binary search each          only where the row has a list
//   Adjust        one adjustment a thread (a row names a token once)
//   Scale         l / temperature
//   Filter        largest logit; border of top_k; sum of masses; border of top_p; min_p's floor.
//                 Each leaves a prefix of the ranking, so the shortest one is all three
//                 (rank_select.cuh); then the rest becomes -infinity
//   List          warps count survivors in runs of ids, then write them in ascending order
//
// Survivors are those of the reference bit by bit: the same IEEE operations make the logits, and
// masses are integers (softmax_mass.cuh), which can tell another border than the reference's sums
// in double only where these pass top_p by less than 2^-36 of it.
//
// Roofline: 4 V bytes a row, read once and written once with temperature; 2 reads for the largest
// and the sum, 4 a border (3 digits and ties), one pass to cut and one or two to list, all from L2
// (a row is 0.5 MB at most and its block alone reads it). A row has one multiprocessor: about
// (2 to 14) 4 V bytes at what one draws from L2. Not yet measured: no GPU yet.
#include <algorithm>
#include <cmath>

#include "kernels/check_args.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/rank_select.cuh"
#include "kernels/cuda/softmax_mass.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 512;

// One row's parameters, prepared on the host.
struct RowPlan {
  LogitParams params;
  float log_min_p = 0;    // where min_p > 0
  uint64_t top_p_64 = 0;  // top_p 2^64, where top_p < 1
};

struct ProcessLogitsParams {
  float* logits = nullptr;  // [R, V]
  int64_t stride = 0;
  int vocab = 0;
  const RowPlan* rows = nullptr;         // [R]
  const TokenAdjust* adjusts = nullptr;  // CSR
  const int32_t* adjust_offsets = nullptr;
  const int32_t* allowed = nullptr;  // CSR
  const int32_t* allowed_offsets = nullptr;
  SurvivorsView survivors;
};

struct SharedStorage {
  SelectStorage select;
  ReduceStorage<uint32_t> highest;
  ReduceStorage<int> count;
  ReduceStorage<uint64_t> mass;
  int counts[kWarp];
};

// [begin, end) of a row in a CSR array; empty where there are no offsets.
struct Range {
  int begin = 0;
  int end = 0;
};
RA_DEVICE Range RangeOf(const int32_t* offsets, int row) {
  if (offsets == nullptr) return {};
  return {offsets[row], offsets[row + 1]};
}

RA_DEVICE bool Contains(const int32_t* ids, const Range& range, int id) {
  int begin = range.begin;
  int end = range.end;
  while (begin < end) {
    const int middle = (begin + end) / 2;
    if (ids[middle] < id) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin < range.end && ids[begin] == id;
}

RA_DEVICE void KeepAllowed(const ProcessLogitsParams& params, float* logits, const Range& allowed) {
  for (int id = ThreadX(); id < params.vocab; id += kThreads) {
    if (!Contains(params.allowed, allowed, id)) logits[id] = -INFINITY;
  }
  SyncThreads();  // adjustments go by other threads
}

RA_DEVICE void Adjust(const ProcessLogitsParams& params, float* logits, const LogitParams& by,
                      const Range& adjusts) {
  for (int i = adjusts.begin + ThreadX(); i < adjusts.end; i += kThreads) {
    const TokenAdjust adjust = params.adjusts[i];
    float logit = logits[adjust.token] + adjust.bias;
    if (adjust.in_prompt || adjust.output_count > 0) {
      logit = logit > 0 ? logit / by.repetition_penalty : logit * by.repetition_penalty;
    }
    if (adjust.output_count > 0) logit -= by.presence_penalty;
    logits[adjust.token] = logit - by.frequency_penalty * static_cast<float>(adjust.output_count);
  }
  SyncThreads();
}

// The key of the least logit that min_p keeps: the first float not below highest + log(min_p).
RA_DEVICE uint32_t MinPKey(float highest, float log_min_p) {
  const double floor = static_cast<double>(highest) + static_cast<double>(log_min_p);
  const auto nearest = static_cast<float>(floor);
  return OrderedKey(nearest) + (static_cast<double>(nearest) < floor ? 1u : 0u);
}

// What of the sum of masses top_p asks for, at least the best token: ceil(total top_p).
RA_DEVICE uint64_t WantedMass(uint64_t total, uint64_t top_p_64) {
  const unsigned __int128 product = static_cast<unsigned __int128>(total) * top_p_64;
  const uint64_t wanted =
      static_cast<uint64_t>(product >> 64) + (static_cast<uint64_t>(product) != 0 ? 1 : 0);
  return wanted > 0 ? wanted : 1;
}

// The cut that top_k, top_p and min_p make; `highest` is the largest key, not 0.
RA_DEVICE Cut FindCut(const float* logits, int vocab, const RowPlan& row, uint32_t highest,
                      int num_finite, SharedStorage& shared) {
  Cut cut;
  if (row.params.top_k > 0 && row.params.top_k < num_finite) {
    cut = SelectPrefix<kThreads>(
        vocab, [&](int id) { return FiniteKey(logits[id]); }, [](uint32_t) { return uint64_t{1}; },
        static_cast<uint64_t>(row.params.top_k), shared.select);
  }
  const float best = KeyToFloat(highest);
  if (row.params.top_p < 1) {
    const auto key_of = [&](int id) {
      const uint32_t key = FiniteKey(logits[id]);
      return Keeps(cut, key, id) ? key : 0;
    };
    const auto weight_of = [&](uint32_t key) { return MassOf(KeyToFloat(key), best); };
    uint64_t total = 0;
    for (int id = ThreadX(); id < vocab; id += kThreads) {
      const uint32_t key = key_of(id);
      if (key != 0) total += weight_of(key);
    }
    total = BlockReduce<kThreads>(total, AddOp(), shared.mass);
    const Cut inner = SelectPrefix<kThreads>(vocab, key_of, weight_of,
                                             WantedMass(total, row.top_p_64), shared.select);
    // All of the border's equals means all that top_k left of them.
    if (inner.key != cut.key || inner.last_id != kLastOfAll) cut = inner;
  }
  if (row.params.min_p > 0) {
    const uint32_t floor = MinPKey(best, row.log_min_p);
    if (floor > cut.key) cut = {floor, kLastOfAll};
  }
  return cut;
}

// Bans what the filters cut; a row with nothing to draw stays as it is.
RA_DEVICE void Filter(float* logits, int vocab, const RowPlan& row, SharedStorage& shared) {
  uint32_t highest = 0;
  int num_finite = 0;
  for (int id = ThreadX(); id < vocab; id += kThreads) {
    const uint32_t key = FiniteKey(logits[id]);
    highest = MaxOp()(highest, key);
    num_finite += key != 0 ? 1 : 0;
  }
  highest = BlockReduce<kThreads>(highest, MaxOp(), shared.highest);
  num_finite = BlockReduce<kThreads>(num_finite, AddOp(), shared.count);
  if (highest == 0) return;
  const Cut cut = FindCut(logits, vocab, row, highest, num_finite, shared);
  SyncThreads();  // the last reader of a logit is not its writer
  for (int id = ThreadX(); id < vocab; id += kThreads) {
    if (!Keeps(cut, FiniteKey(logits[id]), id)) logits[id] = -INFINITY;
  }
}

RA_DEVICE void List(const ProcessLogitsParams& params, const float* logits, int row,
                    SharedStorage& shared) {
  SyncThreads();
  const Segment segment = SegmentOf<kThreads>(params.vocab);
  const auto survives = [&](int id) { return logits[id] > -INFINITY; };
  int total = 0;
  const int before = CountBefore<kThreads>(segment, survives, shared.counts, total);
  const bool fits = total <= params.survivors.capacity;
  if (ThreadX() == 0) params.survivors.counts[row] = fits ? total : -1;
  if (!fits) return;
  int32_t* ids = params.survivors.ids + int64_t{row} * params.survivors.capacity;
  Enumerate(segment, before, survives, [&](int id, int index) { ids[index] = id; });
}

__global__ void __launch_bounds__(kThreads, 1)
    ProcessLogitsKernel(const __grid_constant__ ProcessLogitsParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int row = BlockX();
  float* logits = params.logits + row * params.stride;
  const RowPlan& plan = params.rows[row];
  const LogitParams& by = plan.params;
  const Range allowed = RangeOf(params.allowed_offsets, row);
  const Range adjusts = RangeOf(params.adjust_offsets, row);
  if (allowed.begin < allowed.end) KeepAllowed(params, logits, allowed);
  if (adjusts.begin < adjusts.end) Adjust(params, logits, by, adjusts);
  bool is_cut = allowed.begin < allowed.end;
  if (by.temperature > 0) {
    if (by.temperature != 1) {
      for (int id = ThreadX(); id < params.vocab; id += kThreads) logits[id] /= by.temperature;
      SyncThreads();
    }
    if (by.top_k > 0 || by.top_p < 1 || by.min_p > 0) {
      Filter(logits, params.vocab, plan, shared);
      is_cut = true;
    }
  }
  if (is_cut) return List(params, logits, row, shared);
  if (ThreadX() == 0) params.survivors.counts[row] = -1;
}

RowPlan PlanOf(const LogitParams& params) {
  RowPlan plan{params};
  if (params.min_p > 0) plan.log_min_p = std::log(params.min_p);
  if (params.top_p > 0 && params.top_p < 1) {
    plan.top_p_64 = static_cast<uint64_t>(params.top_p * 0x1p64f);
  }
  return plan;
}

}  // namespace

void ProcessLogits(const ProcessLogitsArgs& args, OpContext& context) {
  CheckArgs(args);
  if (args.params.empty()) return;
  RA_CHECK_LE(args.logits.RowElements(), int64_t{kMaxVocab});
  for (const TokenAdjust& adjust : args.adjusts) {
    RA_CHECK(adjust.token >= 0 && adjust.token < args.logits.RowElements(), "a token id");
  }
  ProcessLogitsParams params;
  params.logits = static_cast<float*>(args.logits.data);
  params.stride = args.logits.row_stride;
  params.vocab = static_cast<int>(args.logits.RowElements());
  params.rows = context.spans.Made<RowPlan>(
      args.params.size(), [rows = args.params](std::span<RowPlan> plans) {
        std::transform(rows.begin(), rows.end(), plans.begin(), PlanOf);
      });
  params.adjusts = context.spans.In(args.adjusts);
  params.adjust_offsets = context.spans.In(args.adjust_offsets);
  params.allowed = context.spans.In(args.allowed);
  params.allowed_offsets = context.spans.In(args.allowed_offsets);
  params.survivors = args.survivors;
  Launch(ProcessLogitsKernel, {.x = static_cast<int>(args.params.size())}, {.x = kThreads}, 0,
         context.stream(), params);
}

}  // namespace runahead::RA_CUDA
