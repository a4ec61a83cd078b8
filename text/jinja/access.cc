#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"
#include "text/utf8.h"

namespace runahead::jinja {
namespace {

using Kind = Value::Kind;

// `text.strip` before it is called.
class BoundMethod : public Callable {
 public:
  BoundMethod(const Builtin& method, Value self) : method_(method), self_(std::move(self)) {}
  Value Call(Runtime& runtime, const Arguments& arguments) override {
    return Invoke(runtime, method_, self_, arguments);
  }

 private:
  const Builtin& method_;
  Value self_;
};

std::string ObjectName(const Value& object) {
  return object.IsNone() ? "None" : "'" + std::string(object.TypeName()) + " object'";
}

Value NoAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  return runtime.NewUndefined(ObjectName(object) + " has no attribute '" + std::string(name) + "'");
}

// What Python's getattr finds; nothing where it raises AttributeError.
std::optional<Value> PythonAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (IsForbiddenMethod(object, name)) {
    return runtime.NewUndefined("a template may not change a value: '" + std::string(name) +
                                "' of " + ObjectName(object));
  }
  if (const Builtin* method = FindMethod(object, name)) {
    return runtime.NewCallable<BoundMethod>(*method, object);
  }
  if (object.is(Kind::kLoop)) return LoopAttribute(*object.loop(), name);
  if (object.is(Kind::kNamespace)) {
    if (const Value* found = object.name_space()->Find(name)) return *found;
  }
  return std::nullopt;
}

// Python's index into a sequence of `size`, or nothing.
std::optional<size_t> ResolveIndex(int64_t index, int64_t size) {
  if (index < 0) index += size;
  if (index < 0 || index >= size) return std::nullopt;
  return static_cast<size_t>(index);
}

Value CharacterAt(Runtime& runtime, const StringNode& string, size_t index) {
  if (string.is_ascii) return runtime.NewString(std::string_view(string.text).substr(index, 1));
  if (!runtime.StepText(string.text.size())) return Value();
  const size_t begin = utf8::OffsetOfCharacter(string.text, static_cast<int64_t>(index));
  const std::string_view rest = std::string_view(string.text).substr(begin);
  return runtime.NewString(rest.substr(0, static_cast<size_t>(utf8::Decode(rest).num_bytes)));
}

std::optional<Value> ItemAt(Runtime& runtime, const Value& object, int64_t key) {
  const auto index = ResolveIndex(key, Length(runtime, object).value_or(0));
  if (!index) return std::nullopt;
  if (object.IsString()) return CharacterAt(runtime, object.string(), *index);
  return object.list().items[*index];
}

bool IsIndexable(const Value& value) {
  return value.IsString() || (value.IsList() && value.list().kind <= ListKind::kTuple);
}

}  // namespace

Value GetAttribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (!runtime.Step()) return Value();
  if (object.IsUndefined()) return runtime.Fail(object.undefined_reason());
  if (auto found = PythonAttribute(runtime, object, name)) return *std::move(found);
  if (object.IsDict()) {
    if (const Value* found = object.dict().Find(name)) return *found;
  }
  return NoAttribute(runtime, object, name);
}

Value GetItem(Runtime& runtime, const Value& object, const Value& key) {
  if (!runtime.Step()) return Value();
  if (object.IsUndefined()) return runtime.Fail(object.undefined_reason());
  if (object.IsDict()) {
    if (!key.IsString()) runtime.Step(static_cast<int64_t>(object.dict().entries.size()));
    if (const Value* found = object.dict().Find(key)) return *found;
  } else if (key.IsInteger() && IsIndexable(object)) {
    if (auto found = ItemAt(runtime, object, key.integer())) return *std::move(found);
  }
  if (key.IsString()) {
    if (auto found = PythonAttribute(runtime, object, key.text())) return *std::move(found);
    return NoAttribute(runtime, object, key.text());
  }
  return runtime.NewUndefined(ObjectName(object) + " has no element " + Str(runtime, key));
}

namespace {

// Python's slice.indices(size).
struct SliceRange {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

int64_t ClampBound(const Value& bound, int64_t fallback, int64_t size, int64_t step) {
  if (!bound.IsInteger()) return fallback;
  int64_t at = bound.integer();
  if (at < 0) at += size;
  if (at < 0) return step < 0 ? -1 : 0;
  return std::min(at, step < 0 ? size - 1 : size);
}

SliceRange ResolveSlice(const SliceBounds& bounds, int64_t size) {
  // Steps longer than the sequence all take its first element only.
  const int64_t step =
      bounds.step.IsInteger() ? std::clamp(bounds.step.integer(), -size - 1, size + 1) : 1;
  const int64_t start = ClampBound(bounds.start, step < 0 ? size - 1 : 0, size, step);
  const int64_t stop = ClampBound(bounds.stop, step < 0 ? -1 : size, size, step);
  const int64_t span = step > 0 ? stop - start : start - stop;
  const int64_t stride = std::abs(step);
  return {start, step, span > 0 ? (span + stride - 1) / stride : 0};
}

bool IsBound(const Value& value) { return value.IsNone() || value.IsInteger(); }

Value SliceString(Runtime& runtime, const Value& object, const SliceRange& range) {
  const std::string_view text = object.text();
  if (range.count == 0) return runtime.NewString(std::string());
  if (object.string().is_ascii && range.step == 1) {
    return runtime.NewString(
        text.substr(static_cast<size_t>(range.start), static_cast<size_t>(range.count)));
  }
  if (!runtime.StepText(text.size() * 8)) return Value();
  if (!runtime.CanHold(static_cast<int64_t>(text.size() * sizeof(size_t)))) return Value();
  std::vector<size_t> offsets;  // of every character, and the end
  for (size_t at = 0; at < text.size();
       at += static_cast<size_t>(utf8::Decode(text.substr(at)).num_bytes)) {
    offsets.push_back(at);
  }
  offsets.push_back(text.size());
  std::string out;
  for (int64_t i = 0, at = range.start; i < range.count; ++i, at += range.step) {
    const size_t begin = offsets[static_cast<size_t>(at)];
    out.append(text.substr(begin, offsets[static_cast<size_t>(at) + 1] - begin));
  }
  return runtime.NewString(std::move(out));
}

Value SliceList(Runtime& runtime, const ListNode& list, const SliceRange& range) {
  if (!runtime.CanHold(range.count * int64_t{sizeof(Value)})) return Value();
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(range.count));
  for (int64_t i = 0, at = range.start; i < range.count; ++i, at += range.step) {
    items.push_back(list.items[static_cast<size_t>(at)]);
  }
  return runtime.NewList(std::move(items), list.kind);
}

}  // namespace

Value GetSlice(Runtime& runtime, const Value& object, const SliceBounds& bounds) {
  if (!runtime.Step()) return Value();
  if (object.IsUndefined()) return runtime.Fail(object.undefined_reason());
  if (!IsIndexable(object)) return runtime.Fail(ObjectName(object) + " has no slices");
  if (!IsBound(bounds.start) || !IsBound(bounds.stop) || !IsBound(bounds.step)) {
    return runtime.Fail("the bounds of a slice are integers");
  }
  if (bounds.step.IsInteger() && bounds.step.integer() == 0) {
    return runtime.Fail("the step of a slice is 0");
  }
  const SliceRange range = ResolveSlice(bounds, Length(runtime, object).value_or(0));
  if (object.IsString()) return SliceString(runtime, object, range);
  return SliceList(runtime, object.list(), range);
}

Value GetPath(Runtime& runtime, const Value& object, const Value& path) {
  if (!path.IsString()) return GetItem(runtime, object, path);
  Value current = object;
  std::string_view rest = path.text();
  while (true) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && parsed.ec == std::errc() && part[0] != '-' &&
                          parsed.ptr == part.data() + part.size();
    current = GetItem(runtime, current, is_index ? Value(index) : runtime.NewString(part));
    if (part.size() == rest.size() || runtime.failed()) return current;
    rest.remove_prefix(part.size() + 1);
  }
}

}  // namespace runahead::jinja
