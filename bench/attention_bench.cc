// Times paged attention over BF16 and INT8 caches against the ceilings of the same minute, and what
// a longer context adds to a decode. usage: attention_bench [--threads n] [--isa name] [--rounds n]
//                                                         [--cache bf16|int8] [--only ops|growth]
//
// Each round measures the read bandwidth, then runs every line once over blocks that no cache of
// the processor still holds: lines meet the same neighbours, and shares are medians over rounds of
// both times of one round.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/check.h"
#include "kernels/cpu/roofline.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/registry.h"

namespace runahead {
namespace {

using BenchClock = std::chrono::steady_clock;

// Llama-3.2-1B: 32 / 8 heads of 64, 16 layers.
constexpr int kHeads = 32;
constexpr int kKvHeads = 8;
constexpr int kHeadDim = 64;
constexpr int kLayers = 16;
constexpr int kBlock = 16;
constexpr int kWidth = kHeads * kHeadDim;
constexpr int kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
constexpr int kPoolBlocks = 8192;  // more than four times a last-level cache of 32 MiB in INT8
constexpr int kCachedBlocks = 16;

struct Flags {
  int num_threads = cpu::DefaultNumThreads();
  std::string isa;
  std::string cache;
  std::string only;
  int num_rounds = 15;
};

Flags Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--threads") {
      flags.num_threads = std::stoi(value);
    } else if (name == "--isa") {
      flags.isa = value;
    } else if (name == "--rounds") {
      flags.num_rounds = std::stoi(value);
    } else if (name == "--cache") {
      flags.cache = value;
    } else {
      RA_CHECK(name == "--only", "no flag " + name);
      flags.only = value;
    }
  }
  return flags;
}

double Median(std::vector<double> of) {
  const auto middle = of.begin() + static_cast<int64_t>(of.size() / 2);
  std::nth_element(of.begin(), middle, of.end());
  return *middle;
}

// Each of `sequences` runs its last `rows` of `context` tokens, over the pool's next blocks.
class Step {
 public:
  Step(Backend& backend, int sequences, int rows, int context)
      : sequences_(sequences),
        rows_(rows),
        context_(context),
        blocks_((context + kBlock - 1) / kBlock),
        lens_(static_cast<size_t>(sequences), context),
        tables_(static_cast<size_t>(sequences * blocks_)),
        q_(backend.Allocate(num_rows() * kQkv * 4, MemoryKind::kDevice)),
        out_(backend.Allocate(num_rows() * kWidth * 2, MemoryKind::kDevice)),
        plan_(backend.MakeAttentionPlan({.max_sequences = sequences,
                                         .max_rows = static_cast<int>(num_rows()),
                                         .max_context = context,
                                         .num_heads = kHeads,
                                         .num_kv_heads = kKvHeads,
                                         .head_dim = kHeadDim})) {
    for (int s = 0; s <= sequences; ++s) offsets_.push_back(s * rows);
    std::mt19937 rng(1);
    std::normal_distribution<float> normal;
    auto* q = static_cast<float*>(q_.data());
    for (int64_t i = 0; i < num_rows() * kQkv; ++i) q[i] = normal(rng);
  }

  int64_t num_rows() const { return int64_t{sequences_} * rows_; }
  int64_t num_blocks() const { return int64_t{sequences_} * blocks_; }
  int sequences() const { return sequences_; }
  int rows() const { return rows_; }
  int context() const { return context_; }
  // Of products and sums: row i of r sees context - r + i + 1 keys.
  double Operations() const {
    return 4.0 * kWidth * static_cast<double>(num_rows()) * (context_ - (rows_ - 1) / 2.0);
  }

  // Seconds of one op over blocks from `first` on, of the pool's first `pool_blocks`.
  double Run(Backend& backend, const KvLayerView& cache, int64_t first, int64_t pool_blocks) {
    for (int64_t b = 0; b < num_blocks(); ++b) {
      tables_[static_cast<size_t>(b)] = static_cast<int32_t>((first + b) % pool_blocks);
    }
    BatchShape shape;
    shape.row_offsets = offsets_;
    shape.context_lens = lens_;
    shape.block_tables = tables_;
    shape.table_stride = blocks_;
    backend.PlanAttention(shape, *plan_);
    TensorView q(q_.data(), DType::kF32, {num_rows(), kHeads, kHeadDim});
    q.row_stride = kQkv;
    const auto start = BenchClock::now();
    backend.PagedAttention({.q = q,
                            .cache = cache,
                            .plan = plan_.get(),
                            .scale = 0.125f,
                            .out = {out_.data(), DType::kBF16, {num_rows(), kWidth}}});
    return std::chrono::duration<double>(BenchClock::now() - start).count();
  }

 private:
  int sequences_;
  int rows_;
  int context_;
  int blocks_;
  std::vector<int32_t> offsets_;
  std::vector<int32_t> lens_;
  std::vector<int32_t> tables_;
  DeviceBuffer q_;
  DeviceBuffer out_;
  std::unique_ptr<AttentionPlan> plan_;
};

// A pool of blocks that holds normal values, as the backend stores them.
class Pool {
 public:
  Pool(Backend& backend, DType dtype) : backend_(backend), dtype_(dtype) {
    const int64_t row = KvRowElements(dtype, kHeadDim);
    const int64_t bytes = int64_t{kPoolBlocks} * kKvHeads * kBlock * row * DTypeBytes(dtype);
    k_ = backend.Allocate(bytes, MemoryKind::kDevice);
    v_ = backend.Allocate(bytes, MemoryKind::kDevice);
    const auto view = [&](const DeviceBuffer& buffer) {
      return TensorView(buffer.data(), dtype, {kPoolBlocks, kKvHeads, kBlock, row});
    };
    cache_ = {view(k_), view(v_), kBlock};
    Fill();
  }

  DType dtype() const { return dtype_; }
  int64_t block_bytes() const { return 2 * cache_.k.RowElements() * DTypeBytes(dtype_); }
  // Seconds over the next blocks of the pool.
  double Run(Step& step) {
    const double seconds = step.Run(backend_, cache_, next_, kPoolBlocks);
    next_ = (next_ + step.num_blocks()) % kPoolBlocks;
    return seconds;
  }
  // The same over a few blocks again and again, which stay in a core's own caches.
  double RunCached(Step& step) { return step.Run(backend_, cache_, 0, kCachedBlocks); }

 private:
  // Stores 256 blocks of tokens and copies them over the rest.
  void Fill() {
    constexpr int kTokens = 256 * kBlock;
    std::mt19937 rng(1);
    std::normal_distribution<float> normal;
    std::vector<float> qkv(size_t{kTokens} * kQkv);
    for (float& x : qkv) x = normal(rng);
    std::vector<float> rope(kHeadDim, 0.0f);
    std::fill(rope.begin(), rope.begin() + kHeadDim / 2, 1.0f);
    const std::vector<int32_t> positions(kTokens, 0);
    std::vector<int64_t> slots(kTokens);
    for (size_t t = 0; t < slots.size(); ++t) slots[t] = static_cast<int64_t>(t);
    backend_.RopeAndStoreKv({.qkv = {qkv.data(), DType::kF32, {kTokens, kQkv}},
                             .num_heads = kHeads,
                             .num_kv_heads = kKvHeads,
                             .head_dim = kHeadDim,
                             .rope = {rope.data(), DType::kF32, {1, kHeadDim}},
                             .positions = positions,
                             .slots = slots,
                             .cache = cache_});
    std::vector<int32_t> from(256);
    std::vector<int32_t> to(256);
    for (int32_t begin = 256; begin < kPoolBlocks; begin += 256) {
      for (int32_t i = 0; i < 256; ++i) {
        from[static_cast<size_t>(i)] = i;
        to[static_cast<size_t>(i)] = begin + i;
      }
      backend_.CopyBlocks({.layers = {&cache_, 1}, .from = from, .to = to});
    }
  }

  Backend& backend_;
  DType dtype_;
  DeviceBuffer k_;
  DeviceBuffer v_;
  KvLayerView cache_;
  int64_t next_ = 0;
};

struct Line {
  Pool* pool = nullptr;
  Step* step = nullptr;
  std::vector<double> seconds = {};
  std::vector<double> shares = {};  // of the round's bandwidth
};

void Ops(const Flags& flags, Backend& backend, const std::vector<Pool*>& pools) {
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<Line> lines;
  const std::vector<std::pair<int, int>> batches = {{1, 1}, {1, 5}, {8, 1}, {1, 32}, {1, 512}};
  for (const auto& [sequences, rows] : batches) {
    for (const int context : {512, 2048, 4096}) {
      steps.push_back(std::make_unique<Step>(backend, sequences, rows, context));
      for (Pool* pool : pools) lines.push_back({pool, steps.back().get()});
    }
  }
  steps.push_back(std::make_unique<Step>(backend, 1, 2048, 2048));
  for (Pool* pool : pools) lines.push_back({pool, steps.back().get()});
  std::vector<double> bandwidths;
  for (int round = 0; round < flags.num_rounds; ++round) {
    bandwidths.push_back(MeasureReadBandwidth(flags.num_threads, 1));
    for (Line& line : lines) {
      const auto bytes = static_cast<double>(line.pool->block_bytes() * line.step->num_blocks());
      line.seconds.push_back(line.pool->Run(*line.step));
      line.shares.push_back(bytes / line.seconds.back() / bandwidths.back());
    }
  }
  // An INT8 product takes two of the instruction's: both digits of the query or weight.
  const double bf16_peak = MeasureBf16Peak(flags.isa) * flags.num_threads;
  const double int8_peak = MeasureInt8Peak(flags.isa) * flags.num_threads / 2;
  std::printf("%s; bandwidth %.1f GB/s; peak %.0f GFLOP/s bf16, %.0f GOP/s int8 in two digits\n",
              backend.info().detail.c_str(), Median(bandwidths) * 1e-9, bf16_peak * 1e-9,
              int8_peak * 1e-9);
  std::printf("\n%-6s %9s %5s %8s %10s %8s %7s %8s\n", "cache", "sequences", "rows", "context",
              "us", "GB/s KV", "of bw", "of peak");
  for (const Line& line : lines) {
    const Step& step = *line.step;
    const double seconds = Median(line.seconds);
    const auto bytes = static_cast<double>(line.pool->block_bytes() * step.num_blocks());
    const double peak = line.pool->dtype() == DType::kI8 ? int8_peak : bf16_peak;
    std::printf("%-6s %9d %5d %8d %10.1f %8.1f %6.1f%% %7.1f%%\n",
                std::string(DTypeName(line.pool->dtype())).c_str(), step.sequences(), step.rows(),
                step.context(), seconds * 1e6, bytes / seconds * 1e-9, 100 * Median(line.shares),
                100 * step.Operations() / seconds / peak);
  }
}

// What a decode of all layers takes at 4096 tokens more than at 128, over the time of reading what
// is more; and the same from the cache, where arithmetic alone is left.
void Growth(const Flags& flags, Backend& backend, const std::vector<Pool*>& pools) {
  std::printf("\n%-6s %12s %12s %12s %10s %10s\n", "cache", "128: us", "4096: us", "added: us",
              "of reading", "cached");
  Step shorter(backend, 1, 1, 128);
  Step longer(backend, 1, 1, 4096);
  for (Pool* pool : pools) {
    std::vector<double> at_shorter;
    std::vector<double> at_longer;
    std::vector<double> ratios;
    std::vector<double> cached_ratios;
    for (int round = 0; round < flags.num_rounds; ++round) {
      const double bandwidth = MeasureReadBandwidth(flags.num_threads, 1);
      double seconds[2] = {};
      double cached = 0;
      for (int layer = 0; layer < kLayers; ++layer) seconds[0] += pool->Run(shorter);
      for (int layer = 0; layer < kLayers; ++layer) seconds[1] += pool->Run(longer);
      for (int layer = 0; layer < kLayers; ++layer) {
        cached += pool->RunCached(longer) - pool->RunCached(shorter);
      }
      const auto added = static_cast<double>((longer.num_blocks() - shorter.num_blocks()) *
                                             pool->block_bytes() * kLayers);
      at_shorter.push_back(seconds[0]);
      at_longer.push_back(seconds[1]);
      ratios.push_back((seconds[1] - seconds[0]) / (added / bandwidth));
      cached_ratios.push_back(cached / (added / bandwidth));
    }
    std::printf("%-6s %12.1f %12.1f %12.1f %10.2f %10.2f\n",
                std::string(DTypeName(pool->dtype())).c_str(), Median(at_shorter) * 1e6,
                Median(at_longer) * 1e6, (Median(at_longer) - Median(at_shorter)) * 1e6,
                Median(ratios), Median(cached_ratios));
  }
}

void Main(const Flags& flags) {
  auto made = MakeBackend(
      "cpu", {.num_threads = flags.num_threads, .isa = flags.isa, .pin_threads = false});
  RA_CHECK(made.ok(), made.status().message());
  const std::unique_ptr<Backend> backend = std::move(made).value();
  std::vector<std::unique_ptr<Pool>> owned;
  std::vector<Pool*> pools;
  for (const DType dtype : {DType::kBF16, DType::kI8}) {
    if (!flags.cache.empty() && flags.cache != (dtype == DType::kI8 ? "int8" : "bf16")) continue;
    pools.push_back(owned.emplace_back(std::make_unique<Pool>(*backend, dtype)).get());
  }
  if (flags.only != "growth") Ops(flags, *backend, pools);
  if (flags.only != "ops") Growth(flags, *backend, pools);
}

}  // namespace
}  // namespace runahead

int main(int argc, char** argv) { runahead::Main(runahead::Parse(argc, argv)); }
