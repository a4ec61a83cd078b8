// Log-softmax of one chosen token, its rank, and the top_n most likely tokens. One block of 512
// threads a row.
//
//   pass 1        largest logit
//   pass 2        sum of masses (integers: softmax_mass.cuh), and how many beat the chosen token
//   SelectPrefix  the border after top_n tokens (rank_select.cuh)
//   Collect       the top_n in the order of ids; each then counts who is before it: its place
//
// Logprobs are logit - (highest + log(sum)) in double, rounded once: the reference's, but for sums
// that it takes of f32 exponentials (docs/numerics.md, log-softmax).
//
// Roofline: 4 V bytes a row read 3 times, 7 with top_n > 0, all but the first from L2. Not yet
// measured: no GPU yet.
#include "kernels/check_args.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/rank_select.cuh"
#include "kernels/cuda/softmax_mass.cuh"

namespace runahead::RA_CUDA {
namespace {

constexpr int kThreads = 512;
constexpr int kMostTop = 20;

struct TopLogprobsParams {
  const float* logits = nullptr;  // [R, V]
  int64_t stride = 0;
  int vocab = 0;
  int top_n = 0;
  const int32_t* chosen = nullptr;  // [R]
  float* chosen_logprobs = nullptr;
  int32_t* chosen_ranks = nullptr;
  int32_t* top_ids = nullptr;  // [R, top_n]
  float* top_logprobs = nullptr;
};

struct SharedStorage {
  SelectStorage select;
  ReduceStorage<uint32_t> highest;
  ReduceStorage<uint64_t> mass;
  ReduceStorage<int> larger;
  int num_found;
  int ids[kMostTop];
  uint32_t keys[kMostTop];
};

// Puts the tokens that `cut` keeps, top_n of them, into their places.
RA_DEVICE void Collect(const TopLogprobsParams& params, const float* logits, const Cut& cut,
                       double total, SharedStorage& shared) {
  if (ThreadX() == 0) shared.num_found = 0;
  SyncThreads();
  for (int id = ThreadX(); id < params.vocab; id += kThreads) {
    const uint32_t key = OrderedKey(logits[id]);
    if (!Keeps(cut, key, id)) continue;
    const int at = AtomicAdd(&shared.num_found, 1);  // any order: places follow below
    shared.ids[at] = id;
    shared.keys[at] = key;
  }
  SyncThreads();
  if (ThreadX() >= params.top_n) return;
  const int id = shared.ids[ThreadX()];
  const uint32_t key = shared.keys[ThreadX()];
  int place = 0;
  for (int i = 0; i < params.top_n; ++i) {
    place += shared.keys[i] > key || (shared.keys[i] == key && shared.ids[i] < id) ? 1 : 0;
  }
  const int64_t at = int64_t{BlockX()} * params.top_n + place;
  params.top_ids[at] = id;
  params.top_logprobs[at] = static_cast<float>(static_cast<double>(logits[id]) - total);
}

__global__ void __launch_bounds__(kThreads, 1)
    TopLogprobsKernel(const __grid_constant__ TopLogprobsParams params) {
  auto& shared = StaticShared<SharedStorage>();
  const int row = BlockX();
  const float* logits = params.logits + row * params.stride;
  const int chosen = params.chosen[row];
  const float own = chosen >= 0 ? logits[chosen] : NAN;
  uint32_t key = 0;
  for (int id = ThreadX(); id < params.vocab; id += kThreads) {
    key = MaxOp()(key, OrderedKey(logits[id]));
  }
  const float highest = KeyToFloat(BlockReduce<kThreads>(key, MaxOp(), shared.highest));
  uint64_t mass = 0;
  int larger = 0;
  for (int id = ThreadX(); id < params.vocab; id += kThreads) {
    mass += MassOf(logits[id], highest);
    larger += logits[id] > own ? 1 : 0;
  }
  mass = BlockReduce<kThreads>(mass, AddOp(), shared.mass);
  larger = BlockReduce<kThreads>(larger, AddOp(), shared.larger);
  const double total =
      static_cast<double>(highest) + log(static_cast<double>(mass) / static_cast<double>(kMassOne));
  if (ThreadX() == 0) {
    params.chosen_logprobs[row] =
        chosen >= 0 ? static_cast<float>(static_cast<double>(own) - total) : 0.0f;
    params.chosen_ranks[row] = chosen >= 0 ? 1 + larger : 0;
  }
  if (params.top_n == 0) return;
  const Cut cut = SelectPrefix<kThreads>(
      params.vocab, [&](int id) { return OrderedKey(logits[id]); },
      [](uint32_t) { return uint64_t{1}; }, static_cast<uint64_t>(params.top_n), shared.select);
  Collect(params, logits, cut, total, shared);
}

}  // namespace

void TopLogprobs(const TopLogprobsArgs& args, OpContext& context) {
  CheckArgs(args);
  const auto num_rows = static_cast<int>(args.logits.dim(0));
  if (num_rows == 0) return;
  RA_CHECK_LE(args.logits.RowElements(), int64_t{kMaxVocab});
  for (const int32_t id : args.chosen) {
    RA_CHECK(id >= -1 && id < args.logits.RowElements(), "a token id, or -1");
  }
  const size_t num_top = static_cast<size_t>(num_rows) * static_cast<size_t>(args.top_n);
  TopLogprobsParams params;
  params.logits = static_cast<const float*>(args.logits.data);
  params.stride = args.logits.row_stride;
  params.vocab = static_cast<int>(args.logits.RowElements());
  params.top_n = args.top_n;
  params.chosen = args.drawn != nullptr ? args.drawn : context.spans.In(args.chosen);
  params.chosen_logprobs = context.spans.Out(args.chosen_logprobs);
  params.chosen_ranks = context.spans.Out(args.chosen_ranks);
  params.top_ids = context.spans.Out(args.top_ids.first(num_top));
  params.top_logprobs = context.spans.Out(args.top_logprobs.first(num_top));
  Launch(TopLogprobsKernel, {.x = num_rows}, {.x = kThreads}, 0, context.stream(), params);
}

}  // namespace runahead::RA_CUDA
