// `runahead quantize`: a checkpoint's weights, quantized and written as another checkpoint. One
// thread of its own, helpers while a weight is quantized.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/quantize_weights.h"
#include "model/weight_formats.h"

namespace runahead {

struct QuantizeCheckpointOptions {
  std::string input = {};   // checkpoint directory
  std::string output = {};  // must not exist
  WeightFormats formats = {};
  QuantizeOptions quantize = {};
  int64_t max_shard_bytes = 5'000'000'000;  // of a file's tensors; a larger module has its own file
  std::function<void(double fraction)> progress = {};  // may be empty
};

struct QuantizedSummary {
  int64_t num_quantized = 0;  // modules
  int64_t num_modules = 0;    // weights that are matrices
  int64_t bytes_before = 0;   // of all tensors
  int64_t bytes_after = 0;
  int num_files = 0;  // of tensors
  // Weights whose rows are no whole groups: read here, and by no other program we know.
  std::vector<std::string> uneven = {};
  // The head was the embedding table and now has tensors of its own.
  bool is_untied = false;
};

// Writes beside the output, under its name with ".partial", and renames that when all is there; a
// failure removes it. What Transformer::Load makes of the result has the same bits as what it makes
// of the input with the same formats.
Result<QuantizedSummary> QuantizeCheckpoint(const QuantizeCheckpointOptions& options);

}  // namespace runahead
