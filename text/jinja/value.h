// Value: what a template computes with, by Python's rules. One render, one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace runahead::jinja {

class Value;
class Callable;
struct Namespace;
struct LoopState;
struct StringNode;
struct ListNode;
struct DictNode;

// Strings, lists and dicts never change once made (templates run in Hugging Face's *immutable*
// sandbox), so values share them by reference, as Python does, without cycles: hence shared_ptr.
// What can change or refer to itself (namespaces, loops, macros) belongs to the render's Runtime.
using StringRef = std::shared_ptr<const StringNode>;
using ListRef = std::shared_ptr<const ListNode>;
using DictRef = std::shared_ptr<const DictNode>;

class Value {
 public:
  // In the order of the variant below.
  enum class Kind {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,
    kDict,
    kNamespace,
    kLoop,
    kCallable
  };

  struct Undefined {
    StringRef what;  // "'name' is undefined"; may be null
  };
  struct None {};

  Value() = default;  // undefined
  explicit Value(Undefined undefined) : data_(std::move(undefined)) {}
  explicit Value(None none) : data_(none) {}
  explicit Value(bool b) : data_(b) {}
  explicit Value(int64_t i) : data_(i) {}
  explicit Value(double d) : data_(d) {}
  explicit Value(StringRef s) : data_(std::move(s)) {}
  explicit Value(ListRef l) : data_(std::move(l)) {}
  explicit Value(DictRef d) : data_(std::move(d)) {}
  explicit Value(Namespace* n) : data_(n) {}
  explicit Value(LoopState* l) : data_(l) {}
  explicit Value(Callable* c) : data_(c) {}

  // A string of the template itself, outside any render's account.
  static Value Literal(std::string text);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is(Kind k) const { return kind() == k; }
  bool IsUndefined() const { return is(Kind::kUndefined); }
  bool IsNone() const { return is(Kind::kNone); }
  bool IsString() const { return is(Kind::kString); }
  bool IsList() const { return is(Kind::kList); }
  bool IsDict() const { return is(Kind::kDict); }
  bool IsInteger() const { return is(Kind::kInt) || is(Kind::kBool); }  // a Python bool is an int
  bool IsNumber() const { return IsInteger() || is(Kind::kFloat); }

  // Each needs the kind its name says.
  bool boolean() const { return std::get<bool>(data_); }
  int64_t integer() const {
    return is(Kind::kBool) ? int64_t{boolean()} : std::get<int64_t>(data_);
  }
  double number() const;  // any number
  const StringNode& string() const { return *std::get<StringRef>(data_); }
  std::string_view text() const;
  const ListNode& list() const { return *std::get<ListRef>(data_); }
  const ListRef& shared_list() const { return std::get<ListRef>(data_); }
  const DictNode& dict() const { return *std::get<DictRef>(data_); }
  Namespace* name_space() const { return std::get<Namespace*>(data_); }
  LoopState* loop() const { return std::get<LoopState*>(data_); }
  Callable* callable() const { return std::get<Callable*>(data_); }
  std::string_view undefined_reason() const;

  // "str", "int", "dict", ...: Python's name of the type, for messages.
  std::string_view TypeName() const;

  // The same object, as Python's `is` sees it for what cannot change.
  bool IsSameObject(const Value& other) const;

 private:
  std::variant<Undefined, None, bool, int64_t, double, StringRef, ListRef, DictRef, Namespace*,
               LoopState*, Callable*>
      data_;
};

// Bytes held by one render; every node gives back what it took.
struct MemoryAccount {
  int64_t num_bytes = 0;
};

// The part every shared node has.
class Accounted {
 public:
  Accounted(MemoryAccount* account, int64_t num_bytes) : account_(account), num_bytes_(num_bytes) {
    if (account_ != nullptr) account_->num_bytes += num_bytes_;
  }
  ~Accounted() {
    if (account_ != nullptr) account_->num_bytes -= num_bytes_;
  }
  Accounted(const Accounted&) = delete;
  Accounted& operator=(const Accounted&) = delete;

 private:
  MemoryAccount* account_;  // outlives the node; null for literals
  int64_t num_bytes_;
};

struct StringNode : Accounted {
  StringNode(MemoryAccount* account, std::string text_in);
  const std::string text;  // valid UTF-8
  const bool is_ascii;
};

enum class ListKind {
  kList,
  kTuple,
  kView,       // dict.keys() and the like: a length but no index
  kGenerator,  // a lazy filter's result: always true, no length, no index
};

struct ListNode : Accounted {
  ListNode(MemoryAccount* account, std::vector<Value> items_in, ListKind kind_in);
  const std::vector<Value> items;
  const ListKind kind;
  const int depth;  // nesting; bounded, so that no walk over a value can overflow the stack
};

struct DictNode : Accounted {
  using Entry = std::pair<Value, Value>;
  // Of equal keys the last value stays, at the place of the first, as in Python.
  DictNode(MemoryAccount* account, std::vector<Entry> entries_in);

  const Value* Find(std::string_view key) const;
  const Value* Find(const Value& key) const;

  std::vector<Entry> entries;
  int depth = 1;

 private:
  void Insert(Entry entry);
  std::unordered_map<std::string_view, size_t> index_;  // of the string keys, into entries
};

// namespace(): the one thing a template may assign attributes of. Owned by the Runtime.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);
};

// One running `for` loop. Owned by the Runtime, because `loop` can be stored.
struct LoopState {
  ListRef items;  // null once the loop has ended
  size_t size = 0;
  size_t index0 = 0;
  bool has_changed_value = false;
  Value changed_value;  // what loop.changed() saw last
};

int DepthOf(const Value& value);

// Whether Python would take it as a key: lists and dicts can change, so they are none.
bool IsHashable(const Value& value);

}  // namespace runahead::jinja
