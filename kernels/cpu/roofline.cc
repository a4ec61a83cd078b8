#include "kernels/cpu/roofline.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/host_memory.h"

namespace runahead {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Eight times a large last-level cache, so that none of a pass is left for the next.
constexpr int64_t kBytesPerThread = int64_t{256} << 20;

double SecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

// The highest of a few runs: a peak is what nothing disturbed.
double MeasurePeak(float (*spin)(int64_t, double&)) {
  constexpr int64_t kIterations = 1'000'000;
  double best = 0;
  volatile float sink = 0;
  for (int run = 0; run < 5; ++run) {
    double operations = 0;
    const auto start = SteadyClock::now();
    sink = spin(kIterations, operations);
    best = std::max(best, operations / SecondsSince(start));
  }
  static_cast<void>(sink);
  return best;
}

const cpu::KernelTable& KernelsOf(std::string_view isa) {
  const cpu::Isa* found = cpu::FindIsa(isa);
  RA_CHECK(found != nullptr, "no such instruction set here: " + std::string(isa));
  return found->kernels();
}

}  // namespace

struct ReadBandwidthMeter::State {
  explicit State(int num_threads)
      : kernels(KernelsOf("")),
        pool(num_threads, false),
        buffer(AllocateHostMemory(kBytesPerThread * pool.num_threads())),
        sinks(static_cast<size_t>(pool.num_threads())) {}

  char* of_thread(int thread) const {
    return static_cast<char*>(buffer.data()) + thread * kBytesPerThread;
  }

  const cpu::KernelTable& kernels;
  cpu::ThreadPool pool;
  DeviceBuffer buffer;
  std::vector<float> sinks;
};

ReadBandwidthMeter::ReadBandwidthMeter(int num_threads)
    : state_(std::make_unique<State>(num_threads)) {
  state_->pool.Run([&](int thread) {
    std::memset(state_->of_thread(thread), 1 + thread, static_cast<size_t>(kBytesPerThread));
  });
}

ReadBandwidthMeter::~ReadBandwidthMeter() = default;

double ReadBandwidthMeter::MeasurePass() {
  const auto start = SteadyClock::now();
  state_->pool.Run([&](int thread) {
    state_->sinks[static_cast<size_t>(thread)] =
        state_->kernels.read_stream(state_->of_thread(thread), kBytesPerThread);
  });
  return static_cast<double>(kBytesPerThread) * state_->pool.num_threads() / SecondsSince(start);
}

double MeasureReadBandwidth(int num_threads, int passes) {
  ReadBandwidthMeter meter(num_threads);
  std::vector<double> rates;
  for (int pass = 0; pass < std::max(1, passes); ++pass) rates.push_back(meter.MeasurePass());
  std::nth_element(rates.begin(), rates.begin() + static_cast<int64_t>(rates.size() / 2),
                   rates.end());
  return rates[rates.size() / 2];
}

double MeasureBf16Peak(const std::string& isa) { return MeasurePeak(KernelsOf(isa).spin_bf16); }
double MeasureF32Peak(const std::string& isa) { return MeasurePeak(KernelsOf(isa).spin_f32); }
double MeasureInt8Peak(const std::string& isa) { return MeasurePeak(KernelsOf(isa).spin_int8); }

}  // namespace runahead
