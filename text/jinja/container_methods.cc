#include <algorithm>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/operations.h"

namespace runahead::jinja {
namespace {

Value DictItems(Runtime& runtime, const Value& self, const Bound&) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries) {
    if (runtime.failed()) break;
    items.push_back(runtime.NewList({key, value}, ListKind::kTuple));
  }
  return runtime.NewList(std::move(items), ListKind::kView);
}

Value DictKeys(Runtime& runtime, const Value& self, const Bound&) {
  return runtime.NewList(Iterate(runtime, self), ListKind::kView);
}

Value DictValues(Runtime& runtime, const Value& self, const Bound&) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict().entries) items.push_back(value);
  return runtime.NewList(std::move(items), ListKind::kView);
}

Value DictGet(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (!arguments[0].IsString()) runtime.Step(static_cast<int64_t>(self.dict().entries.size()));
  if (const Value* found = self.dict().Find(arguments[0])) return *found;
  return arguments.Has(1) ? arguments[1] : Value(Value::None{});
}

Value Copy(Runtime&, const Value& self, const Bound&) { return self; }

Value ListCount(Runtime& runtime, const Value& self, const Bound& arguments) {
  return Value(static_cast<int64_t>(std::ranges::count_if(
      self.list().items, [&](const Value& item) { return Equal(runtime, item, arguments[0]); })));
}

Value ListIndex(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto& items = self.list().items;
  const auto found = std::ranges::find_if(
      items, [&](const Value& item) { return Equal(runtime, item, arguments[0]); });
  if (found == items.end()) return runtime.Fail("the value is not in the list");
  return Value(static_cast<int64_t>(found - items.begin()));
}

Value LoopCycle(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto& values = arguments.all().positional;
  if (values.empty()) return runtime.Fail("loop.cycle() needs arguments");
  return values[self.loop()->index0 % values.size()];
}

Value LoopChanged(Runtime& runtime, const Value& self, const Bound& arguments) {
  LoopState& loop = *self.loop();
  Value now = runtime.NewList(arguments.all().positional, ListKind::kTuple);
  const bool changed = !loop.has_changed_value || !Equal(runtime, loop.changed_value, now);
  loop.has_changed_value = true;
  loop.changed_value = std::move(now);
  return Value(changed);
}

constexpr Builtin kDictMethods[] = {
    {"items", "", 0, DictItems},        {"keys", "", 0, DictKeys}, {"values", "", 0, DictValues},
    {"get", "key default", 1, DictGet}, {"copy", "", 0, Copy},
};

constexpr Builtin kListMethods[] = {
    {"count", "value", 1, ListCount},
    {"index", "value", 1, ListIndex},
    {"copy", "", 0, Copy},
};

constexpr Builtin kLoopMethods[] = {
    {"cycle", "*", 0, LoopCycle},
    {"changed", "*", 0, LoopChanged},
};

}  // namespace

std::span<const Builtin> DictMethods() { return kDictMethods; }
std::span<const Builtin> ListMethods() { return kListMethods; }
std::span<const Builtin> LoopMethods() { return kLoopMethods; }

std::optional<Value> LoopAttribute(const LoopState& loop, std::string_view name) {
  const auto size = static_cast<int64_t>(loop.size);
  const auto index0 = static_cast<int64_t>(loop.index0);
  if (name == "index0") return Value(index0);
  if (name == "index") return Value(index0 + 1);
  if (name == "revindex0") return Value(size - index0 - 1);
  if (name == "revindex") return Value(size - index0);
  if (name == "first") return Value(index0 == 0);
  if (name == "last") return Value(index0 + 1 == size);
  if (name == "length") return Value(size);
  if (name == "depth0") return Value(int64_t{0});  // recursive loops are not supported
  if (name == "depth") return Value(int64_t{1});
  const bool is_next = name == "nextitem";
  if (!is_next && name != "previtem") return std::nullopt;
  const int64_t neighbour = is_next ? index0 + 1 : index0 - 1;
  if (neighbour < 0 || neighbour >= size || loop.items == nullptr) return Value();
  return loop.items->items[static_cast<size_t>(neighbour)];
}

}  // namespace runahead::jinja
