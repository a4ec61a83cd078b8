#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Everything SampleAndVerify takes, owned.
struct Batch {
  int64_t vocab = 0;
  std::vector<float> logits;  // [R, V]
  std::vector<SampleRow> rows;
  std::vector<int32_t> row_offsets = {0};
  std::vector<int32_t> drafts;
  std::vector<float> draft_logits;  // [D, V], or empty: one-hot
  std::vector<int32_t> draft_rows;  // [R]
  std::vector<int32_t> survivor_ids;
  std::vector<int32_t> survivor_counts;
  VerifyMode mode = VerifyMode::kCoupled;
  std::vector<int32_t> token_ids;
  std::vector<int32_t> num_accepted;
  std::vector<int32_t> last_tokens;

  // A sequence with these drafts, all its rows with the same logits.
  void Add(const std::vector<float>& row_logits, const std::vector<int32_t>& sequence_drafts,
           const SampleRow& first) {
    vocab = static_cast<int64_t>(row_logits.size());
    for (size_t i = 0; i <= sequence_drafts.size(); ++i) {
      logits.insert(logits.end(), row_logits.begin(), row_logits.end());
      rows.push_back(first);
      rows.back().position += static_cast<uint32_t>(i);
      drafts.push_back(i < sequence_drafts.size() ? sequence_drafts[i] : -1);
    }
    row_offsets.push_back(static_cast<int32_t>(rows.size()));
  }

  void Run(Backend& backend) {
    const auto num_rows = static_cast<int64_t>(rows.size());
    token_ids.assign(rows.size(), -9);
    num_accepted.assign(row_offsets.size() - 1, -9);
    last_tokens.assign(row_offsets.size() - 1, -9);
    SampleVerifyArgs args;
    args.logits = {logits.data(), DType::kF32, {num_rows, vocab}};
    if (!survivor_counts.empty()) {
      args.survivors = {survivor_ids.data(), survivor_counts.data(),
                        static_cast<int>(survivor_ids.size() / rows.size())};
    }
    args.rows = rows;
    args.row_offsets = row_offsets;
    args.drafts = drafts;
    if (!draft_logits.empty()) {
      const int64_t num_draft_rows = static_cast<int64_t>(draft_logits.size()) / vocab;
      args.draft_logits = {draft_logits.data(), DType::kF32, {num_draft_rows, vocab}};
      args.draft_rows = draft_rows;
    }
    args.mode = mode;
    args.token_ids = token_ids;
    args.num_accepted = num_accepted;
    args.last_tokens = last_tokens.data();
    backend.SampleAndVerify(args);
  }
};

int32_t Sample(Backend& backend, const std::vector<float>& logits, const SampleRow& row) {
  Batch batch;
  batch.Add(logits, {}, row);
  batch.Run(backend);
  EXPECT_EQ(batch.num_accepted[0], 0);
  return batch.token_ids[0];
}

double NoiseOf(const SampleRow& row, NoisePurpose purpose, int32_t id) {
  const auto token = static_cast<uint32_t>(id);
  const double u = UniformOpen(NoiseWords(row.key, row.position, purpose, token / 4)[token % 4]);
  return -std::log(-std::log(u));
}

class SampleVerifyTest : public OpTest {};

TEST_P(SampleVerifyTest, GreedyTakesTheLowestOfTheBest) {
  std::vector<float> logits(1003, 0);
  logits[70] = 4;
  logits[71] = 4;
  logits[1002] = 4;
  EXPECT_EQ(Sample(*backend_, logits, {.greedy = true}), 70);
  logits[1002] = 5;
  EXPECT_EQ(Sample(*backend_, logits, {.greedy = true}), 1002);
  EXPECT_EQ(Sample(*backend_, std::vector<float>(9, -kInf), {.greedy = true}), 0);
}

// The drawn token's score is the highest, up to the noise's rounding (logs to 2 ulp of values below
// 17).
TEST_P(SampleVerifyTest, DrawsTheArgMaxOfLogitPlusNoise) {
  std::mt19937 rng(1);
  for (const int64_t vocab : {1, 3, 63, 64, 65, 1000, 4099}) {
    for (const double deviation : {0.0, 2.0, 30.0}) {
      const std::vector<float> logits = RandomFloats(vocab, rng, deviation);
      for (uint32_t position = 0; position < 20; ++position) {
        const SampleRow row = {.key = {.seed = 99, .choice = 2}, .position = position};
        const int32_t token = Sample(*backend_, logits, row);
        ASSERT_GE(token, 0);
        ASSERT_LT(token, vocab);
        const auto score = [&](int32_t id) {
          return static_cast<double>(logits[static_cast<size_t>(id)]) +
                 NoiseOf(row, NoisePurpose::kTarget, id);
        };
        double best = -kInf;
        for (int32_t id = 0; id < vocab; ++id) best = std::max(best, score(id));
        EXPECT_GE(score(token), best - 40 * 128 * kEpsF32) << "vocab " << vocab;
      }
    }
  }
}

TEST_P(SampleVerifyTest, ListedSurvivorsDrawWhatTheWholeRowDraws) {
  std::mt19937 rng(2);
  for (uint32_t position = 0; position < 200; ++position) {
    std::vector<float> logits(500, -kInf);
    std::vector<int32_t> ids;
    for (int32_t id = 3; id < 500; id += 1 + static_cast<int32_t>(rng() % 40)) {
      logits[static_cast<size_t>(id)] = std::normal_distribution<float>(0, 1)(rng);
      ids.push_back(id);
    }
    const SampleRow row = {.key = {.seed = 5}, .position = position};
    const int32_t whole = Sample(*backend_, logits, row);
    Batch batch;
    batch.Add(logits, {}, row);
    batch.survivor_ids = ids;
    batch.survivor_counts = {static_cast<int32_t>(ids.size())};
    batch.Run(*backend_);
    EXPECT_EQ(batch.token_ids[0], whole);
    EXPECT_GT(logits[static_cast<size_t>(whole)], -kInf);
  }
}

TEST_P(SampleVerifyTest, CoupledAcceptsExactlyWhatItWouldHaveDrawn) {
  std::mt19937 rng(3);
  const std::vector<float> logits = RandomFloats(300, rng);
  const SampleRow row = {.key = {.seed = 11}, .position = 40};
  std::vector<int32_t> drawn;
  for (uint32_t i = 0; i < 5; ++i) {
    SampleRow at = row;
    at.position += i;
    drawn.push_back(Sample(*backend_, logits, at));
  }
  for (int right = 0; right <= 4; ++right) {
    Batch batch;
    std::vector<int32_t> drafts(drawn.begin(), drawn.begin() + 4);
    if (right < 4)
      drafts[static_cast<size_t>(right)] = (drawn[static_cast<size_t>(right)] + 1) % 300;
    batch.Add(logits, drafts, row);
    batch.Add(logits, {}, row);  // a neighbour without drafts
    batch.Run(*backend_);
    EXPECT_EQ(batch.num_accepted, (std::vector<int32_t>{right, 0}));
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(batch.token_ids[static_cast<size_t>(i)],
                i <= right ? drawn[static_cast<size_t>(i)] : -1);
    }
    EXPECT_EQ(batch.token_ids[5], drawn[0]);
  }
}

TEST_P(SampleVerifyTest, NoSequencesDoNothing) {
  SampleVerifyArgs args;
  args.logits = {nullptr, DType::kF32, {0, 100}};
  backend_->SampleAndVerify(args);
}

// Rows behind the sequences' and sequences without rows, as a graph's bucket may have them.
TEST_P(SampleVerifyTest, PaddingIsNotJudged) {
  for (const VerifyMode mode : {VerifyMode::kCoupled, VerifyMode::kRejection}) {
    std::vector<float> logits(50, 0);
    logits[7] = 9;
    Batch batch;
    batch.mode = mode;
    batch.Add(logits, {7, 3}, {.greedy = true});
    const std::vector<int32_t> offsets = batch.row_offsets;
    batch.Add(logits, {}, {.greedy = true});
    batch.Add(logits, {7}, {.key = {.seed = 3}});
    batch.row_offsets = offsets;  // what follows is nobody's
    batch.row_offsets.resize(7, offsets.back());
    batch.Run(*backend_);
    EXPECT_EQ(batch.token_ids, (std::vector<int32_t>{7, 7, -1, -1, -1, -1}));
    EXPECT_EQ(batch.num_accepted, (std::vector<int32_t>{1, 0, 0, 0, 0, 0}));
    EXPECT_EQ(batch.last_tokens, (std::vector<int32_t>{7, 0, 0, 0, 0, 0}));
  }
}

// The first draft wrong, all right, none.
TEST_P(SampleVerifyTest, LeavesEachSequencesLastToken) {
  std::vector<float> logits(1500, 0);
  logits[70] = 4;
  Batch batch;
  batch.Add(logits, {3, 70}, {.greedy = true});
  batch.Add(logits, {70, 70}, {.greedy = true});
  logits[1400] = 5;
  batch.Add(logits, {}, {.greedy = true});
  batch.Run(*backend_);
  EXPECT_EQ(batch.num_accepted, (std::vector<int32_t>{0, 2, 0}));
  EXPECT_EQ(batch.last_tokens, (std::vector<int32_t>{70, 70, 1400}));
}

TEST_P(SampleVerifyTest, GreedyRejectionEqualsCoupled) {
  std::vector<float> logits(100, 0);
  logits[42] = 1;
  for (const VerifyMode mode : {VerifyMode::kCoupled, VerifyMode::kRejection}) {
    Batch batch;
    batch.mode = mode;
    batch.Add(logits, {42, 42, 7, 42}, {.greedy = true});
    batch.Run(*backend_);
    EXPECT_EQ(batch.num_accepted[0], 2);
    EXPECT_EQ(batch.token_ids, (std::vector<int32_t>{42, 42, 42, -1, -1}));
  }
}

// Upper tail of the chi-square distribution by Wilson and Hilferty's normal approximation: |z|
// beyond 5 is a bug, not luck (p < 3e-7), and the seeds are fixed anyway.
double ChiSquareZ(const std::vector<int>& counts, const std::vector<double>& probabilities) {
  const double n = [&] {
    double sum = 0;
    for (const int count : counts) sum += count;
    return sum;
  }();
  double chi2 = 0;
  double cells = 0;
  double rest_expected = 0;
  double rest_count = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = n * probabilities[i];
    if (expected < 8) {  // cells too small for the approximation are pooled
      rest_expected += expected;
      rest_count += counts[i];
      continue;
    }
    chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    cells += 1;
  }
  if (rest_expected >= 8) {
    chi2 += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    cells += 1;
  }
  const double df = cells - 1;
  return (std::cbrt(chi2 / df) - (1 - 2 / (9 * df))) / std::sqrt(2 / (9 * df));
}

std::vector<double> SoftmaxOf(const std::vector<float>& logits) {
  std::vector<double> p;
  double total = 0;
  for (const float logit : logits) total += p.emplace_back(std::exp(static_cast<double>(logit)));
  for (double& value : p) value /= total;
  return p;
}

constexpr int kDraws = 6000;

TEST_P(SampleVerifyTest, DrawsFollowTheDistribution) {
  std::mt19937 rng(4);
  const std::vector<float> logits = RandomFloats(37, rng, 1.5);
  std::vector<int> counts(37);
  Batch batch;
  for (uint32_t i = 0; i < kDraws; ++i)
    batch.Add(logits, {}, {.key = {.seed = i / 60}, .position = i % 60});
  batch.Run(*backend_);
  for (const int32_t token : batch.token_ids) ++counts[static_cast<size_t>(token)];
  EXPECT_LT(ChiSquareZ(counts, SoftmaxOf(logits)), 5);
  // Power: the same draws against a distribution that is off by a fifth in its largest probability
  // must fail.
  std::vector<double> wrong = SoftmaxOf(logits);
  const auto largest = std::max_element(wrong.begin(), wrong.end());
  const double moved = *largest / 5;
  for (double& p : wrong) p += moved / 36;
  *largest -= moved + moved / 36;
  EXPECT_GT(ChiSquareZ(counts, wrong), 5);
}

TEST_P(SampleVerifyTest, ADraftModelsOwnNoiseIsAnother) {
  std::mt19937 rng(6);
  const std::vector<float> logits = RandomFloats(300, rng, 0.1);
  const SampleRow row = {.key = {.seed = 21}, .position = 9};
  for (const int i : {0, 1, 15}) {
    SampleRow own = row;
    own.purpose = DraftNoise(i);
    const int32_t token = Sample(*backend_, logits, own);
    EXPECT_NE(token, Sample(*backend_, logits, row)) << "one in 300 by chance; the seed is fixed";
    const auto score = [&](int32_t id) {
      return static_cast<double>(logits[static_cast<size_t>(id)]) + NoiseOf(row, DraftNoise(i), id);
    };
    for (int32_t id = 0; id < 300; ++id) ASSERT_LE(score(id), score(token) + 40 * 128 * kEpsF32);
  }
}

// A draft drawn from the target's own distribution is never refused, and one that the target bans
// always is; both beside one-hot drafts in the same call.
TEST_P(SampleVerifyTest, RejectionJudgesEachDraftByItsOwnRow) {
  std::mt19937 rng(7);
  std::vector<float> p = RandomFloats(100, rng);
  p[33] = -kInf;
  std::vector<float> sure(100, -kInf);
  sure[33] = 0;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    Batch batch;
    batch.mode = VerifyMode::kRejection;
    batch.draft_logits = sure;                                                // row 0
    batch.draft_logits.insert(batch.draft_logits.end(), p.begin(), p.end());  // row 1
    SampleRow drawn = {.key = {.seed = seed}, .position = 5, .purpose = DraftNoise(0)};
    const int32_t own = Sample(*backend_, p, drawn);
    const SampleRow row = {.key = {.seed = seed}, .position = 5};
    batch.Add(p, {own}, row);
    batch.Add(p, {33}, row);
    batch.Add(p, {33}, row);
    batch.draft_rows = {1, -1, 0, -1, -1, -1};
    batch.Run(*backend_);
    EXPECT_EQ(batch.num_accepted, (std::vector<int32_t>{1, 0, 0}));
    EXPECT_EQ(batch.token_ids[0], own);
    EXPECT_NE(batch.token_ids[2], 33);
    // p without a token it has not: both residuals are p.
    EXPECT_EQ(batch.token_ids[2], batch.token_ids[4]);
  }
}

// One draft from q, judged by p: whatever is kept follows p, at the acceptance rate sum min(p, q).
TEST_P(SampleVerifyTest, RejectionKeepsTheDistribution) {
  const uint32_t num_draws = GetParam().name == "cuda_emulated" ? 2000 : kDraws;  // it is slow
  std::mt19937 rng(5);
  const std::vector<float> logits = RandomFloats(23, rng, 1);
  const std::vector<double> p = SoftmaxOf(logits);
  const std::vector<float> draft_logits = RandomFloats(23, rng, 1);
  const std::vector<double> q = SoftmaxOf(draft_logits);
  std::discrete_distribution<int32_t> draw(q.begin(), q.end());
  for (const bool one_hot : {false, true}) {
    for (const bool listed : {false, true}) {
      Batch batch;
      batch.mode = VerifyMode::kRejection;
      double overlap = 0;
      for (size_t i = 0; i < 23; ++i) overlap += one_hot ? q[i] * p[i] : std::min(p[i], q[i]);
      for (uint32_t i = 0; i < num_draws; ++i) {
        batch.Add(logits, {draw(rng)}, {.key = {.seed = i}, .position = 7});
      }
      if (!one_hot) batch.draft_logits = draft_logits;
      for (uint32_t i = 0; i < 2 * num_draws; ++i) {
        batch.draft_rows.push_back(i % 2 == 0 ? 0 : -1);
        if (!listed) continue;
        batch.survivor_counts.push_back(23);
        for (int32_t id = 0; id < 23; ++id) batch.survivor_ids.push_back(id);
      }
      batch.Run(*backend_);
      std::vector<int> counts(23);
      std::vector<int> bonus(23);
      int accepted = 0;
      for (size_t s = 0; s < num_draws; ++s) {
        ++counts[static_cast<size_t>(batch.token_ids[2 * s])];
        accepted += batch.num_accepted[s];
        EXPECT_EQ(batch.token_ids[2 * s + 1] >= 0, batch.num_accepted[s] == 1);
        if (batch.num_accepted[s] == 1) ++bonus[static_cast<size_t>(batch.token_ids[2 * s + 1])];
      }
      EXPECT_LT(ChiSquareZ(counts, p), 5);
      EXPECT_LT(ChiSquareZ(bonus, p), 5);
      const double spread = std::sqrt(overlap * (1 - overlap) / num_draws);
      EXPECT_NEAR(accepted / static_cast<double>(num_draws), overlap, 5 * spread);
      EXPECT_GT(ChiSquareZ(counts, q), 5) << "the draft's own distribution is another";
    }
  }
}

RA_FOR_ALL_BACKENDS(SampleVerifyTest);

}  // namespace
}  // namespace runahead
