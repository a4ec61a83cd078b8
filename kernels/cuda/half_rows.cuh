// 16-bit rows of activations on their way into shared memory.
#pragma once

#include "core/tensor_view.h"
#include "kernels/cuda/primitives/async_copy.h"
#include "kernels/cuda/primitives/thread.h"

namespace runahead::RA_CUDA {

template <typename T>
struct HalfRows {
  const T* data = nullptr;  // [num_rows, k]
  int64_t row_stride = 0;
  bool is_aligned = false;  // rows start at multiples of 16 bytes and k is one of 8
  int num_rows = 0;
  int k = 0;
};

template <typename T>
HalfRows<T> MakeHalfRows(const TensorView& view) {
  HalfRows<T> rows;
  rows.data = static_cast<const T*>(view.data);
  rows.row_stride = view.row_stride;
  rows.is_aligned = view.row_stride % 8 == 0 && view.RowElements() % 8 == 0 &&
                    reinterpret_cast<uintptr_t>(view.data) % 16 == 0;
  rows.num_rows = static_cast<int>(view.dim(0));
  rows.k = static_cast<int>(view.RowElements());
  return rows;
}

// A warp starts the copies of kColumns columns from `column` of rows first_row .. + kRows; zeros
// beyond the rows and columns there are.
template <int kColumns, typename T, int kRows, int kPitch>
RA_DEVICE void LoadRows(const HalfRows<T>& rows, int first_row, int column,
                        T (&to)[kRows][kPitch]) {
  static_assert(kColumns % 8 == 0 && kPitch % 8 == 0, "copies of 16 bytes");
  constexpr int kUnits = kColumns / 8;
  for (int i = Lane(); i < kRows * kUnits; i += kWarp) {
    const int row = i / kUnits;
    const int at = column + i % kUnits * 8;
    T* unit = &to[row][i % kUnits * 8];
    const bool has_row = first_row + row < rows.num_rows;
    const T* from = rows.data + (has_row ? (first_row + row) * rows.row_stride : 0);
    if (rows.is_aligned) {
      const bool exists = has_row && at < rows.k;
      CopyAsync16OrZero(unit, from + (exists ? at : 0), exists);
    } else {
      for (int j = 0; j < 8; ++j) {
        unit[j] = has_row && at + j < rows.k ? from[at + j] : T{0};
      }
    }
  }
}

}  // namespace runahead::RA_CUDA
