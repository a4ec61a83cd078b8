// Quantized weights as compressed-tensors lays them out on disk. Pure functions; the reader is
// model/quantized_checkpoint.h.
//
//   int4 ("pack-quantized")                          int8 ("int-quantized")
//   weight_packed      i32 [N, ceil(K / 8)]          weight        i8 [N, K]
//   weight_scale       bf16 [N, groups]              weight_scale  bf16 [N, 1]
//   weight_shape       i64 [2]
//   weight_zero_point  i32 [ceil(N / 8), groups], where there are any: packed down the columns
#pragma once

#include <map>
#include <string>
#include <vector>

#include "compress/safetensors_writer.h"
#include "kernels/quantize_weights.h"

namespace runahead {

// The tensors of a module's weight [n, k] in `format`, in the order TensorBytes has them.
std::vector<PlannedTensor> PlanQuantized(const std::string& module, int64_t n, int64_t k,
                                         WeightFormat format);

// Their bytes, one after the other.
std::string TensorBytes(const OwnedQuantizedMatrix& matrix);

// config.json's quantization_config (JSON) of a model whose modules have these formats; what is not
// quantized is to be among them, too. The format that most linear layers have is that of the class
// Linear; modules of another have a group of their own, by name.
std::string QuantizationConfigOf(const std::map<std::string, WeightFormat>& modules);

}  // namespace runahead
