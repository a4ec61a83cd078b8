#include "kernels/cpu/elementwise.h"

#include <cstring>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/cpu/row_views.h"

namespace runahead::cpu {
namespace {

// Elements below which waking another thread costs more than it brings.
constexpr int64_t kInlineElements = 32 * 1024;

// body(row) for each row, on one thread or all.
template <typename Body>
void ForRows(int64_t num_rows, int64_t width, ThreadPool& pool, const Body& body) {
  if (num_rows * width <= kInlineElements || num_rows == 1) {
    for (int64_t row = 0; row < num_rows; ++row) body(row);
    return;
  }
  pool.Run([&](int thread) {
    const int64_t n = pool.num_threads();
    for (int64_t row = num_rows * thread / n; row < num_rows * (thread + 1) / n; ++row) body(row);
  });
}

}  // namespace

void Embed(const EmbedArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const int64_t width = args.out.RowElements();
  const int32_t* ids = args.drawn_ids != nullptr ? args.drawn_ids : args.ids.data();
  ForRows(args.out.dim(0), width, pool, [&](int64_t t) {
    const int32_t id = ids[t];
    RA_CHECK(id >= 0 && id < args.table.dim(0), "token id out of range");
    kernels.convert(In(args.table, id), Out(args.out, t), width);
  });
}

void RmsNorm(const RmsNormArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const int64_t width = args.x.RowElements();
  ForRows(args.x.dim(0), width, pool, [&](int64_t t) {
    kernels.rms_norm(In(args.x, t), args.gain, args.eps, Out(args.y, t), width);
  });
}

void AddRmsNorm(const AddRmsNormArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const int64_t width = args.x.RowElements();
  ForRows(args.x.dim(0), width, pool, [&](int64_t t) {
    kernels.add(Out(args.residual, t), In(args.x, t), width);
    kernels.rms_norm(In(args.residual, t), args.gain, args.eps, Out(args.y, t), width);
  });
}

void SiluMul(const SiluMulArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const int64_t width = args.out.RowElements();
  ForRows(args.out.dim(0), width, pool, [&](int64_t t) {
    kernels.silu_mul(In(args.gate_up, t), In(args.gate_up, t, width), Out(args.out, t), width);
  });
}

void GatherRows(const GatherRowsArgs& args, const KernelTable& kernels, ThreadPool& pool) {
  CheckArgs(args);
  const int64_t width = args.out.RowElements();
  ForRows(args.out.dim(0), width, pool, [&](int64_t r) {
    const int32_t row = args.rows[static_cast<size_t>(r)];
    RA_CHECK(row >= 0 && row < args.x.dim(0), "row out of range");
    if (args.x.dtype == DType::kI8) {
      const int64_t bytes = QuantizedRowLayout(width, args.x.group).row_bytes;
      std::memcpy(args.out.Row<int8_t>(r), args.x.Row<int8_t>(row), static_cast<size_t>(bytes));
      return;
    }
    kernels.convert(In(args.x, row), Out(args.out, r), width);
  });
}

}  // namespace runahead::cpu
