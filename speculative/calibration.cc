#include "speculative/calibration.h"

#include <algorithm>
#include <span>
#include <vector>

namespace runahead {
namespace {

// One step to be timed: sequences with as many rows each, behind a context all share.
struct Shape {
  int num_sequences = 1;
  int num_rows = 1;  // of each
  int num_computed = 0;
  bool samples = true;
};

struct Sample {
  Shape shape;
  Duration fastest = Duration::max();

  int num_rows() const { return shape.num_sequences * shape.num_rows; }
  int64_t num_context() const {
    return int64_t{shape.num_sequences} * (shape.num_computed + shape.num_rows);
  }
};

// Short, so that f(rows) is all there is to see, but not so short that attention costs nothing.
constexpr int kContext = 64;
constexpr int kCatchUpRows = 256;

//  block table of sequence s:  [ 0 | 1 | .. shared, read only | own blocks of s, written ]
class Bench {
 public:
  Bench(StepRunner& runner, const RunnerLimits& limits, int num_blocks, const Clock& clock)
      : runner_(runner), limits_(limits), num_blocks_(num_blocks), clock_(clock) {
    sampling_.temperature = 0;
  }

  // The context's pages must be there, or reading them would cost nothing.
  void TouchContext() {
    const int block_size = limits_.block_size;
    Run({.num_rows = std::min({block_size, limits_.max_rows, limits_.max_context}),
         .samples = false});
    const int32_t from = 0;
    for (int32_t to = 1; to < std::min(num_blocks_, kContext / block_size + 1); ++to) {
      runner_.CopyBlocks(std::span(&from, 1), std::span(&to, 1));
    }
  }

  bool Fits(const Shape& shape) const {
    return shape.num_sequences <= limits_.max_sequences &&
           shape.num_sequences * shape.num_rows <= limits_.max_rows &&
           shape.num_rows <= (shape.samples ? MaxVerifyRows(limits_) : limits_.max_rows) &&
           shape.num_computed + shape.num_rows <= limits_.max_context &&
           SharedBlocks(shape) + shape.num_sequences * OwnBlocks(shape) <= num_blocks_;
  }

  void Measure(Sample& sample) {
    const TimePoint start = clock_.Now();
    Run(sample.shape);
    sample.fastest = std::min(sample.fastest, clock_.Now() - start);
  }

 private:
  int SharedBlocks(const Shape& shape) const { return shape.num_computed / limits_.block_size; }
  int OwnBlocks(const Shape& shape) const {
    const int in_block = shape.num_computed % limits_.block_size;
    const int size = limits_.block_size;
    return (in_block + shape.num_rows + size - 1) / size;
  }

  void Run(const Shape& shape) {
    const int shared = SharedBlocks(shape);
    const int own = OwnBlocks(shape);
    const std::vector<int32_t> tokens(static_cast<size_t>(shape.num_rows), 0);
    std::vector<std::vector<int32_t>> tables(static_cast<size_t>(shape.num_sequences));
    std::vector<SequenceRun> runs;
    for (int s = 0; s < shape.num_sequences; ++s) {
      std::vector<int32_t>& table = tables[static_cast<size_t>(s)];
      for (int i = 0; i < shared; ++i) table.push_back(i);
      for (int i = 0; i < own; ++i) table.push_back(shared + s * own + i);
      SequenceRun run = {.tokens = tokens,
                         .num_computed = shape.num_computed,
                         .block_table = table,
                         .num_drafts = shape.samples ? shape.num_rows - 1 : 0,
                         .wants_token = shape.samples,
                         .sampling = &sampling_};
      runs.push_back(run);
    }
    runner_.Run(runs);
  }

  StepRunner& runner_;
  const RunnerLimits limits_;
  const int num_blocks_;
  const Clock& clock_;
  SamplingParams sampling_;
};

// Measures the samples in order, again and again until the time is up.
void MeasureUntil(Bench& bench, std::vector<Sample>& samples, TimePoint end, const Clock& clock) {
  constexpr int kMaxRounds = 5;
  std::erase_if(samples, [&](const Sample& sample) { return !bench.Fits(sample.shape); });
  if (samples.empty()) return;
  bench.TouchContext();
  bench.Measure(samples.front());  // warms up
  samples.front().fastest = Duration::max();
  Duration longest = {};
  for (int round = 0; round < kMaxRounds; ++round) {
    for (Sample& sample : samples) {
      // The very first must be known; another that was never run takes as long as the longest.
      const bool is_new = sample.fastest == Duration::max();
      const Duration expected = is_new ? longest : sample.fastest;
      if (clock.Now() + expected > end && longest != Duration()) continue;
      bench.Measure(sample);
      longest = std::max(longest, sample.fastest);
    }
  }
}

std::vector<Sample> TargetSamples(const RunnerLimits& limits) {
  std::vector<Sample> samples;
  const int context = std::min(kContext, limits.max_context / 2);
  for (const int rows : {1, 8, 4, 2, 16, 32, 5, 3, 64, 6, 12, 24, 48}) {
    const int rows_each = rows <= 6 ? rows : 4;
    samples.push_back(
        {.shape = {
             .num_sequences = rows / rows_each, .num_rows = rows_each, .num_computed = context}});
  }
  return samples;
}

std::vector<Sample> DraftSamples(const RunnerLimits& limits) {
  std::vector<Sample> samples;
  const int context = std::min(kContext, limits.max_context / 2);
  for (const int sequences : {1, 4, 16, 2, 8, 32, 64}) {
    samples.push_back({.shape = {.num_sequences = sequences, .num_computed = context}});
  }
  samples.push_back({.shape = {.num_rows = kCatchUpRows, .samples = false}});
  return samples;
}

}  // namespace

CostModel Calibrate(StepRunner& target, StepRunner* draft, const CalibrationOptions& options,
                    const Clock& clock) {
  CostModel costs;
  const TimePoint start = clock.Now();
  if (draft != nullptr) {
    std::vector<Sample> samples = DraftSamples(options.draft_limits);
    Bench bench(*draft, options.draft_limits, options.num_blocks, clock);
    MeasureUntil(bench, samples, start + options.budget / 5, clock);
    for (const Sample& sample : samples) {
      if (sample.fastest == Duration::max()) continue;
      costs.SeedDraft(sample.num_rows(), sample.num_context(), sample.fastest);
    }
  }
  std::vector<Sample> samples = TargetSamples(options.limits);
  Bench bench(target, options.limits, options.num_blocks, clock);
  MeasureUntil(bench, samples, start + options.budget, clock);
  for (const Sample& sample : samples) {
    if (sample.fastest == Duration::max()) continue;
    costs.SeedTarget(sample.num_rows(), sample.num_context(), sample.fastest);
  }
  return costs;
}

}  // namespace runahead
