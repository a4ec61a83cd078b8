#include <cmath>
#include <cstring>
#include <vector>

#include "core/check.h"
#include "kernels/check_args.h"
#include "kernels/ref/element.h"
#include "kernels/ref/ops.h"

namespace runahead::ref {
namespace {

void NormalizeRow(const TensorView& x, int64_t row, const float* gain, float eps,
                  const TensorView& y) {
  const int64_t width = x.RowElements();
  double sum = 0;
  for (int64_t i = 0; i < width; ++i) sum += double{Load(x, row, i)} * Load(x, row, i);
  const double inverse = 1 / std::sqrt(sum / static_cast<double>(width) + eps);
  std::vector<double> normed(static_cast<size_t>(width));
  for (int64_t i = 0; i < width; ++i) {
    normed[static_cast<size_t>(i)] = Load(x, row, i) * inverse * double{gain[i]};
  }
  StoreRow(y, row, normed);
}

}  // namespace

void Embed(const EmbedArgs& args) {
  CheckArgs(args);
  const int32_t* ids = args.drawn_ids != nullptr ? args.drawn_ids : args.ids.data();
  for (int64_t t = 0; t < args.out.dim(0); ++t) {
    RA_CHECK(ids[t] >= 0 && ids[t] < args.table.dim(0), "token id out of range");
    StoreRow(args.out, t, LoadRow(args.table, ids[t]));
  }
}

void RmsNorm(const RmsNormArgs& args) {
  CheckArgs(args);
  for (int64_t t = 0; t < args.x.dim(0); ++t) NormalizeRow(args.x, t, args.gain, args.eps, args.y);
}

void AddRmsNorm(const AddRmsNormArgs& args) {
  CheckArgs(args);
  for (int64_t t = 0; t < args.x.dim(0); ++t) {
    for (int64_t i = 0; i < args.x.RowElements(); ++i) {
      Store(args.residual, t, i, double{Load(args.residual, t, i)} + Load(args.x, t, i));
    }
    NormalizeRow(args.residual, t, args.gain, args.eps, args.y);
  }
}

void SiluMul(const SiluMulArgs& args) {
  CheckArgs(args);
  const int64_t width = args.out.RowElements();
  std::vector<double> row(static_cast<size_t>(width));
  for (int64_t t = 0; t < args.out.dim(0); ++t) {
    for (int64_t i = 0; i < width; ++i) {
      const double gate = Load(args.gate_up, t, i);
      const double up = Load(args.gate_up, t, width + i);
      row[static_cast<size_t>(i)] = gate / (1 + std::exp(-gate)) * up;
    }
    StoreRow(args.out, t, row);
  }
}

void GatherRows(const GatherRowsArgs& args) {
  CheckArgs(args);
  for (size_t r = 0; r < args.rows.size(); ++r) {
    RA_CHECK(args.rows[r] >= 0 && args.rows[r] < args.x.dim(0), "row out of range");
    const InputFormat format{args.x.dtype, args.x.group};
    std::memcpy(args.out.Rows(static_cast<int64_t>(r), 1).data, args.x.Rows(args.rows[r], 1).data,
                static_cast<size_t>(RowBytes(format, args.x.RowElements())));
  }
}

}  // namespace runahead::ref
