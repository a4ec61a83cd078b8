#include "speculative/weather.h"

#include <algorithm>
#include <cmath>

namespace runahead {
namespace {

constexpr double kStep = 0.5;           // of the running mean
constexpr double kMemory = 64;          // passes that the share is learned over
constexpr double kMostOff = 0.7;        // logarithm of a ratio; more is an interruption
constexpr double kPriorSquares = 0.02;  // as if so much had been seen that did not last

}  // namespace

void Weather::Observe(double ratio) {
  const double off = std::clamp(std::log(ratio), -kMostOff, kMostOff);
  products_ += off * latest_ - products_ / kMemory;
  squares_ += latest_ * latest_ - squares_ / kMemory;
  latest_ += kStep * (off - latest_);
  factor_ = std::exp(latest_ * std::clamp(products_ / (squares_ + kPriorSquares), 0.0, 1.0));
}

}  // namespace runahead
