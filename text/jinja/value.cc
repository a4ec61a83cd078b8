#include "text/jinja/value.h"

#include <algorithm>

#include "text/utf8.h"

namespace runahead::jinja {
namespace {

// What a node costs beyond its elements: the node, its control block and heap headers.
constexpr int64_t kNodeBytes = 96;

int64_t Bytes(size_t count, size_t element) {
  return kNodeBytes + static_cast<int64_t>(count) * static_cast<int64_t>(element);
}

// Equality of dict keys, which are scalars: 1 == 1.0 == True as in Python.
bool SameKey(const Value& a, const Value& b) {
  if (a.IsString() || b.IsString()) return a.IsString() && b.IsString() && a.text() == b.text();
  if (a.IsInteger() && b.IsInteger()) return a.integer() == b.integer();
  if (a.IsNumber() && b.IsNumber()) return a.number() == b.number();
  return a.IsSameObject(b);
}

}  // namespace

Value Value::Literal(std::string text) {
  return Value(std::make_shared<const StringNode>(nullptr, std::move(text)));
}

double Value::number() const {
  return is(Kind::kFloat) ? std::get<double>(data_) : static_cast<double>(integer());
}

std::string_view Value::text() const { return string().text; }

std::string_view Value::undefined_reason() const {
  const auto& what = std::get<Undefined>(data_).what;
  return what == nullptr ? "the value is undefined" : std::string_view(what->text);
}

std::string_view Value::TypeName() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      break;
    case Kind::kDict:
      return "dict";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kLoop:
      return "LoopContext";
    case Kind::kCallable:
      return "function";
  }
  switch (list().kind) {
    case ListKind::kList:
      return "list";
    case ListKind::kTuple:
      return "tuple";
    case ListKind::kView:
      return "dict view";
    case ListKind::kGenerator:
      return "generator";
  }
  return "object";
}

bool Value::IsSameObject(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kBool:
      return boolean() == other.boolean();
    case Kind::kInt:
      return integer() == other.integer();
    case Kind::kFloat:
      return number() == other.number();
    case Kind::kString:
      return &string() == &other.string() || text() == other.text();  // CPython interns most
    case Kind::kList:
      return &list() == &other.list();
    case Kind::kDict:
      return &dict() == &other.dict();
    case Kind::kNamespace:
      return name_space() == other.name_space();
    case Kind::kLoop:
      return loop() == other.loop();
    case Kind::kCallable:
      return callable() == other.callable();
  }
  return false;
}

StringNode::StringNode(MemoryAccount* account, std::string text_in)
    : Accounted(account, Bytes(text_in.size(), 1)),
      text(std::move(text_in)),
      is_ascii(utf8::IsAscii(text)) {}

int DepthOf(const Value& value) {
  if (value.IsList()) return value.list().depth;
  if (value.IsDict()) return value.dict().depth;
  return 0;
}

bool IsHashable(const Value& value) {
  return !value.IsDict() && !(value.IsList() && value.list().kind == ListKind::kList);
}

namespace {

int DepthOfAll(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, DepthOf(item));
  return depth + 1;
}

}  // namespace

ListNode::ListNode(MemoryAccount* account, std::vector<Value> items_in, ListKind kind_in)
    : Accounted(account, Bytes(items_in.size(), sizeof(Value))),
      items(std::move(items_in)),
      kind(kind_in),
      depth(DepthOfAll(items)) {}

DictNode::DictNode(MemoryAccount* account, std::vector<Entry> entries_in)
    : Accounted(account, Bytes(entries_in.size(), 2 * sizeof(Entry))) {
  entries.reserve(entries_in.size());
  for (Entry& entry : entries_in) Insert(std::move(entry));
}

void DictNode::Insert(Entry entry) {
  depth = std::max({depth, DepthOf(entry.first) + 1, DepthOf(entry.second) + 1});
  if (const Value* known = Find(entry.first)) {
    *const_cast<Value*>(known) = std::move(entry.second);
    return;
  }
  entries.push_back(std::move(entry));
  const Value& key = entries.back().first;
  if (key.IsString()) index_.emplace(key.text(), entries.size() - 1);
}

const Value* DictNode::Find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries[found->second].second;
}

const Value* DictNode::Find(const Value& key) const {
  if (key.IsString()) return Find(key.text());
  for (const Entry& entry : entries) {
    if (!entry.first.IsString() && SameKey(entry.first, key)) return &entry.second;
  }
  return nullptr;
}

const Value* Namespace::Find(std::string_view name) const {
  for (const auto& [known, value] : attributes) {
    if (known == name) return &value;
  }
  return nullptr;
}

void Namespace::Set(std::string_view name, Value value) {
  for (auto& [known, old] : attributes) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

}  // namespace runahead::jinja
