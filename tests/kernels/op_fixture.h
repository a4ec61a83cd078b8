// What the op tests share: the backends to run, random tensors, and comparison within a derived
// bound. Test thread only.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/backend.h"
#include "kernels/registry.h"

namespace runahead {

// Unit roundoffs: half the distance from 1 to the next value.
inline constexpr double kEpsF32 = 0x1p-24;
inline constexpr double kEpsBf16 = 0x1p-8;
inline constexpr double kEpsF16 = 0x1p-11;
inline double EpsOf(DType dtype) {
  return dtype == DType::kBF16 ? kEpsBf16 : dtype == DType::kF16 ? kEpsF16 : kEpsF32;
}
// What rounding `value` to the dtype may change it by: f16 has few exponents, and half of 2^-24 is
// the least it can be off by.
inline double RoundingOf(DType dtype, double value) {
  return EpsOf(dtype) * std::abs(value) + (dtype == DType::kF16 ? 0x1p-25 : 0);
}

// A backend under test.
struct BackendCase {
  std::string name;
  std::string isa;
  int num_threads = 1;

  friend std::ostream& operator<<(std::ostream& out, const BackendCase& c) {
    return out << c.name << c.isa << c.num_threads;
  }
};

// The instruction sets of this machine.
std::vector<std::string> TestedIsas();
// The reference, and the cpu backend at each of those with one and with three threads.
std::vector<BackendCase> HostBackends();
// Those, the CUDA backend on its emulator where this build has that ("cuda_emulated"), and on a GPU
// where this build and this machine have one ("cuda").
std::vector<BackendCase> AllBackends();
std::unique_ptr<Backend> Make(const BackendCase& c);
std::string CaseName(const testing::TestParamInfo<BackendCase>& info);

// One test body, all backends.
class OpTest : public testing::TestWithParam<BackendCase> {
 protected:
  OpTest() : backend_(Make(GetParam())) {}
  // Types of activations that the backend has.
  std::vector<DType> Activations() const {
    if (backend_->info().has_f16) return {DType::kF32, DType::kBF16, DType::kF16};
    return {DType::kF32, DType::kBF16};
  }
  std::unique_ptr<Backend> backend_;
};
// Ops the CUDA backend has no kernels for yet.
#define RA_FOR_HOST_BACKENDS(suite) \
  INSTANTIATE_TEST_SUITE_P(Backends, suite, testing::ValuesIn(HostBackends()), CaseName)
#define RA_FOR_ALL_BACKENDS(suite) \
  INSTANTIATE_TEST_SUITE_P(Backends, suite, testing::ValuesIn(AllBackends()), CaseName)

// A tensor that owns exactly its bytes, so that a sanitizer sees every step beyond it.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, std::initializer_list<int64_t> shape);
  Tensor(const Tensor& other) { *this = other; }
  Tensor& operator=(const Tensor& other) {
    bytes_ = other.bytes_;
    view_ = other.view_;
    view_.data = bytes_.data();
    return *this;
  }

  const TensorView& view() const { return view_; }
  double at(int64_t row, int64_t col) const;
  void set(int64_t row, int64_t col, double value);
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
  TensorView view_;
};

// Normal values of the given deviation, rounded to the dtype.
Tensor RandomTensor(DType dtype, std::initializer_list<int64_t> shape, std::mt19937& rng,
                    double deviation = 1);
std::vector<float> RandomFloats(int64_t count, std::mt19937& rng, double deviation = 1);

// Expects |actual - expected| <= bound everywhere; else prints the place that exceeds it most.
void ExpectWithin(const TensorView& actual, const std::vector<double>& expected,
                  const std::vector<double>& bound, const std::string& what);

// Row `row` of a view, as bytes, to compare bits.
std::vector<uint8_t> RowBytes(const TensorView& view, int64_t row);

}  // namespace runahead
