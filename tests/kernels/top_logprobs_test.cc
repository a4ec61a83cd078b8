#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Answer {
  std::vector<float> chosen_logprobs;
  std::vector<int32_t> chosen_ranks;
  std::vector<int32_t> top_ids;
  std::vector<float> top_logprobs;
};

Answer Ask(Backend& backend, std::vector<float> logits, std::vector<int32_t> chosen, int top_n) {
  const size_t rows = chosen.size();
  Answer answer;
  answer.chosen_logprobs.resize(rows);
  answer.chosen_ranks.resize(rows);
  answer.top_ids.resize(rows * static_cast<size_t>(top_n));
  answer.top_logprobs.resize(rows * static_cast<size_t>(top_n));
  const auto vocab = static_cast<int64_t>(logits.size() / std::max<size_t>(1, rows));
  backend.TopLogprobs({.logits = {logits.data(), DType::kF32, {static_cast<int64_t>(rows), vocab}},
                       .chosen = chosen,
                       .top_n = top_n,
                       .chosen_logprobs = answer.chosen_logprobs,
                       .chosen_ranks = answer.chosen_ranks,
                       .top_ids = answer.top_ids,
                       .top_logprobs = answer.top_logprobs});
  return answer;
}

class TopLogprobsTest : public OpTest {};

// The sum of V exponentials is right to a few ulp each and 64 + log2(lanes) additions in f32; its
// log is absolute error.
TEST_P(TopLogprobsTest, MatchesLogSoftmaxAndItsOrder) {
  std::mt19937 rng(1);
  for (const int64_t vocab : {1, 20, 33, 3001}) {
    for (const double deviation : {0.05, 3.0, 15.0}) {
      const std::vector<float> logits = RandomFloats(vocab, rng, deviation);
      const int top_n = static_cast<int>(std::min<int64_t>(20, vocab));
      const auto chosen = static_cast<int32_t>(vocab / 2);
      const Answer answer = Ask(*backend_, logits, {chosen}, top_n);
      std::vector<int32_t> order(static_cast<size_t>(vocab));
      std::iota(order.begin(), order.end(), 0);
      const auto logit = [&](int32_t id) {
        return static_cast<double>(logits[static_cast<size_t>(id)]);
      };
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
      const double highest = logit(order[0]);
      double sum = 0;
      for (const int32_t id : order) sum += std::exp(logit(id) - highest);
      const double total = highest + std::log(sum);
      const double bound =
          80 * kEpsF32 + 4 * kEpsF32 * std::abs(highest) + kEpsF32 * std::abs(total);
      for (int i = 0; i < top_n; ++i) {
        const auto at = static_cast<size_t>(i);
        EXPECT_EQ(answer.top_ids[at], order[at]);
        EXPECT_NEAR(answer.top_logprobs[at], logit(order[at]) - total,
                    bound + kEpsF32 * std::abs(logit(order[at]) - total));
      }
      EXPECT_NEAR(answer.chosen_logprobs[0], logit(chosen) - total,
                  bound + kEpsF32 * std::abs(logit(chosen) - total));
      EXPECT_EQ(answer.chosen_ranks[0],
                1 + std::find(order.begin(), order.end(), chosen) - order.begin());
    }
  }
}

TEST_P(TopLogprobsTest, ChosenTokensMayStandOnTheDevice) {
  std::mt19937 rng(2);
  std::vector<float> logits = RandomFloats(3 * 700, rng, 2.0);
  const std::vector<int32_t> chosen = {5, 699, 0};
  const Answer expected = Ask(*backend_, logits, chosen, 0);
  std::vector<float> logprobs(3);
  std::vector<int32_t> ranks(3);
  backend_->TopLogprobs({.logits = {logits.data(), DType::kF32, {3, 700}},
                         .drawn = chosen.data(),
                         .chosen_logprobs = logprobs,
                         .chosen_ranks = ranks});
  EXPECT_EQ(logprobs, expected.chosen_logprobs);
  EXPECT_EQ(ranks, expected.chosen_ranks);
}

TEST_P(TopLogprobsTest, EqualLogitsGoByIdAndShareARank) {
  const Answer answer = Ask(*backend_, {1, 2, 2, 0, 2, 1}, {4}, 4);
  EXPECT_EQ(answer.top_ids, (std::vector<int32_t>{1, 2, 4, 0}));
  EXPECT_EQ(answer.chosen_ranks[0], 1);
}

TEST_P(TopLogprobsTest, NothingChosenGivesZero) {
  const Answer answer = Ask(*backend_, {1, 2, 3, 4, 5, 6}, {-1, 2}, 1);
  EXPECT_EQ(answer.chosen_ranks, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(answer.chosen_logprobs[0], 0);
  EXPECT_EQ(answer.top_ids, (std::vector<int32_t>{2, 2}));
}

TEST_P(TopLogprobsTest, BannedTokensComeLast) {
  const Answer answer = Ask(*backend_, {-kInf, 2, -kInf, 2}, {0}, 4);
  EXPECT_EQ(answer.top_ids, (std::vector<int32_t>{1, 3, 0, 2}));
  EXPECT_EQ(answer.chosen_logprobs[0], -kInf);
  EXPECT_EQ(answer.chosen_ranks[0], 3);
}

RA_FOR_ALL_BACKENDS(TopLogprobsTest);

}  // namespace
}  // namespace runahead
