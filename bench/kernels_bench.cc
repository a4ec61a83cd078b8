// Times the cpu backend's ops and whole steps of a Llama-3.2-1B shape against the ceilings of the
// same minute. usage: kernels_bench [--only linear|attention|sampling|step|barrier] [--rows 1,2,5]
// [--threads n] [--isa name] [--format int4,int8,bf16] [--model name|all] [--context tokens]
// [--rows-each of_a_sequence] [--seconds per_line]
//
// Formats: f32, bf16, int8, int4 (groups of 128), int4-g64, int4-g32, int4-zero (with zero points).
//
// Weights rotate over at least four times the last-level cache, so that every pass reads memory.
// Each line is a median, and the bandwidth beside it was measured just before.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/bench_weights.h"
#include "bench/kernels_bench_flags.h"
#include "bench/linear_bench.h"
#include "core/check.h"
#include "kernels/cpu/roofline.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/quantized_rows.h"
#include "kernels/registry.h"

namespace runahead {
namespace {

using BenchClock = std::chrono::steady_clock;

constexpr int64_t kRotateBytes = int64_t{128} << 20;  // 4 x 32 MiB of last-level cache

// The shape: H 2048, 32 / 8 heads of 64, I 8192, V 128256, 16 layers.
constexpr int64_t kHidden = 2048;
constexpr int64_t kFfn = 8192;
constexpr int64_t kVocab = 128256;
constexpr int kHeads = 32;
constexpr int kKvHeads = 8;
constexpr int kHeadDim = 64;
constexpr int kLayers = 16;
constexpr int64_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
constexpr int kBlock = 16;

// Median seconds of body(i), repeated for about `seconds`.
double Median(double seconds, const std::function<void(int)>& body) {
  std::vector<double> times;
  body(0);
  double total = 0;
  for (int i = 1; total < seconds || times.size() < 5; ++i) {
    const auto start = BenchClock::now();
    body(i);
    times.push_back(std::chrono::duration<double>(BenchClock::now() - start).count());
    total += times.back();
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

class Bench {
 public:
  Bench(const KernelsBenchFlags& flags, const NamedFormat& format) : flags_(flags) {
    auto backend = MakeBackend(
        "cpu", {.num_threads = flags.num_threads, .isa = flags.isa, .pin_threads = false});
    RA_CHECK(backend.ok(), backend.status().message());
    backend_ = std::move(backend).value();
    weights_ = std::make_unique<BenchWeights>(*backend_, format.format);
    // Attention multiplies bf16 whatever the weights are.
    peak_ = MeasureBf16Peak(flags.isa) * flags.num_threads;
    std::printf("\n%s; %s weights; bf16 peak %.0f GFLOP/s\n", backend_->info().detail.c_str(),
                format.name.c_str(), peak_ * 1e-9);
  }

  void Attentions() {
    std::printf("\n%-10s %9s %5s %8s %10s %8s %7s %9s %8s\n", "attention", "sequences", "rows",
                "context", "us", "GB/s KV", "of bw", "GFLOP/s", "of peak");
    for (const auto& [sequences, rows] :
         std::vector<std::pair<int, int>>{{1, 1}, {1, 5}, {8, 1}, {32, 1}, {1, 128}, {1, 512}}) {
      for (const int context : {512, 4096}) OneAttention(sequences, rows, context);
    }
  }

  void Samplings();
  void Rejection(const std::function<void(const char*, const std::function<void()>&)>& line);
  void Barrier();
  void Steps();

 private:
  struct Layer {
    std::unique_ptr<LinearWeight> qkv, o, gate_up, down;
    DeviceBuffer k, v;
  };
  struct Model;
  struct Paged;
  std::unique_ptr<Model> MakeModel(int most);
  void Step(const Model& model, const Paged& paged);

  DeviceBuffer Random(int64_t count, int bytes) { return RandomValues(*backend_, count, bytes); }
  std::unique_ptr<LinearWeight> Pack(int64_t n, int64_t k) { return weights_->Pack(n, k); }
  TensorView Input(const DeviceBuffer& buffer, int64_t rows, int64_t width) const {
    return RowsIn(weights_->input_format(), buffer.data(), rows, width);
  }

  // A cache of `sequences` x `context` tokens with its tables, and the plan of `rows` rows each.
  struct Paged {
    std::unique_ptr<AttentionPlan> plan;
    std::vector<int32_t> offsets = {0}, lens, tables;
    BatchShape shape;
    int64_t num_blocks = 0;
  };
  std::unique_ptr<Paged> MakePaged(int sequences, int rows, int context) {
    auto p = std::make_unique<Paged>();
    const int blocks = (context + kBlock - 1) / kBlock;
    for (int s = 0; s < sequences; ++s) {
      p->offsets.push_back(p->offsets.back() + rows);
      p->lens.push_back(context);
      for (int b = 0; b < blocks; ++b) p->tables.push_back(s * blocks + b);
    }
    p->num_blocks = int64_t{sequences} * blocks;
    p->shape.row_offsets = p->offsets;
    p->shape.context_lens = p->lens;
    p->shape.block_tables = p->tables;
    p->shape.table_stride = blocks;
    p->plan = backend_->MakeAttentionPlan({.max_sequences = sequences,
                                           .max_rows = sequences * rows,
                                           .max_context = context,
                                           .num_heads = kHeads,
                                           .num_kv_heads = kKvHeads,
                                           .head_dim = kHeadDim});
    backend_->PlanAttention(p->shape, *p->plan);
    return p;
  }
  KvLayerView CacheView(const DeviceBuffer& k, const DeviceBuffer& v, int64_t num_blocks) const {
    return {{k.data(), DType::kBF16, {num_blocks, kKvHeads, kBlock, kHeadDim}},
            {v.data(), DType::kBF16, {num_blocks, kKvHeads, kBlock, kHeadDim}},
            kBlock};
  }

  void OneAttention(int sequences, int rows, int context) {
    const auto paged = MakePaged(sequences, rows, context);
    const int64_t count = paged->num_blocks * kKvHeads * kBlock * kHeadDim;
    std::vector<std::pair<DeviceBuffer, DeviceBuffer>> caches;
    while (static_cast<int64_t>(caches.size()) * count * 4 < kRotateBytes) {
      caches.emplace_back(Random(count, 2), Random(count, 2));
    }
    const int64_t total = int64_t{sequences} * rows;
    const DeviceBuffer q = Random(total * kQkv, 4);
    const DeviceBuffer out = backend_->Allocate(total * kHidden * 4, MemoryKind::kDevice);
    TensorView q_view(q.data(), DType::kF32, {total, kHeads, kHeadDim});
    q_view.row_stride = kQkv;
    const double bandwidth = MeasureReadBandwidth(flags_.num_threads, 3);
    const double seconds = Median(flags_.seconds, [&](int i) {
      const auto& [k, v] = caches[static_cast<size_t>(i) % caches.size()];
      backend_->PagedAttention({.q = q_view,
                                .cache = CacheView(k, v, paged->num_blocks),
                                .plan = paged->plan.get(),
                                .scale = 0.125f,
                                .out = Input(out, total, kHidden)});
    });
    const double bytes = static_cast<double>(count) * 4;
    // Row i of r sees context - r + i + 1 keys.
    const double keys = static_cast<double>(total) * (context - (rows - 1) / 2.0);
    const double flops = 4 * keys * kHidden;
    std::printf("%-10s %9d %5d %8d %10.1f %8.1f %6.1f%% %9.1f %7.1f%%\n", "attention", sequences,
                rows, context, seconds * 1e6, bytes / seconds * 1e-9,
                100 * bytes / seconds / bandwidth, flops / seconds * 1e-9,
                100 * flops / seconds / peak_);
  }

  KernelsBenchFlags flags_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<BenchWeights> weights_;
  double peak_ = 0;
};

void Bench::Samplings() {
  std::printf("\n%-34s %10s\n", "sampling, one row of V 128256", "us");
  std::mt19937 rng(3);
  std::normal_distribution<float> normal(0, 2.5f);
  std::vector<float> raw(kVocab);
  for (float& value : raw) value = normal(rng);
  std::vector<float> logits(kVocab);
  std::vector<int32_t> ids(1024), count(1), tokens(1), accepted(1);
  const std::vector<SampleRow> row = {{.key = {.seed = 1}, .position = 3, .greedy = false}};
  const std::vector<SampleRow> greedy = {{.key = {}, .position = 3, .greedy = true}};
  const std::vector<int32_t> offsets = {0, 1}, drafts = {-1};
  const TensorView view(logits.data(), DType::kF32, {1, kVocab});
  const SurvivorsView survivors{ids.data(), count.data(), 1024};
  const auto sample = [&](const std::vector<SampleRow>& name, bool listed) {
    SampleVerifyArgs args;
    args.logits = view;
    if (listed) args.survivors = survivors;
    args.rows = name;
    args.row_offsets = offsets;
    args.drafts = drafts;
    args.token_ids = tokens;
    args.num_accepted = accepted;
    backend_->SampleAndVerify(args);
  };
  const auto line = [&](const char* name, const std::function<void()>& body) {
    std::vector<double> times;
    for (int i = 0; i < 201; ++i) {
      std::copy(raw.begin(), raw.end(), logits.begin());
      const auto start = BenchClock::now();
      body();
      times.push_back(std::chrono::duration<double>(BenchClock::now() - start).count());
    }
    std::nth_element(times.begin(), times.begin() + 100, times.end());
    std::printf("%-34s %10.1f\n", name, times[100] * 1e6);
  };
  line("greedy", [&] { sample(greedy, false); });
  line("gumbel, whole vocabulary", [&] { sample(row, false); });
  for (const auto& [name, params] : std::vector<std::pair<const char*, LogitParams>>{
           {"temperature 0.8", {.temperature = 0.8f}},
           {"top_p 0.95 and draw", {.temperature = 0.8f, .top_p = 0.95f}},
           {"top_k 40 and draw", {.temperature = 0.8f, .top_k = 40}},
           {"min_p 0.05 and draw", {.temperature = 0.8f, .min_p = 0.05f}}}) {
    const std::vector<LogitParams> all = {params};
    line(name, [&] {
      backend_->ProcessLogits({.logits = view, .params = all, .survivors = survivors});
      sample(row, true);
    });
  }
  Rejection(line);
  std::vector<float> lp(1), top_lp(20);
  std::vector<int32_t> rank(1), top(20), chosen = {5};
  line("top 20 logprobs", [&] {
    backend_->TopLogprobs({.logits = view,
                           .chosen = chosen,
                           .top_n = 20,
                           .chosen_logprobs = lp,
                           .chosen_ranks = rank,
                           .top_ids = top,
                           .top_logprobs = top_lp});
  });
}

// A draft that another row of logits proposed and that is most often refused: both softmaxes and a
// draw from the residual.
void Bench::Rejection(const std::function<void(const char*, const std::function<void()>&)>& line) {
  std::mt19937 rng(4);
  std::normal_distribution<float> normal(0, 2.5f);
  std::vector<float> logits(2 * kVocab), draft_logits(kVocab);
  for (float& value : logits) value = normal(rng);
  for (float& value : draft_logits) value = normal(rng);
  const auto likely = std::max_element(draft_logits.begin(), draft_logits.end());
  const std::vector<SampleRow> rows(2);
  const std::vector<int32_t> offsets = {0, 2}, draft_rows = {0, -1};
  const std::vector<int32_t> drafts = {static_cast<int32_t>(likely - draft_logits.begin()), -1};
  std::vector<int32_t> tokens(2), accepted(1);
  line("rejection of one sampled draft", [&] {
    backend_->SampleAndVerify({.logits = {logits.data(), DType::kF32, {2, kVocab}},
                               .survivors = {},
                               .rows = rows,
                               .row_offsets = offsets,
                               .drafts = drafts,
                               .draft_logits = {draft_logits.data(), DType::kF32, {1, kVocab}},
                               .draft_rows = draft_rows,
                               .mode = VerifyMode::kRejection,
                               .token_ids = tokens,
                               .num_accepted = accepted});
  });
}

void Bench::Barrier() {
  cpu::ThreadPool pool(flags_.num_threads, false);
  constexpr int kRounds = 1000;
  const double seconds = Median(0.3, [&](int) {
    for (int i = 0; i < kRounds; ++i) pool.Run([](int) {});
  });
  std::printf("\nfork and join of %d threads: %.0f ns\n", flags_.num_threads,
              seconds / kRounds * 1e9);
}

// The weights and caches of the whole shape, and a step's buffers for up to `most` rows.
struct Bench::Model {
  std::vector<Layer> layers;
  std::unique_ptr<LinearWeight> head;
  int64_t bytes = 0;  // of weights
  int64_t num_blocks = 0;
  std::vector<float> gain = std::vector<float>(kHidden, 1);
  DeviceBuffer rope, residual, normed, qkv, attended, out, gate_up, act, logits;
};

std::unique_ptr<Bench::Model> Bench::MakeModel(int most) {
  auto model = std::make_unique<Model>();
  model->num_blocks = int64_t{most} * ((flags_.context + kBlock - 1) / kBlock);
  const int64_t kv = model->num_blocks * kKvHeads * kBlock * kHeadDim;
  for (int i = 0; i < kLayers; ++i) {
    Layer& layer = model->layers.emplace_back();
    layer.qkv = Pack(kQkv, kHidden);
    layer.o = Pack(kHidden, kHidden);
    layer.gate_up = Pack(2 * kFfn, kHidden);
    layer.down = Pack(kHidden, kFfn);
    layer.k = Random(kv, 2);
    layer.v = Random(kv, 2);
    for (const auto* w : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down}) {
      model->bytes += (*w)->bytes();
    }
  }
  model->head = Pack(kVocab, kHidden);
  model->bytes += model->head->bytes();
  model->rope = Random(int64_t{flags_.context} * kHeadDim, 4);
  model->residual = Random(most * kHidden, 4);
  const std::pair<DeviceBuffer*, int64_t> buffers[] = {
      {&model->normed, kHidden}, {&model->qkv, kQkv},         {&model->attended, kHidden},
      {&model->out, kHidden},    {&model->gate_up, 2 * kFfn}, {&model->act, kFfn},
      {&model->logits, kVocab}};
  for (const auto& [buffer, width] : buffers) {
    *buffer = backend_->Allocate(most * width * 4, MemoryKind::kDevice);
  }
  return model;
}

// One step: each sequence of `paged` runs its last token.
void Bench::Step(const Model& m, const Paged& paged) {
  const int rows = paged.shape.num_sequences();
  const int last = flags_.context - 1;
  const std::vector<int32_t> positions(static_cast<size_t>(rows), last);
  std::vector<int64_t> slots;
  for (int s = 0; s < rows; ++s) {
    const int at = s * paged.shape.table_stride + last / kBlock;
    slots.push_back(int64_t{paged.tables[static_cast<size_t>(at)]} * kBlock + last % kBlock);
  }
  const auto f32 = [&](const DeviceBuffer& b, int64_t width) {
    return TensorView(b.data(), DType::kF32, {rows, width});
  };
  const auto in = [&](const DeviceBuffer& b, int64_t width) { return Input(b, rows, width); };
  const auto add_norm = [&] {
    backend_->AddRmsNorm({f32(m.residual, kHidden), f32(m.out, kHidden), m.gain.data(), 1e-5f,
                          in(m.normed, kHidden)});
  };
  TensorView q(m.qkv.data(), DType::kF32, {rows, kHeads, kHeadDim});
  q.row_stride = kQkv;
  backend_->PlanAttention(paged.shape, *paged.plan);
  backend_->RmsNorm({f32(m.residual, kHidden), m.gain.data(), 1e-5f, in(m.normed, kHidden)});
  for (const Layer& layer : m.layers) {
    backend_->Linear({in(m.normed, kHidden), layer.qkv.get(), f32(m.qkv, kQkv)});
    const KvLayerView cache = CacheView(layer.k, layer.v, m.num_blocks);
    backend_->RopeAndStoreKv({.qkv = f32(m.qkv, kQkv),
                              .num_heads = kHeads,
                              .num_kv_heads = kKvHeads,
                              .head_dim = kHeadDim,
                              .rope = {m.rope.data(), DType::kF32, {flags_.context, kHeadDim}},
                              .positions = positions,
                              .slots = slots,
                              .cache = cache});
    backend_->PagedAttention({q, cache, paged.plan.get(), 0.125f, 0, in(m.attended, kHidden)});
    backend_->Linear({in(m.attended, kHidden), layer.o.get(), f32(m.out, kHidden)});
    add_norm();
    backend_->Linear({in(m.normed, kHidden), layer.gate_up.get(), f32(m.gate_up, 2 * kFfn)});
    backend_->SiluMul({f32(m.gate_up, 2 * kFfn), in(m.act, kFfn)});
    backend_->Linear({in(m.act, kFfn), layer.down.get(), f32(m.out, kHidden)});
    add_norm();
  }
  backend_->Linear({in(m.normed, kHidden), m.head.get(), f32(m.logits, kVocab)});
}

// Whole steps of r sequences of one row each at `context` tokens; logits of all rows.
// Row counts take turns, so that a busy neighbour meets all of them; a ratio is the median over
// rounds of both times of one round.
void Bench::Steps() {
  struct Sample {
    int rows = 0;
    std::unique_ptr<Paged> paged;
    std::vector<double> seconds = {};
    std::vector<double> ratios = {};
  };
  std::vector<Sample> samples;
  for (const int rows : flags_.rows) {
    const int each = std::min(rows, flags_.rows_each);
    if (rows <= 64) samples.push_back({rows, MakePaged(rows / each, each, flags_.context)});
  }
  if (samples.empty()) return;
  const auto model = MakeModel(*std::max_element(flags_.rows.begin(), flags_.rows.end()));
  std::vector<double> bandwidths;
  for (double total = 0; total < flags_.seconds * static_cast<double>(samples.size());) {
    bandwidths.push_back(MeasureReadBandwidth(flags_.num_threads, 1));
    for (Sample& sample : samples) {
      const auto start = BenchClock::now();
      Step(*model, *sample.paged);
      sample.seconds.push_back(std::chrono::duration<double>(BenchClock::now() - start).count());
      sample.ratios.push_back(sample.seconds.back() / samples[0].seconds.back());
      total += sample.seconds.back();
    }
  }
  const auto median = [](std::vector<double> of) {
    const auto middle = of.begin() + static_cast<int64_t>(of.size() / 2);
    std::nth_element(of.begin(), middle, of.end());
    return *middle;
  };
  const double bandwidth = median(bandwidths);
  std::printf("\n%-5s %9s %9s %8s %8s %8s %8s\n", "step", "ms", "tokens/s", "GB/s", "bw", "of bw",
              "of first");
  for (const Sample& sample : samples) {
    const int num_sequences = sample.rows / std::min(sample.rows, flags_.rows_each);
    const double seconds = median(sample.seconds);
    const double read = static_cast<double>(model->bytes) +
                        4.0 * kLayers * kKvHeads * kHeadDim * flags_.context * num_sequences;
    std::printf("%-5d %9.2f %9.1f %8.1f %8.1f %7.1f%% %8.2f\n", sample.rows, seconds * 1e3,
                sample.rows / seconds, read / seconds * 1e-9, bandwidth * 1e-9,
                100 * read / seconds / bandwidth, median(sample.ratios));
  }
}

void Main(const KernelsBenchFlags& flags) {
  const auto wanted = [&](const char* name) { return flags.only.empty() || flags.only == name; };
  if (wanted("linear")) BenchLinears(flags);
  if (flags.only == "linear") return;
  for (const NamedFormat& format : flags.formats) {
    Bench bench(flags, format);
    if (wanted("step")) bench.Steps();
    if (flags.only == "step" || &format != &flags.formats.front()) continue;
    if (wanted("barrier")) bench.Barrier();
    if (wanted("attention")) bench.Attentions();
    if (wanted("sampling")) bench.Samplings();
  }
}

}  // namespace
}  // namespace runahead

int main(int argc, char** argv) { runahead::Main(runahead::ParseKernelsBenchFlags(argc, argv)); }
