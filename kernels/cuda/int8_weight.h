// Linear layers of INT8 weights in the layout of int8_linear.cu. Immutable once packed.
//
// N is padded to 16 outputs, K to 128 columns (as quantized rows are); padding is 0.
//
//   codes   [N / 16][K / 32] tiles of 512 bytes: a panel's tiles lie one after the other in K
//
//           tile: 16 outputs x 32 columns, 16 bytes a lane l (g = l / 4, t = l % 4), the B
//           registers of mma.m16n8k32 for two blocks of eight outputs:
//
//             bytes   0..3            4..7             8..11             12..15
//             output  g               g                8 + g             8 + g
//             column  4t .. 4t+3      16+4t ..         4t ..             16+4t ..
//
//   scales  [N] f32
//   bias    [N] f32
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/device_runtime.h"
#include "kernels/linear_weight.h"

namespace runahead::RA_CUDA {

inline constexpr int kInt8TileBytes = 512;

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
  Int8Weight(int64_t n, int64_t k, DeviceRuntime& runtime)
      : LinearWeight(n, k),
        layout_(n, k),
        memory_(runtime.Allocate(layout_.bytes(), MemoryKind::kDevice)) {}

  // A scale a row: W8A8.
  InputFormat input_format() const override { return {DType::kI8, 0}; }
  int64_t bytes() const override { return memory_.bytes(); }

  const Int8Layout& layout() const { return layout_; }
  char* codes() const { return static_cast<char*>(memory_.data()); }
  float* scales() const { return reinterpret_cast<float*>(codes() + layout_.codes_bytes); }
  float* bias() const { return scales() + layout_.padded_n; }

 private:
  Int8Layout layout_;
  DeviceBuffer memory_;  // codes, scales, bias
};

// A packed weight as one run of host bytes, in the order of Int8Weight's memory.
std::vector<char> PackInt8Bytes(const HostLinear& canonical);

std::unique_ptr<LinearWeight> PackInt8(const HostLinear& canonical, DeviceRuntime& runtime);

}  // namespace runahead::RA_CUDA
