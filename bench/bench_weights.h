// BenchWeights: weights of any shape in one format, and rows to multiply them by, from a small
// source of random numbers. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/backend.h"

namespace runahead {

// The layers of a model.
struct ModelShape {
  std::string name;
  int64_t hidden = 0;
  int64_t ffn = 0;
  int64_t vocab = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int layers = 0;

  int64_t qkv() const { return int64_t{heads + 2 * kv_heads} * head_dim; }
};

inline const ModelShape kModelShapes[] = {
    {"llama-3.2-1b", 2048, 8192, 128256, 32, 8, 64, 16},
    {"tinyllama-1.1b", 2048, 5632, 32000, 32, 4, 64, 22},
    {"llama-3.1-8b", 4096, 14336, 128256, 32, 8, 128, 32},
};

// `count` normal-sized values of 2 (bf16) or 4 (f32) bytes. Their period is 64 Ki: making more
// would take longer than measuring.
DeviceBuffer RandomValues(Backend& backend, int64_t count, int bytes);

// Rows of width k in any input format.
DeviceBuffer RandomRows(Backend& backend, InputFormat format, int64_t num_rows, int64_t k);

class BenchWeights {
 public:
  BenchWeights(Backend& backend, WeightFormat format);

  std::unique_ptr<LinearWeight> Pack(int64_t n, int64_t k) const;
  InputFormat input_format() const { return input_format_; }

 private:
  Backend& backend_;
  WeightFormat format_;
  InputFormat input_format_;
  DeviceBuffer source_;  // values or codes, of the host as the next two
  DeviceBuffer scales_;
  DeviceBuffer zero_points_;
};

}  // namespace runahead
