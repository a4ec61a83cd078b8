#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_ops.h"

namespace runahead::jinja {
namespace {

std::optional<int64_t> ToInteger(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;  // NaN too
  return static_cast<int64_t>(value);
}

Value FilterInt(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto base = static_cast<int>(arguments.Int(runtime, 1, 10));
  if (base < 2 || base > 36) return runtime.Fail("int() needs a base from 2 to 36");
  std::optional<int64_t> result;
  if (self.IsInteger()) {
    result = self.integer();
  } else if (self.IsNumber()) {
    result = ToInteger(self.number());
  } else if (self.IsString()) {
    result = ParsePythonInt(self.text(), base);
    const auto as_float = result ? std::nullopt : ParsePythonFloat(self.text());
    if (as_float) result = ToInteger(*as_float);
  } else if (self.IsUndefined()) {
    return runtime.Fail(self.undefined_reason());
  }
  if (result) return Value(*result);
  return arguments.Has(0) ? arguments[0] : Value(int64_t{0});
}

Value FilterFloat(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (self.IsUndefined()) return runtime.Fail(self.undefined_reason());
  if (self.IsNumber()) return Value(self.number());
  const auto parsed = self.IsString() ? ParsePythonFloat(self.text()) : std::nullopt;
  if (parsed) return Value(*parsed);
  return arguments.Has(0) ? arguments[0] : Value(0.0);
}

Value FilterAbs(Runtime& runtime, const Value& self, const Bound&) {
  if (self.IsInteger())
    return self.integer() < 0 ? Negate(runtime, self, true) : Value(self.integer());
  if (self.IsNumber()) return Value(std::abs(self.number()));
  if (self.IsUndefined()) return runtime.Fail(self.undefined_reason());
  return runtime.Fail("abs() needs a number");
}

// round(value, precision) with ties to even of the exact decimal value, as Python rounds.
double RoundDecimal(double value, int precision) {
  if (!std::isfinite(value)) return value;
  if (precision < 0) {
    const double scale = std::pow(10.0, -precision);
    return std::nearbyint(value / scale) * scale;
  }
  char buffer[512];  // a double has at most 309 digits before the point
  std::snprintf(buffer, sizeof buffer, "%.*f", precision, value);
  return std::strtod(buffer, nullptr);
}

Value FilterRound(Runtime& runtime, const Value& self, const Bound& arguments) {
  const int64_t precision = arguments.Int(runtime, 0, 0);
  const std::string_view method = arguments.Text(runtime, 1, "common");
  if (self.IsUndefined()) return runtime.Fail(self.undefined_reason());
  if (!self.IsNumber()) return runtime.Fail("round() needs a number");
  if (precision < -100 || precision > 100) return runtime.Fail("round() takes -100 to 100 digits");
  if (method == "common") {
    // Python's round of an int stays an int.
    if (self.IsInteger() && precision >= 0) return Value(self.integer());
    const double rounded = RoundDecimal(self.number(), static_cast<int>(precision));
    if (self.IsInteger()) return Value(static_cast<int64_t>(rounded));
    return Value(rounded);
  }
  if (method != "ceil" && method != "floor") {
    return runtime.Fail("round() knows the methods common, ceil and floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = self.number() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr Builtin kNumberFilters[] = {
    {"int", "default base", 0, FilterInt},
    {"float", "default", 0, FilterFloat},
    {"abs", "", 0, FilterAbs},
    {"round", "precision method", 0, FilterRound},
};

}  // namespace

std::span<const Builtin> NumberFilters() { return kNumberFilters; }

}  // namespace runahead::jinja
