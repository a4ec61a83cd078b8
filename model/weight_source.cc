#include "model/weight_source.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "core/dtype.h"
#include "model/tensor_names.h"

namespace runahead {
namespace {

class CheckpointSource final : public WeightSource {
 public:
  CheckpointSource(std::unique_ptr<Checkpoint> checkpoint, const ModelConfig& config)
      : checkpoint_(std::move(checkpoint)), quantized_(config.quantized) {}

  Result<HostTensor> Fetch(const std::string& name, const std::vector<int64_t>& shape) override {
    return checkpoint_->Read(name, shape);
  }

  Result<std::optional<HostQuantized>> FetchQuantized(const std::string& module, int64_t n,
                                                      int64_t k) override {
    const auto form = quantized_.find(module);
    if (form == quantized_.end()) return std::optional<HostQuantized>();
    RA_ASSIGN_OR_RETURN(HostQuantized weight,
                        ReadQuantized(*checkpoint_, module, n, k, form->second));
    return std::optional(std::move(weight));
  }

 private:
  std::unique_ptr<Checkpoint> checkpoint_;
  std::map<std::string, StoredFormat> quantized_;
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
    const bool is_vector = shape.size() == 1;
    const bool is_gain = is_vector && name.ends_with("norm.weight");
    const float scale = is_vector ? 0.1f : 1 / std::sqrt(static_cast<float>(shape[1]));
    const int64_t num_values = is_vector ? shape[0] : (shape[0] - 1) * kRowShift + shape[1];
    HostTensor tensor;
    tensor.copy.resize(static_cast<size_t>(num_values) * sizeof(BFloat16));
    auto* values = reinterpret_cast<BFloat16*>(tensor.copy.data());
    size_t from = (num_fetched_++ * 7919) % kTileElements;
    for (int64_t i = 0; i < num_values; ++i) {
      values[i] = ToBFloat16(is_gain ? 1.0f : scale * tile_[from]);
      from = from + 1 == kTileElements ? 0 : from + 1;
    }
    if (is_vector) {
      tensor.view = TensorView(values, DType::kBF16, {shape[0]});
    } else {
      tensor.view = TensorView(values, DType::kBF16, {shape[0], shape[1]});
      tensor.view.row_stride = kRowShift;
    }
    return tensor;
  }

 private:
  static constexpr size_t kTileElements = 262147;  // a prime, so that rows of a period differ
  static constexpr int64_t kRowShift = 17;         // elements between the starts of two rows
  std::vector<float> tile_;
  size_t num_fetched_ = 0;
};

}  // namespace

Result<std::optional<HostQuantized>> WeightSource::FetchQuantized(const std::string&, int64_t,
                                                                  int64_t) {
  return std::optional<HostQuantized>();
}

Result<std::unique_ptr<WeightSource>> OpenCheckpointSource(const std::string& directory,
                                                           const ModelConfig& config) {
  RA_ASSIGN_OR_RETURN(std::unique_ptr<Checkpoint> checkpoint, Checkpoint::Open(directory));
  RA_RETURN_IF_ERROR(CheckTensors(*checkpoint, config));
  return std::unique_ptr<WeightSource>(
      std::make_unique<CheckpointSource>(std::move(checkpoint), config));
}

std::unique_ptr<WeightSource> MakeDummySource() { return std::make_unique<DummySource>(); }

}  // namespace runahead
