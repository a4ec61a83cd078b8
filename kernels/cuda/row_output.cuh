// How an op stores a row it has computed: f32, bf16, f16, or quantized rows
// (kernels/quantized_rows.h). One block stores one row.
#pragma once

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/math.h"
#include "kernels/quantized_rows.h"

namespace runahead::RA_CUDA {

// Rows of a view, as a kernel takes them.
struct RowsParams {
  void* data = nullptr;
  int64_t row_stride = 0;  // elements; bytes of quantized rows
  int width = 0;           // elements
  // Quantized rows alone; offsets in bytes from the row's start.
  int group = 0;  // the whole row's width where the view says 0
  int num_groups = 0;
  int64_t scales_at = 0;
  int64_t sums_at = 0;
  int64_t row_bytes = 0;
};

inline RowsParams MakeRowsParams(const TensorView& view) {
  RowsParams rows;
  rows.data = view.data;
  rows.row_stride = view.row_stride;
  rows.width = static_cast<int>(view.RowElements());
  if (view.dtype != DType::kI8) return rows;
  const QuantizedRowLayout layout(view.RowElements(), view.group);
  rows.group = view.group == 0 ? rows.width : view.group;
  rows.num_groups = static_cast<int>(layout.num_groups);
  rows.scales_at = layout.scales_at;
  rows.sums_at = layout.sums_at;
  rows.row_bytes = layout.row_bytes;
  return rows;
}

template <typename T>
RA_DEVICE T* RowOf(const RowsParams& rows, int64_t row) {
  return static_cast<T*>(rows.data) + row * rows.row_stride;
}

// How a group is rounded to INT8: x * inverse to nearest even, and what a unit is worth.
struct GroupScale {
  float scale;
  float inverse;
};

// `largest` magnitude of a group, infinite where it holds a NaN or an infinity.
RA_DEVICE GroupScale ScaleOf(float largest) {
  if (largest <= 0x1p-100f) return {0.0f, 0.0f};
  if (isinf(largest)) return {NAN, 0.0f};
  return {largest / 127, 127 / largest};
}

// A magnitude for ScaleOf: NaN counts as infinite, since a maximum would lose it.
RA_DEVICE float Magnitude(float x) { return isnan(x) ? INFINITY : fabsf(x); }

// The code of x, which is 0 in a group without a scale.
RA_DEVICE int QuantizeOne(float x, const GroupScale& by) {
  return by.inverse == 0 ? 0 : static_cast<int>(rintf(x * by.inverse));
}

struct QuantizeStorage {
  ReduceStorage<float> largest;
  ReduceStorage<int> sum;
};

// One group that is the whole row: all threads share it. `value(i)` computes element i and may be
// called more than once.
template <int kThreads, typename Value>
RA_DEVICE void QuantizeWholeRow(const RowsParams& rows, int8_t* row, Value value,
                                QuantizeStorage& storage) {
  float largest = 0;
  for (int i = ThreadX(); i < rows.width; i += kThreads) {
    largest = MaxOp()(largest, Magnitude(value(i)));
  }
  const GroupScale by = ScaleOf(BlockReduce<kThreads>(largest, MaxOp(), storage.largest));
  int sum = 0;
  for (int i = ThreadX(); i < rows.width; i += kThreads) {
    const int code = QuantizeOne(value(i), by);
    row[i] = static_cast<int8_t>(code);
    sum += code;
  }
  sum = BlockReduce<kThreads>(sum, AddOp(), storage.sum);
  if (ThreadX() != 0) return;
  *reinterpret_cast<float*>(row + rows.scales_at) = by.scale;
  *reinterpret_cast<int32_t*>(row + rows.sums_at) = sum;
}

// Groups of 32, 64 or 128: a warp each, in turn.
template <int kThreads, typename Value>
RA_DEVICE void QuantizeGroups(const RowsParams& rows, int8_t* row, Value value) {
  for (int g = WarpIndex(); g < rows.num_groups; g += kThreads / kWarp) {
    const int begin = g * rows.group;
    const int end = begin + rows.group < rows.width ? begin + rows.group : rows.width;
    float largest = 0;
    for (int i = begin + Lane(); i < end; i += kWarp) {
      largest = MaxOp()(largest, Magnitude(value(i)));
    }
    const GroupScale by = ScaleOf(WarpReduce(largest, MaxOp()));
    int sum = 0;
    for (int i = begin + Lane(); i < end; i += kWarp) {
      const int code = QuantizeOne(value(i), by);
      row[i] = static_cast<int8_t>(code);
      sum += code;
    }
    sum = ReduceAdd(sum);
    if (Lane() != 0) continue;
    reinterpret_cast<float*>(row + rows.scales_at)[g] = by.scale;
    reinterpret_cast<int32_t*>(row + rows.sums_at)[g] = sum;
  }
}

// Stores `value(i)`, i in [0, width), as row `index`. All threads of the block call.
template <int kThreads, typename Out, typename Value>
RA_DEVICE void StoreRow(const RowsParams& rows, int64_t index, Value value,
                        QuantizeStorage& storage) {
  if constexpr (sizeof(Out) == 1) {
    int8_t* row = RowOf<int8_t>(rows, index);
    if (rows.num_groups == 1) {
      QuantizeWholeRow<kThreads>(rows, row, value, storage);
    } else {
      QuantizeGroups<kThreads>(rows, row, value);
    }
    for (int64_t i = rows.width + ThreadX(); i < rows.scales_at; i += kThreads) row[i] = 0;
    const int64_t end = rows.sums_at + 4 * rows.num_groups;
    for (int64_t i = end + ThreadX(); i < rows.row_bytes; i += kThreads) row[i] = 0;
  } else {
    Out* row = RowOf<Out>(rows, index);
    for (int i = ThreadX(); i < rows.width; i += kThreads) row[i] = RoundTo<Out>(value(i));
  }
}

}  // namespace runahead::RA_CUDA
