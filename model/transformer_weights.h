// What a transformer keeps on the device. Immutable after load; included by transformer*.cc alone.
#pragma once

#include <memory>
#include <vector>

#include "kernels/backend.h"
#include "model/transformer.h"

namespace runahead {

struct LayerWeights {
  DeviceBuffer attention_norm;            // [H] f32
  std::unique_ptr<LinearWeight> qkv;      // [(Nq + 2 Nkv) D, H]
  DeviceBuffer q_norm;                    // [D] f32, empty without q/k norm
  DeviceBuffer k_norm;                    // [D] f32
  std::unique_ptr<LinearWeight> output;   // [H, Nq D]
  DeviceBuffer mlp_norm;                  // [H] f32
  std::unique_ptr<LinearWeight> gate_up;  // [2 I, H]
  std::unique_ptr<LinearWeight> down;     // [H, I]
  int sliding_window = 0;
};

struct Transformer::Weights {
  DeviceBuffer embedding_buffer;  // empty where the tables are another's, as is rope_buffer
  TensorView embedding;           // [V, H] f32, bf16 or quantized rows
  std::vector<LayerWeights> layers;
  DeviceBuffer final_norm;             // [H] f32
  std::unique_ptr<LinearWeight> head;  // [V, H]
  DeviceBuffer rope_buffer;
  TensorView rope;  // [max_context, D] f32
};

inline const float* Gain(const DeviceBuffer& buffer) {
  return static_cast<const float*>(buffer.data());
}

}  // namespace runahead
