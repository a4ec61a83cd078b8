// From float weights to the canonical quantized form and back: round to nearest, with the scale of
// each group chosen by least squared error. Thread-safe: pure functions, the same bits on every
// machine and for any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"
#include "core/tensor_view.h"
#include "kernels/linear_weight.h"

namespace runahead {

struct QuantizeOptions {
  int num_threads = 1;  // that share the rows out; they end with the call
  // False: scales that just cover each group's range. True: of scales down to half of that, the
  // one whose rounded weights are nearest to the given ones in squared error.
  bool search_clip = true;
  int64_t first_row = 0;  // what errors call row 0, where the weights are rows of a larger matrix
};

// A QuantizedMatrix that owns its memory. Move-only in spirit; copies copy.
struct OwnedQuantizedMatrix {
  WeightFormat format;
  int64_t n = 0;
  int64_t k = 0;
  std::vector<uint8_t> codes;        // kInt8: [N, K] i8; kInt4: [N, ceil(K / 2)]
  std::vector<BFloat16> scales;      // [N, groups]
  std::vector<uint8_t> zero_points;  // [N, groups], or empty

  int64_t num_groups() const {
    return format.group == 0 ? 1 : (k + format.group - 1) / format.group;
  }
  QuantizedMatrix view() const;  // borrows
};

// `weights` [N, K] f32, f16 or bf16 in `format` (kInt8 or kInt4):
//
//   int8: codes -127..127, one scale an output
//   int4: codes 0..15 by group of format.group columns, the last maybe shorter; symmetric ones mean
//         code - 8, and a scale is negative where the element of largest magnitude is positive, so
//         that it is the one that falls on -8; with zero points, w = (code - zero) scale and 0 is
//         always representable
//
// A scale is rounded to bf16 before the codes are chosen, so that what is stored is what was
// meant. A group without a magnitude above 2^-100 becomes zeros with scale 1. kInvalidArgument,
// naming the row, where a weight is NaN or infinite: an integer cannot hold it, and its group would
// be lost in silence.
Result<OwnedQuantizedMatrix> QuantizeWeights(const TensorView& weights, WeightFormat format,
                                             const QuantizeOptions& options);

// Row `row` of a quantized matrix as floats, exactly code - zero times scale rounded to f32.
void DequantizeRow(const QuantizedMatrix& matrix, WeightFormat format, int64_t row,
                   std::span<float> out);

// Rows [begin, begin + rows.dim(0)) of a kInt8 matrix as quantized rows (kernels/quantized_rows.h)
// of group 0: the form of an embedding table.
void FillQuantizedRows(const QuantizedMatrix& matrix, int64_t begin, const TensorView& rows);

}  // namespace runahead
