#include "text/jinja/operations.h"

#include <algorithm>
#include <string>

#include "text/utf8.h"

namespace runahead::jinja {
namespace {

using Kind = Value::Kind;

bool EqualLists(Runtime& runtime, const ListNode& a, const ListNode& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!Equal(runtime, a.items[i], b.items[i])) return false;
  }
  return true;
}

bool EqualDicts(Runtime& runtime, const DictNode& a, const DictNode& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = b.Find(key);
    if (other == nullptr || !Equal(runtime, value, *other)) return false;
  }
  return true;
}

std::partial_ordering OrderLists(Runtime& runtime, const ListNode& a, const ListNode& b) {
  const size_t common = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < common; ++i) {
    if (!Equal(runtime, a.items[i], b.items[i])) return Order(runtime, a.items[i], b.items[i]);
  }
  return a.items.size() <=> b.items.size();
}

}  // namespace

bool Truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean();
    case Kind::kInt:
      return value.integer() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
      return value.list().kind == ListKind::kGenerator || !value.list().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kNamespace:
    case Kind::kLoop:
    case Kind::kCallable:
      return true;
  }
  return false;
}

bool Equal(Runtime& runtime, const Value& a, const Value& b) {
  if (!runtime.Step()) return false;
  if (a.IsInteger() && b.IsInteger()) return a.integer() == b.integer();
  if (a.IsNumber() && b.IsNumber()) return a.number() == b.number();
  if (a.IsString() && b.IsString())
    return runtime.StepText(a.text().size()) && a.text() == b.text();
  if (a.IsList() && b.IsList()) return EqualLists(runtime, a.list(), b.list());
  if (a.IsDict() && b.IsDict()) return EqualDicts(runtime, a.dict(), b.dict());
  return a.IsSameObject(b);
}

std::partial_ordering Order(Runtime& runtime, const Value& a, const Value& b) {
  if (!runtime.Step()) return std::partial_ordering::unordered;
  if (a.IsInteger() && b.IsInteger()) return a.integer() <=> b.integer();
  if (a.IsNumber() && b.IsNumber()) return a.number() <=> b.number();
  if (a.IsString() && b.IsString()) {  // byte order of UTF-8 is the order of code points
    runtime.StepText(a.text().size());
    return a.text() <=> b.text();
  }
  if (a.IsList() && b.IsList() && a.list().kind == b.list().kind) {
    return OrderLists(runtime, a.list(), b.list());
  }
  if (a.IsUndefined() || b.IsUndefined()) {
    runtime.Fail((a.IsUndefined() ? a : b).undefined_reason());
  } else {
    runtime.Fail("values of type " + std::string(a.TypeName()) + " and " +
                 std::string(b.TypeName()) + " have no order");
  }
  return std::partial_ordering::unordered;
}

bool Contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.IsString()) {
    if (!item.IsString()) {
      runtime.Fail("'in <string>' needs a string on its left, not " + std::string(item.TypeName()));
      return false;
    }
    runtime.StepText(container.text().size());
    return container.text().find(item.text()) != std::string_view::npos;
  }
  if (container.IsDict()) {
    if (!IsHashable(item)) runtime.Fail("a list or dict cannot be a key");
    return container.dict().Find(item) != nullptr;
  }
  if (container.IsUndefined()) return false;
  if (!container.IsList()) {
    runtime.Fail("a value of type " + std::string(container.TypeName()) + " contains nothing");
    return false;
  }
  return std::ranges::any_of(container.list().items,
                             [&](const Value& known) { return Equal(runtime, known, item); });
}

bool Compare(Runtime& runtime, CompareOp op, const Value& a, const Value& b) {
  switch (op) {
    case CompareOp::kEqual:
      return Equal(runtime, a, b);
    case CompareOp::kNotEqual:
      return !Equal(runtime, a, b);
    case CompareOp::kLess:
      return Order(runtime, a, b) < 0;
    case CompareOp::kLessEqual:
      return Order(runtime, a, b) <= 0;
    case CompareOp::kGreater:
      return Order(runtime, a, b) > 0;
    case CompareOp::kGreaterEqual:
      return Order(runtime, a, b) >= 0;
    case CompareOp::kIn:
      return Contains(runtime, b, a);
    case CompareOp::kNotIn:
      return !Contains(runtime, b, a);
  }
  return false;
}

std::optional<int64_t> Length(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      if (value.string().is_ascii) return static_cast<int64_t>(value.text().size());
      runtime.StepText(value.text().size());
      return utf8::CountCharacters(value.text());
    case Kind::kList:
      if (value.list().kind == ListKind::kGenerator) break;
      return static_cast<int64_t>(value.list().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kLoop:
      return static_cast<int64_t>(value.loop()->size);
    default:
      break;
  }
  runtime.Fail("an object of type " + std::string(value.TypeName()) + " has no length");
  return std::nullopt;
}

bool IsIterable(const Value& value) {
  return value.IsUndefined() || value.IsString() || value.IsList() || value.IsDict();
}

std::vector<Value> Iterate(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  if (value.IsList()) {
    const auto count = static_cast<int64_t>(value.list().items.size());
    if (runtime.Step(1 + count / 8) && runtime.CanHold(count * int64_t{sizeof(Value)})) {
      items = value.list().items;
    }
  } else if (value.IsDict()) {
    for (const auto& [key, item] : value.dict().entries) {
      if (!runtime.Step()) break;
      items.push_back(key);
    }
  } else if (value.IsString()) {
    std::string_view rest = value.text();
    while (!rest.empty() && !runtime.failed()) {
      const auto num_bytes = static_cast<size_t>(utf8::Decode(rest).num_bytes);
      items.push_back(runtime.NewString(rest.substr(0, num_bytes)));
      rest.remove_prefix(num_bytes);
    }
  } else if (!IsIterable(value)) {
    runtime.Fail("an object of type " + std::string(value.TypeName()) + " is not iterable");
  }
  return items;
}

}  // namespace runahead::jinja
