// Times a backend whose work is asynchronous: ops are enqueued many at a time and waited for once,
// so that what is measured is the device. For GPUs first; any backend will do.
// usage: device_bench [--backend cuda|cpu|ref] [--device n] [--graphs on|off]
//          [--only copy|linear|attention|step] [--model name of kModelShapes]
//          [--format int4|int8|bf16] [--checkpoint directory] [--quick on] [--json file]
//
// Weights and caches rotate over at least 256 MB, so that no cache of the device holds them. A line
// is the median of seven batches; `of copy` compares with the copy bandwidth measured first.
// --checkpoint: a directory with config.json, for whole steps with random INT4 weights.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bench/bench_weights.h"
#include "core/check.h"
#include "kernels/quantized_rows.h"
#include "kernels/registry.h"
#include "kvcache/kv_cache.h"
#include "model/model_runner.h"
#include "model/transformer.h"

namespace runahead {
namespace {

using BenchClock = std::chrono::steady_clock;

constexpr int kBlock = 16;
constexpr int kChainPasses = 4;  // of a draft

struct Flags {
  std::string backend = "cuda";
  int device = 0;
  bool has_graphs = true;
  std::string only;
  std::string model = "llama-3.1-8b";
  std::string format;
  std::string checkpoint;
  bool is_quick = false;  // small, few: to see that it runs
  std::string json;
};

Flags Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    RA_CHECK(i + 1 < argc, name + " needs a value");
    const std::string value = argv[i + 1];
    if (name == "--backend") {
      flags.backend = value;
    } else if (name == "--device") {
      flags.device = std::stoi(value);
    } else if (name == "--graphs") {
      flags.has_graphs = value == "on";
    } else if (name == "--only") {
      flags.only = value;
    } else if (name == "--model") {
      flags.model = value;
    } else if (name == "--format") {
      flags.format = value;
    } else if (name == "--checkpoint") {
      flags.checkpoint = value;
    } else if (name == "--quick") {
      flags.is_quick = value == "on";
    } else {
      RA_CHECK(name == "--json", "no flag " + name);
      flags.json = value;
    }
  }
  return flags;
}

const ModelShape& ShapeOf(const std::string& name) {
  for (const ModelShape& shape : kModelShapes) {
    if (shape.name == name) return shape;
  }
  RA_CHECK(false, "no model " + name);
  return kModelShapes[0];
}

// One line of the table.
struct Line {
  std::string what;   // "linear int4"
  std::string shape;  // "gate_up 28672 x 4096, 16 rows"
  double seconds = 0;
  double bytes = 0;       // that must be read or written
  double operations = 0;  // products and sums; 0: not counted
  double tokens = 0;      // 0: not counted
};

class DeviceBench {
 public:
  explicit DeviceBench(const Flags& flags, std::unique_ptr<Backend> backend)
      : flags_(flags), backend_(std::move(backend)) {
    std::printf("%s: %s\n", backend_->info().name.c_str(), backend_->info().detail.c_str());
    std::printf("%-16s %-44s %11s %9s %8s %9s %10s\n", "what", "shape", "us", "GB/s", "of copy",
                "TOP/s", "tokens/s");
  }

  void Copy();
  void Linears(const std::string& name, WeightFormat format);
  void Attentions(DType cache);
  void Steps();
  void WriteJson() const;

 private:
  // Median seconds of one of `count` calls of body(i), enqueued in a row.
  double Time(int count, const std::function<void(int)>& body) {
    std::vector<double> times;
    int next = 0;
    for (int batch = 0; batch < 8; ++batch) {
      backend_->Wait(backend_->Record());
      const auto start = BenchClock::now();
      for (int i = 0; i < count; ++i) body(next++);
      backend_->Wait(backend_->Record());
      const std::chrono::duration<double> time = BenchClock::now() - start;
      if (batch > 0) times.push_back(time.count() / count);  // the first one warms up
    }
    std::nth_element(times.begin(), times.begin() + 3, times.end());
    return times[3];
  }

  void Add(Line line) {
    const double rate = line.bytes / line.seconds;
    std::printf("%-16s %-44s %11.2f %9.1f %7.1f%% %9.2f %10.1f\n", line.what.c_str(),
                line.shape.c_str(), line.seconds * 1e6, rate * 1e-9,
                copy_rate_ > 0 ? 100 * rate / copy_rate_ : 0.0,
                line.operations / line.seconds * 1e-12, line.tokens / line.seconds);
    std::fflush(stdout);
    lines_.push_back(std::move(line));
  }

  void Chains(ModelRunner& runner, ModelRunner& joined, const std::vector<int32_t>& table,
              int context);

  int64_t rotate_bytes() const { return int64_t{flags_.is_quick ? 2 : 256} << 20; }
  int count() const { return flags_.is_quick ? 2 : 20; }
  DType activation() const { return ActivationDType(backend_->info(), {}); }

  Flags flags_;
  std::unique_ptr<Backend> backend_;
  double copy_rate_ = 0;
  std::vector<Line> lines_;
};

void DeviceBench::Copy() {
  constexpr int64_t kWidth = 4096;
  const int64_t rows = rotate_bytes() / (kWidth * 2);
  const DeviceBuffer from = RandomValues(*backend_, rows * kWidth, 2);
  const DeviceBuffer to = backend_->Allocate(rows * kWidth * 2, MemoryKind::kDevice);
  std::vector<int32_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), 0);
  const double seconds = Time(count(), [&](int) {
    backend_->GatherRows({.x = {from.data(), DType::kBF16, {rows, kWidth}},
                          .rows = all,
                          .out = {to.data(), DType::kBF16, {rows, kWidth}}});
  });
  const auto bytes = static_cast<double>(rows * kWidth * 4);
  copy_rate_ = bytes / seconds;
  Add({.what = "copy",
       .shape = std::to_string(rows) + " rows of 8 KB",
       .seconds = seconds,
       .bytes = bytes});
}

void DeviceBench::Linears(const std::string& name, WeightFormat format) {
  if (!flags_.format.empty() && flags_.format != name) return;
  struct Layer {
    const char* name;
    int64_t n, k;
  };
  const ModelShape& model = ShapeOf(flags_.model);
  std::vector<Layer> layers = {{"qkv", model.qkv(), model.hidden},
                               {"o", model.hidden, model.hidden},
                               {"gate_up", 2 * model.ffn, model.hidden},
                               {"down", model.hidden, model.ffn},
                               {"head", model.vocab, model.hidden}};
  std::vector<int> all_rows = {1, 4, 16, 17, 32, 64, 256, 1024, 4096};
  if (flags_.is_quick) {
    layers = {{"o", 256, 256}};
    all_rows = {1, 17};
  }
  const BenchWeights weights(*backend_, format);
  for (const Layer& layer : layers) {
    std::vector<std::unique_ptr<LinearWeight>> copies;
    for (int64_t held = 0; held < rotate_bytes(); held += copies.back()->bytes()) {
      copies.push_back(weights.Pack(layer.n, layer.k));
    }
    for (const int rows : all_rows) {
      const DType out = layer.n == model.vocab ? DType::kF32 : activation();
      const DeviceBuffer x = RandomRows(*backend_, weights.input_format(), rows, layer.k);
      const DeviceBuffer y =
          backend_->Allocate(rows * layer.n * DTypeBytes(out), MemoryKind::kDevice);
      const double seconds = Time(count(), [&](int i) {
        backend_->Linear({.x = RowsIn(weights.input_format(), x.data(), rows, layer.k),
                          .weight = copies[static_cast<size_t>(i) % copies.size()].get(),
                          .y = {y.data(), out, {rows, layer.n}}});
      });
      const auto products = static_cast<double>(layer.n * layer.k) * rows;
      Add({.what = "linear " + name,
           .shape = std::string(layer.name) + " " + std::to_string(layer.n) + " x " +
                    std::to_string(layer.k) + ", " + std::to_string(rows) + " rows",
           .seconds = seconds,
           .bytes = static_cast<double>(copies[0]->bytes()),
           .operations = 2 * products});
    }
  }
}

void DeviceBench::Attentions(DType cache) {
  const ModelShape& model = ShapeOf(flags_.model);
  const int context = flags_.is_quick ? 300 : 4096;
  const int64_t width = KvRowElements(cache, model.head_dim);
  for (const auto& [sequences, most_rows] : std::vector<std::pair<int, int>>{
           {1, 1}, {1, 4}, {8, 1}, {8, 4}, {64, 1}, {64, 4}, {1, 512}, {1, 2048}}) {
    if (flags_.is_quick && sequences > 1) continue;
    const int rows = std::min(most_rows, context / 2);
    const int stride = (context + kBlock - 1) / kBlock;
    const int64_t blocks = int64_t{sequences} * stride;
    const int64_t elements = blocks * model.kv_heads * kBlock * width;
    const int64_t bytes = elements * DTypeBytes(cache);
    std::vector<DeviceBuffer> caches;  // K, V, K, V, ..; INT8 scales of zero will do
    for (int64_t held = 0; held < rotate_bytes() || caches.size() < 2; held += bytes) {
      caches.push_back(cache == DType::kBF16 ? RandomValues(*backend_, elements, 2)
                                             : backend_->Allocate(bytes, MemoryKind::kDevice));
    }
    if (caches.size() % 2 == 1) caches.pop_back();
    std::vector<int32_t> offsets, lens(static_cast<size_t>(sequences), context);
    for (int s = 0; s <= sequences; ++s) offsets.push_back(s * rows);
    std::vector<int32_t> tables(static_cast<size_t>(blocks));
    std::iota(tables.begin(), tables.end(), 0);
    const auto plan = backend_->MakeAttentionPlan({.max_sequences = sequences,
                                                   .max_rows = sequences * rows,
                                                   .max_context = context,
                                                   .num_heads = model.heads,
                                                   .num_kv_heads = model.kv_heads,
                                                   .head_dim = model.head_dim});
    backend_->PlanAttention({.row_offsets = offsets,
                             .context_lens = lens,
                             .block_tables = tables,
                             .table_stride = stride},
                            *plan);
    const int64_t total = int64_t{sequences} * rows;
    const int64_t q_width = int64_t{model.heads} * model.head_dim;
    const DeviceBuffer q =
        RandomValues(*backend_, total * q_width, static_cast<int>(DTypeBytes(activation())));
    const DeviceBuffer out =
        backend_->Allocate(total * q_width * DTypeBytes(activation()), MemoryKind::kDevice);
    const auto view = [&](const DeviceBuffer& buffer) {
      return TensorView(buffer.data(), cache, {blocks, model.kv_heads, kBlock, width});
    };
    const double seconds = Time(count(), [&](int i) {
      const size_t at = static_cast<size_t>(i) % (caches.size() / 2) * 2;
      backend_->PagedAttention(
          {.q = {q.data(), activation(), {total, model.heads, model.head_dim}},
           .cache = {.k = view(caches[at]), .v = view(caches[at + 1]), .block_size = kBlock},
           .plan = plan.get(),
           .scale = 0.1f,
           .out = {out.data(), activation(), {total, q_width}}});
    });
    Add({.what = std::string("attention ") + (cache == DType::kI8 ? "int8" : "bf16"),
         .shape = std::to_string(sequences) + " x " + std::to_string(rows) + " rows of " +
                  std::to_string(context) + " tokens",
         .seconds = seconds,
         .bytes = 2.0 * static_cast<double>(bytes),
         // A row sees what is before it: the last one all.
         .operations = 4.0 * static_cast<double>(total * q_width) * (context - 0.5 * (rows - 1))});
  }
}

// Whole greedy decode steps of a checkpoint's shape, each waited for as the engine does.
void DeviceBench::Steps() {
  const int context = flags_.is_quick ? 64 : 1024;
  std::vector<std::pair<int, int>> batches = {{1, 1}, {1, 4}, {4, 1}, {16, 1}, {64, 1}, {16, 4}};
  if (flags_.is_quick) batches = {{1, 1}, {2, 3}};
  const RunnerLimits limits = {.max_rows = 128,
                               .max_sequences = 64,
                               .max_logit_rows = 128,
                               .max_context = context + 64,
                               .block_size = kBlock};
  auto loaded = Transformer::Load(*backend_, flags_.checkpoint,
                                  {.format = LoadFormat::kDummy,
                                   .weight_format = WeightFormats(WeightFormat::kInt4),
                                   .max_context = limits.max_context});
  RA_CHECK(loaded.ok(), loaded.status().message());
  const Transformer& model = **loaded;
  const int blocks = (limits.max_context + kBlock - 1) / kBlock;
  const KvCacheShape shape = {.num_layers = model.config().num_layers,
                              .num_kv_heads = model.config().num_kv_heads,
                              .head_dim = model.config().head_dim,
                              .block_size = kBlock,
                              .dtype = DType::kBF16};
  KvCache cache(*backend_, shape, 64 * blocks);
  ModelRunner runner(*backend_, model, cache, limits);
  RunnerLimits of_draft = limits;
  of_draft.max_joined_passes = kChainPasses;
  ModelRunner joined(*backend_, model, cache, of_draft);
  const SamplingParams greedy = {.temperature = 0};
  for (const auto& [sequences, rows] : batches) {
    std::vector<std::vector<int32_t>> tables(static_cast<size_t>(sequences));
    std::vector<SequenceRun> runs;
    const std::vector<int32_t> tokens(static_cast<size_t>(rows), 5);
    for (int s = 0; s < sequences; ++s) {
      auto& table = tables[static_cast<size_t>(s)];
      for (int b = 0; b < blocks; ++b) table.push_back(s * blocks + b);
      runs.push_back({.tokens = tokens,
                      .num_computed = context,
                      .block_table = table,
                      .num_drafts = rows - 1,
                      .wants_token = true,
                      .sampling = &greedy});
    }
    const double seconds = Time(count(), [&](int) { runner.Run(runs); });
    const double kv = static_cast<double>(shape.BlockBytes()) / kBlock * context * sequences;
    Add({.what = flags_.has_graphs ? "step int4" : "step, no graphs",
         .shape = std::to_string(sequences) + " x " + std::to_string(rows) + " rows at " +
                  std::to_string(context) + " tokens",
         .seconds = seconds,
         .bytes = static_cast<double>(model.linear_bytes()) + kv,
         .tokens = static_cast<double>(sequences)});
  }
  std::vector<int32_t> table;
  for (int b = 0; b < blocks; ++b) table.push_back(b);
  Chains(runner, joined, table, context);
  std::printf("%ld of these steps were graph launches\n",
              static_cast<long>(runner.num_graph_launches()));
}

// A draft's passes of one sequence as one graph, as a chain of graphs, and each waited for.
void DeviceBench::Chains(ModelRunner& runner, ModelRunner& joined,
                         const std::vector<int32_t>& table, int context) {
  const SamplingParams greedy = {.temperature = 0};
  const std::vector<int32_t> token = {5};
  std::vector<SequenceRun> runs;
  for (int p = 0; p < kChainPasses; ++p) {
    runs.push_back({.tokens = token,
                    .num_computed = context + p,
                    .block_table = table,
                    .wants_token = true,
                    .sampling = &greedy,
                    .proposal = Proposal()});
  }
  std::vector<std::span<const SequenceRun>> passes;
  for (const SequenceRun& run : runs) passes.push_back(std::span(&run, 1));
  const std::string shape = std::to_string(kChainPasses) + " passes at " + std::to_string(context);
  const auto add = [&](const char* what, double seconds) {
    Add({.what = what, .shape = shape + " tokens", .seconds = seconds, .tokens = kChainPasses});
  };
  add("chain, joined", Time(count(), [&](int) { joined.RunChain(passes); }));
  add("chain", Time(count(), [&](int) { runner.RunChain(passes); }));
  add("one by one", Time(count(), [&](int) {
        for (const auto& pass : passes) runner.Run(pass);
      }));
}

void DeviceBench::WriteJson() const {
  if (flags_.json.empty()) return;
  std::ofstream out(flags_.json);
  out << "{\"device\": \"" << backend_->info().detail << "\", \"lines\": [";
  for (size_t i = 0; i < lines_.size(); ++i) {
    const Line& line = lines_[i];
    out << (i == 0 ? "\n" : ",\n") << "  {\"what\": \"" << line.what << "\", \"shape\": \""
        << line.shape << "\", \"us\": " << line.seconds * 1e6
        << ", \"gigabytes_per_second\": " << line.bytes / line.seconds * 1e-9
        << ", \"of_copy\": " << (copy_rate_ > 0 ? line.bytes / line.seconds / copy_rate_ : 0)
        << ", \"tera_ops_per_second\": " << line.operations / line.seconds * 1e-12
        << ", \"tokens_per_second\": " << line.tokens / line.seconds << "}";
  }
  out << "\n]}\n";
  RA_CHECK(out.good(), "cannot write " + flags_.json);
}

int Main(const Flags& flags) {
  auto backend =
      MakeBackend(flags.backend, {.cuda_device = flags.device, .cuda_graphs = flags.has_graphs});
  if (!backend.ok()) {
    std::fprintf(stderr, "device_bench: %s\n", backend.status().message().c_str());
    return 1;
  }
  DeviceBench bench(flags, std::move(backend).value());
  const auto wants = [&](const char* part) { return flags.only.empty() || flags.only == part; };
  bench.Copy();
  if (wants("linear")) {
    bench.Linears("int4", WeightFormat::kInt4);
    bench.Linears("int8", WeightFormat::kInt8);
    bench.Linears("bf16", WeightFormat::kBF16);
  }
  if (wants("attention")) {
    bench.Attentions(DType::kBF16);
    bench.Attentions(DType::kI8);
  }
  if (wants("step") && !flags.checkpoint.empty()) bench.Steps();
  bench.WriteJson();
  return 0;
}

}  // namespace
}  // namespace runahead

int main(int argc, char** argv) { return runahead::Main(runahead::Parse(argc, argv)); }
