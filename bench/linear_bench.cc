#include "bench/linear_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "bench/bench_weights.h"
#include "kernels/cpu/roofline.h"
#include "kernels/quantized_rows.h"
#include "kernels/registry.h"

namespace runahead {
namespace {

using BenchClock = std::chrono::steady_clock;

constexpr int64_t kRotateBytes = int64_t{128} << 20;  // 4 x 32 MiB of last-level cache
// What a step may take: this much longer than the larger of reading the weights at 90 % of the
// bandwidth and multiplying at 65 % of the peak.
constexpr double kOfBandwidth = 0.9;
constexpr double kOfPeak = 0.65;

double Median(std::vector<double> of) {
  const auto middle = of.begin() + static_cast<int64_t>(of.size() / 2);
  std::nth_element(of.begin(), middle, of.end());
  return *middle;
}

double PeakOf(WeightFormat format, const std::string& isa) {
  if (format.is_quantized()) return MeasureInt8Peak(isa);
  return format.type == WeightType::kBF16 ? MeasureBf16Peak(isa) : MeasureF32Peak(isa);
}

struct Layer {
  const char* name;
  int64_t n;
  int64_t k;
};

class LinearBench {
 public:
  explicit LinearBench(const KernelsBenchFlags& flags) : flags_(flags), meter_(flags.num_threads) {
    auto backend = MakeBackend(
        "cpu", {.num_threads = flags.num_threads, .isa = flags.isa, .pin_threads = false});
    RA_CHECK(backend.ok(), backend.status().message());
    backend_ = std::move(backend).value();
  }

  void Run(const NamedFormat& format) {
    const double peak = PeakOf(format.format, flags_.isa) * flags_.num_threads;
    std::printf("\n%s, %s weights, peak %.0f G/s\n", backend_->info().detail.c_str(),
                format.name.c_str(), peak * 1e-9);
    std::printf("%-14s %-8s %6s %6s %5s %9s %8s %7s %9s %6s %7s %7s %7s\n", "model", "layer", "N",
                "K", "rows", "us", "MB", "GB/s", "Gop/s", "of bw", "of peak", "of bar", "of row");
    const BenchWeights weights(*backend_, format.format);
    for (const ModelShape& model : kModelShapes) {
      if (flags_.model != "all" && flags_.model != model.name) continue;
      for (const Layer& layer : {Layer{"qkv", model.qkv(), model.hidden},
                                 {"o", model.hidden, model.hidden},
                                 {"gate_up", 2 * model.ffn, model.hidden},
                                 {"down", model.hidden, model.ffn},
                                 {"head", model.vocab, model.hidden}}) {
        OneLayer(weights, model.name.c_str(), layer, peak);
      }
    }
  }

 private:
  // Numbers of rows take turns, and a pass of reading with them, so that a busy neighbour meets
  // all; a ratio is the median over rounds of what one round measured.
  struct Sample {
    int rows = 0;
    std::vector<double> seconds = {};
    std::vector<double> of_bar = {};
    std::vector<double> of_first = {};
  };

  void OneLayer(const BenchWeights& weights, const char* model, const Layer& layer, double peak) {
    std::vector<std::unique_ptr<LinearWeight>> copies;
    for (int64_t held = 0; held < kRotateBytes; held += copies.back()->bytes()) {
      copies.push_back(weights.Pack(layer.n, layer.k));
    }
    const auto bytes = static_cast<double>(copies[0]->bytes());
    const int most = *std::max_element(flags_.rows.begin(), flags_.rows.end());
    const DeviceBuffer x = RandomRows(*backend_, weights.input_format(), most, layer.k);
    const DeviceBuffer y = backend_->Allocate(most * layer.n * 4, MemoryKind::kDevice);
    std::vector<Sample> samples;
    for (const int rows : flags_.rows) samples.push_back({rows});
    std::vector<double> bandwidths;
    size_t next = 0;
    // A few runs in a row per turn, after one that finds threads asleep and x and y cold.
    const auto time = [&](int rows) {
      constexpr int kRuns = 3;
      auto start = BenchClock::now();
      for (int i = -1; i < kRuns; ++i) {
        if (i == 0) start = BenchClock::now();
        backend_->Linear({.x = RowsIn(weights.input_format(), x.data(), rows, layer.k),
                          .weight = copies[next++ % copies.size()].get(),
                          .y = {y.data(), DType::kF32, {rows, layer.n}}});
      }
      return std::chrono::duration<double>(BenchClock::now() - start).count() / kRuns;
    };
    const auto end = BenchClock::now() + std::chrono::duration<double>(
                                             flags_.seconds * static_cast<double>(samples.size()));
    while (BenchClock::now() < end || bandwidths.size() < 5) {
      bandwidths.push_back(meter_.MeasurePass());
      const double reading = bytes / (kOfBandwidth * bandwidths.back());
      for (Sample& sample : samples) {
        sample.seconds.push_back(time(sample.rows));
        const double ops = 2.0 * static_cast<double>(layer.n * layer.k) * sample.rows;
        const double bar = std::max(reading, ops / (kOfPeak * peak));
        sample.of_bar.push_back(sample.seconds.back() / bar);
        sample.of_first.push_back(sample.seconds.back() / samples[0].seconds.back());
      }
    }
    Print(model, layer, samples, bytes, Median(bandwidths), peak);
  }

  static void Print(const char* model, const Layer& layer, const std::vector<Sample>& samples,
                    double bytes, double bandwidth, double peak) {
    for (const Sample& sample : samples) {
      const double seconds = Median(sample.seconds);
      const double ops = 2.0 * static_cast<double>(layer.n * layer.k) * sample.rows;
      std::printf("%-14s %-8s %6ld %6ld %5d %9.1f %8.2f %7.1f %9.1f %5.1f%% %6.1f%% %7.2f %7.2f\n",
                  model, layer.name, layer.n, layer.k, sample.rows, seconds * 1e6, bytes * 1e-6,
                  bytes / seconds * 1e-9, ops / seconds * 1e-9, 100 * bytes / seconds / bandwidth,
                  100 * ops / seconds / peak, Median(sample.of_bar), Median(sample.of_first));
    }
    std::printf("%-14s %-8s read bandwidth %.1f GB/s\n", model, layer.name, bandwidth * 1e-9);
    std::fflush(stdout);
  }

  KernelsBenchFlags flags_;
  ReadBandwidthMeter meter_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace

void BenchLinears(const KernelsBenchFlags& flags) {
  LinearBench bench(flags);
  for (const NamedFormat& format : flags.formats) bench.Run(format);
}

}  // namespace runahead
