#include <algorithm>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_ops.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

Value FilterLength(Runtime& runtime, const Value& self, const Bound&) {
  return Value(Length(runtime, self).value_or(0));
}

Value FilterFirst(Runtime& runtime, const Value& self, const Bound&) {
  const std::vector<Value> items = Iterate(runtime, self);
  if (items.empty()) return runtime.NewUndefined("No first item, sequence was empty.");
  return items.front();
}

Value FilterLast(Runtime& runtime, const Value& self, const Bound&) {
  if (self.IsList() && self.list().kind == ListKind::kGenerator) {
    return runtime.Fail("a generator has no last item; pass it through list first");
  }
  const std::vector<Value> items = Iterate(runtime, self);
  if (items.empty()) return runtime.NewUndefined("No last item, sequence was empty.");
  return items.back();
}

Value FilterList(Runtime& runtime, const Value& self, const Bound&) {
  return runtime.NewList(Iterate(runtime, self));
}

Value FilterReverse(Runtime& runtime, const Value& self, const Bound&) {
  std::vector<Value> items = Iterate(runtime, self);
  std::ranges::reverse(items);
  if (self.IsString()) return JoinTexts(runtime, "", items, true);
  return runtime.NewList(std::move(items), ListKind::kGenerator);
}

// The attribute of every item, or the items themselves without one.
std::vector<Value> Attributes(Runtime& runtime, const std::vector<Value>& items,
                              const Value& path) {
  if (path.IsUndefined() || path.IsNone()) return items;
  std::vector<Value> values;
  for (const Value& item : items) {
    if (runtime.failed()) break;
    values.push_back(GetPath(runtime, item, path));
  }
  return values;
}

Value FilterJoin(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string separator = Str(runtime, arguments[0]);
  const std::vector<Value> items = Attributes(runtime, Iterate(runtime, self), arguments[1]);
  return JoinTexts(runtime, separator, items, false);
}

Value FilterSum(Runtime& runtime, const Value& self, const Bound& arguments) {
  Value total = arguments.Has(1) ? arguments[1] : Value(int64_t{0});
  if (total.IsString()) return runtime.Fail("sum() cannot add strings; join them");
  for (const Value& item : Attributes(runtime, Iterate(runtime, self), arguments[0])) {
    if (runtime.failed()) break;
    total = Arithmetic(runtime, BinaryOp::kAdd, total, item);
  }
  return total;
}

// What sorting and uniqueness compare: strings without their case unless it matters.
Value SortKey(Runtime& runtime, const Value& value, bool case_sensitive) {
  if (case_sensitive || !value.IsString()) return value;
  return runtime.NewString(ToLower(value.text()));
}

struct Keyed {
  Value key;
  Value item;
};

// Stable; a comparison that fails leaves some order behind, and the render has failed.
void SortKeyed(Runtime& runtime, std::vector<Keyed>& keyed, bool reverse) {
  std::ranges::stable_sort(keyed, [&](const Keyed& a, const Keyed& b) {
    if (runtime.failed()) return false;
    return reverse ? Order(runtime, b.key, a.key) < 0 : Order(runtime, a.key, b.key) < 0;
  });
}

Value Items(Runtime& runtime, std::vector<Keyed> keyed, ListKind kind = ListKind::kList) {
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return runtime.NewList(std::move(items), kind);
}

// One path, or several separated by commas, whose values are compared in turn.
Value SortAttribute(Runtime& runtime, const Value& item, const Value& path, bool case_sensitive) {
  if (path.IsUndefined() || path.IsNone()) return SortKey(runtime, item, case_sensitive);
  if (!path.IsString()) return SortKey(runtime, GetPath(runtime, item, path), case_sensitive);
  std::vector<Value> keys;
  std::string_view rest = path.text();
  while (!runtime.failed()) {
    const std::string_view part = rest.substr(0, rest.find(','));
    const Value value = GetPath(runtime, item, runtime.NewString(part));
    keys.push_back(SortKey(runtime, value, case_sensitive));
    if (part.size() == rest.size()) break;
    rest.remove_prefix(part.size() + 1);
  }
  return runtime.NewList(std::move(keys));
}

Value FilterSort(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool case_sensitive = arguments.Flag(1, false);
  std::vector<Keyed> keyed;
  for (const Value& item : Iterate(runtime, self)) {
    if (runtime.failed()) break;
    keyed.push_back({SortAttribute(runtime, item, arguments[2], case_sensitive), item});
  }
  SortKeyed(runtime, keyed, arguments.Flag(0, false));
  return Items(runtime, std::move(keyed));
}

Value FilterDictSort(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (!self.IsDict()) return runtime.Fail("dictsort() needs a mapping");
  const bool case_sensitive = arguments.Flag(0, false);
  const std::string_view by = arguments.Text(runtime, 1, "key");
  if (by != "key" && by != "value") return runtime.Fail("dictsort() sorts by key or value");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : self.dict().entries) {
    if (runtime.failed()) break;
    keyed.push_back({SortKey(runtime, by == "key" ? key : value, case_sensitive),
                     runtime.NewList({key, value}, ListKind::kTuple)});
  }
  SortKeyed(runtime, keyed, arguments.Flag(2, false));
  return Items(runtime, std::move(keyed));
}

Value FilterUnique(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool case_sensitive = arguments.Flag(0, false);
  std::vector<Keyed> kept;
  for (const Value& item : Iterate(runtime, self)) {
    if (runtime.failed()) break;
    const Value attribute = Attributes(runtime, {item}, arguments[1]).at(0);
    const Value key = SortKey(runtime, attribute, case_sensitive);
    if (!IsHashable(key)) return runtime.Fail("unique() cannot compare lists and dicts");
    const bool known = std::ranges::any_of(
        kept, [&](const Keyed& entry) { return Equal(runtime, entry.key, key); });
    if (!known) kept.push_back({key, item});
  }
  return Items(runtime, std::move(kept), ListKind::kGenerator);
}

template <bool kMax>
Value FilterExtreme(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool case_sensitive = arguments.Flag(0, false);
  std::optional<Keyed> best;
  for (const Value& item : Iterate(runtime, self)) {
    if (runtime.failed()) break;
    const Value attribute = Attributes(runtime, {item}, arguments[1]).at(0);
    const Value key = SortKey(runtime, attribute, case_sensitive);
    const bool better =
        best && (kMax ? Order(runtime, key, best->key) > 0 : Order(runtime, key, best->key) < 0);
    if (!best || better) best = Keyed{key, item};
  }
  return best ? best->item : runtime.NewUndefined("No aggregated item, sequence was empty.");
}

// The entries of a mapping as pairs; nothing for an undefined one.
Value FilterItems(Runtime& runtime, const Value& self, const Bound&) {
  std::vector<Value> pairs;
  if (self.IsDict()) {
    for (const auto& [key, value] : self.dict().entries) {
      if (runtime.failed()) break;
      pairs.push_back(runtime.NewList({key, value}, ListKind::kTuple));
    }
  } else if (!self.IsUndefined()) {
    return runtime.Fail("items() needs a mapping");
  }
  return runtime.NewList(std::move(pairs), ListKind::kGenerator);
}

Value FilterBatch(Runtime& runtime, const Value& self, const Bound& arguments) {
  const int64_t size = arguments.Int(runtime, 0, 1);
  if (size < 1) return runtime.Fail("batch() needs a positive size");
  const std::vector<Value> items = Iterate(runtime, self);
  std::vector<Value> batches;
  for (size_t at = 0; at < items.size() && !runtime.failed(); at += static_cast<size_t>(size)) {
    const size_t end = std::min(items.size(), at + static_cast<size_t>(size));
    std::vector<Value> batch(items.begin() + static_cast<std::ptrdiff_t>(at),
                             items.begin() + static_cast<std::ptrdiff_t>(end));
    while (arguments.Has(1) && !arguments[1].IsNone() &&
           static_cast<int64_t>(batch.size()) < size && runtime.Step() &&
           runtime.CanHold(static_cast<int64_t>(batch.size() * sizeof(Value)))) {
      batch.push_back(arguments[1]);
    }
    batches.push_back(runtime.NewList(std::move(batch)));
  }
  return runtime.NewList(std::move(batches), ListKind::kGenerator);
}

Value FilterGroupBy(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool case_sensitive = arguments.Flag(2, false);
  std::vector<Keyed> keyed;
  for (const Value& item : Iterate(runtime, self)) {
    if (runtime.failed()) break;
    Value attribute = GetPath(runtime, item, arguments[0]);
    if (attribute.IsUndefined() && arguments.Has(1)) attribute = arguments[1];
    keyed.push_back({SortKey(runtime, attribute, case_sensitive), item});
  }
  SortKeyed(runtime, keyed, false);
  std::vector<Value> groups;
  for (size_t begin = 0; begin < keyed.size() && !runtime.failed();) {
    std::vector<Value> members;
    size_t end = begin;
    while (end < keyed.size() && Equal(runtime, keyed[begin].key, keyed[end].key)) {
      members.push_back(keyed[end++].item);
    }
    const Value grouper = GetPath(runtime, keyed[begin].item, arguments[0]);
    groups.push_back(runtime.NewList(
        {grouper.IsUndefined() ? keyed[begin].key : grouper, runtime.NewList(std::move(members))},
        ListKind::kTuple));
    begin = std::max(end, begin + 1);
  }
  return runtime.NewList(std::move(groups));
}

constexpr Builtin kSequenceFilters[] = {
    {"length", "", 0, FilterLength},
    {"count", "", 0, FilterLength},
    {"first", "", 0, FilterFirst},
    {"last", "", 0, FilterLast},
    {"list", "", 0, FilterList},
    {"reverse", "", 0, FilterReverse},
    {"join", "d attribute", 0, FilterJoin},
    {"sum", "attribute start", 0, FilterSum},
    {"sort", "reverse case_sensitive attribute", 0, FilterSort},
    {"dictsort", "case_sensitive by reverse", 0, FilterDictSort},
    {"unique", "case_sensitive attribute", 0, FilterUnique},
    {"min", "case_sensitive attribute", 0, FilterExtreme<false>},
    {"max", "case_sensitive attribute", 0, FilterExtreme<true>},
    {"items", "", 0, FilterItems},
    {"batch", "linecount fill_with", 1, FilterBatch},
    {"groupby", "attribute default case_sensitive", 1, FilterGroupBy},
};

}  // namespace

std::span<const Builtin> SequenceFilters() { return kSequenceFilters; }

}  // namespace runahead::jinja
