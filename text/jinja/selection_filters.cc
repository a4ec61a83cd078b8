#include <algorithm>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"

namespace runahead::jinja {
namespace {

// The arguments after the first `count` positional ones.
Arguments Rest(const Arguments& arguments, size_t count) {
  Arguments rest;
  const auto begin = arguments.positional.begin() +
                     static_cast<std::ptrdiff_t>(std::min(count, arguments.positional.size()));
  rest.positional.assign(begin, arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

const Value* FindNamed(const Arguments& arguments, std::string_view name) {
  for (const auto& [known, value] : arguments.named) {
    if (known == name) return &value;
  }
  return nullptr;
}

// map(attribute='a.b', default=...) or map('filter', arguments...)
Value FilterMap(Runtime& runtime, const Value& self, const Bound& bound) {
  const Arguments& arguments = bound.all();
  const Value* attribute = FindNamed(arguments, "attribute");
  const Value* fallback = FindNamed(arguments, "default");
  const bool by_attribute = arguments.positional.empty() && attribute != nullptr;
  if (!by_attribute && (arguments.positional.empty() || !arguments.positional[0].IsString())) {
    return runtime.Fail("map() needs the name of a filter, or an attribute");
  }
  const Arguments rest = Rest(arguments, 1);
  std::vector<Value> mapped;
  if (!Truthy(self)) return runtime.NewList({}, ListKind::kGenerator);  // also none, 0 and false
  for (const Value& item : Iterate(runtime, self)) {
    if (runtime.failed()) break;
    if (!by_attribute) {
      mapped.push_back(ApplyFilter(runtime, arguments.positional[0].text(), item, rest));
      continue;
    }
    Value value = GetPath(runtime, item, *attribute);
    if (value.IsUndefined() && fallback != nullptr) value = *fallback;
    mapped.push_back(std::move(value));
  }
  return runtime.NewList(std::move(mapped), ListKind::kGenerator);
}

// select, reject: a test of each item; selectattr, rejectattr: of an attribute of each item.
template <bool kOfAttribute, bool kWanted>
Value FilterSelect(Runtime& runtime, const Value& self, const Bound& bound) {
  const Arguments& arguments = bound.all();
  constexpr size_t kTestAt = kOfAttribute ? 1 : 0;
  if (arguments.positional.size() < kTestAt) return runtime.Fail("selectattr() needs an attribute");
  const bool has_test = arguments.positional.size() > kTestAt;
  if (has_test && !arguments.positional[kTestAt].IsString()) {
    return runtime.Fail("a selection needs the name of a test");
  }
  const Arguments rest = Rest(arguments, kTestAt + 1);
  std::vector<Value> kept;
  if (!Truthy(self)) return runtime.NewList({}, ListKind::kGenerator);  // also none, 0 and false
  for (const Value& item : Iterate(runtime, self)) {
    if (runtime.failed()) break;
    const Value subject = kOfAttribute ? GetPath(runtime, item, arguments.positional[0]) : item;
    const bool passes =
        has_test ? ApplyTest(runtime, arguments.positional[kTestAt].text(), subject, rest)
                 : Truthy(subject);
    if (passes == kWanted) kept.push_back(item);
  }
  return runtime.NewList(std::move(kept), ListKind::kGenerator);
}

constexpr Builtin kSelectionFilters[] = {
    {"map", "*", 0, FilterMap},
    {"select", "*", 0, FilterSelect<false, true>},
    {"reject", "*", 0, FilterSelect<false, false>},
    {"selectattr", "*", 0, FilterSelect<true, true>},
    {"rejectattr", "*", 0, FilterSelect<true, false>},
};

}  // namespace

std::span<const Builtin> SelectionFilters() { return kSelectionFilters; }

}  // namespace runahead::jinja
