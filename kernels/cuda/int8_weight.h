// Linear layers of INT8 weights in the layout of int8_linear.cu. Immutable once packed.
//
// N is padded to 16 outputs, K to 128 columns (as quantized rows are); padding is 0.
//
//   codes   [N / 8][K / 16][8 outputs][16 columns]: panels of 8 outputs, each one run of bytes
//
//           | o0 k0..15 | o1 k0..15 | .. | o7 k0..15 | o0 k16..31 | .. | o7 k16..31 | o0 k32..47 |
//           | -------- 8 rows of 16 bytes: --------- |
//             a matrix of ldmatrix, a core matrix of wgmma
//
//   scales  [N] f32
//   bias    [N] f32
//
// A row of 16 bytes is what ldmatrix hands to a quarter warp, so that the B registers of mma.sync
// come out of it for INT8 (m16n8k32), and in columns 4t .. 4t+3 a lane for 16-bit rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/device_runtime.h"
#include "kernels/linear_weight.h"

namespace runahead::RA_CUDA {

inline constexpr int kInt8PanelRows = 8;

// The packed extents of an [n, k] weight.
struct Int8Layout {
  Int8Layout(int64_t n, int64_t k)
      : padded_n((n + 15) / 16 * 16),
        padded_k((k + 127) / 128 * 128),
        codes_bytes(padded_n * padded_k) {}

  int64_t bytes() const { return codes_bytes + padded_n * 8; }

  int64_t padded_n;
  int64_t padded_k;
  int64_t codes_bytes;
};

class Int8Weight final : public LinearWeight {
 public:
  Int8Weight(int64_t n, int64_t k, WeightFormat format, DType rows, DeviceRuntime& runtime)
      : LinearWeight(n, k),
        format_(format),
        rows_(rows),
        layout_(n, k),
        memory_(runtime.Allocate(layout_.bytes(), MemoryKind::kDevice)) {}

  // W8A8: a scale a row. W8A16: 16-bit rows.
  InputFormat input_format() const override {
    if (format_.keeps_activations) return {rows_};
    return {DType::kI8, 0};
  }
  int64_t bytes() const override { return memory_.bytes(); }

  const Int8Layout& layout() const { return layout_; }
  char* codes() const { return static_cast<char*>(memory_.data()); }
  float* scales() const { return reinterpret_cast<float*>(codes() + layout_.codes_bytes); }
  float* bias() const { return scales() + layout_.padded_n; }

 private:
  WeightFormat format_;
  DType rows_;
  Int8Layout layout_;
  DeviceBuffer memory_;  // codes, scales, bias
};

// A packed weight as one run of host bytes, in the order of Int8Weight's memory.
std::vector<char> PackInt8Bytes(const HostLinear& canonical);

std::unique_ptr<LinearWeight> PackInt8(const HostLinear& canonical, DeviceRuntime& runtime);

}  // namespace runahead::RA_CUDA
