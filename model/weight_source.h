// Where a model's tensors come from while it loads: a checkpoint, or random numbers. Start-up
// thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "model/model_config.h"
#include "model/quantized_checkpoint.h"
#include "model/safetensors.h"

namespace runahead {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // The float tensor of that name, which must have that shape ([N] or [N, K]).
  virtual Result<HostTensor> Fetch(const std::string& name, const std::vector<int64_t>& shape) = 0;
  // The weight [n, k] of a module ("model.layers.0.mlp.up_proj") where the source has it quantized;
  // nothing where Fetch has it. The result lives no longer than the source.
  virtual Result<std::optional<HostQuantized>> FetchQuantized(const std::string& module, int64_t n,
                                                              int64_t k);
};

// The tensors of a checkpoint directory, whose headers were checked against the model
// (CheckTensors).
Result<std::unique_ptr<WeightSource>> OpenCheckpointSource(const std::string& directory,
                                                           const ModelConfig& config);

// Random BF16 weights: norm gains are 1, biases small, matrices normal with deviation 1/sqrt(K). A
// matrix is a view whose rows overlap in one short run of random numbers, each row 17 elements on:
// a billion weights cost no more to make than to pack, and the first 262 147 rows of a matrix all
// differ.
std::unique_ptr<WeightSource> MakeDummySource();

}  // namespace runahead
