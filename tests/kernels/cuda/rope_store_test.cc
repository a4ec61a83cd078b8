// The CUDA cache is laid out as the reference's, so the two can be compared element by element.
#include <cmath>
#include <cstring>

#include "tests/kernels/op_fixture.h"

namespace runahead {
namespace {

struct RopeCase {
  int num_heads;
  int num_kv_heads;
  int head_dim;
  bool has_norm;
};

// Inputs of one call, and what it left behind.
struct Outcome {
  Tensor qkv;
  Tensor k;
  Tensor v;
};

constexpr int kBlockSize = 16;
constexpr int64_t kTokens = 5;

Outcome RunOn(Backend& backend, const RopeCase& c, DType activation, DType cache) {
  std::mt19937 rng(7);
  Outcome run;
  run.qkv =
      RandomTensor(activation, {kTokens, (c.num_heads + 2 * c.num_kv_heads) * c.head_dim}, rng);
  const int64_t row = KvRowElements(cache, c.head_dim);
  run.k = Tensor(cache, {4, c.num_kv_heads, kBlockSize, row});
  run.v = Tensor(cache, {4, c.num_kv_heads, kBlockSize, row});
  // What no slot names must stay.
  std::memset(run.k.view().data, 0x55, static_cast<size_t>(run.k.view().NumBytes()));
  std::memset(run.v.view().data, 0x55, static_cast<size_t>(run.v.view().NumBytes()));
  const Tensor rope = RandomTensor(DType::kF32, {40, c.head_dim}, rng);
  const std::vector<float> q_norm = RandomFloats(c.head_dim, rng);
  const std::vector<float> k_norm = RandomFloats(c.head_dim, rng);
  const std::vector<int32_t> positions = {0, 39, 7, 8, 9};
  const std::vector<int64_t> slots = {63, 0, 17, 18, 34};
  RopeStoreKvArgs args;
  args.qkv = run.qkv.view();
  args.num_heads = c.num_heads;
  args.num_kv_heads = c.num_kv_heads;
  args.head_dim = c.head_dim;
  args.q_norm = c.has_norm ? q_norm.data() : nullptr;
  args.k_norm = c.has_norm ? k_norm.data() : nullptr;
  args.norm_eps = 1e-6f;
  args.rope = rope.view();
  args.positions = positions;
  args.slots = slots;
  args.cache = {run.k.view(), run.v.view(), kBlockSize};
  backend.RopeAndStoreKv(args);
  return run;
}

// Both err by 4 eps of the pair's size (docs/numerics.md), with a norm by D / 2 + 10 more; rotation
// by random angles' cosines and sines below 5 makes a pair up to 5 sqrt(2) times as large. Then one
// rounding of each.
void ExpectClose(const Tensor& actual, const Tensor& expected, const RopeCase& c,
                 const std::string& what) {
  const DType dtype = actual.view().dtype;
  const double rotation = (4 + (c.has_norm ? c.head_dim / 2.0 + 10 : 0)) * kEpsF32 * 2 * 30;
  for (int64_t i = 0; i < actual.view().dim(0); ++i) {
    for (int64_t j = 0; j < actual.view().RowElements(); ++j) {
      const double want = expected.at(i, j);
      ASSERT_NEAR(actual.at(i, j), want, 2 * RoundingOf(dtype, want) + rotation)
          << what << " at " << i << ", " << j;
    }
  }
}

// Codes may differ by one where a value is all but a tie; scales as far as the values do.
void ExpectCodesClose(const Tensor& actual, const Tensor& expected, int head_dim,
                      const std::string& what) {
  const size_t row = static_cast<size_t>(KvRowElements(DType::kI8, head_dim));
  const size_t scale_at = row - kKvScaleBytes;
  for (size_t at = 0; at < actual.bytes().size(); at += row) {
    float scale = 0;
    float expected_scale = 0;
    std::memcpy(&scale, actual.bytes().data() + at + scale_at, 4);
    std::memcpy(&expected_scale, expected.bytes().data() + at + scale_at, 4);
    ASSERT_NEAR(scale, expected_scale, 1e-4f * expected_scale) << what;
    for (size_t i = 0; i < static_cast<size_t>(head_dim); ++i) {
      const int got = static_cast<int8_t>(actual.bytes()[at + i]);
      ASSERT_NEAR(got, static_cast<int8_t>(expected.bytes()[at + i]), 1) << what << " byte " << i;
    }
  }
}

TEST(CudaRopeStoreTest, MatchesTheReference) {
  const auto cuda = Make({"cuda_emulated", "", 1});
  const auto ref = Make({"ref", "", 1});
  const RopeCase cases[] = {
      {4, 2, 64, false}, {3, 1, 40, true}, {1, 1, 256, true}, {8, 8, 2, false}, {5, 5, 128, true}};
  for (const RopeCase& c : cases) {
    for (const DType activation : {DType::kF32, DType::kBF16, DType::kF16}) {
      for (const DType cache : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8}) {
        const std::string what =
            "head_dim " + std::to_string(c.head_dim) + " cache " + std::string(DTypeName(cache));
        const Outcome actual = RunOn(*cuda, c, activation, cache);
        const Outcome expected = RunOn(*ref, c, activation, cache);
        ExpectClose(actual.qkv, expected.qkv, c, what + " q");
        if (cache == DType::kI8) {
          ExpectCodesClose(actual.k, expected.k, c.head_dim, what + " k");
          ExpectCodesClose(actual.v, expected.v, c.head_dim, what + " v");
        } else {
          ExpectClose(actual.k, expected.k, c, what + " k");
          EXPECT_EQ(actual.v.bytes(), expected.v.bytes()) << what << " v: rounded once";
        }
      }
    }
  }
}

TEST(CudaRopeStoreTest, CopyBlocksCopiesAllLayers) {
  const auto cuda = Make({"cuda_emulated", "", 1});
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    // 3 elements a token and head: units of 16 bytes do not always fit.
    for (const int64_t dim : {3, 64}) {
      std::mt19937 rng(1);
      std::vector<Tensor> halves;
      for (int i = 0; i < 4; ++i) {
        halves.emplace_back(dtype, std::initializer_list<int64_t>{6, 2, kBlockSize, dim});
        auto* bytes = static_cast<uint8_t*>(halves.back().view().data);
        for (int64_t b = 0; b < halves.back().view().NumBytes(); ++b) {
          bytes[b] = static_cast<uint8_t>(rng());
        }
      }
      std::vector<Tensor> expected = halves;
      const std::vector<KvLayerView> layers = {{halves[0].view(), halves[1].view(), kBlockSize},
                                               {halves[2].view(), halves[3].view(), kBlockSize}};
      cuda->CopyBlocks({layers, std::vector<int32_t>{0, 5}, std::vector<int32_t>{3, 1}});
      for (size_t h = 0; h < halves.size(); ++h) {
        for (const auto& [from, to] : {std::pair(0, 3), std::pair(5, 1)}) {
          std::memcpy(expected[h].view().Rows(to, 1).data, expected[h].view().Rows(from, 1).data,
                      expected[h].bytes().size() / 6);
        }
        EXPECT_EQ(halves[h].bytes(), expected[h].bytes());
      }
    }
  }
}

}  // namespace
}  // namespace runahead
