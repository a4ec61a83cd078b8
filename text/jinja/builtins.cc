#include "text/jinja/builtins.h"

#include <algorithm>
#include <string>

namespace runahead::jinja {
namespace {

const Builtin* FindIn(std::span<const Builtin> table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Builtin::name);
  return found == table.end() ? nullptr : &*found;
}

// Index of `name` among the words of `parameters`, or their number when it is none of them.
size_t IndexOfWord(std::string_view parameters, std::string_view name) {
  size_t index = 0;
  while (!parameters.empty()) {
    const size_t end = std::min(parameters.find(' '), parameters.size());
    if (parameters.substr(0, end) == name) return index;
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    ++index;
  }
  return index;
}

const Value& UndefinedValue() {
  static const Value undefined;
  return undefined;
}

}  // namespace

const Value& Bound::operator[](size_t i) const {
  return values_[i].has_value() ? *values_[i] : UndefinedValue();
}

int64_t Bound::Int(Runtime& runtime, size_t i, int64_t fallback) const {
  if (!Has(i)) return fallback;
  if ((*this)[i].IsInteger()) return (*this)[i].integer();
  runtime.Fail("argument " + std::to_string(i + 1) + " must be an integer, not " +
               std::string((*this)[i].TypeName()));
  return fallback;
}

std::string_view Bound::Text(Runtime& runtime, size_t i, std::string_view fallback) const {
  if (!Has(i)) return fallback;
  if ((*this)[i].IsString()) return (*this)[i].text();
  runtime.Fail("argument " + std::to_string(i + 1) + " must be a string, not " +
               std::string((*this)[i].TypeName()));
  return fallback;
}

bool Bound::Flag(size_t i, bool fallback) const {
  if (!Has(i)) return fallback;
  const Value& value = (*this)[i];
  if (value.IsInteger()) return value.integer() != 0;
  return !value.IsNone() && !value.IsUndefined();
}

std::optional<Bound> Bind(Runtime& runtime, const Builtin& builtin, const Arguments& arguments) {
  Bound bound;
  bound.all_ = &arguments;
  if (builtin.parameters == "*") return bound;
  const auto fail = [&](const std::string& why) {
    runtime.Fail(std::string(builtin.name) + "() " + why);
    return std::nullopt;
  };
  const size_t count =
      IndexOfWord(builtin.parameters, "");  // no word is empty: the number of words
  if (arguments.positional.size() > count) return fail("takes fewer arguments");
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    bound.values_[i] = arguments.positional[i];
  }
  for (const auto& [name, value] : arguments.named) {
    const size_t i = IndexOfWord(builtin.parameters, name);
    if (i >= count) return fail("has no argument '" + name + "'");
    if (bound.values_[i].has_value()) return fail("was given '" + name + "' twice");
    bound.values_[i] = value;
  }
  for (size_t i = 0; i < static_cast<size_t>(builtin.num_required); ++i) {
    if (!bound.Has(i)) return fail("needs more arguments");
  }
  return bound;
}

Value Invoke(Runtime& runtime, const Builtin& builtin, const Value& self,
             const Arguments& arguments) {
  if (!runtime.Step()) return Value();
  const std::optional<Bound> bound = Bind(runtime, builtin, arguments);
  return bound ? builtin.call(runtime, self, *bound) : Value();
}

const Builtin* FindFilter(std::string_view name) {
  for (const auto table :
       {TextFilters(), NumberFilters(), SequenceFilters(), SelectionFilters(), OutputFilters()}) {
    if (const Builtin* found = FindIn(table, name)) return found;
  }
  return nullptr;
}

const Builtin* FindMethod(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Value::Kind::kString:
      if (const Builtin* found = FindIn(StringMethods(), name)) return found;
      return FindIn(StringPredicates(), name);
    case Value::Kind::kDict:
      return FindIn(DictMethods(), name);
    case Value::Kind::kList:
      return object.list().kind <= ListKind::kTuple ? FindIn(ListMethods(), name) : nullptr;
    case Value::Kind::kLoop:
      return FindIn(LoopMethods(), name);
    default:
      return nullptr;
  }
}

bool IsForbiddenMethod(const Value& object, std::string_view name) {
  constexpr std::string_view kOfLists[] = {"append", "clear",  "extend",  "insert",
                                           "pop",    "remove", "reverse", "sort"};
  constexpr std::string_view kOfDicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
  if (object.IsDict()) return std::ranges::find(kOfDicts, name) != std::end(kOfDicts);
  return object.IsList() && object.list().kind == ListKind::kList &&
         std::ranges::find(kOfLists, name) != std::end(kOfLists);
}

Value ApplyFilter(Runtime& runtime, std::string_view name, const Value& self,
                  const Arguments& arguments) {
  const Builtin* filter = FindFilter(name);
  if (filter == nullptr) return runtime.Fail("there is no filter '" + std::string(name) + "'");
  return Invoke(runtime, *filter, self, arguments);
}

bool ApplyTest(Runtime& runtime, std::string_view name, const Value& self,
               const Arguments& arguments) {
  const Builtin* test = FindTest(name);
  if (test == nullptr) {
    runtime.Fail("there is no test '" + std::string(name) + "'");
    return false;
  }
  const Value result = Invoke(runtime, *test, self, arguments);
  return result.is(Value::Kind::kBool) && result.boolean();
}

Value CallValue(Runtime& runtime, const Value& callee, const Arguments& arguments) {
  if (callee.is(Value::Kind::kCallable)) return callee.callable()->Call(runtime, arguments);
  if (callee.IsUndefined()) return runtime.Fail(callee.undefined_reason());
  return runtime.Fail("an object of type " + std::string(callee.TypeName()) + " cannot be called");
}

}  // namespace runahead::jinja
