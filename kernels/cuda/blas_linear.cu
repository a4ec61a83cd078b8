// BF16 and F16 linear layers by cuBLASLt, batch-invariant as docs/architecture.md says: rows are
// padded to a multiple of 64, and one algorithm, without split-K, multiplies [N, K] for every
// number of rows.
//
//   x [M, K] --copy--> X [P, K] --cuBLASLt--> D [P, N] f32 --BiasKernel--> y [M, N]
//
// in pieces of at most kMaxRows rows, as far as X and D fit their memory. P = M rounded up to 64;
// rows of padding hold what was there before, and nobody reads what becomes of them. In cuBLASLt's
// column-major words D^T = W^T' X: A = W as [K, N] transposed, B = X as [K, P], D as [N, P].
//
// Roofline: D costs 8 M N bytes beside 2 N K of weights: 1.6 % at M = 16 and K = 4096, 25 % at 256
// (then it is the products that count). Not measured: no GPU yet.
#include <algorithm>
#include <map>
#include <tuple>

#include <cublasLt.h>

#include "kernels/cuda/blas_linear.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/primitives/half.h"
#include "kernels/cuda/primitives/launch.h"
#include "kernels/cuda/primitives/thread.h"

namespace runahead::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRowMultiple = 64;
constexpr int kMaxRows = 512;
constexpr int64_t kInputBytes = int64_t{16} << 20;
constexpr int64_t kOutputBytes = int64_t{64} << 20;
// The rows an algorithm is chosen for: between the few of decodes and the many of prompts.
constexpr int kChosenForRows = 128;

struct BiasParams {
  const float* d = nullptr;     // [M, N]
  const float* bias = nullptr;  // [N]
  void* y = nullptr;            // [M, N]
  int64_t y_stride = 0;
  int n = 0;
};

template <typename Y>
__global__ void __launch_bounds__(kThreads) BiasKernel(const __grid_constant__ BiasParams params) {
  const int column = BlockX() * kThreads + ThreadX();
  if (column >= params.n) return;
  const int64_t row = BlockY();
  static_cast<Y*>(params.y)[row * params.y_stride + column] =
      RoundTo<Y>(params.d[row * params.n + column] + params.bias[column]);
}

// The descriptors of one product. On the stack: nothing is allocated.
struct Product {
  Product(DType dtype, int64_t rows, int64_t n, int64_t k) {
    const cudaDataType type = dtype == DType::kF16 ? CUDA_R_16F : CUDA_R_16BF;
    is_ok = cublasLtMatmulDescInit(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F) == kOk &&
            cublasLtMatmulDescSetAttribute(&operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                           sizeof(transposed)) == kOk &&
            cublasLtMatrixLayoutInit(&a, type, static_cast<uint64_t>(k), static_cast<uint64_t>(n),
                                     k) == kOk &&
            cublasLtMatrixLayoutInit(&b, type, static_cast<uint64_t>(k),
                                     static_cast<uint64_t>(rows), k) == kOk &&
            cublasLtMatrixLayoutInit(&d, CUDA_R_32F, static_cast<uint64_t>(n),
                                     static_cast<uint64_t>(rows), n) == kOk;
  }

  static constexpr cublasStatus_t kOk = CUBLAS_STATUS_SUCCESS;
  cublasOperation_t transposed = CUBLAS_OP_T;
  cublasLtMatmulDescOpaque_t operation;
  cublasLtMatrixLayoutOpaque_t a, b, d;
  bool is_ok = false;
};

class BlasLinear final : public DenseLinear {
 public:
  BlasLinear(cublasLtHandle_t handle, DeviceRuntime& runtime)
      : handle_(handle), runtime_(runtime) {}
  ~BlasLinear() override { cublasLtDestroy(handle_); }

  void Prepare(DType dtype, int64_t n, int64_t k) override {
    if (algorithms_.contains({dtype, n, k}) || PieceRows(n, k) == 0) return;
    if (input_.data() == nullptr) {
      input_ = runtime_.Allocate(kInputBytes, MemoryKind::kDevice);
      output_ = runtime_.Allocate(kOutputBytes, MemoryKind::kDevice);
    }
    Product product(dtype, std::min(kChosenForRows, PieceRows(n, k)), n, k);
    cublasLtMatmulPreferenceOpaque_t preference;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
    cublasLtMatmulHeuristicResult_t found = {};
    int count = 0;
    const bool is_found =
        product.is_ok && cublasLtMatmulPreferenceInit(&preference) == Product::kOk &&
        cublasLtMatmulPreferenceSetAttribute(&preference,
                                             CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
                                             sizeof(reduction)) == Product::kOk &&
        cublasLtMatmulAlgoGetHeuristic(handle_, &product.operation, &product.a, &product.b,
                                       &product.d, &product.d, &preference, 1, &found,
                                       &count) == Product::kOk &&
        count == 1 && found.state == Product::kOk && found.workspaceSize == 0;
    if (is_found) algorithms_[{dtype, n, k}] = found.algo;
  }

  bool Run(const DenseLinearArgs& args, Stream stream) override {
    const auto algorithm = algorithms_.find({args.dtype, args.n, args.k});
    if (algorithm == algorithms_.end()) return false;
    const int piece = PieceRows(args.n, args.k);
    for (int row = 0; row < args.num_rows; row += piece) {
      DenseLinearArgs part = args;
      part.x = static_cast<const char*>(args.x) + row * args.x_stride * 2;
      part.y = static_cast<char*>(args.y) + row * args.y_stride * (args.y_is_f32 ? 4 : 2);
      part.num_rows = std::min(piece, args.num_rows - row);
      RunPiece(part, algorithm->second, stream);
    }
    return true;
  }

 private:
  // Rows that X and D have room for, a multiple of 64; 0: not even that many.
  static int PieceRows(int64_t n, int64_t k) {
    const int64_t rows =
        std::min({int64_t{kMaxRows}, kInputBytes / (2 * k), kOutputBytes / (4 * n)});
    return static_cast<int>(rows / kRowMultiple * kRowMultiple);
  }

  void RunPiece(const DenseLinearArgs& args, const cublasLtMatmulAlgo_t& algorithm, Stream stream) {
    const auto row_bytes = static_cast<size_t>(args.k) * 2;
    CheckCuda(cudaMemcpy2DAsync(
                  input_.data(), row_bytes, args.x, static_cast<size_t>(args.x_stride) * 2,
                  row_bytes, static_cast<size_t>(args.num_rows), cudaMemcpyDeviceToDevice, stream),
              "gathering rows for cuBLASLt");
    const int padded = (args.num_rows + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
    Product product(args.dtype, padded, args.n, args.k);
    const float one = 1;
    const float zero = 0;
    const cublasStatus_t status =
        cublasLtMatmul(handle_, &product.operation, &one, args.weight, &product.a, input_.data(),
                       &product.b, &zero, output_.data(), &product.d, output_.data(), &product.d,
                       &algorithm, nullptr, 0, stream);
    // What it does not take it says at set-up: here only a device that has failed refuses.
    RA_CHECK(product.is_ok && status != CUBLAS_STATUS_NOT_SUPPORTED &&
                 status != CUBLAS_STATUS_INVALID_VALUE && status != CUBLAS_STATUS_ARCH_MISMATCH,
             std::string("cublasLtMatmul: ") + cublasLtGetStatusName(status));
    BiasParams params;
    params.d = static_cast<const float*>(output_.data());
    params.bias = args.bias;
    params.y = args.y;
    params.y_stride = args.y_stride;
    params.n = args.n;
    const Dim3 grid = {.x = (args.n + kThreads - 1) / kThreads, .y = args.num_rows};
    WithActivation(args.y_is_f32 ? DType::kF32 : args.dtype, [&](auto y) {
      Launch(BiasKernel<decltype(y)>, grid, {.x = kThreads}, 0, stream, params);
    });
  }

  cublasLtHandle_t handle_;
  DeviceRuntime& runtime_;
  DeviceBuffer input_;   // X
  DeviceBuffer output_;  // D
  // (type, N, K) ->
  std::map<std::tuple<DType, int64_t, int64_t>, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace

std::unique_ptr<DenseLinear> MakeBlasLinear(DeviceRuntime& runtime) {
  cublasLtHandle_t handle = nullptr;
  if (cublasLtCreate(&handle) != CUBLAS_STATUS_SUCCESS) return nullptr;
  return std::make_unique<BlasLinear>(handle, runtime);
}

}  // namespace runahead::cuda
