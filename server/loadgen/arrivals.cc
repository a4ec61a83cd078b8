#include "server/loadgen/arrivals.h"

#include <cmath>
#include <numbers>

namespace runahead {

double Arrivals::Uniform() {
  return (static_cast<double>(bits_() >> 11) + 1) * 0x1p-53;  // 0 has no logarithm
}

double Arrivals::Normal() {  // Box and Muller
  const double radius = std::sqrt(-2 * std::log(Uniform()));
  return radius * std::cos(2 * std::numbers::pi * Uniform());
}

// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). Below a shape of 1
// it needs one more uniform: X(a) = X(a + 1) U^(1/a).
double Arrivals::Gamma(double shape) {
  if (shape < 1) {
    const double larger = Gamma(shape + 1);
    return larger * std::pow(Uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = Normal();
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(Uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

double Arrivals::NextGap() {
  const double mean = 1 / spec_.rate;
  if (std::isinf(spec_.burstiness)) return mean;
  if (spec_.burstiness == 1) return -std::log(Uniform()) * mean;
  return Gamma(spec_.burstiness) / spec_.burstiness * mean;
}

}  // namespace runahead
