#include "server/units.h"

#include <array>
#include <cstdio>

namespace runahead {
namespace {

template <size_t N>
std::string Scaled(double value, double step, const std::array<const char*, N>& units) {
  size_t unit = 0;
  while (value >= step && unit + 1 < N) {
    value /= step;
    ++unit;
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f%s" : "%.2f%s", value, units[unit]);
  return text.data();
}

}  // namespace

std::string Bytes(int64_t bytes) {
  return Scaled(static_cast<double>(bytes), 1024, std::array{" B", " KiB", " MiB", " GiB", " TiB"});
}

std::string Count(int64_t count) {
  return Scaled(static_cast<double>(count), 1000, std::array{"", " K", " M", " B", " T"});
}

}  // namespace runahead
