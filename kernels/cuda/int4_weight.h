// Linear layers of INT4 weights in the layout of int4_linear.cu. Immutable once packed.
//
// N is padded to 32 outputs, K to 128 columns; padded groups have scale 0.
//
//   codes    [N / 32][K / 32] tiles of 512 bytes: a panel's tiles lie one after the other in K
//
//            tile: 32 outputs x 32 columns, 16 bytes a lane l (g = l / 4, t = l % 4):
//            word j = output 8 j + g, eight codes of the mma.m16n8k16 B fragments of two steps:
//
//              nibble   0        1        2        3        4        5        6        7
//              column  2t      8+2t    16+2t    24+2t    2t+1     9+2t    17+2t    25+2t
//
//            so that (word >> 4 p) & 0x000f000f is pair p: both codes of one B register
//
//   scales   [K / group][N] of the type they come in: bf16, f16, or f32 where there are several
//   offsets  [K / group][N] -(128 + zero point) in BF16, -(1024 + zero point) in F16: as the rows
//            are; only where there are zero points
//   bias     [N] f32
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/cuda/device_runtime.h"
#include "kernels/linear_weight.h"

namespace runahead::RA_CUDA {

inline constexpr int kInt4TileBytes = 512;

// The packed extents of an [n, k] weight.
struct Int4Layout {
  Int4Layout(int64_t n, int64_t k, WeightFormat format, DType scales = DType::kBF16)
      : scale_dtype(scales),
        padded_n((n + 31) / 32 * 32),
        padded_k((k + 127) / 128 * 128),
        num_groups(padded_k / format.group),
        codes_bytes(padded_n * padded_k / 2),
        scales_bytes(num_groups * padded_n * DTypeBytes(scales)),
        offsets_bytes(format.has_zero_points ? num_groups * padded_n * 2 : 0),
        bias_bytes(padded_n * 4) {}

  int64_t bytes() const { return codes_bytes + scales_bytes + offsets_bytes + bias_bytes; }

  DType scale_dtype;
  int64_t padded_n;
  int64_t padded_k;
  int64_t num_groups;
  int64_t codes_bytes;
  int64_t scales_bytes;
  int64_t offsets_bytes;
  int64_t bias_bytes;
};

class Int4Weight final : public LinearWeight {
 public:
  Int4Weight(const Int4Layout& layout, int64_t n, int64_t k, WeightFormat format, DType rows,
             DeviceRuntime& runtime)
      : LinearWeight(n, k),
        layout_(layout),
        format_(format),
        rows_(rows),
        memory_(runtime.Allocate(layout_.bytes(), MemoryKind::kDevice)) {}

  // Activations stay 16-bit: W4A16.
  InputFormat input_format() const override { return {rows_}; }
  int64_t bytes() const override { return memory_.bytes(); }

  const Int4Layout& layout() const { return layout_; }
  const WeightFormat& format() const { return format_; }
  char* codes() const { return static_cast<char*>(memory_.data()); }
  char* scales() const { return codes() + layout_.codes_bytes; }
  // Null for symmetric weights.
  char* offsets() const {
    if (!format_.has_zero_points) return nullptr;
    return codes() + layout_.codes_bytes + layout_.scales_bytes;
  }
  float* bias() const {
    return reinterpret_cast<float*>(codes() + layout_.bytes() - layout_.bias_bytes);
  }

 private:
  Int4Layout layout_;
  WeightFormat format_;
  DType rows_;
  DeviceBuffer memory_;  // codes, scales, offsets, bias
};

// How `canonical` will be packed.
Int4Layout Int4LayoutOf(const HostLinear& canonical);

// A packed weight as one run of host bytes, in the order of Int4Weight's memory. For PackInt4 and
// the tests.
std::vector<char> PackInt4Bytes(const HostLinear& canonical);

std::unique_ptr<LinearWeight> PackInt4(const HostLinear& canonical, DeviceRuntime& runtime);

}  // namespace runahead::RA_CUDA
