#include "kvcache/kv_cache.h"

#include <vector>

#include "gtest/gtest.h"

#include "kernels/registry.h"

namespace runahead {
namespace {

class KvCacheTest : public testing::TestWithParam<std::string> {
 protected:
  KvCacheTest() : backend_(std::move(MakeBackend(GetParam(), {})).value()) {}
  std::unique_ptr<Backend> backend_;
};

TEST_P(KvCacheTest, ShapesBytesAndZeros) {
  const KvCacheShape shape = {
      .num_layers = 3, .num_kv_heads = 2, .head_dim = 6, .block_size = 4, .dtype = DType::kF32};
  EXPECT_EQ(shape.BlockBytes(), 2 * 3 * 2 * 4 * 6 * 4);
  KvCache cache(*backend_, shape, 5);
  EXPECT_EQ(cache.bytes(), 5 * shape.BlockBytes());
  for (int layer = 0; layer < 3; ++layer) {
    for (const TensorView& view : {cache.layer(layer).k, cache.layer(layer).v}) {
      EXPECT_EQ(view.dim(0), 5);
      EXPECT_EQ(view.dim(1), 2);
      EXPECT_EQ(view.dim(2), 4);
      EXPECT_EQ(view.dim(3), 6);
      std::vector<float> host(static_cast<size_t>(view.NumElements()), 1.0f);
      backend_->CopyToHost(host.data(), view.data, view.NumBytes());
      backend_->Wait(backend_->Record());
      EXPECT_EQ(host, std::vector<float>(host.size(), 0.0f));
    }
  }
}

// An INT8 block holds D values up to a multiple of 16 and an f32 scale for each token and head, so
// that a copied block brings its scales along.
TEST_P(KvCacheTest, Int8BlocksHoldTheirScales) {
  const KvCacheShape shape = {
      .num_layers = 3, .num_kv_heads = 2, .head_dim = 40, .block_size = 8, .dtype = DType::kI8};
  EXPECT_EQ(shape.BlockBytes(), 2 * 3 * 2 * 8 * (48 + 4));
  KvCache cache(*backend_, shape, 5);
  EXPECT_EQ(cache.bytes(), 5 * shape.BlockBytes());
  EXPECT_EQ(cache.layer(0).k.NumBytes() * 2 * 3, cache.bytes());
  EXPECT_EQ(cache.layer(2).v.dim(3), 52);
}

// Blocks 0..4 of both halves of both layers hold their own number; 1 -> 3 and 0 -> 4 are copied:
//   [0 1 2 3 4] -> [0 1 2 1 0]
TEST_P(KvCacheTest, CopyBlocksCopiesKeysAndValuesOfEveryLayer) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    const KvCacheShape shape = {
        .num_layers = 2, .num_kv_heads = 3, .head_dim = 10, .block_size = 2, .dtype = dtype};
    KvCache cache(*backend_, shape, 5);
    const size_t block_bytes = static_cast<size_t>(shape.BlockBytes() / 4);
    const auto fill = [&](const TensorView& view, char base) {
      std::vector<char> host;
      for (char block = 0; block < 5; ++block) {
        host.insert(host.end(), block_bytes, static_cast<char>(base + block));
      }
      backend_->CopyToDevice(view.data, host.data(), view.NumBytes());
    };
    for (int layer = 0; layer < 2; ++layer) {
      fill(cache.layer(layer).k, static_cast<char>(20 * layer));
      fill(cache.layer(layer).v, static_cast<char>(20 * layer + 10));
    }
    cache.CopyBlocks(std::vector<int32_t>{1, 0}, std::vector<int32_t>{3, 4});
    for (int layer = 0; layer < 2; ++layer) {
      for (const bool is_v : {false, true}) {
        const TensorView& view = is_v ? cache.layer(layer).v : cache.layer(layer).k;
        std::vector<char> host(static_cast<size_t>(view.NumBytes()));
        backend_->CopyToHost(host.data(), view.data, view.NumBytes());
        backend_->Wait(backend_->Record());
        const int expected[] = {0, 1, 2, 1, 0};
        for (size_t i = 0; i < host.size(); ++i) {
          ASSERT_EQ(host[i], 20 * layer + (is_v ? 10 : 0) + expected[i / block_bytes])
              << "layer " << layer << " byte " << i;
        }
      }
    }
  }
}

TEST_P(KvCacheTest, CopyOfNothingIsNothing) {
  KvCache cache(*backend_, {.num_layers = 1, .num_kv_heads = 1, .head_dim = 2}, 1);
  cache.CopyBlocks({}, {});
}

INSTANTIATE_TEST_SUITE_P(Backends, KvCacheTest, testing::ValuesIn(BackendNames()));

}  // namespace
}  // namespace runahead
