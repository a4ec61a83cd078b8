// Arrivals: the gaps between requests of an open loop. One thread at a time.
#pragma once

#include <cstdint>
#include <random>

namespace runahead {

// Gaps are drawn from a gamma distribution of mean 1 / rate and variance 1 / (burstiness * rate^2):
// 1 is a Poisson process, less comes in bursts, more is steadier, infinity has all gaps equal.
struct ArrivalSpec {
  double rate = 1;  // requests per second, > 0
  double burstiness = 1;
  uint64_t seed = 1;
};

// The same spec gives the same gaps with every standard library: its engine is specified bit by
// bit, its distributions are not, so those are written here.
class Arrivals {
 public:
  explicit Arrivals(const ArrivalSpec& spec) : spec_(spec), bits_(spec.seed) {}

  double NextGap();  // seconds

 private:
  double Uniform();  // in (0, 1]
  double Normal();
  double Gamma(double shape);  // scale 1

  ArrivalSpec spec_;
  std::mt19937_64 bits_;
};

}  // namespace runahead
