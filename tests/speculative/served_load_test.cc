// What users see of the policy, on a made-up clock: loads of short answers, a few dozen steps each,
// served without drafts, at fixed k and as the policy likes, by one policy in turn as `bench
// speculate` does it. The bound of draft_bound_test.cc is about endless batches; here prompts are
// computed and caught up with beside decodes, batches shrink at the end, and nothing is long enough
// to make up for a bad start.
#include <algorithm>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

#include "tests/speculative/load_requests.h"

namespace runahead {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kNumSeeds = 3;
constexpr double kLuck = 0.03;  // that a mean of so few may have had
#else
constexpr unsigned kNumSeeds = 24;
constexpr double kLuck = 0;
#endif

// Means over the seeds: of tokens per second, against no drafts and against the best fixed k.
constexpr double kLeastOfOff = 0.97 - kLuck;
constexpr double kLeastOfBest = 0.95 - kLuck;
// Of a single load of a single seed, against no drafts. Where some of a few requests draft well and
// others badly the former end first, and the rest is a small batch, which is slow for its size.
constexpr double kLeastOfOffOnce = 0.88;

struct Case {
  const char* name;
  double acceptance = 0.94;
  double copies = 0.1;
  int prompt = 0;  // tokens of each; 0: 60 to 130
  bool has_model = true;
  bool has_ngram = false;
  double (*target)(int) = SharedCpuSeconds;
  double noise = 0;  // of what is measured
  double weather = 0;
};

void PrintTo(const Case& what, std::ostream* out) { *out << what.name; }

constexpr Case kCases[] = {
    {.name = "model"},
    {.name = "model_and_lookup", .has_ngram = true},
    {.name = "dear_rows", .target = BusyCpuSeconds},
    {.name = "narrow_machine", .target = NarrowCpuSeconds},
    {.name = "noisy_narrow_machine", .target = NarrowCpuSeconds, .noise = 0.05},
    {.name = "noisy", .noise = 0.05},
    {.name = "weather", .noise = 0.05, .weather = 0.2},
    {.name = "weather_on_a_narrow_machine",
     .target = NarrowCpuSeconds,
     .noise = 0.05,
     .weather = 0.2},
    {.name = "noisy_lookup",
     .copies = 0,
     .prompt = 128,
     .has_model = false,
     .has_ngram = true,
     .target = BusyCpuSeconds,
     .noise = 0.05},
    {.name = "half_accepted", .acceptance = 0.5},
    {.name = "useless", .acceptance = 0.01},
    {.name = "useless_and_lookup", .acceptance = 0.01, .has_ngram = true},
    {.name = "lookup_alone", .prompt = 128, .has_model = false, .has_ngram = true},
    {.name = "lookup_in_open_text",
     .copies = 0,
     .prompt = 128,
     .has_model = false,
     .has_ngram = true},
    {.name = "lookup_with_dear_rows",
     .prompt = 128,
     .has_model = false,
     .has_ngram = true,
     .target = BusyCpuSeconds},
};

std::vector<int> FixedDepths(int batch) {
  if (batch <= 2) return {2, 4, 6, 8, 12};
  if (batch <= 8) return {1, 2, 3, 4, 6};
  return {1, 2, 4};
}

// Sums over the seeds of tokens per second, those without drafts being 1.
struct Rates {
  double auto_ = 0;
  double least = 1e9;
  std::vector<double> fixed = {};

  double best() const { return fixed.empty() ? 0 : *std::max_element(fixed.begin(), fixed.end()); }
};

class ServedLoadTest : public ::testing::TestWithParam<Case> {
 protected:
  static LoadWorld WorldOf(const Case& what, int batch) {
    return {.target = what.target,
            .draft = [target = what.target](int rows) { return 0.1 * target(rows); },
            .batch = batch,
            .has_model = what.has_model,
            .has_ngram = what.has_ngram,
            .noise = what.noise,
            .weather = what.weather};
  }

  static std::vector<LoadRequest> RequestsOf(const Case& what, int count, unsigned seed) {
    TextShape shape = {.min_output = 40, .copies = what.copies, .acceptance = what.acceptance};
    if (what.prompt > 0) shape.min_prompt = shape.max_prompt = what.prompt;
    if (!what.has_model) shape.min_output = shape.max_output;
    PhraseBook book(seed);
    std::vector<LoadRequest> requests;
    for (int i = 0; i < count; ++i) requests.push_back(book.Make(shape));
    return requests;
  }

  static void Serve(const Case& what, int batch, int waves, unsigned seed, Rates& rates) {
    const LoadWorld world = WorldOf(what, batch);
    const std::vector<LoadRequest> requests = RequestsOf(what, batch * waves, seed);
    const std::vector<int> depths = what.has_model ? FixedDepths(batch) : std::vector<int>{};
    DraftPolicy policy(Calibrated(world, seed));
    ServedLoad load(policy, world, seed);
    load.Serve(requests, {});  // warms up
    rates.fixed.resize(depths.size());
    const double off = load.Serve(requests, {.mode = SpeculationMode::kOff}).rate();
    for (size_t i = 0; i < depths.size(); ++i) {
      const LoadResult fixed =
          load.Serve(requests, {.mode = SpeculationMode::kFixed, .max_tokens = depths[i]});
      rates.fixed[i] += fixed.rate() / off;
    }
    const double ratio = load.Serve(requests, {}).rate() / off;
    rates.auto_ += ratio;
    rates.least = std::min(rates.least, ratio);
  }
};

TEST_P(ServedLoadTest, IsNeverSlowAndNearTheBest) {
  for (const int waves : {1, 2}) {
    for (const int batch : {1, 2, 4, 8, 16, 32}) {
      if (batch * waves == 1) continue;  // an answer of eight steps says nothing
      Rates rates;
      for (unsigned seed = 1; seed <= kNumSeeds; ++seed) {
        Serve(GetParam(), batch, waves, seed, rates);
      }
      const double of_off = rates.auto_ / kNumSeeds;
      const double best = std::max(rates.best() / kNumSeeds, 1.0);
      const std::string where = "batch " + std::to_string(batch) + ", " + std::to_string(waves) +
                                " waves: " + std::to_string(of_off) + " of off (least " +
                                std::to_string(rates.least) + "), best fixed " +
                                std::to_string(best);
      EXPECT_GE(of_off, kLeastOfOff) << where;
      EXPECT_GE(rates.least, kLeastOfOffOnce) << where;
      EXPECT_GE(of_off / best, kLeastOfBest) << where;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Loads, ServedLoadTest, ::testing::ValuesIn(kCases),
                         [](const auto& what) { return std::string(what.param.name); });

}  // namespace
}  // namespace runahead
