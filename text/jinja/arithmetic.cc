#include <cmath>
#include <limits>
#include <string>

#include "text/jinja/operations.h"

namespace runahead::jinja {
namespace {

Value Overflow(Runtime& runtime) { return runtime.Fail("an integer passes 64 bits"); }

// Rounds towards minus infinity, as Python does.
int64_t FloorDivide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

// The sign of `b`.
double FloorModulo(double a, double b) {
  const double remainder = std::fmod(a, b);
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

Value IntegerPower(Runtime& runtime, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return runtime.Fail("0 cannot be raised to a negative power");
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      return Overflow(runtime);
    }
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return Overflow(runtime);
  }
  return Value(result);
}

Value IntegerArithmetic(Runtime& runtime, BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflows = __builtin_add_overflow(a, b, &result);
      break;
    case BinaryOp::kSubtract:
      overflows = __builtin_sub_overflow(a, b, &result);
      break;
    case BinaryOp::kMultiply:
      overflows = __builtin_mul_overflow(a, b, &result);
      break;
    case BinaryOp::kPower:
      return IntegerPower(runtime, a, b);
    case BinaryOp::kDivide:
    case BinaryOp::kFloorDivide:
    case BinaryOp::kModulo:
      if (b == 0) return runtime.Fail("division by zero");
      if (op == BinaryOp::kDivide) return Value(static_cast<double>(a) / static_cast<double>(b));
      overflows = a == std::numeric_limits<int64_t>::min() && b == -1;
      if (!overflows)
        result = op == BinaryOp::kModulo ? a - FloorDivide(a, b) * b : FloorDivide(a, b);
      break;
  }
  return overflows ? Overflow(runtime) : Value(result);
}

Value FloatArithmetic(Runtime& runtime, BinaryOp op, double a, double b) {
  const bool divides =
      op == BinaryOp::kDivide || op == BinaryOp::kFloorDivide || op == BinaryOp::kModulo;
  if (divides && b == 0) return runtime.Fail("division by zero");
  switch (op) {
    case BinaryOp::kAdd:
      return Value(a + b);
    case BinaryOp::kSubtract:
      return Value(a - b);
    case BinaryOp::kMultiply:
      return Value(a * b);
    case BinaryOp::kDivide:
      return Value(a / b);
    case BinaryOp::kFloorDivide:
      return Value(std::floor(a / b));
    case BinaryOp::kModulo:
      return Value(FloorModulo(a, b));
    case BinaryOp::kPower:
      if (a < 0 && b != std::floor(b)) return runtime.Fail("the power is a complex number");
      return Value(std::pow(a, b));
  }
  return Value();
}

Value Repeat(Runtime& runtime, const Value& sequence, int64_t count) {
  if (count < 0) count = 0;
  if (sequence.IsString()) {
    TextBuilder out(runtime);
    out.Repeat(sequence.text(), count);
    return runtime.NewString(out.Take());
  }
  std::vector<Value> items;
  const auto& unit = sequence.list().items;
  for (int64_t i = 0; i < count && !unit.empty(); ++i) {
    if (!runtime.Step(static_cast<int64_t>(unit.size())) ||
        !runtime.CanHold(static_cast<int64_t>((items.size() + unit.size()) * sizeof(Value)))) {
      return Value();
    }
    items.insert(items.end(), unit.begin(), unit.end());
  }
  return runtime.NewList(std::move(items), sequence.list().kind);
}

bool IsConcrete(const Value& value) {
  return value.IsList() && value.list().kind <= ListKind::kTuple;
}

Value Join(Runtime& runtime, const Value& a, const Value& b) {
  if (a.IsString()) {
    TextBuilder out(runtime);
    out.Append(a.text());
    out.Append(b.text());
    return runtime.NewString(out.Take());
  }
  std::vector<Value> items = Iterate(runtime, a);
  for (const Value& item : Iterate(runtime, b)) items.push_back(item);
  return runtime.NewList(std::move(items), a.list().kind);
}

Value Unsupported(Runtime& runtime, BinaryOp op, const Value& a, const Value& b) {
  if (a.IsUndefined() || b.IsUndefined()) {
    return runtime.Fail((a.IsUndefined() ? a : b).undefined_reason());
  }
  constexpr const char* kNames[] = {"+", "-", "*", "/", "//", "%", "**"};
  return runtime.Fail(std::string("unsupported operands for ") + kNames[static_cast<int>(op)] +
                      ": " + std::string(a.TypeName()) + " and " + std::string(b.TypeName()));
}

}  // namespace

Value Arithmetic(Runtime& runtime, BinaryOp op, const Value& a, const Value& b) {
  if (!runtime.Step()) return Value();
  if (a.IsInteger() && b.IsInteger()) {
    return IntegerArithmetic(runtime, op, a.integer(), b.integer());
  }
  if (a.IsNumber() && b.IsNumber()) return FloatArithmetic(runtime, op, a.number(), b.number());
  if (op == BinaryOp::kModulo && a.IsString()) {
    return FormatPercent(runtime, a.text(), b);
  }
  const bool same_sequence = (a.IsString() && b.IsString()) ||
                             (IsConcrete(a) && IsConcrete(b) && a.list().kind == b.list().kind);
  if (op == BinaryOp::kAdd && same_sequence) return Join(runtime, a, b);
  if (op == BinaryOp::kMultiply && b.IsInteger() && (a.IsString() || IsConcrete(a))) {
    return Repeat(runtime, a, b.integer());
  }
  if (op == BinaryOp::kMultiply && a.IsInteger() && (b.IsString() || IsConcrete(b))) {
    return Repeat(runtime, b, a.integer());
  }
  return Unsupported(runtime, op, a, b);
}

Value Negate(Runtime& runtime, const Value& value, bool is_minus) {
  if (value.IsUndefined()) return runtime.Fail(value.undefined_reason());
  if (!value.IsNumber()) {
    return runtime.Fail("a value of type " + std::string(value.TypeName()) + " has no sign");
  }
  if (value.IsInteger()) {
    if (!is_minus) return Value(value.integer());
    return IntegerArithmetic(runtime, BinaryOp::kSubtract, 0, value.integer());
  }
  return Value(is_minus ? -value.number() : value.number());
}

}  // namespace runahead::jinja
