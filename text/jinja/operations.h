// Python's operators on values. Each fails the render where Python raises. One render, one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace runahead::jinja {

enum class BinaryOp { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
enum class CompareOp { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };

bool Truthy(const Value& value);
bool Equal(Runtime& runtime, const Value& a, const Value& b);

// Numbers, strings, and lists of them; NaN is unordered.
std::partial_ordering Order(Runtime& runtime, const Value& a, const Value& b);

bool Contains(Runtime& runtime, const Value& container, const Value& item);
bool Compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b);

// +, -, * ... of two numbers; str and list by + and *; str % arguments.
Value Arithmetic(Runtime& runtime, BinaryOp op, const Value& a, const Value& b);
Value Negate(Runtime& runtime, const Value& value, bool is_minus);

// str % arguments, with the conversions %s %r %d %i %u %f %g %e %x %X %o %c and %%.
Value FormatPercent(Runtime& runtime, std::string_view format, const Value& arguments);

// object.name and object[key]: as Jinja looks them up, undefined where there is nothing.
Value GetAttribute(Runtime& runtime, const Value& object, std::string_view name);
Value GetItem(Runtime& runtime, const Value& object, const Value& key);

// object[start:stop:step]; each may be none.
struct SliceBounds {
  Value start = Value(Value::None{});
  Value stop = Value(Value::None{});
  Value step = Value(Value::None{});
};
Value GetSlice(Runtime& runtime, const Value& object, const SliceBounds& bounds);

// len(value); nothing (and failed) where there is no length.
std::optional<int64_t> Length(Runtime& runtime, const Value& value);

bool IsIterable(const Value& value);
// What `for` runs over: items, keys of a dict, characters of a string. Empty when that failed.
std::vector<Value> Iterate(Runtime& runtime, const Value& value);

// The attribute of filters: "a.b.0" looked up step by step, or an integer index.
Value GetPath(Runtime& runtime, const Value& object, const Value& path);

}  // namespace runahead::jinja
