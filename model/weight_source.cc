#include "model/weight_source.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/dtype.h"
#include "model/tensor_names.h"

namespace runahead {
namespace {

class CheckpointSource final : public WeightSource {
 public:
  explicit CheckpointSource(std::unique_ptr<Checkpoint> checkpoint)
      : checkpoint_(std::move(checkpoint)) {}

  Result<HostTensor> Fetch(const std::string& name, const std::vector<int64_t>& shape) override {
    return checkpoint_->Read(name, shape);
  }

 private:
  std::unique_ptr<Checkpoint> checkpoint_;
};

class DummySource final : public WeightSource {
 public:
  DummySource() : tile_(kTileElements) {
    // Sums of four uniforms: near enough to normal for weights nobody trained.
    uint64_t state = 0x9E3779B97F4A7C15ull;
    const auto uniform = [&state] {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      return static_cast<float>(state >> 40) * 0x1p-24f - 0.5f;
    };
    const float scale = std::sqrt(3.0f);
    for (float& value : tile_) value = scale * (uniform() + uniform() + uniform() + uniform());
  }

  Result<HostTensor> Fetch(const std::string& name, const std::vector<int64_t>& shape) override {
    const int64_t k = shape.back();
    const bool is_gain = shape.size() == 1 && name.ends_with("norm.weight");
    const float scale = shape.size() == 1 ? 0.1f : 1 / std::sqrt(static_cast<float>(k));
    std::vector<BFloat16> tile(kTileElements);
    for (size_t i = 0; i < kTileElements; ++i) {
      tile[i] = ToBFloat16(is_gain ? 1.0f : scale * tile_[i]);
    }
    int64_t elements = 1;
    for (const int64_t d : shape) elements *= d;
    HostTensor tensor;
    tensor.copy.resize(static_cast<size_t>(elements) * sizeof(BFloat16));
    size_t from = (num_fetched_++ * 7919) % kTileElements;
    for (size_t at = 0; at < tensor.copy.size();) {
      const size_t bytes =
          std::min(tensor.copy.size() - at, (kTileElements - from) * sizeof(BFloat16));
      std::memcpy(tensor.copy.data() + at, tile.data() + from, bytes);
      at += bytes;
      from = 0;
    }
    tensor.view = shape.size() == 1
                      ? TensorView(tensor.copy.data(), DType::kBF16, {shape[0]})
                      : TensorView(tensor.copy.data(), DType::kBF16, {shape[0], shape[1]});
    return tensor;
  }

 private:
  static constexpr size_t kTileElements = 65521;  // the largest prime below 2^16
  std::vector<float> tile_;
  size_t num_fetched_ = 0;
};

}  // namespace

Result<std::unique_ptr<WeightSource>> OpenCheckpointSource(const std::string& directory,
                                                           const ModelConfig& config) {
  RA_ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint, Checkpoint::Open(directory));
  RA_RETURN_IF_ERROR(CheckTensors(*checkpoint, config));
  return std::unique_ptr<WeightSource>(std::make_unique<CheckpointSource>(std::move(checkpoint)));
}

std::unique_ptr<WeightSource> MakeDummySource() { return std::make_unique<DummySource>(); }

}  // namespace runahead
