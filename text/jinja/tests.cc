#include <algorithm>
#include <cmath>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"

namespace runahead::jinja {
namespace {

using Kind = Value::Kind;

template <Kind kKind>
Value IsKind(Runtime&, const Value& self, const Bound&) {
  return Value(self.is(kKind));
}

template <bool (Value::*kPredicate)() const>
Value Is(Runtime&, const Value& self, const Bound&) {
  return Value((self.*kPredicate)());
}

Value IsDefined(Runtime&, const Value& self, const Bound&) { return Value(!self.IsUndefined()); }

template <bool kBoolean>
Value IsBoolean(Runtime&, const Value& self, const Bound&) {
  return Value(self.is(Kind::kBool) && self.boolean() == kBoolean);
}

Value IsSequence(Runtime&, const Value& self, const Bound&) {
  return Value(self.IsUndefined() || self.IsString() || self.IsDict() ||
               (self.IsList() && self.list().kind <= ListKind::kTuple));
}

Value IsIterableTest(Runtime&, const Value& self, const Bound&) { return Value(IsIterable(self)); }

template <CompareOp kOp>
Value Compares(Runtime& runtime, const Value& self, const Bound& arguments) {
  return Value(Compare(runtime, kOp, self, arguments[0]));
}

Value IsSameAs(Runtime&, const Value& self, const Bound& arguments) {
  return Value(self.IsSameObject(arguments[0]));
}

// value % divisor == expected
Value HasRemainder(Runtime& runtime, const Value& self, const Value& divisor, int64_t expected) {
  const Value remainder = Arithmetic(runtime, BinaryOp::kModulo, self, divisor);
  return Value(!runtime.failed() && Equal(runtime, remainder, Value(expected)));
}

Value IsEven(Runtime& runtime, const Value& self, const Bound&) {
  return HasRemainder(runtime, self, Value(int64_t{2}), 0);
}

Value IsOdd(Runtime& runtime, const Value& self, const Bound&) {
  return HasRemainder(runtime, self, Value(int64_t{2}), 1);
}

Value IsDivisibleBy(Runtime& runtime, const Value& self, const Bound& arguments) {
  return HasRemainder(runtime, self, arguments[0], 0);
}

Value IsLowerTest(Runtime& runtime, const Value& self, const Bound&) {
  const Value text = runtime.NewString(Str(runtime, self));
  return text.IsString() ? Invoke(runtime, *FindMethod(text, "islower"), text, {}) : Value();
}

Value IsUpperTest(Runtime& runtime, const Value& self, const Bound&) {
  const Value text = runtime.NewString(Str(runtime, self));
  return text.IsString() ? Invoke(runtime, *FindMethod(text, "isupper"), text, {}) : Value();
}

Value IsFilterName(Runtime&, const Value& self, const Bound&) {
  return Value(self.IsString() && FindFilter(self.text()) != nullptr);
}

Value IsTestName(Runtime&, const Value& self, const Bound&) {
  return Value(self.IsString() && FindTest(self.text()) != nullptr);
}

// An undefined value can be called, says Python; that then fails.
Value IsCallable(Runtime&, const Value& self, const Bound&) {
  return Value(self.is(Kind::kCallable) || self.IsUndefined());
}

Value IsEscaped(Runtime&, const Value&, const Bound&) { return Value(false); }

constexpr Builtin kTests[] = {
    {"defined", "", 0, IsDefined},
    {"undefined", "", 0, IsKind<Kind::kUndefined>},
    {"none", "", 0, IsKind<Kind::kNone>},
    {"boolean", "", 0, IsKind<Kind::kBool>},
    {"true", "", 0, IsBoolean<true>},
    {"false", "", 0, IsBoolean<false>},
    {"integer", "", 0, IsKind<Kind::kInt>},
    {"float", "", 0, IsKind<Kind::kFloat>},
    {"number", "", 0, Is<&Value::IsNumber>},
    {"string", "", 0, IsKind<Kind::kString>},
    {"mapping", "", 0, IsKind<Kind::kDict>},
    {"sequence", "", 0, IsSequence},
    {"iterable", "", 0, IsIterableTest},
    {"callable", "", 0, IsCallable},
    {"escaped", "", 0, IsEscaped},
    {"sameas", "other", 1, IsSameAs},
    {"in", "seq", 1, Compares<CompareOp::kIn>},
    {"eq", "other", 1, Compares<CompareOp::kEqual>},
    {"==", "other", 1, Compares<CompareOp::kEqual>},
    {"equalto", "other", 1, Compares<CompareOp::kEqual>},
    {"ne", "other", 1, Compares<CompareOp::kNotEqual>},
    {"!=", "other", 1, Compares<CompareOp::kNotEqual>},
    {"lt", "other", 1, Compares<CompareOp::kLess>},
    {"<", "other", 1, Compares<CompareOp::kLess>},
    {"lessthan", "other", 1, Compares<CompareOp::kLess>},
    {"le", "other", 1, Compares<CompareOp::kLessEqual>},
    {"<=", "other", 1, Compares<CompareOp::kLessEqual>},
    {"gt", "other", 1, Compares<CompareOp::kGreater>},
    {">", "other", 1, Compares<CompareOp::kGreater>},
    {"greaterthan", "other", 1, Compares<CompareOp::kGreater>},
    {"ge", "other", 1, Compares<CompareOp::kGreaterEqual>},
    {">=", "other", 1, Compares<CompareOp::kGreaterEqual>},
    {"even", "", 0, IsEven},
    {"odd", "", 0, IsOdd},
    {"divisibleby", "num", 1, IsDivisibleBy},
    {"lower", "", 0, IsLowerTest},
    {"upper", "", 0, IsUpperTest},
    {"filter", "", 0, IsFilterName},
    {"test", "", 0, IsTestName},
};

}  // namespace

const Builtin* FindTest(std::string_view name) {
  const auto found = std::ranges::find(kTests, name, &Builtin::name);
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace runahead::jinja
