#include "tests/kernels/op_fixture.h"

#include <cmath>
#include <cstring>

#include "core/check.h"
#if defined(RA_HAS_CUDA_EMULATOR)
#include "tests/cuda_emulator/emulated_runtime.h"
#endif
#include "tests/kernels/staged_backend.h"

namespace runahead {
namespace {

double ElementAt(const TensorView& view, int64_t row, int64_t col) {
  const int64_t i = row * view.row_stride + col;
  switch (view.dtype) {
    case DType::kF32:
      return static_cast<const float*>(view.data)[i];
    case DType::kBF16:
      return ToFloat(static_cast<const BFloat16*>(view.data)[i]);
    case DType::kF16:
      return ToFloat(static_cast<const Float16*>(view.data)[i]);
    default:
      RA_CHECK(false, "a float dtype");
      return 0;
  }
}

}  // namespace

std::vector<std::string> TestedIsas() {
  std::vector<std::string> isas = CpuIsaNames();
#if defined(__SANITIZE_THREAD__)
  isas = {isas.back()};  // all of them share work among threads with the same code
#endif
  return isas;
}

std::vector<BackendCase> HostBackends() {
  std::vector<BackendCase> cases;
#if !defined(__SANITIZE_THREAD__)
  cases.push_back({"ref", "", 1});
  for (const std::string& isa : TestedIsas()) cases.push_back({"cpu", isa, 1});
#endif
  for (const std::string& isa : TestedIsas()) cases.push_back({"cpu", isa, 3});
  return cases;
}

std::vector<BackendCase> AllBackends() {
  std::vector<BackendCase> cases = HostBackends();
#if defined(RA_HAS_CUDA_EMULATOR)
  cases.push_back({"cuda_emulated", "", 1});
#endif
  if (MakeBackend("cuda", {}).ok()) cases.push_back({"cuda", "", 1});
  return cases;
}

std::unique_ptr<Backend> Make(const BackendCase& c) {
#if defined(RA_HAS_CUDA_EMULATOR)
  if (c.name == "cuda_emulated") return MakeStagedBackend(MakeEmulatedCudaBackend());
#endif
  auto backend = MakeBackend(c.name, {.num_threads = c.num_threads, .isa = c.isa});
  RA_CHECK(backend.ok(), backend.status().message());
  if (c.name == "cuda") return MakeStagedBackend(std::move(backend).value());
  return std::move(backend).value();
}

std::string CaseName(const testing::TestParamInfo<BackendCase>& info) {
  return info.param.name + "_" + info.param.isa + "_" + std::to_string(info.param.num_threads);
}

Tensor::Tensor(DType dtype, std::initializer_list<int64_t> shape) {
  const TensorView empty(nullptr, dtype, shape);
  bytes_.resize(static_cast<size_t>(empty.NumBytes()));
  view_ = TensorView(bytes_.data(), dtype, shape);
}

double Tensor::at(int64_t row, int64_t col) const { return ElementAt(view_, row, col); }

void Tensor::set(int64_t row, int64_t col, double value) {
  const int64_t i = row * view_.row_stride + col;
  const auto f = static_cast<float>(value);
  if (view_.dtype == DType::kF32) static_cast<float*>(view_.data)[i] = f;
  if (view_.dtype == DType::kBF16) static_cast<BFloat16*>(view_.data)[i] = ToBFloat16(f);
  if (view_.dtype == DType::kF16) static_cast<Float16*>(view_.data)[i] = ToFloat16(f);
}

Tensor RandomTensor(DType dtype, std::initializer_list<int64_t> shape, std::mt19937& rng,
                    double deviation) {
  Tensor tensor(dtype, shape);
  std::normal_distribution<double> normal(0, deviation);
  for (int64_t i = 0; i < tensor.view().dim(0); ++i) {
    for (int64_t j = 0; j < tensor.view().RowElements(); ++j) tensor.set(i, j, normal(rng));
  }
  return tensor;
}

std::vector<float> RandomFloats(int64_t count, std::mt19937& rng, double deviation) {
  std::vector<float> values(static_cast<size_t>(count));
  std::normal_distribution<float> normal(0, static_cast<float>(deviation));
  for (float& value : values) value = normal(rng);
  return values;
}

void ExpectWithin(const TensorView& actual, const std::vector<double>& expected,
                  const std::vector<double>& bound, const std::string& what) {
  ASSERT_EQ(static_cast<size_t>(actual.NumElements()), expected.size()) << what;
  ASSERT_EQ(bound.size(), expected.size()) << what;
  double worst = 0;
  size_t worst_at = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto width = static_cast<size_t>(actual.RowElements());
    const double got =
        ElementAt(actual, static_cast<int64_t>(i / width), static_cast<int64_t>(i % width));
    const double excess = std::abs(got - expected[i]) / bound[i];
    if (excess <= worst) continue;  // a NaN is not <= and becomes the worst
    worst = std::isnan(excess) ? INFINITY : excess;
    worst_at = i;
  }
  if (worst <= 1) return;
  const auto width = static_cast<size_t>(actual.RowElements());
  ADD_FAILURE() << what << ": worst at [" << worst_at / width << ", " << worst_at % width
                << "]: actual "
                << ElementAt(actual, static_cast<int64_t>(worst_at / width),
                             static_cast<int64_t>(worst_at % width))
                << " expected " << expected[worst_at] << " bound " << bound[worst_at];
}

std::vector<uint8_t> RowBytes(const TensorView& view, int64_t row) {
  const auto bytes = static_cast<size_t>(view.RowElements() * DTypeBytes(view.dtype));
  std::vector<uint8_t> copy(bytes);
  std::memcpy(copy.data(), view.Rows(row, 1).data, bytes);
  return copy;
}

}  // namespace runahead
