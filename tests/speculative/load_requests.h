// LoadRequests: made-up requests whose answers repeat themselves and their prompts as text does,
// and made-up machines to serve them, for ServedLoad. Pure functions of their seeds.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "tests/speculative/served_load.h"

namespace runahead {

struct TextShape {
  int min_prompt = 60;
  int max_prompt = 130;
  int min_output = 64;
  int max_output = 64;
  double copies = 0.1;       // share of the output's phrases that are a piece of the prompt
  double acceptance = 0.94;  // of the draft model, on average over the requests
};

// Phrases of three to eight tokens, some far more popular than others: what follows two tokens of
// one is mostly the third.
class PhraseBook {
 public:
  explicit PhraseBook(unsigned seed) : random_(seed) {
    for (std::vector<int32_t>& phrase : phrases_) {
      phrase.resize(3 + random_() % 6);
      for (int32_t& token : phrase) token = Zipf(kNumTokens);
    }
  }

  LoadRequest Make(const TextShape& shape) {
    LoadRequest request;
    Grow(request.prompt, Between(shape.min_prompt, shape.max_prompt));
    const int num_output = Between(shape.min_output, shape.max_output);
    while (static_cast<int>(request.output.size()) < num_output) {
      if (std::bernoulli_distribution(shape.copies)(random_)) {
        const auto size = static_cast<size_t>(Between(6, 24));
        const size_t from =
            random_() % (request.prompt.size() - std::min(size, request.prompt.size()) + 1);
        for (size_t i = from; i < std::min(from + size, request.prompt.size()); ++i) {
          request.output.push_back(request.prompt[i]);
        }
      } else {
        Grow(request.output, static_cast<int>(request.output.size()) + 1);
      }
    }
    request.output.resize(static_cast<size_t>(num_output));
    request.max_tokens = shape.max_output;
    AddDraftModel(request, shape.acceptance);
    return request;
  }

  // Requests differ: some answers are all but certain, others open.
  void AddDraftModel(LoadRequest& request, double mean) {
    const double spread = std::min(mean, 1 - mean);
    const double rate = mean + spread * std::uniform_real_distribution<double>(-0.8, 0.8)(random_);
    std::uniform_real_distribution<float> uniform(0, 1);
    for (size_t i = 0; i < request.output.size(); ++i) {
      const bool is_easy = std::bernoulli_distribution(rate)(random_);
      const float u = uniform(random_);
      request.is_easy.push_back(is_easy);
      request.confidence.push_back(is_easy ? 1 - u * u * u : 0.2F + 0.7F * u);
    }
  }

 private:
  static constexpr int kNumTokens = 2000;

  int Between(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  }
  int32_t Zipf(int count) {
    const double u = std::uniform_real_distribution<double>(0, 1)(random_);
    return static_cast<int32_t>(std::exp(u * std::log(count))) - 1;
  }
  void Grow(std::vector<int32_t>& text, int size) {
    while (static_cast<int>(text.size()) < size) {
      const std::vector<int32_t>& phrase = phrases_[static_cast<size_t>(Zipf(kNumPhrases))];
      text.insert(text.end(), phrase.begin(), phrase.end());
    }
  }

  static constexpr int kNumPhrases = 400;
  std::mt19937 random_;
  std::array<std::vector<int32_t>, kNumPhrases> phrases_;
};

inline double Interpolated(std::span<const std::pair<int, double>> measured, int rows) {
  for (size_t i = 1; i < measured.size(); ++i) {
    const auto [rows0, time0] = measured[i - 1];
    const auto [rows1, time1] = measured[i];
    if (rows <= rows1 || i + 1 == measured.size()) {
      return time0 + (time1 - time0) * (rows - rows0) / (rows1 - rows0);
    }
  }
  return measured.back().second;
}

// A 1 B model in BF16 on two Zen 5 cores, in steps of one row (40 ms).
inline double SharedCpuSeconds(int rows) {
  static constexpr std::array<std::pair<int, double>, 7> kMeasured = {
      {{1, 1.0}, {2, 1.02}, {5, 1.04}, {9, 1.085}, {17, 1.25}, {33, 1.85}, {2048, 77}}};
  return Interpolated(kMeasured, rows);
}
// The same with rows as dear as on a machine that others use too.
inline double BusyCpuSeconds(int rows) {
  static constexpr std::array<std::pair<int, double>, 7> kMeasured = {
      {{1, 1.0}, {2, 1.03}, {5, 1.06}, {9, 1.12}, {17, 1.40}, {33, 2.15}, {2048, 100}}};
  return Interpolated(kMeasured, rows);
}
// The same on two Cascade Lake cores (130 ms), which have no dot product for BF16: multiplying
// bounds a step from six rows on.
inline double NarrowCpuSeconds(int rows) {
  static constexpr std::array<std::pair<int, double>, 8> kMeasured = {
      {{1, 1.0}, {4, 1.03}, {8, 1.40}, {12, 1.95}, {16, 2.6}, {24, 3.8}, {32, 4.9}, {2048, 314}}};
  return Interpolated(kMeasured, rows);
}

// What start-up measurements say, each off by as much as 4 %.
inline CostModel Calibrated(const LoadWorld& world, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> error(0.96, 1.04);
  CostModel costs;
  const auto time = [&](double seconds) {
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>(seconds * error(random)));
  };
  for (const int rows : {1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64}) {
    costs.SeedTarget(rows, 64 * rows, time(world.target(rows)));
  }
  if (!world.has_model) return costs;
  for (const int rows : {1, 2, 4, 8, 16, 32, 64, 256}) {
    costs.SeedDraft(rows, 64 * rows, time(world.draft(rows)));
  }
  return costs;
}

}  // namespace runahead
