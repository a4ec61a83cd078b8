// The promise of the policy, on a made-up clock: speculation never costs more than 2 % of decode
// time (and a small start-up constant), whatever drafts are worth, whatever the machine does and
// whatever the cost model was told; and where drafts are worth something, what is reached is close
// to the best fixed k.
#include <algorithm>
#include <chrono>
#include <ostream>
#include <random>
#include <string>

#include "gtest/gtest.h"

#include "tests/speculative/synthetic_server.h"

namespace runahead {
namespace {

constexpr double kMaxLoss = DraftLedger::kMaxLoss;
// Plain steps that may be lost once: the first credit, a full bucket, the step that overdrew it,
// and what costs seemed to be before they were measured.
constexpr double kStartUpSteps = 20;

// A run is too short for every cell to have found its best; most have.
constexpr double kLeastQuality = 0.6;
constexpr double kLeastMeanQuality = 0.95;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kAcceptanceStep = 5;  // tenths
#else
constexpr int kAcceptanceStep = 1;
#endif

enum class Told { kTruth, kNothing, kLies };

struct World {
  const char* name;
  Told told = Told::kTruth;
  double target_scale = 1;  // from the middle of the run on
  double draft_scale = 1;
  double noise = 0;
  double spike_rate = 0;
  int num_missing = 0;
};

void PrintTo(const World& world, std::ostream* out) { *out << world.name; }

constexpr World kWorlds[] = {
    {.name = "honest"},
    {.name = "unknown", .told = Told::kNothing},
    {.name = "lies", .told = Told::kLies},
    {.name = "slower", .target_scale = 2, .draft_scale = 2},
    {.name = "faster", .target_scale = 0.5, .draft_scale = 0.5},
    {.name = "dearer_drafts", .draft_scale = 2},
    {.name = "dearer_target", .target_scale = 2},
    {.name = "noisy", .noise = 0.05, .spike_rate = 0.01},
    {.name = "prompts_to_catch_up", .num_missing = 128},
};

Duration ToDuration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// Seeded with what the world tells: the truth, nothing, or anything within a half of it.
CostModel Seeded(const World& world, const SyntheticCosts& costs, unsigned seed) {
  CostModel model;
  if (world.told == Told::kNothing) return model;
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> lie(0.5, 1.5);
  const bool lies = world.told == Told::kLies;
  for (const int rows : {1, 2, 4, 8, 16, 32, 64}) {
    model.SeedTarget(rows, 100, ToDuration(costs.target(rows) * (lies ? lie(random) : 1)));
    model.SeedDraft(rows, 100, ToDuration(costs.draft(rows) * (lies ? lie(random) : 1)));
  }
  return model;
}

struct Result {
  double over_bound = 0;  // plain steps lost beyond 2 %, at the worst moment
  double quality = 0;     // of the last quarter: tokens per second against the best fixed k's
};

Result Serve(const World& world, const SyntheticWorld& synthetic, unsigned seed) {
  DraftPolicy policy(Seeded(world, synthetic.costs, seed));
  SyntheticServer server(policy, synthetic, seed);
  const int num_steps = synthetic.batch <= 8 ? 600 : 320;
  Result result;
  double seconds = 0;
  double plain_seconds = 0;
  for (int i = 0; i < num_steps; ++i) {
    if (i == num_steps / 2) server.set_scale(world.target_scale, world.draft_scale);
    if (i == num_steps * 3 / 4) {
      seconds = server.seconds();
      plain_seconds = server.plain_seconds();
      server.Reset();
    }
    server.Step();
    const double lost =
        (1 - kMaxLoss) * (seconds + server.seconds()) - (plain_seconds + server.plain_seconds());
    result.over_bound = std::max(result.over_bound, lost / synthetic.costs.target(synthetic.batch));
  }
  result.quality = server.expected_tokens() / server.seconds() / server.BestRate();
  return result;
}

class DraftBoundTest : public ::testing::TestWithParam<World> {};

TEST_P(DraftBoundTest, NeverCostsSpeedAndIsNearTheBest) {
  double sum = 0;
  int count = 0;
  for (const bool is_flat : {false, true}) {
    for (const int batch : {1, 2, 4, 8, 16, 32, 64}) {
      for (int tenths = 0; tenths <= 10; tenths += kAcceptanceStep) {
        const SyntheticWorld synthetic = {.costs = is_flat ? FlatCosts() : CpuCosts(),
                                          .batch = batch,
                                          .acceptance = tenths / 10.0,
                                          .noise = GetParam().noise,
                                          .spike_rate = GetParam().spike_rate,
                                          .num_missing = GetParam().num_missing};
        const Result result =
            Serve(GetParam(), synthetic, static_cast<unsigned>(77 * tenths + batch));
        const std::string where = std::string(is_flat ? "flat" : "cpu") + " batch " +
                                  std::to_string(batch) + " acceptance 0." + std::to_string(tenths);
        EXPECT_LE(result.over_bound, kStartUpSteps) << where;
        EXPECT_GE(result.quality, kLeastQuality) << where;
        sum += result.quality;
        ++count;
      }
    }
  }
  EXPECT_GE(sum / count, kLeastMeanQuality);
}

INSTANTIATE_TEST_SUITE_P(Worlds, DraftBoundTest, ::testing::ValuesIn(kWorlds),
                         [](const auto& world) { return std::string(world.param.name); });

}  // namespace
}  // namespace runahead
