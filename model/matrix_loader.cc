#include "model/matrix_loader.h"

#include <span>
#include <utility>

namespace runahead {

Result<LoadedMatrix> LoadedMatrix::Fetch(WeightSource& source, const std::string& module, int64_t n,
                                         int64_t k, WeightFormat format) {
  LoadedMatrix matrix;
  RA_ASSIGN_OR_RETURN(matrix.stored_, source.FetchQuantized(module, n, k));
  if (!matrix.stored_) {
    RA_ASSIGN_OR_RETURN(matrix.tensor_, source.Fetch(module + ".weight", {n, k}));
    matrix.values_ = matrix.tensor_.view;
    return matrix;
  }
  const HostQuantized& stored = *matrix.stored_;
  if (stored.format.HasCodesOf(format)) {
    matrix.quantized_ = stored.matrix;
    return matrix;
  }
  matrix.floats_.resize(static_cast<size_t>(n * k));
  for (int64_t row = 0; row < n; ++row) {
    DequantizeRow(
        stored.matrix, stored.format, row,
        std::span(matrix.floats_).subspan(static_cast<size_t>(row * k), static_cast<size_t>(k)));
  }
  matrix.values_ = TensorView(matrix.floats_.data(), DType::kF32, {n, k});
  return matrix;
}

Result<LoadedMatrix> LoadedMatrix::Load(WeightSource& source, const std::string& module, int64_t n,
                                        int64_t k, WeightFormat format, int num_threads) {
  RA_ASSIGN_OR_RETURN(LoadedMatrix matrix, Fetch(source, module, n, k, format));
  if (!format.is_quantized() || matrix.is_quantized()) return matrix;
  RA_ASSIGN_OR_RETURN(matrix.rounded_,
                      Quantize(matrix.values_, module, format, {.num_threads = num_threads}));
  matrix.quantized_ = matrix.rounded_.view();
  return matrix;
}

Result<OwnedQuantizedMatrix> LoadedMatrix::Quantize(const TensorView& values,
                                                    const std::string& module, WeightFormat format,
                                                    const QuantizeOptions& options) {
  auto rounded = QuantizeWeights(values, format, options);
  if (rounded.ok()) return rounded;
  return InvalidArgument("cannot quantize " + module + ": " + rounded.status().message() +
                         "; the override " + module + "=none leaves it as it is");
}

}  // namespace runahead
