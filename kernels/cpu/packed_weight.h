// PackedWeight: a linear weight in the layout that the kernels of every instruction set read.
// Immutable once filled.
//
// W[N, K] is cut into panels of 32 outputs, each panel one contiguous stream. A byte, pair or value
// of output i of the panel stands in lane i, so that one load holds the same k of 4, 8 or 16
// outputs, no sum ever crosses lanes, and every output adds its products in the order of k for any
// number of rows. What lies beyond N and K is zero.
//
//   bf16, step of 2 k (128 bytes):  | W[0,2j] W[0,2j+1] | W[1,2j] W[1,2j+1] | .. | W[31,..] |
//   f32,  step of 1 k (128 bytes):  | W[0,k] | W[1,k] | .. | W[31,k] |
//
//   int8, step of 4 k (128 bytes):  | W[0,4j] .. W[0,4j+3] | W[1,4j] .. | .. | W[31,..] |  + 128
//         panel:  | steps of K, rounded up to 32 | 32 scales f32 |
//
//   int4, step of 4 k (64 bytes), byte 4 i + c:  low nibble  W[i, 4j+c]
//         (i < 16)                               high nibble W[i + 16, 4j+c]
//         group:  | 32 scales | 32 zero points u8, if any | steps of the group |
//         panel:  | group 0 | group 1 | .. | last group, its k rounded up to 32 |
//
// A load of 64 bytes and two ANDs are the codes of 32 outputs. Scales keep the type they came in
// (bf16, f16 or f32): the product is that of the canonical weight exactly.
#pragma once

#include "kernels/cpu/isa/kernel_table.h"
#include "kernels/device.h"
#include "kernels/linear_weight.h"

namespace runahead::cpu {

// Element i of f32, bf16 or f16 values.
float FloatAt(const void* data, DType dtype, int64_t i);

// Bytes of one panel.
int64_t PanelBytes(int64_t k, WeightFormat format, ScaleType scale_type);

class PackedWeight final : public LinearWeight {
 public:
  // `scale_type` is read for int4 alone.
  PackedWeight(int64_t n, int64_t k, WeightFormat format, ScaleType scale_type = ScaleType::kBF16);

  InputFormat input_format() const override;
  int64_t bytes() const override { return weights_.bytes() + bias_.bytes(); }

  WeightFormat format() const { return format_; }
  ScaleType scale_type() const { return scale_type_; }
  int64_t num_panels() const { return (n() + kPanelRows - 1) / kPanelRows; }
  int64_t panel_bytes() const { return panel_bytes_; }
  // int4: of a group's scales and zero points.
  int64_t group_header_bytes() const;
  char* panel(int64_t p) const { return static_cast<char*>(weights_.data()) + p * panel_bytes_; }
  float* bias() const { return static_cast<float*>(bias_.data()); }  // [num_panels * 32]

 private:
  WeightFormat format_;
  ScaleType scale_type_;
  int64_t panel_bytes_;
  DeviceBuffer weights_;
  DeviceBuffer bias_;
};

}  // namespace runahead::cpu
