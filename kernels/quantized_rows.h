// Quantized rows: activations (and embedding tables) as INT8 with a scale and a sum for each group
// of elements. Immutable: pure functions of shapes.
//
// A row of K elements is one run of bytes, so that a row travels, is gathered and is looked up as a
// whole:
//
//   | values: K i8, then zeros to a multiple of 128 | scales: G f32 | sums: G i32 | zeros |
//   0                                               V               V + 4 G       V + 8 G row_bytes
//
// G groups of `group` elements, the last maybe shorter; group 0 is one group, the whole row. x[k] =
// values[k] * scales[k / group], where scale = max |x| / 127 of the group (0 for a group of zeros)
// and values are rounded to nearest even; sums[g] is the sum of the group's values. A group that
// holds a NaN or an infinity has scale NaN and values 0: it stays contained in its row.
#pragma once

#include <cstdint>

#include "core/tensor_view.h"
#include "kernels/linear_weight.h"

namespace runahead {

inline constexpr int64_t kQuantizedRowPadding = 128;

struct QuantizedRowLayout {
  constexpr QuantizedRowLayout(int64_t k, int group)
      : num_groups(group == 0 ? 1 : (k + group - 1) / group),
        scales_at((k + kQuantizedRowPadding - 1) / kQuantizedRowPadding * kQuantizedRowPadding),
        sums_at(scales_at + 4 * num_groups),
        row_bytes((sums_at + 4 * num_groups + 63) / 64 * 64) {}

  int64_t num_groups;
  int64_t scales_at;  // bytes from the row's start
  int64_t sums_at;
  int64_t row_bytes;  // a multiple of 64
};

// `memory` as rows [num_rows, k] in `format`; quantized rows are row_bytes apart.
inline TensorView RowsIn(InputFormat format, void* memory, int64_t num_rows, int64_t k) {
  TensorView view(memory, format.dtype, {num_rows, k});
  if (format.dtype == DType::kI8) {
    view.group = format.group;
    view.row_stride = QuantizedRowLayout(k, format.group).row_bytes;
  }
  return view;
}

// Bytes of one row of k elements in `format`.
constexpr int64_t RowBytes(InputFormat format, int64_t k) {
  return format.dtype == DType::kI8 ? QuantizedRowLayout(k, format.group).row_bytes
                                    : k * DTypeBytes(format.dtype);
}

}  // namespace runahead
