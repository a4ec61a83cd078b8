// TensorView: a borrowed, typed, row-major view of up to four dimensions. Value type; it owns
// nothing.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "core/check.h"
#include "core/dtype.h"

namespace runahead {

// The memory belongs to someone who outlives the view. Dimensions are outermost first. Rows (all
// but the first dimension) are contiguous; `row_stride` (elements) lets a view name columns of a
// wider matrix, as q, k and v do inside one fused [T, (Nq + 2 Nkv) D] projection.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  std::array<int64_t, 4> dims = {};
  int64_t row_stride = 0;  // elements between consecutive indices of dims[0]
  int group = 0;           // i8 rows with scales: elements a scale (kernels/quantized_rows.h)

  TensorView() = default;
  TensorView(void* memory, DType type, std::initializer_list<int64_t> shape)
      : data(memory), dtype(type), rank(static_cast<int>(shape.size())) {
    RA_CHECK_LE(rank, 4);
    int i = 0;
    for (const int64_t d : shape) dims[static_cast<size_t>(i++)] = d;
    row_stride = RowElements();
  }

  int64_t dim(int i) const { return dims[static_cast<size_t>(i)]; }
  int64_t RowElements() const {
    int64_t n = 1;
    for (int i = 1; i < rank; ++i) n *= dim(i);
    return n;
  }
  int64_t NumElements() const { return rank == 0 ? 0 : dim(0) * RowElements(); }
  int64_t NumBytes() const { return NumElements() * DTypeBytes(dtype); }
  bool IsContiguous() const { return row_stride == RowElements(); }

  // Pointer to row i; T must be the type dtype names.
  template <typename T>
  T* Row(int64_t i) const {
    RA_CHECK_EQ(static_cast<int>(sizeof(T)), DTypeBytes(dtype));
    return static_cast<T*>(data) + i * row_stride;
  }

  // Rows [begin, begin + count) of this view.
  TensorView Rows(int64_t begin, int64_t count) const {
    RA_CHECK(begin >= 0 && count >= 0 && begin + count <= dim(0));
    TensorView view = *this;
    view.data = static_cast<char*>(data) + begin * row_stride * DTypeBytes(dtype);
    view.dims[0] = count;
    return view;
  }
};

}  // namespace runahead
